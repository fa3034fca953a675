//! Files in and files out, every byte accounted for.
//!
//! What a model consists of stays in a cache by hash. Protected images and weights never enter it:
//! they live in the job's directory and go with it.

mod cache;
mod parts;

use std::{
    collections::BTreeMap,
    io::Read,
    path::{Component, Path},
};

use sha2::{Digest, Sha256};
use shared::{
    JobId,
    node::{CreateNodeUpload, InputRole, JobInput, LARGE_UPLOAD_BYTES, NodeDelivery},
};
use tokio::{fs, io::AsyncWriteExt};

use crate::{
    Error, Result,
    client::{Client, Slice, chain},
    message::{
        CONTROLS, ENCODER, IMAGES, MATRIX, MODEL, PATCHES, PROTECTED_UNET, Pictures, RESUME, START,
    },
};

pub(crate) use cache::Cache;

/// Downloads of one file before damage counts as final, and uploads of one in parts.
const TRIES: u32 = 3;

/// Fetches every input into `work`; gives the concepts' files relative to it.
pub(crate) async fn fetch_inputs(
    client: &Client,
    inputs: &[JobInput],
    cache: &Cache,
    work: &Path,
) -> Result<BTreeMap<usize, Pictures>> {
    let mut pictures: BTreeMap<usize, Pictures> = BTreeMap::new();
    for input in inputs {
        match input.role {
            InputRole::ModelFile => fetch_cached(client, input, cache, &work.join(MODEL)).await?,
            InputRole::Encoder => fetch_cached(client, input, cache, &work.join(ENCODER)).await?,
            InputRole::ProtectedImage => {
                let own = pictures.entry(concept(&input.name)?).or_default();
                let path = Path::new(IMAGES).join(plain(&input.name)?);
                fetch(client, input, &work.join(&path)).await?;
                own.images.push(path);
            }
            InputRole::ControlImage => {
                let own = pictures.entry(concept(&input.name)?).or_default();
                let path = Path::new(CONTROLS).join(plain(&input.name)?);
                fetch(client, input, &work.join(&path)).await?;
                own.control.push(path);
            }
            InputRole::Patch => {
                let own = pictures.entry(concept(&input.name)?).or_default();
                let path = Path::new(PATCHES).join(plain(&input.name)?);
                fetch(client, input, &work.join(&path)).await?;
                own.patch = Some(path);
            }
            InputRole::ProtectedUnet => fetch(client, input, &work.join(PROTECTED_UNET)).await?,
            InputRole::StartUnet => fetch(client, input, &work.join(START)).await?,
            InputRole::Matrix => {
                let path = work.join(MATRIX).join(plain(&input.name)?);
                fetch(client, input, &path).await?;
            }
            InputRole::Resume => fetch(client, input, &work.join(RESUME)).await?,
        }
    }
    Ok(pictures)
}

/// The position that a name such as `00/003.png` or `00.png` starts with.
fn concept(name: &str) -> Result<usize> {
    let digits = name.split(['/', '.']).next().unwrap_or_default();
    digits
        .parse()
        .map_err(|_| Error::UnsafeName(name.to_owned()))
}

async fn fetch_cached(
    client: &Client,
    input: &JobInput,
    cache: &Cache,
    folder: &Path,
) -> Result<()> {
    if !is_hash(&input.sha256) {
        return Err(Error::UnsafeName(input.sha256.clone()));
    }
    let cached = cache.path(&input.sha256);
    // Another job may fetch the same file at this moment: whoever comes second finds it whole.
    let _alone = cache.alone(&input.sha256).await;
    let known =
        cached.is_file() && measure(&cached).await? == (input.sha256.clone(), input.size_bytes);
    if !known {
        fetch(client, input, &cached).await?;
    }
    let target = folder.join(plain(&input.name)?);
    make_parent(&target).await?;
    fs::hard_link(&cached, &target)
        .await
        .map_err(Error::file(&target))
}

fn is_hash(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// The name as a path that stays below its directory.
fn plain(name: &str) -> Result<&Path> {
    let path = Path::new(name);
    let fine = !name.is_empty()
        && !name.contains('\\')
        && path
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
    if fine {
        Ok(path)
    } else {
        Err(Error::UnsafeName(name.to_owned()))
    }
}

async fn make_parent(path: &Path) -> Result<()> {
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent)
        .await
        .map_err(Error::file(parent))
}

