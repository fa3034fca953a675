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
        ("", suffix) => (size.saturating_sub(number(suffix)?), size),
        (start, "") => (number(start)?, size),
        (start, end) => (number(start)?, number(end)?.checked_add(1)?.min(size)),
    };
    (start < end).then(|| (start, end - start))
}

/// Digits alone: the standard reader takes a sign, too.
pub(super) fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

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
    fn damaged_ranges_stay_inside_of_the_file() {
        let whole = ["bytes=0-9", "bytes=90-", "bytes=-10", "bytes=90-200"];
        crate::damage::each(&whole, |bytes| {
            let Ok(value) = HeaderValue::from_bytes(bytes) else {
                return;
            };
            let headers = HeaderMap::from_iter([(header::RANGE, value)]);
            let Some((start, length)) = requested(&headers, "\"tag\"", 100) else {
                return;
            };
            let text = String::from_utf8_lossy(bytes);
            assert!(length > 0 && start + length <= 100, "{text}");
            let known = |c: char| c.is_ascii_digit() || matches!(c, '-' | ' ' | '\t');
            let numbers = text.strip_prefix("bytes=").expect("the unit");
            assert!(numbers.chars().all(known), "{text}");
        });
    }

    #[test]
    fn another_version_gets_the_whole_file() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, "bytes=0-9".parse().unwrap());
        headers.insert(header::IF_RANGE, "\"other\"".parse().unwrap());
        assert_eq!(requested(&headers, "\"tag\"", 100), None);
    }
}
