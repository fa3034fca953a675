//! What every representation gets: a strong `ETag`, "not modified" where it is known, a `Link` to the
//! next page.

use axum::{
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::Response,
};

use crate::{error::Error, etag, extract::NextPage};

/// Documents are small; anything larger is a stream and brings its own tag.
const MAX_DOCUMENT: usize = 8 * 1024 * 1024;

/// A whole document, with every header that is its own.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    headers: HeaderMap,
    tag: String,
    pub(crate) body: Bytes,
}

/// The answer to a GET.
pub(crate) enum Answer {
    Document(Document),
    /// What is no document, or says of itself which version it is.
    Other(Response),
}

/// Completes the answer to a GET.
pub(crate) async fn finish(response: Response, uri: &Uri) -> Result<Answer, Error> {
    let json = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes() == b"application/json");
    let tagged = response.headers().contains_key(header::ETAG);
    if response.status() != StatusCode::OK || !json || tagged {
        return Ok(Answer::Other(response));
    }
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, MAX_DOCUMENT)
        .await
        .map_err(Error::internal)?;
    let tag = etag::of_bytes(&body);
    let value = HeaderValue::from_str(&tag).map_err(Error::internal)?;
    parts.headers.insert(header::ETAG, value);
    parts
        .headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("private, no-cache"));
    if let Some(NextPage(cursor)) = parts.extensions.remove() {
        let link = HeaderValue::from_str(&link(uri, &cursor)).map_err(Error::internal)?;
        parts.headers.insert(header::LINK, link);
    }
    Ok(Answer::Document(Document {
        headers: parts.headers,
        tag,
        body,
    }))
}

impl Document {
    /// The document, or "not modified" where `known` names it.
    pub(crate) fn unless_known(mut self, known: Option<&HeaderValue>) -> Response {
        let fresh = known
            .and_then(|known| known.to_str().ok())
            .is_some_and(|known| etag::names(known, &self.tag));
        let body = if fresh {
            self.headers.remove(header::CONTENT_TYPE);
            self.headers.remove(header::CONTENT_LENGTH);
            Body::empty()
        } else {
            Body::from(self.body)
        };
        let mut response = Response::new(body);
        if fresh {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        *response.headers_mut() = self.headers;
        response
    }
}

/// The same list from the cursor on; cursors need no escape.
fn link(uri: &Uri, cursor: &str) -> String {
    let pairs = uri.query().unwrap_or_default().split('&');
    let mut query: Vec<&str> = pairs
        .filter(|pair| !pair.is_empty() && !pair.starts_with("after="))
        .collect();
    let after = format!("after={cursor}");
    query.push(&after);
    format!("<{}?{}>; rel=\"next\"", uri.path(), query.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_page_keeps_the_rest_of_the_query() {
        let uri: Uri = "/v1/jobs?limit=2&after=abc".parse().unwrap();
        assert_eq!(
            link(&uri, "xyz"),
            "</v1/jobs?limit=2&after=xyz>; rel=\"next\""
        );
        let uri: Uri = "/v1/jobs".parse().unwrap();
        assert_eq!(link(&uri, "xyz"), "</v1/jobs?after=xyz>; rel=\"next\"");
    }
}
