//! Mojibake: UTF-8 that was read in a single-byte encoding, found and undone as ftfy 6.3 does.

use std::borrow::Cow;

use regex::bytes;

use super::tables::{Encoding, TABLES};

/// Undoes mojibake step by step.
pub(super) fn fix(text: &str) -> String {
    let mut text = text.to_owned();
    loop {
        match step(&text) {
            Some(next) if next != text => text = next,
            _ => return text,
        }
    }
}

fn is_bad(text: &str) -> bool {
    TABLES.badness.is_match(text)
}

fn step(text: &str) -> Option<String> {
    if text.is_ascii() || !is_bad(text) {
        return None;
    }
    let read = TABLES.encodings.iter().find_map(|encoding| {
        let bytes = encoding.encode(text)?;
        decode(&restore(bytes, encoding))
    });
    if read.is_some() {
        return read;
    }
    let embedded = fix_embedded(text);
    if embedded != text {
        return Some(embedded);
    }
    if text.chars().all(|letter| u32::from(letter) < 0x100) {
        let read: Option<String> = text.chars().map(windows_1252).collect();
        if let Some(read) = read.filter(|read| *read != text) {
            return Some(read);
        }
    }
    Some(fix_controls(text))
}

/// A character of Latin-1 read as Windows-1252, where that assigns its byte.
fn windows_1252(letter: char) -> Option<char> {
    if matches!(letter, '\u{81}' | '\u{8d}' | '\u{8f}' | '\u{90}' | '\u{9d}') {
        return None;
    }
    sloppy_1252(letter)
}

fn sloppy_1252(letter: char) -> Option<char> {
    match u8::try_from(u32::from(letter)) {
        Ok(byte @ 0x80..=0x9f) => {
            let named = |encoding: &&Encoding| encoding.name == "sloppy-windows-1252";
            TABLES.encodings.iter().find(named)?.decode(byte)
        }
        _ => Some(letter),
    }
}

/// C1 control characters as Windows-1252 has them, as browsers do.
pub(super) fn fix_controls(text: &str) -> String {
    let fix = |letter| match letter {
        '\u{80}'..='\u{9f}' => sloppy_1252(letter).unwrap_or(letter),
        _ => letter,
    };
    text.chars().map(fix).collect()
}

/// Puts back bytes that became a space, and replaces sequences that lost one.
fn restore(mut bytes: Vec<u8>, encoding: &Encoding) -> Vec<u8> {
    if encoding.name != "macroman" && TABLES.altered.is_match(&bytes) {
        bytes = TABLES
            .altered
            .replace_all(&grave(&bytes), |found: &bytes::Captures<'_>| {
                let byte = |byte: &u8| if *byte == b' ' { 0xa0 } else { *byte };
                found[0].iter().map(byte).collect::<Vec<_>>()
            })
            .into_owned();
    }
    if encoding.is_sloppy() {
        bytes = TABLES
            .lossy
            .replace_all(&bytes, "\u{fffd}".as_bytes())
            .into_owned();
    }
    bytes
}

/// The byte C3 before a space is mostly the word `à`, but for some words of Portuguese.
fn grave(bytes: &[u8]) -> Vec<u8> {
    let exceptions: [&[u8]; 5] = [b" ", b"quele", b"quela", b"quilo", b"s "];
    let mut restored = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        let tail = after.strip_prefix(b" ").filter(|_| *first == 0xc3);
        match tail {
            Some(tail) if !exceptions.iter().any(|word| tail.starts_with(word)) => {
                restored.extend_from_slice(b"\xc3\xa0 ");
                rest = tail;
            }
            _ => {
                restored.push(*first);
                rest = after;
            }
        }
    }
    restored
}

/// UTF-8, or where the bytes hint at it one of its variants: CESU-8 and Java's null.
fn decode(bytes: &[u8]) -> Option<String> {
    if !bytes.contains(&0xed) && !bytes.contains(&0xc0) {
        return std::str::from_utf8(bytes).ok().map(str::to_owned);
    }
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while !rest.is_empty() {
        let (letter, length) = match rest {
            [0xc0, 0x80, ..] => ('\0', 2),
            [
                0xed,
                a @ 0xa0..=0xaf,
                b @ 0x80..=0xbf,
                0xed,
                c @ 0xb0..=0xbf,
                d @ 0x80..=0xbf,
                ..,
            ] => {
                let bits = |byte: u8, mask: u8, shift: u32| u32::from(byte & mask) << shift;
                let low = bits(*c, 0x0f, 6) + bits(*d, 0x3f, 0);
                let code = bits(*a, 0x0f, 16) + bits(*b, 0x3f, 10) + low + 0x10000;
                (char::from_u32(code)?, 6)
            }
            _ => first_letter(rest)?,
        };
        text.push(letter);
        rest = &rest[length..];
    }
    Some(text)
}

fn first_letter(bytes: &[u8]) -> Option<(char, usize)> {
    let length = match bytes.first()? {
        0..=0x7f => 1,
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => 4,
    };
    let letter = std::str::from_utf8(bytes.get(..length)?)
        .ok()?
        .chars()
        .next()?;
    Some((letter, length))
}

/// Repairs the parts of a text that look like mojibake on their own.
fn fix_embedded(text: &str) -> String {
    let mut fixed = String::with_capacity(text.len());
    let mut at = 0;
    let mut from = 0;
    while let Some(found) = TABLES.detector.find_at(text, from) {
        let before = text[..found.start()].chars().next_back();
        let mut buffer = [0; 4];
        let continues =
            before.is_some_and(|letter| TABLES.strict.is_match(letter.encode_utf8(&mut buffer)));
        if continues {
            let first = found.as_str().chars().next().map_or(1, char::len_utf8);
            from = found.start() + first;
            continue;
        }
        let part = found.as_str();
        fixed.push_str(&text[at..found.start()]);
        // A part as long as the whole would go on for ever.
        let repaired = if part.len() < text.len() && is_bad(part) {
            Cow::Owned(fix(part))
        } else {
            Cow::Borrowed(part)
        };
        fixed.push_str(&repaired);
        (at, from) = (found.end(), found.end());
    }
    fixed.push_str(&text[at..]);
    fixed
}
