//! Files from object storage: listed, fetched in ranges, gone on with after a cut.

use std::time::Duration;

use artifacts::{Bucket, BucketError, BucketPlace, Error as ArtifactsError, RemoteObject};
use shared::{
    limits,
    model_file::{FileRefusal, check_model_file, is_model},
    model_import::{ImportSource, NO_MODEL},
};
use store::{ImportFileRecord, ModelImportRecord, NewImportFile};

use super::{discard, failure, key, work::Stop};
use crate::app::{App, blobs};

/// Objects that are looked at below a prefix.
const MAX_OBJECTS: usize = 2_000;
/// Bytes that one request asks for.
const RANGE_BYTES: u64 = 64 << 20;
/// Requests without a single byte after which the service counts as down.
const TRIES: u32 = 5;
/// Longest time for one range.
const RANGE_TIMEOUT: Duration = Duration::from_mins(10);
const FIRST_PAUSE: Duration = Duration::from_millis(300);

/// A file of the model, and the object that holds it.
struct Remote {
    key: String,
    file: NewImportFile,
}

fn refused(error: &BucketError) -> Stop {
    let (code, fix) = match error {
        BucketError::Settings(_) => (
            "source_settings",
            "Start the import again with other settings.",
        ),
        BucketError::Denied(_) => (
            "source_denied",
            "Check the keys and that they may list and read the bucket, then retry with them.",
        ),
        BucketError::Missing(_) => (
            "source_missing",
            "Check the bucket, the prefix and the region. Start the import again with the right ones.",
        ),
        BucketError::Changed(_) => (
            "source_changed",
            "Retry: the files that changed are fetched anew.",
        ),
        BucketError::TooMany(_) => (
            "too_many_objects",
            "Start the import again with a prefix that holds this model alone.",
        ),
        BucketError::Unreachable(_) | BucketError::Failed(_) => (
            "source_unreachable",
            "Retry when the service answers again: what was fetched is kept.",
        ),
    };
    let retryable = !matches!(error, BucketError::Settings(_) | BucketError::TooMany(_));
    let mut cause = error.to_string();
    cause[..1].make_ascii_uppercase();
    Stop::Failed(failure(code, format!("{cause}."), fix, retryable))
}

/// Fetches every file that is not here.
pub(super) async fn run(app: &App, import: &ModelImportRecord) -> Result<(), Stop> {
    let ImportSource::S3 {
        endpoint,
        region,
        bucket,
        prefix,
        ..
    } = &import.source
    else {
        return Ok(());
    };
    let Ok(_permit) = app.imports().downloads.acquire().await else {
        return Ok(());
    };
    let place = BucketPlace {
        endpoint: endpoint.clone(),
        region: region.clone(),
        bucket: bucket.clone(),
    };
    let credentials = app.imports().credentials(import.id);
    let bucket = Bucket::open(&place, credentials.as_ref()).map_err(|error| refused(&error))?;
    let objects = bucket
        .list(prefix, MAX_OBJECTS)
        .await
        .map_err(|error| refused(&error))?;
    let remotes = choose(prefix, objects)?;
    let files = settle(app, import, &remotes).await?;
    for (remote, file) in remotes.iter().zip(&files) {
        if !file.stored {
            fetch(app, import, &bucket, remote, file).await?;
        }
    }
    Ok(())
}

/// The path inside the model of an object below the prefix; the prefix may be one checkpoint's key.
fn name_of<'a>(prefix: &str, key: &'a str) -> Option<&'a str> {
    if key == prefix {
        return key.rsplit('/').next();
    }
    let rest = key.strip_prefix(prefix)?;
    if prefix.is_empty() || prefix.ends_with('/') {
        Some(rest)
    } else {
        rest.strip_prefix('/')
    }
}

/// The model's files among the objects, by name; what is no part of a model is left out.
fn choose(prefix: &str, objects: Vec<RemoteObject>) -> Result<Vec<Remote>, Stop> {
    let mut remotes = Vec::new();
    let mut pickles = 0;
    for object in objects {
        let Some(name) = name_of(prefix, &object.key).filter(|_| object.size_bytes > 0) else {
            continue;
        };
        match check_model_file(name) {
            Ok(()) => remotes.push(Remote {
                file: NewImportFile {
                    name: name.to_owned(),
                    size_bytes: object.size_bytes,
                    sha256: None,
                    etag: object.etag,
                },
                key: object.key,
            }),
            Err(FileRefusal::Pickle) => pickles += 1,
            Err(_) => {}
        }
    }
    remotes.sort_by(|a, b| a.file.name.cmp(&b.file.name));
    let fail = |code: &str, cause: String| Err(Stop::Failed(failure(code, cause, FIX, false)));
    if !is_model(remotes.iter().map(|remote| remote.file.name.as_str())) {
        let hint = match pickles {
            0 => String::new(),
            count => format!(
                " {count} pickles were left out: {}",
                FileRefusal::Pickle.detail()
            ),
        };
        return fail("no_model_files", format!("{NO_MODEL}{hint}"));
    }
    let sizes = remotes.iter().map(|remote| remote.file.size_bytes);
    let (largest, total) = (sizes.clone().max().unwrap_or(0), sizes.sum::<u64>());
    let fits = remotes.len() <= limits::MAX_MODEL_FILES
        && largest <= limits::MAX_MODEL_FILE_BYTES
        && total <= limits::MAX_MODEL_BYTES;
    if !fits {
        let cause = format!(
            "The prefix holds {} files of {total} bytes; a model has at most {} files of {} bytes.",
            remotes.len(),
            limits::MAX_MODEL_FILES,
            limits::MAX_MODEL_BYTES
        );
        return fail("too_large", cause);
    }
    Ok(remotes)
}

