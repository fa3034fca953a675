//! The header `Range`: one range of bytes, or none.
//!
//! Several ranges, other units and nonsense are ignored, as RFC 9110 allows: the whole file follows.

use axum::http::{HeaderMap, header};

/// First byte and length of the part that is asked for, inside a file of `size` bytes.
pub(crate) fn requested(headers: &HeaderMap, etag: &str, size: u64) -> Option<(u64, u64)> {
    if let Some(condition) = headers.get(header::IF_RANGE)
        && condition.as_bytes() != etag.as_bytes()
    {
        return None;
    }
    let text = headers.get(header::RANGE)?.to_str().ok()?;
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let (start, end) = match (first.trim(), last.trim()) {
        ("", suffix) => (size.saturating_sub(suffix.parse().ok()?), size),
        (start, "") => (start.parse().ok()?, size),
        (start, end) => (
            start.parse().ok()?,
            end.parse::<u64>().ok()?.checked_add(1)?.min(size),
        ),
    };
    (start < end).then(|| (start, end - start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(range: &str) -> Option<(u64, u64)> {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, range.parse().unwrap());
        requested(&headers, "\"tag\"", 100)
    }

    #[test]
    fn each_form_of_a_range_is_understood() {
        assert_eq!(part("bytes=0-9"), Some((0, 10)));
        assert_eq!(part("bytes=90-"), Some((90, 10)));
        assert_eq!(part("bytes=-10"), Some((90, 10)));
        assert_eq!(part("bytes=90-200"), Some((90, 10)));
    }

    #[test]
    fn what_cannot_be_satisfied_is_ignored() {
        for range in [
            "bytes=100-",
            "bytes=5-4",
            "bytes=0-1,3-4",
            "items=0-1",
            "bytes=x-y",
            "bytes=-0",
        ] {
            assert_eq!(part(range), None, "{range}");
        }
    }

    #[test]
    fn another_version_gets_the_whole_file() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, "bytes=0-9".parse().unwrap());
        headers.insert(header::IF_RANGE, "\"other\"".parse().unwrap());
        assert_eq!(requested(&headers, "\"tag\"", 100), None);
    }
}