/// Downloads to `target`; a half or damaged file never carries that name.
async fn fetch(client: &Client, input: &JobInput, target: &Path) -> Result<()> {
    make_parent(target).await?;
    let part = target.with_extension("part");
    let mut left = TRIES;
    loop {
        left -= 1;
        match receive(client, input, &part).await {
            Ok(()) => return fs::rename(&part, target).await.map_err(Error::file(target)),
            Err(error) => {
                let _ = fs::remove_file(&part).await;
                let passing = matches!(error, Error::Damaged { .. } | Error::Unreachable(_));
                if left == 0 || !passing {
                    return Err(error);
                }
                tracing::warn!(%error, "downloading again");
            }
        }
    }
}

async fn receive(client: &Client, input: &JobInput, part: &Path) -> Result<()> {
    let mut response = client.get(&input.url).await?;
    let mut file = fs::File::create(part).await.map_err(Error::file(part))?;
    let mut hasher = Sha256::new();
    let mut size = 0_u64;
    let lost = |error: reqwest::Error| Error::Unreachable(chain(&error.without_url()));
    while let Some(chunk) = response.chunk().await.map_err(lost)? {
        size += chunk.len() as u64;
        // A sender that goes on for ever must not fill the disk.
        if size > input.size_bytes {
            break;
        }
        hasher.update(&chunk);
        file.write_all(&chunk).await.map_err(Error::file(part))?;
    }
    file.flush().await.map_err(Error::file(part))?;
    let damaged = |expected: String, actual: String| Error::Damaged {
        name: input.name.clone(),
        expected,
        actual,
    };
    if size != input.size_bytes {
        let expected = format!("{} bytes", input.size_bytes);
        return Err(damaged(expected, format!("{size} bytes or more")));
    }
    let hash = hex::encode(hasher.finalize());
    if hash != input.sha256 {
        return Err(damaged(input.sha256.clone(), hash));
    }
    Ok(())
}

/// SHA-256 and size of a file.
pub(crate) async fn measure(path: &Path) -> Result<(String, u64)> {
    let path = path.to_owned();
    let work = move || {
        let mut file = std::fs::File::open(&path).map_err(Error::file(&path))?;
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 1 << 18];
        let mut size = 0_u64;
        loop {
            let count = file.read(&mut buffer).map_err(Error::file(&path))?;
            if count == 0 {
                return Ok((hex::encode(hasher.finalize()), size));
            }
            hasher.update(&buffer[..count]);
            size += count as u64;
        }
    };
    let joined = tokio::task::spawn_blocking(work).await;
    joined.map_err(|error| Error::Trainer(std::io::Error::other(error)))?
}

/// Sends a file; gives its SHA-256 and size.
pub(crate) async fn send(
    client: &Client,
    job: JobId,
    token: i64,
    path: &Path,
) -> Result<(String, u64)> {
    let (sha256, size_bytes) = measure(path).await?;
    let announced = CreateNodeUpload {
        token,
        sha256: sha256.clone(),
        size_bytes,
        // Servers of earlier versions refuse what they do not know: what is small does not ask.
        in_parts: size_bytes > LARGE_UPLOAD_BYTES,
    };
    let mut left = TRIES;
    loop {
        left -= 1;
        match send_once(client, job, &announced, path).await {
            Err(error) if left > 0 && announced.in_parts && parts::is_lost(&error) => {
                tracing::warn!(%error, "sending all parts again");
            }
            sent => return sent.map(|()| (sha256, size_bytes)),
        }
    }
}

async fn send_once(
    client: &Client,
    job: JobId,
    announced: &CreateNodeUpload,
    path: &Path,
) -> Result<()> {
    let upload = client.create_upload(job, announced).await?;
    if let Some(parts) = upload.parts {
        let delivery = NodeDelivery {
            token: announced.token,
            sha256: announced.sha256.clone(),
            size_bytes: announced.size_bytes,
            upload_id: parts.upload_id,
        };
        return parts::send(client, job, &delivery, path).await;
    }
    let Some(url) = upload.url else {
        return Ok(());
    };
    let whole = Slice {
        file: path,
        offset: 0,
        size_bytes: announced.size_bytes,
    };
    client.put(&url, &upload.headers, whole).await
}

#[cfg(test)]
mod tests;
