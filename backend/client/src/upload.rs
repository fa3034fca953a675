//! Pictures, and archives of them, on their way into a set. Every file is a part of its set: what the server has is not sent again.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures::TryStreamExt;
use reqwest::{Method, StatusCode, header::CONTENT_LENGTH};
use sha2::{Digest, Sha256};
use shared::{
    SetId,
    canonical::sha256_hex,
    image::ProtectedImage,
    limits::{MAX_ARCHIVE_BYTES, MAX_IMAGE_BYTES},
    problem::ErrorCode,
    upload::{ARCHIVE_MEDIA_TYPE, CreateUpload, Unpacked, Upload, UploadStatus, upload_media_type},
};
use tokio_util::io::ReaderStream;

use crate::{
    Client, Error, Result,
    retry::{asked, chance},
    transport::{Call, fresh_key, may_pass, refusal, unreachable},
};

/// A picture, or a ZIP archive of pictures, on this machine that a set can take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Its name without folders.
    pub filename: String,
    /// Its size.
    pub size_bytes: u64,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// What its first bytes say it is.
    pub media_type: &'static str,
}

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Uploaded {
    /// It joined the set.
    Added(Box<ProtectedImage>),
    /// The same picture is in the set already.
    AlreadyThere,
    /// It was an archive: what became of its files.
    Unpacked(Unpacked),
}

/// First bytes that tell every kind of file.
const HEAD: usize = 12;

/// Told how many bytes of the file have left.
type Sent = Arc<dyn Fn(u64) + Send + Sync>;

impl UploadFile {
    /// Looks at a file: its kind, size and hash.
    pub fn read(path: &Path) -> Result<Self> {
        let unusable = |reason: &str| Error::Unusable {
            path: path.to_owned(),
            reason: reason.to_owned(),
        };
        let failed = |cause| Error::File {
            path: path.to_owned(),
            cause,
        };
        let filename = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let filename = filename.ok_or_else(|| unusable("The file needs a name."))?;
        let mut file = File::open(path).map_err(failed)?;
        let mut piece = vec![0; 256 * 1024];
        let mut filled = 0;
        while filled < HEAD {
            match file.read(&mut piece[filled..]).map_err(failed)? {
                0 => break,
                more => filled += more,
            }
        }
        let media_type = upload_media_type(&filename, &piece[..filled]).ok_or_else(|| {
            unusable("This is no JPEG, PNG, WebP or TIFF picture, and no ZIP archive called .zip.")
        })?;
        let limit = if media_type == ARCHIVE_MEDIA_TYPE {
            MAX_ARCHIVE_BYTES
        } else {
            MAX_IMAGE_BYTES
        };
        let (mut digest, mut size_bytes) = (Sha256::new(), 0);
        while filled > 0 {
            digest.update(&piece[..filled]);
            size_bytes += filled as u64;
            if size_bytes > limit {
                let limit = limit / 1024 / 1024;
                return Err(unusable(&format!("The file is larger than {limit} MiB.")));
            }
            filled = file.read(&mut piece).map_err(failed)?;
        }
        Ok(Self {
            path: path.to_owned(),
            filename,
            size_bytes,
            sha256: hex::encode(digest.finalize()),
            media_type,
        })
    }

    /// Whether it is an archive of pictures.
    pub fn is_archive(&self) -> bool {
        self.media_type == ARCHIVE_MEDIA_TYPE
    }

    fn announcement(&self, set: SetId) -> CreateUpload {
        CreateUpload {
            protected_set_id: set,
            filename: self.filename.clone(),
            size_bytes: self.size_bytes,
            sha256: self.sha256.clone(),
            media_type: self.media_type.to_owned(),
        }
    }
}

impl Client {
    /// Brings a file into a set, from wherever an earlier try got to; `sent` is told how many of its bytes have left.
    pub async fn upload_file(
        &self,
        set: SetId,
        file: &UploadFile,
        sent: impl Fn(u64) + Send + Sync + 'static,
    ) -> Result<Uploaded> {
        let sent: Sent = Arc::new(sent);
        let completed = self.bring(set, file, &sent).await;
        sent(file.size_bytes);
        match completed {
            Ok(Upload {
                image: Some(image), ..
            }) => Ok(Uploaded::Added(Box::new(image))),
            Ok(Upload {
                unpacked: Some(unpacked),
                ..
            }) => Ok(Uploaded::Unpacked(unpacked)),
            Ok(upload) => Err(Error::Unreadable {
                path: format!("/v1/uploads/{}", upload.id),
                cause: "a completed upload names no image and no files".to_owned(),
            }),
            Err(error) if error.code() == Some(ErrorCode::DuplicateImage) => {
                Ok(Uploaded::AlreadyThere)
            }
            Err(error) => Err(error),
        }
    }

    async fn bring(&self, set: SetId, file: &UploadFile, sent: &Sent) -> Result<Upload> {
        let upload = self.announce(set, file).await?;
        self.send_and_complete(upload, file, sent).await
    }

    /// The upload of this file into this set: the one that an earlier run announced, where the server still knows it.
    async fn announce(&self, set: SetId, file: &UploadFile) -> Result<Upload> {
        let request = file.announcement(set);
        // The same for every run over the same file: the server then answers what it answered before.
        let name = format!("{set} {} {}", file.filename, file.sha256);
        let key = sha256_hex(name.as_bytes());
        let answer = self
            .answer(&Call::post("/v1/uploads", key).json(&request)?)
            .await?;
        let upload: Upload = answer.read()?;
        if !answer.headers.contains_key("idempotency-replayed") {
            return Ok(upload);
        }
        match self.find_upload(upload.id).await {
            Ok(found) if self.still_counts(set, &found).await? => return Ok(found),
            Err(error) if !matches!(error.status(), Some(404 | 410)) => return Err(error),
            _ => {}
        }
        let again = Call::post("/v1/uploads", fresh_key()?).json(&request)?;
        self.read(&again).await
    }

