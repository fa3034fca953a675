//! The header `If-Match`.

use axum::{
    extract::FromRequestParts,
    http::{header, request::Parts},
};
use utoipa::IntoParams;

use crate::{error::Error, etag::IfMatch};

/// The header as the document tells it.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "read by its derive alone")]
pub(crate) struct VersionHeader {
    /// The `ETag` of what was read, or `*`.
    #[param(
        rename = "If-Match",
        pattern = "^([*]|(W/)?\"[!#-+--~]*\")$",
        example = "*"
    )]
    if_match: String,
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else {
            return Ok(Self(None));
        };
        let text = value.to_str().unwrap_or_default().trim();
        if !is_well_formed(text) {
            return Err(Error::Malformed("If-Match takes an ETag, or *.".into()));
        }
        Ok(Self(Some(text.to_owned())))
    }
}

/// `*`, or a list of quoted tags (RFC 9110, section 13.1.1).
pub(crate) fn is_well_formed(text: &str) -> bool {
    let quoted = |tag: &str| {
        let tag = tag.trim();
        let tag = tag.strip_prefix("W/").unwrap_or(tag);
        let inner = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
        inner.is_some_and(|inner| {
            inner
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'"')
        })
    };
    text == "*" || text.split(',').all(quoted)
}

#[cfg(test)]
mod tests {
    use super::is_well_formed;

    #[test]
    fn only_tags_are_tags() {
        for good in ["*", "\"a\"", "W/\"a\"", "\"a\", \"b\"", "\"\""] {
            assert!(is_well_formed(good), "{good}");
        }
        for bad in ["", "a", "\"a", "{}", "*, \"a\"", "\"a\" \"b\"", "\""] {
            assert!(!is_well_formed(bad), "{bad}");
        }
    }
}
