//! Tar archives, streamed: files of the store and texts at hand, one after the other, never a whole one in memory.

use std::io;

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use store::ImageRecord;
use tokio_util::io::ReaderStream;

use super::{App, blobs, images};
use crate::error::Error;

const BLOCK: u64 = 512;
/// Longest name of an entry: what the plain header holds.
const MAX_NAME: usize = 100;

/// A file of an archive.
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) source: Source,
}

/// Where its bytes are.
pub(crate) enum Source {
    Text(Vec<u8>),
    Object { sha256: String, size_bytes: u64 },
    Picture(Box<ImageRecord>),
}

impl Entry {
    /// A document as readable JSON.
    pub(crate) fn json(
        name: impl Into<String>,
        value: &impl serde::Serialize,
    ) -> Result<Self, Error> {
        let text = serde_json::to_vec_pretty(value).map_err(Error::internal)?;
        Ok(Self::bytes(name, text))
    }

    /// A file that is at hand.
    pub(crate) fn bytes(name: impl Into<String>, bytes: Vec<u8>) -> Self {
        Self {
            name: name.into(),
            source: Source::Text(bytes),
        }
    }

    pub(crate) fn object(name: String, sha256: String, size_bytes: u64) -> Self {
        Self {
            name,
            source: Source::Object { sha256, size_bytes },
        }
    }

    /// A protected picture, opened.
    pub(crate) fn picture(name: String, image: ImageRecord) -> Self {
        Self {
            name,
            source: Source::Picture(Box::new(image)),
        }
    }

    fn size(&self) -> u64 {
        match &self.source {
            Source::Text(text) => text.len() as u64,
            Source::Object { size_bytes, .. } => *size_bytes,
            Source::Picture(image) => image.content_size_bytes,
        }
    }

    /// The header (POSIX.1-1988 ustar) with modest permissions and the time of the archive.
    fn header(&self, seconds: u64) -> Result<Bytes, Error> {
        if self.name.len() > MAX_NAME {
            return Err(Error::internal(format!("`{}` is too long", self.name)));
        }
        let mut header = tar::Header::new_ustar();
        header.set_path(&self.name).map_err(Error::internal)?;
        header.set_size(self.size());
        header.set_mode(0o600);
        header.set_mtime(seconds);
        header.set_cksum();
        Ok(Bytes::copy_from_slice(header.as_bytes()))
    }
}

/// The bytes of an archive of these entries.
pub(crate) fn stream(
    app: App,
    entries: impl Stream<Item = Result<Entry, Error>> + Send + 'static,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let seconds = u64::try_from(app.now().milliseconds() / 1000).unwrap_or(0);
    let files = entries
        .and_then(move |entry| file(app.clone(), entry, seconds))
        .map_err(io_error)
        .try_flatten();
    let end = stream::once(async { Ok(Bytes::from(vec![0; 1024])) });
    files.chain(end)
}

#[expect(clippy::needless_pass_by_value, reason = "the signature of map_err")]
fn io_error(error: Error) -> io::Error {
    tracing::error!(%error, cause = error.cause(), "an archive broke off");
    io::Error::other("the archive broke off")
}

/// A picture, unless it was deleted since it was listed.
async fn picture(app: &App, image: &ImageRecord) -> Result<Option<Vec<u8>>, Error> {
    match images::read(app, image).await {
        Err(Error::NotFound) => match app.store().find_any_image(image.id).await? {
            None => Ok(None),
            Some(_) => Err(Error::NotFound),
        },
        read => read.map(Some),
    }
}

async fn file(
    app: App,
    entry: Entry,
    seconds: u64,
) -> Result<stream::BoxStream<'static, io::Result<Bytes>>, Error> {
    let header = entry.header(seconds)?;
    let padding = usize::try_from((BLOCK - entry.size() % BLOCK) % BLOCK).unwrap_or(0);
    let content = match entry.source {
        Source::Text(text) => stream::once(async move { Ok(Bytes::from(text)) }).boxed(),
        Source::Object { sha256, .. } => {
            let object = blobs::open(&app, &sha256, None).await?;
            ReaderStream::with_capacity(object.reader, 64 * 1024).boxed()
        }
        Source::Picture(image) => match picture(&app, &image).await? {
            Some(bytes) => stream::once(async move { Ok(Bytes::from(bytes)) }).boxed(),
            None => return Ok(stream::empty().boxed()),
        },
    };
    let first = stream::once(async move { Ok(header) });
    let last = stream::once(async move { Ok(Bytes::from(vec![0; padding])) });
    Ok(first.chain(content).chain(last).boxed())
}
