//! `fix_text` of ftfy 6.3: its steps in its order, until nothing changes.

use std::sync::LazyLock;

use regex::Regex;
use unicode_normalization::UnicodeNormalization;

use super::{encoding, html, replace, tables::TABLES};

/// Longest piece that is repaired at once, in characters; a bound on time.
const MAX_PIECE: usize = 1_000_000;

static TERMINAL_ESCAPE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\x1b\[(?:\d|;)*[a-zA-Z]").expect("the pattern is a constant"));

/// Repairs a text line by line.
pub(super) fn fix_text(text: &str) -> String {
    let mut fixed = String::with_capacity(text.len());
    // A text with tags is HTML that should stay as it is, from that line on.
    let mut entities = true;
    for line in text.split_inclusive('\n') {
        let mut rest = line;
        while !rest.is_empty() {
            let end = rest
                .char_indices()
                .nth(MAX_PIECE)
                .map_or(rest.len(), |(end, _)| end);
            let (piece, after) = rest.split_at(end);
            entities &= !piece.contains('<');
            fixed.push_str(&fix_piece(piece, entities));
            rest = after;
        }
    }
    fixed
}

fn fix_piece(piece: &str, entities: bool) -> String {
    let mut text = piece.to_owned();
    loop {
        let mut next = if entities {
            html::unescape_plain(&text)
        } else {
            text.clone()
        };
        next = encoding::fix(&next);
        next = encoding::fix_controls(&next);
        next = replace(&next, |letter| {
            TABLES.ligatures.get(&letter).map(String::as_str)
        })
        .into_owned();
        next = replace(&next, |letter| {
            TABLES.widths.get(&letter).map(String::as_str)
        })
        .into_owned();
        next = replace(&next, straight).into_owned();
        next = next.replace("\r\n", "\n");
        next = replace(&next, |letter| {
            matches!(letter, '\r' | '\u{2028}' | '\u{2029}' | '\u{85}').then_some("\n")
        })
        .into_owned();
        next = TERMINAL_ESCAPE.replace_all(&next, "").into_owned();
        next.retain(|letter| !is_control(letter));
        next = next.nfc().collect();
        if next == text {
            return text;
        }
        text = next;
    }
}

/// Straight quotation marks for curly ones.
fn straight(letter: char) -> Option<&'static str> {
    match letter {
        '\u{2bc}' | '\u{2018}'..='\u{201b}' => Some("'"),
        '\u{201c}'..='\u{201f}' => Some("\""),
        _ => None,
    }
}

/// Characters that nobody meant to write; those that make blanks or join emoji stay.
fn is_control(letter: char) -> bool {
    matches!(letter,
        '\0'..='\u{8}' | '\u{b}' | '\u{e}'..='\u{1f}' | '\u{7f}'
        | '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffc}')
}
