//! What an attack starts from. Refuses inputs that cannot be trained on before anything is computed.

use candle_core::Tensor;
use diffusion::{pipeline::Pipeline, sample::SampleConfig, weights::Weights};
use shared::attack::{AttackRecipe, Family};

use super::Words;
use crate::{Error, Result};

/// Who attacks what, with which images and words.
#[derive(Clone, Copy)]
pub struct Setup<'a> {
    /// The clean base: text encoder, autoencoder and schedule of every attack, and the weights of weight averaging.
    pub pipeline: &'a Pipeline,
    /// U-Net weights under attack, left untouched.
    pub start: &'a Weights,
    /// Latents of the attacker's images, `[n, c, h, w]`.
    pub instance: &'a Tensor,
    /// Prompts: one an instance image, the class's, and the one to draw with.
    pub words: &'a Words,
    /// Latents of class images, `[m, c, h, w]`, for prior preservation; where there are none the attacked model draws
    /// them itself, as `DreamBooth` does. [`class_latents`](super::class_latents) gives the same ones to share.
    pub class_latents: Option<&'a Tensor>,
    /// How many class images are drawn where none are given.
    pub class_images: usize,
    /// Images for clean fine-tuning; where there are none the clean base draws them under
    /// [`Words::class_captions`].
    pub captioned: Option<Captioned<'a>>,
    /// What is trained and how.
    pub recipe: &'a AttackRecipe,
    /// Learning rate of `AdamW`, one of the recipe's.
    pub learning_rate: f64,
    /// Seed of every random draw.
    pub seed: u64,
    /// How class images are drawn.
    pub sampling: SampleConfig,
}

/// Images with a caption each.
#[derive(Clone, Copy)]
pub struct Captioned<'a> {
    /// Latents, `[n, c, h, w]`.
    pub latents: &'a Tensor,
    /// As many captions.
    pub captions: &'a [String],
}

/// What happens before the first step of an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preparation {
    /// The attacked model draws images of the class.
    ClassImages,
    /// The clean base draws images under captions.
    CaptionedImages,
    /// The model is fine-tuned on captioned images.
    CleanFinetuning,
}

fn refuse(input: &'static str, reason: impl Into<String>) -> Error {
    Error::AttackInput {
        input,
        reason: reason.into(),
    }
}

impl Setup<'_> {
    /// Refuses a recipe, images or words that cannot be trained on.
    pub(super) fn check(&self) -> Result<()> {
        if let Some(error) = self.recipe.validate().into_iter().next() {
            return Err(Error::InvalidSpec {
                pointer: error.pointer,
                message: error.detail,
            });
        }
        if !(self.learning_rate > 0.0 && self.learning_rate <= 1.0) {
            let reason = format!("{} is not in (0, 1]", self.learning_rate);
            return Err(refuse("learning rate", reason));
        }
        let images = self.check_latents("instance images", self.instance)?;
        self.check_words(images)?;
        match self.class_latents {
            Some(latents) => drop(self.check_latents("class images", latents)?),
            None if self.recipe.prior_preservation && self.class_images == 0 => {
                return Err(refuse(
                    "class images",
                    "prior preservation needs at least one",
                ));
            }
            None => {}
        }
        self.check_captioned()
    }

    /// Gives the number of images.
    fn check_latents(&self, input: &'static str, latents: &Tensor) -> Result<usize> {
        let (channels, height, width) = self.pipeline.latent_shape();
        let images = match latents.dims() {
            [n, c, h, w] if *n > 0 && (*c, *h, *w) == (channels, height, width) => *n,
            actual => {
                let expected = format!("[n, {channels}, {height}, {width}] with n > 0");
                let reason = format!("shape {actual:?} where {expected} is needed");
                return Err(refuse(input, reason));
            }
        };
        // A sum of magnitudes is finite only if every value is, or if nothing could be trained on them anyway.
        let sum = latents
            .abs()?
            .sum_all()?
            .to_dtype(candle_core::DType::F32)?;
        if sum.to_scalar::<f32>()?.is_finite() {
            return Ok(images);
        }
        Err(refuse(input, "some latents are not numbers"))
    }

    fn check_words(&self, images: usize) -> Result<()> {
        let words = self.words;
        if words.instance.len() != images {
            let prompts = words.instance.len();
            let reason = format!("{prompts} instance prompts for {images} images");
            return Err(refuse("words", reason));
        }
        let prompts = words.instance.iter().chain([&words.class, &words.drawing]);
        if prompts
            .chain(&words.class_captions)
            .any(|prompt| prompt.trim().is_empty())
        {
            return Err(refuse("words", "a prompt is empty"));
        }
        let family = self.recipe.family;
        let needed = matches!(family, Family::TextualInversion | Family::CustomDiffusion);
        match &words.placeholder {
            None if needed => Err(refuse(
                "words",
                "this family trains a placeholder, and there is none",
            )),
            Some(_) if !needed => Err(refuse(
                "words",
                "only Textual Inversion and Custom Diffusion train a placeholder",
            )),
            Some(placeholder)
                if !words
                    .instance
                    .iter()
                    .all(|prompt| prompt.contains(&placeholder.token)) =>
            {
                Err(refuse(
                    "words",
                    format!(
                        "an instance prompt lacks the placeholder {}",
                        placeholder.token
                    ),
                ))
            }
            _ => Ok(()),
        }
    }

    fn check_captioned(&self) -> Result<()> {
        let Some(Captioned { latents, captions }) = self.captioned else {
            let needed = self.recipe.adaptive.clean_finetuning_steps > 0 && self.class_images == 0;
            return if needed {
                Err(refuse(
                    "captioned images",
                    "clean fine-tuning needs at least one",
                ))
            } else {
                Ok(())
            };
        };
        let images = self.check_latents("captioned images", latents)?;
        if captions.len() == images && captions.iter().all(|caption| !caption.trim().is_empty()) {
            return Ok(());
        }
        let reason = format!(
            "{} captions, all of which need text, for {images} images",
            captions.len()
        );
        Err(refuse("captioned images", reason))
    }
}
