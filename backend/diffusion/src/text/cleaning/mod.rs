//! What becomes of a text before it is cut into tokens: four ways, for Python programs differ.
//!
//! The ways agree on plain text and part at curly quotes, entities, mojibake, some case mappings
//! and control characters.

mod basic;
mod encoding;
mod html;
mod repair;
mod tables;

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

/// Which program's cleaning a tokenizer repeats.
///
/// `transformers` 5, and the fast tokenizer of version 4, never ask for ftfy. The slow tokenizer
/// of version 4, which diffusers' pipelines loaded by default, does what ftfy says where ftfy is
/// installed, and otherwise what BERT's basic tokenizer does. The original CLIP and the open
/// reproductions always use ftfy, then resolve HTML entities twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Cleaning {
    /// Composition (NFC), then lower case letter by letter: transformers 5 and fast tokenizers.
    #[default]
    Transformers,
    /// ftfy's `fix_text`, blanks, lower case: the slow tokenizer beside an installed ftfy.
    SlowWithFtfy,
    /// Control characters out, blanks around Chinese characters, NFC, lower case: the slow
    /// tokenizer without ftfy.
    SlowWithoutFtfy,
    /// `basic_clean` of the original CLIP: ftfy, HTML entities twice, blanks, lower case.
    Original,
}

impl Cleaning {
    /// Whether special tokens are found in the text as it was written, before it is cleaned.
    pub(super) fn keeps_special(self) -> bool {
        self != Self::Original
    }

    /// Whether clitics are matched in any case, as the slow tokenizers do.
    pub(super) fn ignores_case(self) -> bool {
        self != Self::Transformers
    }

    /// The cleaned text.
    pub(super) fn clean(self, text: &str) -> String {
        match self {
            Self::Transformers => text.nfc().flat_map(char::to_lowercase).collect(),
            Self::SlowWithFtfy => squeeze(&repair::fix_text(text)).to_lowercase(),
            Self::SlowWithoutFtfy => basic::clean(text),
            Self::Original => {
                let fixed = repair::fix_text(text);
                let plain = html::unescape(&html::unescape(&fixed));
                squeeze(plain.trim()).to_lowercase()
            }
        }
    }
}

/// Runs of blanks become one; none stays at the ends.
fn squeeze(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ")
}

/// Replaces letters by what `of` says of them.
fn replace<'a, 'b>(text: &'a str, of: impl Fn(char) -> Option<&'b str>) -> Cow<'a, str> {
    if !text.contains(|letter| of(letter).is_some()) {
        return Cow::Borrowed(text);
    }
    let mut replaced = String::with_capacity(text.len());
    for letter in text.chars() {
        match of(letter) {
            Some(other) => replaced.push_str(other),
            None => replaced.push(letter),
        }
    }
    Cow::Owned(replaced)
}