    /// Whether what an earlier upload brought is in the set still, or on its way; what was deleted since is sent anew.
    async fn still_counts(&self, set: SetId, upload: &Upload) -> Result<bool> {
        if upload.status != UploadStatus::Completed {
            return Ok(true);
        }
        let Some(unpacked) = &upload.unpacked else {
            return Ok(upload.image.is_some());
        };
        let images = self.find_set(set).await?.images;
        let is_there = |id| images.iter().any(|image| image.id == id);
        Ok(unpacked.added.iter().all(|id| is_there(*id)))
    }

    async fn send_and_complete(
        &self,
        mut upload: Upload,
        file: &UploadFile,
        sent: &Sent,
    ) -> Result<Upload> {
        let mut made = 0;
        loop {
            match upload.status {
                UploadStatus::Completed => return Ok(upload),
                UploadStatus::Received => break,
                UploadStatus::Pending => {}
            }
            made += 1;
            match self.put(&upload, file, sent).await? {
                Put::Done => break,
                Put::Again { pause, error } => {
                    let pause = self.retry().pause(made, pause, chance()).ok_or(error)?;
                    tokio::time::sleep(pause).await;
                }
            }
            // A fresh signature, and perhaps the news that the bytes arrived after all.
            upload = self.find_upload(upload.id).await?;
        }
        self.complete_upload(upload.id).await
    }

    async fn put(&self, upload: &Upload, file: &UploadFile, sent: &Sent) -> Result<Put> {
        let url = self.url(&upload.url)?;
        let open = tokio::fs::File::open(&file.path).await;
        let open = open.map_err(|cause| Error::File {
            path: file.path.clone(),
            cause,
        })?;
        let mut done = 0;
        let sent = Arc::clone(sent);
        let pieces = ReaderStream::new(open).inspect_ok(move |piece| {
            done += piece.len() as u64;
            sent(done);
        });
        // No credential: the signature of the address is the permission.
        let mut request = self.http().put(url.clone());
        for (name, value) in &upload.headers {
            request = request.header(name, value);
        }
        request = request.header(CONTENT_LENGTH, file.size_bytes);
        let body = reqwest::Body::wrap_stream(pieces);
        let response = match request.body(body).send().await {
            Ok(response) => response,
            Err(error) => {
                let error = unreachable(&url, error);
                return Ok(Put::Again { pause: None, error });
            }
        };
        let status = response.status();
        if status.is_success() {
            return Ok(Put::Done);
        }
        let pause = asked(response.headers());
        let error = refusal(response, &Method::PUT, url.path()).await;
        // A signature that expired is renewed by asking for the upload again.
        if may_pass(status) || matches!(status, StatusCode::FORBIDDEN | StatusCode::GONE) {
            return Ok(Put::Again { pause, error });
        }
        Err(error)
    }
}

enum Put {
    Done,
    Again {
        pause: Option<std::time::Duration>,
        error: Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind_is_what_the_bytes_say() {
        let kind = |bytes| upload_media_type("a.zip", bytes);
        assert_eq!(kind(b"\x89PNG\r\n"), Some("image/png"));
        assert_eq!(kind(b"\xff\xd8\xff\xe0"), Some("image/jpeg"));
        assert_eq!(kind(b"RIFF\0\0\0\0WEBPVP8 "), Some("image/webp"));
        assert_eq!(kind(b"PK\x03\x04"), Some("application/zip"));
        assert_eq!(upload_media_type("a.docx", b"PK\x03\x04"), None);
        for other in [&b""[..], b"GIF89a", b"RIFF\0\0\0\0WAVE", b"%PDF"] {
            assert_eq!(kind(other), None);
        }
    }

    #[test]
    fn files_that_no_set_takes_are_refused_here() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let text = write("a.png", b"hello");
        assert!(matches!(
            UploadFile::read(&text),
            Err(Error::Unusable { .. })
        ));
        let empty = write("b.png", b"");
        assert!(matches!(
            UploadFile::read(&empty),
            Err(Error::Unusable { .. })
        ));
        let mut bytes = vec![0; 20 * 1024 * 1024 + 1];
        bytes[..4].copy_from_slice(b"\x89PNG");
        let large = write("c.png", &bytes);
        assert!(matches!(
            UploadFile::read(&large),
            Err(Error::Unusable { .. })
        ));
        let missing = folder.path().join("d.png");
        assert!(matches!(
            UploadFile::read(&missing),
            Err(Error::File { .. })
        ));
        let fine = UploadFile::read(&write("e.jpg", b"\x89PNG")).unwrap();
        assert_eq!((fine.media_type, fine.size_bytes), ("image/png", 4));
        let mut bytes = vec![7; 21 * 1024 * 1024];
        bytes[..4].copy_from_slice(b"PK\x03\x04");
        let archive = UploadFile::read(&write("f.ZIP", &bytes)).unwrap();
        assert!(archive.is_archive() && !fine.is_archive());
        assert_eq!(archive.sha256, sha256_hex(&bytes));
    }
}
