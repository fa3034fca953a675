//! Seeded damage for the tests of what strangers send: the same texts in every run, some thousand for each parser.

use std::ops::Range;

/// Rounds for one parser: a fraction of a second without optimization.
const ROUNDS: usize = 8000;
/// What parsers stumble over: signs, ends, escapes, numbers beyond their type.
const PIECES: [&str; 24] = [
    "",
    "+",
    "-",
    " ",
    "\t",
    "\"",
    "'",
    "=",
    ",",
    "/",
    "~1",
    "%00",
    "\u{0}",
    "é",
    "\u{202e}",
    "0",
    "-0",
    "1e9",
    "null",
    "[",
    "{",
    "}",
    "18446744073709551615",
    "9999999999999999999999",
];

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit.max(1) as u64).unwrap_or(0)
    }

    fn part(&mut self, length: usize) -> Range<usize> {
        let start = self.below(length + 1);
        start..start + self.below((length - start).min(8) + 1)
    }

    fn damage(&mut self, bytes: &mut Vec<u8>) {
        let part = self.part(bytes.len());
        match self.below(5) {
            0 => {
                bytes.drain(part);
            }
            1 => {
                let again = bytes[part].to_vec();
                let at = self.below(bytes.len() + 1);
                bytes.splice(at..at, again);
            }
            2 if !bytes.is_empty() => {
                let at = self.below(bytes.len());
                bytes[at] ^= 1 << self.below(8);
            }
            _ => {
                let piece = PIECES[self.below(PIECES.len())];
                bytes.splice(part, piece.bytes());
            }
        }
    }
}

/// Hands on each of these texts as it is, then damaged in many ways.
pub(crate) fn each(whole: &[&str], mut look: impl FnMut(&[u8])) {
    let mut random = Random(0x5EED);
    for text in whole {
        look(text.as_bytes());
    }
    for _ in 0..ROUNDS {
        let mut bytes = whole[random.below(whole.len())].as_bytes().to_vec();
        for _ in 0..=random.below(3) {
            random.damage(&mut bytes);
        }
        look(&bytes);
    }
}
