//! Access keys: fixed ones, or those of a file that somebody rotates.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use futures::future::BoxFuture;
use s3::{Auth, Credentials, CredentialsProvider, CredentialsSnapshot};
use shared::model_import::S3Credentials;

use super::settings::KeySource;
use crate::Error;

/// A file of keys is shorter than this.
const LIMIT: u64 = 64 * 1024;

/// Keys by their source; a file is read at once, so that a wrong one is told at the start.
pub(super) fn auth(source: &KeySource) -> Result<Auth, Error> {
    match source {
        KeySource::Fixed(keys) => credentials(keys).map(Auth::Static),
        KeySource::File(path) => {
            let file = KeyFile {
                path: path.clone(),
                known: Mutex::new(None),
            };
            file.current()?;
            Ok(Auth::Provider(Arc::new(file)))
        }
    }
}

fn credentials(keys: &S3Credentials) -> Result<Credentials, Error> {
    let wrong = |error: s3::Error| Error::Settings(error.to_string());
    let id = keys.access_key_id.as_str();
    let credentials = Credentials::new(id, keys.secret_access_key.as_str()).map_err(wrong)?;
    match &keys.session_token {
        Some(token) => credentials
            .with_session_token(token.as_str())
            .map_err(wrong),
        None => Ok(credentials),
    }
}

/// When a file changed last, and its size.
type Version = (SystemTime, u64);

struct KeyFile {
    path: PathBuf,
    known: Mutex<Option<(Version, Credentials)>>,
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("KeyFile")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl KeyFile {
    fn current(&self) -> Result<Credentials, Error> {
        let version = version(&self.path)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((read, credentials)) = known.as_ref()
            && *read == version
        {
            return Ok(credentials.clone());
        }
        let text =
            fs::read_to_string(&self.path).map_err(|error| unreadable(&self.path, &error))?;
        let fresh = credentials(&parse(&text).ok_or_else(|| {
            let path = self.path.display();
            let lacking = "needs aws_access_key_id = … and aws_secret_access_key = …";
            Error::Settings(format!("{path} {lacking}"))
        })?)?;
        *known = Some((version, fresh.clone()));
        Ok(fresh)
    }
}

fn version(path: &Path) -> Result<Version, Error> {
    let metadata = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if metadata.len() > LIMIT {
        let text = format!("{} is too large for a file of keys", path.display());
        return Err(Error::Settings(text));
    }
    let modified = metadata
        .modified()
        .map_err(|error| unreadable(path, &error))?;
    Ok((modified, metadata.len()))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::Settings(format!(
        "cannot read the keys in {}: {error}",
        path.display()
    ))
}

/// The first profile of a file of shared credentials.
fn parse(text: &str) -> Option<S3Credentials> {
    let mut keys = (None, None, None);
    let mut profiles = 0;
    for line in text.lines().map(str::trim) {
        profiles += usize::from(line.starts_with('['));
        if profiles > 1 {
            break;
        }
        let Some((name, value)) = line.split_once('=') else {
            continue;
        };
        let value = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
        match name.trim() {
            "aws_access_key_id" => keys.0 = value,
            "aws_secret_access_key" => keys.1 = value,
            "aws_session_token" => keys.2 = value,
            _ => {}
        }
    }
    Some(S3Credentials {
        access_key_id: keys.0?,
        secret_access_key: keys.1?,
        session_token: keys.2,
    })
}

impl CredentialsProvider for KeyFile {
    fn credentials_async(&self) -> BoxFuture<'_, Result<CredentialsSnapshot, s3::Error>> {
        Box::pin(async {
            let current = self.current();
            let wrong = |error: Error| s3::Error::invalid_config(error.to_string());
            current.map(CredentialsSnapshot::new).map_err(wrong)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_profile_counts() {
        let text = "# ours\n[default]\naws_access_key_id = A\naws_secret_access_key=B=\n[other]\naws_session_token=C";
        let keys = parse(text).unwrap();
        assert_eq!(keys.access_key_id, "A");
        assert_eq!(keys.secret_access_key, "B=");
        assert_eq!(keys.session_token, None);
        assert!(parse("[default]\naws_access_key_id = A").is_none());
    }

    #[test]
    fn changed_file_is_read_again() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("keys");
        fs::write(&path, "aws_access_key_id=A\naws_secret_access_key=B").unwrap();
        let file = KeyFile {
            path: path.clone(),
            known: Mutex::new(None),
        };
        assert_eq!(file.current().unwrap().access_key_id, "A");
        fs::write(&path, "aws_access_key_id=AA\naws_secret_access_key=B").unwrap();
        assert_eq!(file.current().unwrap().access_key_id, "AA");
        fs::write(&path, "nothing").unwrap();
        assert!(file.current().is_err());
    }
}
