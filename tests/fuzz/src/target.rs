//! What a target is.

use shared::canonical;

/// A parser and what must hold whatever it is given.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// Longest input that is tried, in bytes.
    pub longest: usize,
    /// Most memory that one input may take, in MiB.
    pub memory: usize,
    /// Reads an input; panics where something does not hold.
    pub run: fn(&[u8]),
    /// Inputs to begin with: at least one that is accepted.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// What parsers of this kind look for.
    pub words: &'static [&'static str],
}

/// Mebibytes of a target whose memory grows with its input alone.
const MEMORY: usize = 16;

impl Target {
    /// A target of short texts.
    pub(crate) const fn new(
        name: &'static str,
        run: fn(&[u8]),
        seeds: fn() -> Vec<Vec<u8>>,
    ) -> Self {
        Self {
            name,
            longest: 512,
            memory: MEMORY,
            run,
            seeds,
            words: &[],
        }
    }

    /// The same for inputs of other lengths.
    pub(crate) const fn longest(mut self, bytes: usize) -> Self {
        self.longest = bytes;
        self
    }

    /// The same for a parser that takes more memory.
    pub(crate) const fn memory(mut self, mebibytes: usize) -> Self {
        self.memory = mebibytes;
        self
    }

    /// The same with a dictionary.
    pub(crate) const fn words(mut self, words: &'static [&'static str]) -> Self {
        self.words = words;
        self
    }
}

/// Seeds that are texts.
pub(crate) fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// A choice in the first byte, a capital letter, and the rest.
pub(crate) fn choice(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    Some((usize::from(first.checked_sub(b'A')?), rest))
}

/// A value in canonical JSON; `None` where it has a number that not every reader reads alike.
pub(crate) fn written(value: &impl serde::Serialize) -> Option<String> {
    let mut value = serde_json::to_value(value).expect("what was read is JSON");
    canonical::settle(&mut value);
    canonical::to_text(&value).ok()
}
