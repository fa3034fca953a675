//! Reading an object: in pieces that go on where a broken line stopped.

use std::ops::Range;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream, stream::BoxStream};
use reqwest::{
    Method, StatusCode,
    header::{HeaderValue, IF_MATCH, RANGE},
};
use sha2::{Digest, Sha256};
use tokio::io::AsyncRead;
use tokio_util::io::StreamReader;

use super::http::{Call, Http, unreachable};
use crate::{Error, ObjectHash};

const ACTION: &str = "read an object";
/// How often one reading may go on after a broken line without a byte in between.
const MOST_BREAKS: u32 = 5;

/// A reading on its way.
struct Reading {
    http: Http,
    key: String,
    etag: Option<HeaderValue>,
    rest: Range<u64>,
    body: Option<BoxStream<'static, reqwest::Result<Bytes>>>,
    breaks: u32,
    /// What the whole must come to, and what has come so far.
    whole: Option<(ObjectHash, Sha256)>,
}

/// Reads a part of an object that must stay the one with this tag; all of it must come to `whole` in the end.
pub(super) fn read(
    http: Http,
    key: String,
    etag: Option<HeaderValue>,
    range: Range<u64>,
    whole: Option<ObjectHash>,
) -> Box<dyn AsyncRead + Send + Unpin> {
    let pieces = pieces(http, key, etag, range, whole);
    Box::new(StreamReader::new(Box::pin(pieces)))
}

pub(super) fn pieces(
    http: Http,
    key: String,
    etag: Option<HeaderValue>,
    range: Range<u64>,
    whole: Option<ObjectHash>,
) -> impl Stream<Item = std::io::Result<Bytes>> + Send {
    let reading = Reading {
        http,
        key,
        etag,
        rest: range,
        body: None,
        breaks: 0,
        whole: whole.map(|hash| (hash, Sha256::new())),
    };
    stream::try_unfold(reading, |mut reading| async move {
        let piece = reading.next().await.map_err(std::io::Error::other)?;
        Ok(piece.map(|piece| (piece, reading)))
    })
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if self.rest.is_empty() {
                return self.compare().map(|()| None);
            }
            let body = match &mut self.body {
                Some(body) => body,
                None => self
                    .body
                    .insert(ask(&self.http, &self.key, self.etag.as_ref(), &self.rest).await?),
            };
            let broken = match body.next().await {
                Some(Ok(piece)) => return self.take(piece).map(Some),
                Some(Err(error)) => unreachable(ACTION, &error.without_url()),
                None => Error::Unreachable {
                    action: ACTION,
                    reason: "it ended early".into(),
                },
            };
            self.breaks += 1;
            if self.breaks > MOST_BREAKS {
                return Err(broken);
            }
            tracing::debug!(error = %broken, position = self.rest.start, "reading on");
            self.body = None;
        }
    }

    fn compare(&mut self) -> Result<(), Error> {
        match self.whole.take() {
            Some((expected, digest)) if ObjectHash::from_digest(digest.clone()) != expected => {
                Err(Error::Damaged { action: ACTION })
            }
            _ => Ok(()),
        }
    }

    fn take(&mut self, piece: Bytes) -> Result<Bytes, Error> {
        if piece.len() as u64 > self.rest.end - self.rest.start {
            return Err(super::strange("it sends more than was asked for"));
        }
        if let Some((_, digest)) = &mut self.whole {
            digest.update(&piece);
        }
        self.rest.start += piece.len() as u64;
        self.breaks = 0;
        Ok(piece)
    }
}

async fn ask(
    http: &Http,
    key: &str,
    etag: Option<&HeaderValue>,
    range: &Range<u64>,
) -> Result<BoxStream<'static, reqwest::Result<Bytes>>, Error> {
    let mut call = Call::new(Method::GET, key, ACTION);
    let wanted = format!("bytes={}-{}", range.start, range.end - 1);
    let wanted = HeaderValue::from_str(&wanted).expect("digits are fine in a header");
    call.headers.insert(RANGE, wanted);
    if let Some(etag) = etag {
        call.headers.insert(IF_MATCH, etag.clone());
    }
    let response = http.send(&call).await?;
    let whole = range.start == 0 && response.content_length() == Some(range.end);
    if response.status() != StatusCode::PARTIAL_CONTENT && !whole {
        return Err(super::strange("it does not send parts"));
    }
    Ok(response.bytes_stream().boxed())
}
