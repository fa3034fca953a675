//! HTML entities, resolved as Python's `html.unescape` does, or only the plain ones as ftfy does.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::tables::TABLES;

static ANY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"&(#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\x0c <&#;]{1,32};?)")
        .expect("the pattern is a constant")
});

static PLAIN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("&#?[0-9A-Za-z]{1,24};").expect("the pattern is a constant"));

/// Resolves every reference, those without a semicolon too.
pub(super) fn unescape(text: &str) -> String {
    if !text.contains('&') {
        return text.to_owned();
    }
    ANY.replace_all(text, |found: &Captures<'_>| reference(&found[1]))
        .into_owned()
}

/// Resolves references that end in a semicolon, and names in capitals that databases made.
pub(super) fn unescape_plain(text: &str) -> String {
    if !text.contains('&') {
        return text.to_owned();
    }
    let resolve = |found: &Captures<'_>| {
        let whole = &found[0];
        if let Some(known) = TABLES
            .upper
            .get(whole)
            .or_else(|| TABLES.html5.get(&whole[1..]))
        {
            return known.clone();
        }
        let resolved = if whole.starts_with("&#") {
            unescape(whole)
        } else {
            whole.to_owned()
        };
        if resolved.contains(';') {
            whole.to_owned()
        } else {
            resolved
        }
    };
    PLAIN.replace_all(text, resolve).into_owned()
}

/// What `&NAME` stands for; a name that is none stays, but for the longest beginning that is one.
fn reference(name: &str) -> String {
    if let Some(number) = name.strip_prefix('#') {
        return numeric(number.trim_end_matches(';'));
    }
    if let Some(known) = TABLES.html5.get(name) {
        return known.clone();
    }
    let ends = name.char_indices().map(|(end, _)| end).rev();
    let beginnings = ends.filter(|end| name[..*end].chars().count() > 1);
    for end in beginnings {
        if let Some(known) = TABLES.html5.get(&name[..end]) {
            return format!("{known}{}", &name[end..]);
        }
    }
    format!("&{name}")
}

/// What bytes of Windows-1252 mean that Latin-1 leaves to control characters.
const WINDOWS: [char; 32] = [
    '\u{20ac}', '\u{81}', '\u{201a}', '\u{192}', '\u{201e}', '\u{2026}', '\u{2020}', '\u{2021}',
    '\u{2c6}', '\u{2030}', '\u{160}', '\u{2039}', '\u{152}', '\u{8d}', '\u{17d}', '\u{8f}',
    '\u{90}', '\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}', '\u{2022}', '\u{2013}', '\u{2014}',
    '\u{2dc}', '\u{2122}', '\u{161}', '\u{203a}', '\u{153}', '\u{9d}', '\u{17e}', '\u{178}',
];

fn numeric(number: &str) -> String {
    let code = match number.strip_prefix(['x', 'X']) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => number.parse(),
    };
    // A number too long for the type is no character either.
    match code.unwrap_or(u32::MAX) {
        0 => "\u{fffd}".to_owned(),
        0x0d => "\r".to_owned(),
        code @ 0x80..=0x9f => WINDOWS[code as usize - 0x80].to_string(),
        code => match char::from_u32(code) {
            None => "\u{fffd}".to_owned(),
            Some(_) if is_invalid(code) => String::new(),
            Some(letter) => letter.to_string(),
        },
    }
}

/// Control characters and the ends of planes, which no reference may name.
fn is_invalid(code: u32) -> bool {
    matches!(code, 0x1..=0x8 | 0xb | 0xe..=0x1f | 0x7f | 0xfdd0..=0xfdef) || code & 0xfffe == 0xfffe
}
