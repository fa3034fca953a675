//! What BERT's basic tokenizer makes of a text, as transformers' slow CLIP tokenizer uses it
//! where ftfy is missing.

use std::sync::LazyLock;

use regex::Regex;
use unicode_normalization::UnicodeNormalization;

static OTHER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[\p{C}\x{fffd}&&[^\t\n\r]]").expect("the pattern is a constant"));

/// Control characters out, blanks around Chinese characters, NFC, lower case word by word.
pub(super) fn clean(text: &str) -> String {
    let text = OTHER.replace_all(text, "");
    let mut spaced = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_chinese(letter) {
            spaced.extend([' ', letter, ' ']);
        } else {
            spaced.push(letter);
        }
    }
    let composed: String = spaced.nfc().collect();
    let words: Vec<_> = composed.split_whitespace().map(str::to_lowercase).collect();
    words.join(" ")
}

/// The blocks of CJK ideographs; kana and hangul are not among them.
fn is_chinese(letter: char) -> bool {
    matches!(u32::from(letter),
        0x4e00..=0x9fff | 0x3400..=0x4dbf | 0x20000..=0x2a6df | 0x2a700..=0x2b73f
        | 0x2b740..=0x2b81f | 0x2b820..=0x2ceaf | 0xf900..=0xfaff | 0x2f800..=0x2fa1f)
}
