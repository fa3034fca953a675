//! The tokenizer's data: a byte-pair vocabulary in CLIP's format in which every word of the grammar, every
//! name and every identifier is one token. Refuses to tokenize: that is `diffusion::text`.

use std::collections::{BTreeMap, BTreeSet};

use crate::attributes::{Accessory, Background, Class, Style, Tint};
use crate::caption::{self, Mention, OPENINGS, OTHER_WORDS};
use crate::names::{FREE, individuals};

/// Tokens of a prompt, with its start, end and padding.
pub const MAX_LENGTH: usize = 20;
const END_OF_WORD: &str = "</w>";
const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";

/// The two files of a CLIP tokenizer.
pub struct Vocabulary {
    merges: Vec<(String, String)>,
}

impl Vocabulary {
    /// Learns merges until every word is one token. Ties are broken alphabetically, so the result is fixed.
    pub fn learn(words: &BTreeSet<String>) -> Self {
        let mut spelled: Vec<Vec<String>> = words.iter().map(|word| spell(word)).collect();
        let mut merges = Vec::new();
        while let Some(pair) = most_frequent(&spelled) {
            for symbols in &mut spelled {
                merge(symbols, &pair);
            }
            merges.push(pair);
        }
        Self { merges }
    }

    /// The vocabulary of the demo world.
    pub fn of_the_world() -> Self {
        Self::learn(&words())
    }

    /// Text of `merges.txt`.
    pub fn merges_text(&self) -> String {
        let lines = self
            .merges
            .iter()
            .map(|(left, right)| format!("{left} {right}\n"));
        std::iter::once("#version: 0.2\n".to_owned())
            .chain(lines)
            .collect()
    }

    /// Token to id, in CLIP's order: bytes, bytes that end a word, merges, start, end.
    pub fn tokens(&self) -> Vec<String> {
        let bytes = byte_symbols();
        let mut tokens: Vec<String> = bytes.iter().map(char::to_string).collect();
        tokens.extend(bytes.iter().map(|symbol| format!("{symbol}{END_OF_WORD}")));
        tokens.extend(
            self.merges
                .iter()
                .map(|(left, right)| format!("{left}{right}")),
        );
        tokens.extend([START.to_owned(), END.to_owned()]);
        tokens
    }

    /// Text of `vocab.json`.
    pub fn vocabulary_text(&self) -> String {
        let lines: Vec<String> = self
            .tokens()
            .iter()
            .enumerate()
            .map(|(id, token)| format!("  {}: {id}", serde_json::Value::from(token.as_str())))
            .collect();
        format!("{{\n{}\n}}\n", lines.join(",\n"))
    }

    /// Text of `tokenizer_config.json`.
    pub fn config_text(&self) -> String {
        let mut config = special_tokens();
        config["model_max_length"] = MAX_LENGTH.into();
        config["do_lower_case"] = true.into();
        config["tokenizer_class"] = "CLIPTokenizer".into();
        format!("{config:#}\n")
    }

    /// Every file of the `tokenizer` directory: name and content.
    pub fn files(&self) -> Vec<(&'static str, String)> {
        vec![
            ("vocab.json", self.vocabulary_text()),
            ("merges.txt", self.merges_text()),
            (
                "special_tokens_map.json",
                format!("{:#}\n", special_tokens()),
            ),
            ("tokenizer_config.json", self.config_text()),
        ]
    }
}

fn special_tokens() -> serde_json::Value {
    serde_json::json!({ "bos_token": START, "eos_token": END, "pad_token": END, "unk_token": END })
}

/// Every word that must be one token.
pub fn words() -> BTreeSet<String> {
    let mut texts: Vec<String> = OPENINGS.iter().map(|&opening| opening.to_owned()).collect();
    texts.extend([OTHER_WORDS.to_owned(), FREE.join(" ")]);
    texts.extend(
        individuals()
            .iter()
            .map(|individual| individual.name.clone()),
    );
    for names in [
        Class::NAMES,
        Style::NAMES,
        Tint::NAMES,
        Accessory::NAMES,
        Background::NAMES,
    ] {
        texts.push(names.join(" "));
    }
    for (&style, &accessory) in Style::ALL.iter().cycle().zip(Accessory::ALL) {
        for &background in Background::ALL {
            let mention = Mention {
                style: Some(style),
                artist: Some(style),
                accessory: Some(accessory),
                background: Some(background),
                ..Mention::NOTHING
            };
            texts.push(caption::describe(Class::Apple, mention, OPENINGS[0]));
        }
    }
    let letters = |text: String| {
        text.split(|c: char| !c.is_alphabetic())
            .map(String::from)
            .collect()
    };
    let words: Vec<Vec<String>> = texts.into_iter().map(letters).collect();
    words
        .into_iter()
        .flatten()
        .filter(|word| !word.is_empty())
        .collect()
}

/// A word as its letters, the last one marked.
fn spell(word: &str) -> Vec<String> {
    let mut symbols: Vec<String> = word.chars().map(String::from).collect();
    if let Some(last) = symbols.last_mut() {
        last.push_str(END_OF_WORD);
    }
    symbols
}

fn most_frequent(spelled: &[Vec<String>]) -> Option<(String, String)> {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for symbols in spelled {
        for pair in symbols.windows(2) {
            *counts.entry((&pair[0], &pair[1])).or_default() += 1;
        }
    }
    let best = counts.into_iter().rev().max_by_key(|(_, count)| *count)?.0;
    Some((best.0.to_owned(), best.1.to_owned()))
}

fn merge(symbols: &mut Vec<String>, pair: &(String, String)) {
    let mut at = 0;
    while at + 1 < symbols.len() {
        if symbols[at] == pair.0 && symbols[at + 1] == pair.1 {
            let right = symbols.remove(at + 1);
            symbols[at].push_str(&right);
        }
        at += 1;
    }
}

/// The printable stand-ins of the 256 bytes, in the order in which CLIP numbers them.
fn byte_symbols() -> Vec<char> {
    let printable = |byte: u32| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let own = (0..256).filter(|&byte| printable(byte));
    let shifted = (0..256)
        .filter(|&byte| !printable(byte))
        .zip(256..)
        .map(|(_, stand_in)| stand_in);
    own.chain(shifted)
        .map(|code| char::from_u32(code).expect("codes below 512 are characters"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_a_token_of_its_own() {
        let tokens: BTreeSet<String> = Vocabulary::of_the_world().tokens().into_iter().collect();
        for word in words() {
            assert!(tokens.contains(&format!("{word}{END_OF_WORD}")), "{word}");
        }
    }

    #[test]
    fn ids_follow_the_order_of_clip() {
        let tokens = Vocabulary::of_the_world().tokens();
        assert_eq!((tokens[0].as_str(), tokens[256].as_str()), ("!", "!</w>"));
        assert_eq!(tokens[188], "\u{100}");
        assert_eq!(tokens.len(), tokens.iter().collect::<BTreeSet<_>>().len());
        assert_eq!(tokens.last().map(String::as_str), Some(END));
    }
}
