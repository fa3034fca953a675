//! The words that the demo domain's encoder was trained to read.
//!
//! Owns their tables: a copy of package `demo`'s tokenizer, because the encoder's file carries none; a test of package
//! `world` compares the two. Refuses an encoder of another size: its ids would be read as other words.

use std::sync::LazyLock;

use diffusion::text::{TextConfig, Tokenizer};

const VOCABULARY: &[u8] = include_bytes!("../../assets/encoder/vocab.json");
const MERGES: &[u8] = include_bytes!("../../assets/encoder/merges.txt");
const CONFIG: &[u8] = include_bytes!("../../assets/encoder/tokenizer_config.json");

/// The demo domain's words, if a caption half of this size was trained with them.
pub(super) fn of(text: &TextConfig) -> Option<Tokenizer> {
    static DEMO: LazyLock<Tokenizer> = LazyLock::new(|| {
        Tokenizer::from_files(VOCABULARY, MERGES, Some(CONFIG)).expect("the files are constants")
    });
    fits(&DEMO, text).then(|| DEMO.clone())
}

/// Whether a caption half has a row for every token, a place for every position and the same end.
pub(super) fn fits(tokenizer: &Tokenizer, text: &TextConfig) -> bool {
    tokenizer.vocabulary_size() == text.vocab_size
        && tokenizer.max_length() == text.max_position_embeddings
        && text
            .eos_token_id
            .is_none_or(|end| end == tokenizer.end_id())
}
