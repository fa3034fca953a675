//! Tables and patterns of ftfy (Apache-2.0; see `assets/ftfy`), parsed at the first use.

use std::{collections::HashMap, sync::LazyLock};

use regex::{Regex, bytes};
use serde::Deserialize;

#[derive(Deserialize)]
struct File {
    badness: String,
    detector: String,
    strict: String,
    altered: String,
    lossy: String,
    encodings: Vec<(String, String)>,
    ligatures: HashMap<char, String>,
    widths: HashMap<char, String>,
    html5: HashMap<String, String>,
    upper: HashMap<String, String>,
}

/// A single-byte encoding.
pub(super) struct Encoding {
    pub(super) name: String,
    bytes: HashMap<char, u8>,
}

pub(super) struct Tables {
    /// Sequences of letters that hardly occur but in mojibake.
    pub(super) badness: Regex,
    /// Sequences that look like UTF-8 read in another encoding, unless one of `strict` precedes.
    pub(super) detector: Regex,
    pub(super) strict: Regex,
    /// UTF-8 in which a non-breaking space became a space.
    pub(super) altered: bytes::Regex,
    /// UTF-8 in which bytes were lost.
    pub(super) lossy: bytes::Regex,
    pub(super) encodings: Vec<Encoding>,
    /// Ligatures and characters of other widths, with what they become.
    pub(super) ligatures: HashMap<char, String>,
    pub(super) widths: HashMap<char, String>,
    /// Entities by name, with the semicolon where it is needed.
    pub(super) html5: HashMap<String, String>,
    /// Entities of ftfy's own, with ampersand and semicolon.
    pub(super) upper: HashMap<String, String>,
}

/// The tables.
pub(super) static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let file: File = serde_json::from_str(include_str!("../../../assets/ftfy/tables.json"))
        .expect("the tables are a constant");
    let pattern = |text: &str| Regex::new(text).expect("the patterns are constants");
    let byte_pattern = |text: &str| bytes::Regex::new(text).expect("the patterns are constants");
    Tables {
        badness: pattern(&file.badness),
        detector: pattern(&file.detector),
        strict: pattern(&file.strict),
        altered: byte_pattern(&file.altered),
        lossy: byte_pattern(&file.lossy),
        encodings: file.encodings.into_iter().map(Encoding::new).collect(),
        ligatures: file.ligatures,
        widths: file.widths,
        html5: file.html5,
        upper: file.upper,
    }
});

impl Encoding {
    /// From what the bytes 0x80 to 0xff mean.
    fn new((name, upper): (String, String)) -> Self {
        let mut bytes: HashMap<char, u8> = upper.chars().zip(0x80..=0xff).collect();
        bytes.extend(
            (0..0x80)
                .filter(|byte| *byte != 0x1a)
                .map(|byte| (char::from(byte), byte)),
        );
        // In the sloppy encodings a lost byte is written as the control character SUBSTITUTE.
        let lost = if name.starts_with("sloppy") {
            '\u{fffd}'
        } else {
            '\x1a'
        };
        bytes.insert(lost, 0x1a);
        Self { name, bytes }
    }

    pub(super) fn is_sloppy(&self) -> bool {
        self.name.starts_with("sloppy")
    }

    /// The bytes of a text, if the encoding has all of its letters.
    pub(super) fn encode(&self, text: &str) -> Option<Vec<u8>> {
        text.chars()
            .map(|letter| self.bytes.get(&letter).copied())
            .collect()
    }

    /// What a byte means.
    pub(super) fn decode(&self, byte: u8) -> Option<char> {
        let mut pairs = self.bytes.iter();
        pairs
            .find(|(_, known)| **known == byte)
            .map(|(letter, _)| *letter)
    }
}
