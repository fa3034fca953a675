//! CLIP's byte-pair tokenizer, equal to `CLIPTokenizer` of transformers.
//!
//! Refuses a vocabulary without its special tokens. It has no state beyond its tables.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, LazyLock},
};

use regex::Regex;
use serde_json::{Map, Value, json};

use super::{
    Cleaning, bytes,
    merges::{Merges, WORD_END},
    padding::pad_token,
};
use crate::{Error, Result};

const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";

/// Special tokens, English clitics, words, single digits, runs of anything else.
const PATTERN: &str = concat!(
    r"<\|startoftext\|>|<\|endoftext\|>",
    r"|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"
);

/// The same as the slow tokenizers match it: clitics in any case. Python leaves out the one mark
/// (U+0345) that is no letter and whose other case is one.
const CASELESS: &str = concat!(
    r"<\|startoftext\|>|<\|endoftext\|>",
    r"|(?i:'s|'t|'re|'ve|'m|'ll|'d)|\p{L}+|\p{N}|[^\s\p{L}\p{N}\x{345}]+"
);

/// Length of a prompt when no configuration says otherwise.
const DEFAULT_LENGTH: usize = 77;

/// Longest prompt that a configuration may ask for; files write 10^30 for "no limit".
const MAX_LENGTH: u64 = 4096;

/// CLIP's merges (`OpenAI`; see `assets/clip/NOTICE`); its vocabulary follows from them.
const CLIP_MERGES: &str = include_str!("../../assets/clip/merges.txt");

/// Text to token ids.
///
/// Copies share their tables.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    tables: Arc<Tables>,
    start: u32,
    end: u32,
    pad_token: String,
    pad: u32,
    max_length: usize,
    cleaning: Cleaning,
    /// Words that stand for given ids wherever they occur.
    added: Vec<(String, Vec<u32>)>,
}

#[derive(Clone, Debug)]
struct Tables {
    vocabulary: HashMap<String, u32>,
    merges: Merges,
    /// As transformers has it, and as the slow tokenizers have it.
    pattern: Regex,
    caseless: Regex,
}

impl Tokenizer {
    /// A tokenizer over a vocabulary and merges in order of priority.
    ///
    /// `pad_token` fills prompts up to `max_length`, which counts the start and end tokens.
    pub fn new(
        vocabulary: HashMap<String, u32>,
        merges: Vec<(String, String)>,
        pad_token: &str,
        max_length: usize,
    ) -> Result<Self> {
        let (start, end, pad) = (
            id_of(&vocabulary, START)?,
            id_of(&vocabulary, END)?,
            id_of(&vocabulary, pad_token)?,
        );
        if max_length < 2 {
            return Err(Error::InvalidConfig(format!(
                "prompts of {max_length} tokens"
            )));
        }
        Ok(Self {
            tables: Arc::new(Tables {
                vocabulary,
                merges: Merges::new(merges),
                pattern: compiled(PATTERN),
                caseless: compiled(CASELESS),
            }),
            start,
            end,
            pad_token: pad_token.to_owned(),
            pad,
            max_length,
            cleaning: Cleaning::default(),
            added: Vec::new(),
        })
    }

    /// CLIP's tokenizer, which all Stable Diffusion models share; 77 tokens, padded with the end.
    ///
    /// The first call builds its tables; later ones share them.
    pub fn clip() -> Self {
        static CLIP: LazyLock<Tokenizer> = LazyLock::new(|| {
            let merges = parse_merges(CLIP_MERGES).expect("the merges are a constant");
            let mut letters = bytes::alphabet();
            letters.sort_unstable();
            let vocabulary = byte_tokens(&letters)
                .into_iter()
                .chain(merges.iter().map(|(left, right)| format!("{left}{right}")))
                .chain([START, END].map(str::to_owned))
                .zip(0..)
                .collect();
            Tokenizer::new(vocabulary, merges, END, DEFAULT_LENGTH)
                .expect("the vocabulary holds its special tokens")
        });
        CLIP.clone()
    }

    /// The same tokenizer with another padding.
    pub fn padded_with(mut self, pad_token: &str) -> Result<Self> {
        self.pad = id_of(&self.tables.vocabulary, pad_token)?;
        pad_token.clone_into(&mut self.pad_token);
        Ok(self)
    }

    /// The same tokenizer with another way to clean texts.
    #[must_use]
    pub fn with_cleaning(mut self, cleaning: Cleaning) -> Self {
        self.cleaning = cleaning;
        self
    }

