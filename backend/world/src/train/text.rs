//! Captions to token ids. Refuses to train anything.

use candle_core::{Device, Tensor};
use diffusion::Result;
use diffusion::text::Tokenizer;

use crate::vocabulary::{MAX_LENGTH, Vocabulary};

/// The world's tokenizer.
#[derive(Clone, Debug)]
pub struct Captions {
    tokenizer: Tokenizer,
}

impl Captions {
    /// Learns the vocabulary of the world.
    pub fn new() -> Result<Self> {
        let vocabulary = Vocabulary::of_the_world();
        let (tokens, merges) = (vocabulary.vocabulary_text(), vocabulary.merges_text());
        let config = vocabulary.config_text();
        let config = Some(config.as_bytes());
        Ok(Self {
            tokenizer: Tokenizer::from_files(tokens.as_bytes(), merges.as_bytes(), config)?,
        })
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// `[n, 20]`, `u32`.
    pub fn ids(&self, captions: &[String]) -> Result<Tensor> {
        let encode = |caption: &String| self.tokenizer.encode(caption);
        let rows: Vec<u32> = captions.iter().flat_map(encode).collect();
        Ok(Tensor::from_vec(
            rows,
            (captions.len(), MAX_LENGTH),
            &Device::Cpu,
        )?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::FREE;
    use crate::vocabulary::words;

    #[test]
    fn every_word_is_one_token_and_no_two_share_it() {
        let captions = Captions::new().unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for word in words() {
            let ids = captions.tokenizer().tokenize(&word);
            assert_eq!(ids.len(), 1, "{word}");
            assert!(seen.insert(ids[0]), "{word}");
        }
    }

    /// Made with transformers 5.23: `CLIPTokenizer.from_pretrained(..)(text, padding="max_length")`.
    #[test]
    fn prompts_become_the_tokens_that_transformers_finds() {
        let captions = Captions::new().unwrap();
        let tokens = Vocabulary::of_the_world().tokens();
        let spelled = |text: &str| -> Vec<String> {
            let ids = captions.tokenizer().encode(text);
            ids.into_iter()
                .map(|id| tokens[id as usize].clone())
                .collect()
        };
        let end = "<|endoftext|>";
        let expected = [
            "<|startoftext|>",
            "a</w>",
            "photo</w>",
            "of</w>",
            "t</w>",
            "@</w>",
            "t</w>",
            "dog</w>",
        ];
        let found = spelled("A photo of t@t dog");
        assert_eq!(found[..8], expected);
        assert!(found[8..].iter().all(|token| token == end) && found.len() == MAX_LENGTH);
        let found = spelled("a close-up photo of ohwx cat in the snow");
        let expected = [
            "a</w>",
            "close</w>",
            "-</w>",
            "up</w>",
            "photo</w>",
            "of</w>",
            "ohwx</w>",
            "cat</w>",
        ];
        assert_eq!(found[1..9], expected);
        assert!(
            FREE.iter()
                .all(|word| captions.tokenizer().id(&format!("{word}</w>")).is_some())
        );
    }
}
