//! Files that the server gives out.

use std::path::Path;

use futures::StreamExt;
use tokio::{fs, io::AsyncWriteExt};

use crate::{Client, Error, Result, transport::Call};

impl Client {
    /// Fetches a file; a half of it is never seen under its name.
    pub async fn download(&self, url: &str, path: &Path) -> Result<u64> {
        let failed = |cause| Error::File {
            path: path.to_owned(),
            cause,
        };
        let response = self.open(&Call::get(url).accept("*/*")).await?;
        let mut name = path.as_os_str().to_owned();
        name.push(".partial");
        let partial = Path::new(&name);
        let mut file = fs::File::create(partial).await.map_err(failed)?;
        let mut pieces = response.bytes_stream();
        let mut size = 0;
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| Error::Unreachable {
                host: self.server().to_owned(),
                cause: crate::error::chain(&error.without_url()),
            })?;
            size += piece.len() as u64;
            file.write_all(&piece).await.map_err(failed)?;
        }
        file.sync_all().await.map_err(failed)?;
        fs::rename(partial, path).await.map_err(failed)?;
        Ok(size)
    }
}