    /// A tokenizer in which each of `words` is one token, and anything else is split into bytes.
    ///
    /// The vocabulary holds all bytes, so no text is unknown. Words that the pattern splits (at
    /// digits or punctuation) stay several tokens.
    pub fn for_words<'a>(
        words: impl IntoIterator<Item = &'a str>,
        max_length: usize,
    ) -> Result<Self> {
        let mut tokens = byte_tokens(&bytes::alphabet());
        let special = |tokens: &[String]| -> HashMap<String, u32> {
            tokens
                .iter()
                .map(String::as_str)
                .chain([START, END])
                .map(str::to_owned)
                .zip(0..)
                .collect()
        };
        let pattern = compiled(PATTERN);
        let mut known: HashMap<String, u32> = special(&tokens);
        let mut growing = Merges::new(Vec::new());
        for word in words {
            for part in pattern.find_iter(&Cleaning::Transformers.clean(word)) {
                // One merge at a time: a merge may join several places of the word at once.
                while let [left, right, ..] = growing.split(part.as_str())[..] {
                    let joined = growing.add(left, right);
                    if known.insert(joined.clone(), 0).is_none() {
                        tokens.push(joined);
                    }
                }
            }
        }
        let merges = growing.pairs();
        Self::new(special(&tokens), merges, END, max_length)
    }

    /// Reads the files of a `tokenizer/` folder; `config` is `tokenizer_config.json`.
    pub fn from_files(vocabulary: &[u8], merges: &[u8], config: Option<&[u8]>) -> Result<Self> {
        let json = |file: &str| {
            let file = format!("tokenizer/{file}");
            move |source| Error::Json { file, source }
        };
        let vocabulary = serde_json::from_slice(vocabulary).map_err(json("vocab.json"))?;
        let config: Map<String, Value> = match config {
            Some(config) => {
                serde_json::from_slice(config).map_err(json("tokenizer_config.json"))?
            }
            None => Map::new(),
        };
        let merges = std::str::from_utf8(merges)
            .map_err(|error| Error::InvalidConfig(format!("tokenizer/merges.txt: {error}")))?;
        let merges = parse_merges(merges)?;
        let pad = pad_token(&config).unwrap_or(END);
        let length = config.get("model_max_length").and_then(Value::as_u64);
        let length = length.filter(|length| *length <= MAX_LENGTH);
        let length = length.and_then(|length| usize::try_from(length).ok());
        Self::new(vocabulary, merges, pad, length.unwrap_or(DEFAULT_LENGTH))
    }

    /// The files of a `tokenizer/` folder by name.
    pub fn to_files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut vocabulary: Vec<_> = self.tables.vocabulary.iter().collect();
        vocabulary.sort_by_key(|(_, id)| **id);
        let vocabulary: Map<String, Value> = vocabulary
            .into_iter()
            .map(|(token, id)| (token.clone(), json!(id)))
            .collect();
        let mut merges = "#version: 0.2\n".to_owned();
        for (left, right) in self.tables.merges.pairs() {
            merges.extend([left.as_str(), " ", right.as_str(), "\n"]);
        }
        let special = json!({
            "bos_token": START, "eos_token": END, "pad_token": self.pad_token, "unk_token": END,
        });
        let mut config = special.clone();
        config["tokenizer_class"] = json!("CLIPTokenizer");
        config["model_max_length"] = json!(self.max_length);
        config["do_lower_case"] = json!(true);
        config["add_prefix_space"] = json!(false);
        config["errors"] = json!("replace");
        BTreeMap::from([
            (
                "vocab.json".to_owned(),
                Value::Object(vocabulary).to_string().into_bytes(),
            ),
            ("merges.txt".to_owned(), merges.into_bytes()),
            (
                "tokenizer_config.json".to_owned(),
                format!("{config:#}").into_bytes(),
            ),
            (
                "special_tokens_map.json".to_owned(),
                format!("{special:#}").into_bytes(),
            ),
        ])
    }

    /// Ids of a prompt: start, text, end, padding; always `max_length` of them.
    ///
    /// Text that is too long loses its tail, never its end token.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids = vec![self.start];
        self.append(text, self.max_length - 1, &mut ids);
        ids.truncate(self.max_length - 1);
        ids.push(self.end);
        ids.resize(self.max_length, self.pad);
        ids
    }

    /// Ids of the text alone: no special tokens are added, nothing is cut.
    pub fn tokenize(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        self.append(text, usize::MAX, &mut ids);
        ids
    }

    /// A token that stands for `ids` wherever it occurs in a text, exactly as it is written.
    pub fn with_added_token(mut self, token: &str, ids: Vec<u32>) -> Result<Self> {
        let is_known = self.added.iter().any(|(added, _)| added == token);
        if token.is_empty() || ids.is_empty() || is_known || self.id(token).is_some() {
            return Err(Error::InvalidArgument(format!(
                "the token {token:?} is empty or known already"
            )));
        }
        self.added.push((token.to_owned(), ids));
        Ok(self)
    }

    /// Appends ids until there are `enough`.
    fn append(&self, text: &str, enough: usize, ids: &mut Vec<u32>) {
        let mut rest = text;
        while ids.len() < enough {
            let places = self.added.iter().filter_map(|(token, ids)| {
                let place = rest.find(token.as_str())?;
                Some((place, std::cmp::Reverse(token.len()), ids))
            });
            // The first place decides, and of tokens that start there the longest, as in transformers.
            let Some((place, std::cmp::Reverse(length), added)) = places.min() else {
                return self.append_special(rest, enough, ids);
            };
            self.append_special(&rest[..place], enough, ids);
            ids.extend(added);
            rest = &rest[place + length..];
        }
    }

    /// Appends ids of a text without added tokens.
    fn append_special(&self, text: &str, enough: usize, ids: &mut Vec<u32>) {
        if !self.cleaning.keeps_special() {
            return self.append_known(text, enough, ids);
        }
        let mut rest = text;
        while ids.len() < enough {
            let found = [START, END].map(|token| rest.find(token).map(|place| (place, token)));
            let Some((place, token)) = found.into_iter().flatten().min() else {
                return self.append_known(rest, enough, ids);
            };
            self.append_known(&rest[..place], enough, ids);
            ids.push(if token == START { self.start } else { self.end });
            rest = &rest[place + token.len()..];
        }
    }

    /// Appends ids of a text that holds special tokens only in another spelling.
    fn append_known(&self, text: &str, enough: usize, ids: &mut Vec<u32>) {
        let text = self.cleaning.clean(text);
        let tables = &self.tables;
        let caseless = self.cleaning.ignores_case();
        let pattern = if caseless {
            &tables.caseless
        } else {
            &tables.pattern
        };
        for part in pattern.find_iter(&text) {
            match part.as_str() {
                START if caseless => ids.push(self.start),
                END if caseless => ids.push(self.end),
                // Today's transformers cuts a second time, and this pattern no longer counts.
                token @ (START | END) => {
                    let inside = token.trim_start_matches("<|").trim_end_matches("|>");
                    for piece in ["<|", inside, "|>"] {
                        self.append_word(piece, ids);
                    }
                }
                word => self.append_word(word, ids),
            }
            if ids.len() >= enough {
                return;
            }
        }
    }

    fn append_word(&self, word: &str, ids: &mut Vec<u32>) {
        let merges = &self.tables.merges;
        // The end token doubles as the unknown one, as in CLIP.
        let id = |piece| self.id(merges.name(piece)).unwrap_or(self.end);
        ids.extend(merges.split(word).into_iter().map(id));
    }

    /// Number of ids.
    pub fn vocabulary_size(&self) -> usize {
        let highest = self.tables.vocabulary.values().max();
        highest.map_or(0, |highest| *highest as usize + 1)
    }

    /// Number of ids of an encoded prompt.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// Id of the start token.
    pub fn start_id(&self) -> u32 {
        self.start
    }

    /// Id of the end token.
    pub fn end_id(&self) -> u32 {
        self.end
    }

    /// Id of a token, such as `dog</w>`.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.tables.vocabulary.get(token).copied()
    }
}

fn id_of(vocabulary: &HashMap<String, u32>, token: &str) -> Result<u32> {
    let missing = || Error::InvalidConfig(format!("the vocabulary lacks {token}"));
    vocabulary.get(token).copied().ok_or_else(missing)
}

/// Letters inside a word, then letters that end one.
fn byte_tokens(letters: &[char]) -> Vec<String> {
    let ends = letters.iter().map(|letter| format!("{letter}{WORD_END}"));
    letters.iter().map(char::to_string).chain(ends).collect()
}

fn parse_merges(text: &str) -> Result<Vec<(String, String)>> {
    text.lines()
        // A carriage return is no part of a token, wherever its line ends.
        .map(|line| line.trim_end_matches('\r'))
        .filter(|line| !line.starts_with("#version") && !line.is_empty())
        .map(|line| {
            let (left, right) = line.split_once(' ').ok_or_else(|| {
                Error::InvalidConfig(format!("tokenizer/merges.txt has the line {line:?}"))
            })?;
            Ok((left.to_owned(), right.to_owned()))
        })
        .collect()
}

fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the patterns are constants")
}