const FIX: &str =
    "Start the import again with the prefix of one model folder or the key of one checkpoint file.";

/// The import's files; where object storage holds others than before, everything is fetched anew.
async fn settle(
    app: &App,
    import: &ModelImportRecord,
    remotes: &[Remote],
) -> Result<Vec<ImportFileRecord>, Stop> {
    let known = app.store().import_files(import.owner_id, import.id).await?;
    let same = |file: &ImportFileRecord, remote: &Remote| {
        let new = &remote.file;
        (&file.name, file.size_bytes, &file.etag) == (&new.name, new.size_bytes, &new.etag)
    };
    let unchanged = known.len() == remotes.len()
        && known
            .iter()
            .zip(remotes)
            .all(|(file, remote)| same(file, remote));
    if unchanged {
        return Ok(known);
    }
    for file in &known {
        discard(app, &key(import.id, file.number)).await;
    }
    let files = remotes.iter().map(|remote| remote.file.clone()).collect();
    let replaced = app
        .store()
        .replace_import_files(import.owner_id, import.id, files, app.now());
    replaced.await.map_err(no_room)?;
    let stored = known.iter().filter_map(|file| file.sha256.as_deref());
    blobs::forget(app, stored).await;
    Ok(app.store().import_files(import.owner_id, import.id).await?)
}

/// Files that do not fit end the import; whoever made room tries again.
fn no_room(error: store::Error) -> Stop {
    match error {
        full @ store::Error::StorageFull { .. } => Stop::Failed(failure(
            "storage_full",
            crate::error::Error::from(full).to_string(),
            "Delete what you do not need, then retry.",
            true,
        )),
        other => other.into(),
    }
}

async fn fetch(
    app: &App,
    import: &ModelImportRecord,
    bucket: &Bucket,
    remote: &Remote,
    file: &ImportFileRecord,
) -> Result<(), Stop> {
    let key = key(import.id, file.number);
    let (mut failures, mut pause) = (0, FIRST_PAUSE);
    loop {
        let received = app.staging().received(&key).await?;
        if received == file.size_bytes {
            break;
        }
        let Err(error) = fetch_range(app, bucket, remote, &key, received).await? else {
            continue;
        };
        if app.staging().received(&key).await? > received {
            (failures, pause) = (0, FIRST_PAUSE);
        }
        failures += 1;
        if failures >= TRIES || !matches!(error, BucketError::Unreachable(_)) {
            return Err(refused(&error));
        }
        tracing::info!(%error, import.id = %import.id, received, "the download goes on after a cut");
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    let _publishing = app.publishing().await?;
    let hash = blobs::publish(app, &key, file.size_bytes, None).await?;
    let sha256 = hash.to_string();
    let store = app.store();
    store
        .mark_import_file_stored(import.id, file.number, &sha256, app.now())
        .await?;
    Ok(())
}

/// One request; what arrives before a cut is kept.
async fn fetch_range(
    app: &App,
    bucket: &Bucket,
    remote: &Remote,
    key: &str,
    start: u64,
) -> Result<Result<(), BucketError>, Stop> {
    let end = (start + RANGE_BYTES).min(remote.file.size_bytes);
    let etag = remote.file.etag.as_deref();
    let mut reader = match bucket.read(&remote.key, start..end, etag).await {
        Ok(reader) => reader,
        Err(error) => return Ok(Err(error)),
    };
    let appended = app.staging().append(key, start, end, &mut *reader);
    match tokio::time::timeout(RANGE_TIMEOUT, appended).await {
        Ok(Ok(received)) if received == end => Ok(Ok(())),
        Ok(Ok(_)) => Ok(Err(BucketError::Unreachable("the body ended early".into()))),
        Ok(Err(ArtifactsError::Body(error))) => {
            Ok(Err(BucketError::Unreachable(error.to_string())))
        }
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Ok(Err(BucketError::Unreachable("it is too slow".into()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(key: &str) -> RemoteObject {
        RemoteObject {
            key: key.into(),
            size_bytes: 7,
            etag: None,
        }
    }

    fn names(prefix: &str, keys: &[&str]) -> Result<Vec<String>, String> {
        match choose(prefix, keys.iter().map(|key| object(key)).collect()) {
            Ok(remotes) => Ok(remotes.into_iter().map(|remote| remote.file.name).collect()),
            Err(Stop::Failed(failure)) => Err(failure.cause),
            Err(Stop::Fault(error)) => Err(error.to_string()),
        }
    }

    #[test]
    fn only_files_of_the_model_are_fetched() {
        let keys = [
            "m/unet/a.safetensors",
            "m/model_index.json",
            "m/.gitattributes",
            "m/unet/a.bin",
            "m/a/b/c.safetensors",
            "m2/model_index.json",
        ];
        let expected = Ok(vec![
            "model_index.json".to_owned(),
            "unet/a.safetensors".to_owned(),
        ]);
        assert_eq!(names("m", &keys), expected);
        assert_eq!(names("m/", &keys), expected);
        let single = Ok(vec!["sd.safetensors".to_owned()]);
        assert_eq!(names("x/sd.safetensors", &["x/sd.safetensors"]), single);
        let pickled = names("m", &["m/model_index.json", "m/unet/a.bin"]).unwrap_err();
        assert!(pickled.contains("1 pickles were left out"), "{pickled}");
    }
}
