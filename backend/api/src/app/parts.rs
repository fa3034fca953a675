//! Outputs of attempts that come in parts: what is missing and where it goes, parts that come through this server, and
//! putting them together, which may take longer than a request.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use artifacts::{Delivery, Grant, Method, Upload};
use shared::{
    JobId,
    node::{LARGE_UPLOAD_BYTES, MissingPart, NodeParts},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    task::JoinHandle,
    time::timeout,
};

use super::{
    App,
    blobs::{LIFETIME, of_attempt, own},
};
use crate::error::Error;

/// Addresses that are given at once: half a gigabyte of parts, which a slow line sends before they expire.
const MOST_SIGNED: usize = 64;
/// How long a request waits for parts to be put together; then it is asked again.
const PATIENCE: Duration = Duration::from_secs(10);
/// Attempts whose uploads are remembered; those of others are left to the collector.
const MOST_REMEMBERED: usize = 1_000;
/// Begins the subject of an address for one part.
const PART: &str = "part";

/// A job and the fencing token of one try at it.
type Attempt = (JobId, i64);

type Completing = JoinHandle<Result<(), artifacts::Error>>;

/// What this server knows of uploads in parts. Only a help: whatever it forgets is asked of the store.
#[derive(Default)]
pub(crate) struct Deliveries {
    completing: Mutex<HashMap<String, Completing>>,
    begun: Mutex<HashMap<Attempt, Vec<Upload>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a file of this size comes in parts where its sender can.
pub(crate) const fn is_large(size_bytes: u64) -> bool {
    size_bytes > LARGE_UPLOAD_BYTES
}

/// An upload that was begun for an attempt, as its sender names it.
pub(crate) fn upload(
    (job, token): Attempt,
    (sha256, size_bytes): (&str, u64),
    id: &str,
) -> Result<Upload, Error> {
    Ok(Upload {
        delivery: of_attempt(job, token, sha256, size_bytes)?,
        id: id.to_owned(),
    })
}

/// Begins an upload of an attempt.
pub(crate) async fn begin(
    app: &App,
    attempt: Attempt,
    (sha256, size_bytes): (&str, u64),
) -> Result<NodeParts, Error> {
    let delivery = of_attempt(attempt.0, attempt.1, sha256, size_bytes)?;
    let begun = app.artifacts().begin(&delivery).await?;
    let parts = NodeParts {
        upload_id: begun.id.clone(),
        count: delivery.parts(),
    };
    let mut known = lock(&app.deliveries().begun);
    if known.len() < MOST_REMEMBERED || known.contains_key(&attempt) {
        known.entry(attempt).or_default().push(begun);
    }
    Ok(parts)
}

/// Numbers of the parts that are not here, or not whole.
async fn missing_numbers(app: &App, upload: &Upload) -> Result<Vec<u32>, Error> {
    let delivery = &upload.delivery;
    let arrived = app.artifacts().parts(upload).await?.into_iter();
    let arrived: BTreeSet<u32> = arrived
        .filter(|part| delivery.part_size(part.number) == Some(part.size_bytes))
        .map(|part| part.number)
        .collect();
    let numbers = 1..=delivery.parts();
    Ok(numbers.filter(|number| !arrived.contains(number)).collect())
}

/// The first parts that are missing, each with an address that was signed just now.
pub(crate) async fn missing(app: &App, upload: &Upload) -> Result<Vec<MissingPart>, Error> {
    let mut parts = Vec::new();
    for number in missing_numbers(app, upload)
        .await?
        .into_iter()
        .take(MOST_SIGNED)
    {
        parts.push(signed(app, upload, number).await?);
    }
    Ok(parts)
}

async fn signed(app: &App, upload: &Upload, number: u32) -> Result<MissingPart, Error> {
    let delivery = &upload.delivery;
    let size_bytes = delivery.part_size(number).unwrap_or_default();
    let signed = app.artifacts().sign_part(upload, number, LIFETIME).await?;
    let signed = signed.unwrap_or_else(|| {
        let part = Delivery {
            size_bytes,
            ..delivery.clone()
        };
        own(app, Method::Put, &part, subject(upload, number))
    });
    Ok(MissingPart {
        number,
        offset: u64::from(number - 1) * delivery.part_bytes(),
        size_bytes,
        url: signed.url,
        headers: signed.headers,
    })
}

/// What an address of this server for one part is signed for; the size in it is the part's.
fn subject(upload: &Upload, number: u32) -> String {
    let Delivery {
        size_bytes,
        subject,
        ..
    } = &upload.delivery;
    format!("{PART}.{number}.{}.{size_bytes}.{subject}", upload.id)
}

/// The part that a grant is for, where it is for one.
fn granted(grant: &Grant) -> Option<(Upload, u32)> {
    let mut words = grant.subject.split('.');
    let mut next = || words.next();
    (next()? == PART).then_some(())?;
    let (number, id, size_bytes, subject) = (next()?, next()?, next()?, next()?);
    let delivery = Delivery {
        hash: grant.hash,
        size_bytes: size_bytes.parse().ok()?,
        subject: subject.to_owned(),
    };
    let id = id.to_owned();
    Some((Upload { delivery, id }, number.parse().ok()?))
}

/// Stores the part that a grant is for; `false` where it is for a whole object.
pub(crate) async fn write(
    app: &App,
    grant: &Grant,
    body: &mut (dyn AsyncRead + Send + Unpin),
) -> Result<bool, Error> {
    let Some((upload, number)) = granted(grant) else {
        return Ok(false);
    };
    let mut bytes = Vec::new();
    // One byte more than announced shows that there are more.
    let mut body = body.take(grant.size_bytes + 1);
    let read = body.read_to_end(&mut bytes).await;
    read.map_err(artifacts::Error::Body)?;
    app.artifacts()
        .write_part(&upload, number, bytes.into())
        .await?;
    Ok(true)
}

/// Makes the parts an object; `false` while that goes on. Safe to repeat, also at the same time.
pub(crate) async fn complete(app: &App, upload: &Upload) -> Result<bool, Error> {
    let known = lock(&app.deliveries().completing).remove(&upload.id);
    let mut task = match known {
        Some(task) => task,
        None => begin_completing(app, upload).await?,
    };
    let Ok(done) = timeout(PATIENCE, &mut task).await else {
        let mut completing = lock(&app.deliveries().completing);
        // Ends that nobody asked for again: whoever does finds the object, or no upload.
        completing.retain(|_, other| !other.is_finished());
        completing.insert(upload.id.clone(), task);
        return Ok(false);
    };
    done.map_err(Error::internal)??;
    Ok(true)
}

async fn begin_completing(app: &App, upload: &Upload) -> Result<Completing, Error> {
    match missing_numbers(app, upload).await {
        Ok(missing) if !missing.is_empty() => {
            let text = format!("{} parts are missing. Send them first.", missing.len());
            return Err(Error::Conflict(text));
        }
        // Completed before, or by somebody else just now: the store finds out.
        Ok(_) | Err(Error::NotFound) => {}
        Err(error) => return Err(error),
    }
    let (app, upload) = (app.clone(), upload.clone());
    // Its own task: it goes on when the request that began it ends.
    Ok(tokio::spawn(async move {
        app.artifacts().complete(&upload).await
    }))
}

/// Gives up what an attempt that has ended left half sent; what this server does not know is left to the collector.
pub(crate) fn give_up(app: &App, attempt: Attempt) {
    let Some(uploads) = lock(&app.deliveries().begun).remove(&attempt) else {
        return;
    };
    let app = app.clone();
    tokio::spawn(async move {
        for upload in uploads {
            if let Err(error) = app.artifacts().abort(&upload).await {
                tracing::warn!(job.id = %attempt.0, %error, "parts were left to the collector");
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use artifacts::{ObjectHash, PART_BYTES};
    use shared::Timestamp;

    use super::*;

    #[test]
    fn address_of_a_part_leads_back_to_it() {
        let delivery = Delivery {
            hash: ObjectHash::of(b"x"),
            size_bytes: 3 * PART_BYTES + 7,
            subject: format!("job_{}-{}", "0".repeat(32), i64::MAX),
        };
        let id = "0123456789abcdef".to_owned();
        let upload = Upload { delivery, id };
        let grant = |subject: &str| Grant {
            method: Method::Put,
            hash: upload.delivery.hash,
            size_bytes: 7,
            expires_at: Timestamp::from_milliseconds(1),
            subject: subject.to_owned(),
        };
        let signed = subject(&upload, 4);
        assert!(signed.len() <= 128, "the signer takes no more: {signed}");
        assert_eq!(granted(&grant(&signed)), Some((upload.clone(), 4)));
        for other in [
            "",
            "upl_0",
            "job_1-2",
            "part",
            "part.x.0.1.job_1-2",
            "part.1.0",
        ] {
            assert_eq!(granted(&grant(other)), None, "{other}");
        }
    }
}
