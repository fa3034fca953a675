//! Attacks: what somebody does who personalizes a model.
//!
//! One face for all families: a [`Setup`] says who attacks what with which images and words, an [`Attack`] trains and
//! draws. [`prompt`] makes the words of a recipe's modes, [`caption`] captions of images, [`images`] the attacker's images, [`recipe`] reads recipes
//! from TOML and ships the built-in ones. Refuses to know whether the weights that it starts from are protected, and
//! which checkpoint is the attacker's best: the judge looks at all of them and keeps the worst for the defence.

mod bank;
pub mod caption;
mod finetune;
pub mod images;
mod objective;
mod preserve;
pub mod prompt;
pub mod recipe;
mod run;
mod setup;
mod student;
mod trainer;

pub use self::{
    bank::LossBank,
    preserve::class_latents,
    prompt::{Placeholder, Words},
    run::Attack,
    setup::{Captioned, Preparation, Setup},
};

#[cfg(test)]
mod tests;
