//! Prompts: CLIP's tokenizer and its text encoder, both in the Hugging Face file layout.

mod bytes;
mod cleaning;
mod config;
mod encoder;
mod inversion;
mod merges;
mod padding;
mod tokenizer;

pub use self::{
    cleaning::Cleaning,
    config::{HiddenActivation, TextConfig},
    encoder::{TextEncoder, TextStates},
    inversion::TextualInversion,
    tokenizer::Tokenizer,
};
