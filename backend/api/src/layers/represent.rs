//! What every representation gets: a strong `ETag`, "not modified" where it is known, a `Link` to the
//! next page.

use axum::{
    body::{Body, to_bytes},
    http::{HeaderName, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};

use crate::{error::Error, etag, extract::NextPage};

/// Documents are small; anything larger is a stream and brings its own tag.
const MAX_DOCUMENT: usize = 8 * 1024 * 1024;

/// Completes the answer to a GET.
pub(crate) async fn finish(response: Response, uri: &Uri, known: Option<&HeaderValue>) -> Response {
    let json = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes() == b"application/json");
    let tagged = response.headers().contains_key(header::ETAG);
    if response.status() != StatusCode::OK || !json || tagged {
        return response;
    }
    match describe(response, uri, known).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

async fn describe(
    response: Response,
    uri: &Uri,
    known: Option<&HeaderValue>,
) -> Result<Response, Error> {
    let (mut parts, body) = response.into_parts();
    let bytes = to_bytes(body, MAX_DOCUMENT)
        .await
        .map_err(Error::internal)?;
    let tag = etag::of_bytes(&bytes);
    let fresh = known
        .and_then(|known| known.to_str().ok())
        .is_some_and(|known| etag::names(known, &tag));
    let value = HeaderValue::from_str(&tag).map_err(Error::internal)?;
    parts.headers.insert(header::ETAG, value);
    let cache = HeaderName::from_static("cache-control");
    parts
        .headers
        .entry(cache)
        .or_insert(HeaderValue::from_static("private, no-cache"));
    if let Some(NextPage(cursor)) = parts.extensions.remove() {
        let link = HeaderValue::from_str(&link(uri, &cursor)).map_err(Error::internal)?;
        parts.headers.insert(header::LINK, link);
    }
    if !fresh {
        return Ok(Response::from_parts(parts, Body::from(bytes)));
    }
    parts.status = StatusCode::NOT_MODIFIED;
    parts.headers.remove(header::CONTENT_TYPE);
    parts.headers.remove(header::CONTENT_LENGTH);
    Ok(Response::from_parts(parts, Body::empty()))
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
