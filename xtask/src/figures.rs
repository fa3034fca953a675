//! Lines of figures such as `upload_ratio=0.91 rss_growth_mb=12.0`.

/// What stands behind `name=`.
pub(crate) fn value<'a>(words: &'a str, name: &str) -> Option<&'a str> {
    let mut words = words.split_whitespace();
    words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}
