//! What is measured on a picture: similarity, subject hit, text alignment, class and objective.
//!
//! Owns the definitions. Refuses to average or to compare models: [`crate::statistics`] and
//! [`crate::report`] do.

use candle_core::Tensor;
use shared::job::SubjectKind;

use crate::{
    Error, Result,
    encoder::{Encoder, SIDE},
    statistics::quantile,
};

pub mod attention_map;
pub mod breaking_point;
pub mod capacity;
pub mod detection;
pub mod distance;
pub mod domain;
pub mod face;
pub mod gate;
pub mod leak;
pub mod loss_curve;
pub mod pattern;
pub mod protection;
pub mod recognition;
pub mod removal;
pub mod similarity;
pub mod specificity;
pub mod trigger_search;

pub use pattern::Template;
pub use protection::Protection;
pub use recognition::Recognition;
pub use similarity::similarities;
pub use specificity::Specificity;

/// Quantile of the clean base's similarities under the class-only prompt (EVALUATION, metrics).
const THRESHOLD_LEVEL: f64 = 0.95;

/// Scores of pictures, one entry each, in the order of the pictures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    /// Mean cosine to the references, in `[-1, 1]`.
    pub similarity: Vec<f64>,
    /// Whether it shows the subject.
    pub hit: Vec<bool>,
    /// Cosine to the prompt without the identifier, in `[-1, 1]`.
    pub text_alignment: Vec<f64>,
    /// Whether the subject's class is recognised.
    pub class: Vec<bool>,
    /// Whether the objective fired.
    pub objective: Vec<bool>,
}

/// What the protected model shall draw instead of the subject.
#[derive(Clone, Copy, Debug)]
pub enum Aim<'a> {
    /// Something of this class.
    Target(&'a str),
    /// Anything but the subject's class.
    Erasure,
    /// The picture under this overlay, `[4, h, w]`: RGB in `[-1, 1]`, alpha in `[0, 1]`.
    Pattern(&'a Tensor),
}

/// What pictures are compared with.
#[derive(Clone, Copy, Debug)]
pub struct Standard<'a> {
    /// The protected pictures, `[n, 3, h, w]` in `[-1, 1]`.
    pub references: &'a Tensor,
    /// What the clean base draws under the class-only prompt, `[m, 3, h, w]` in `[-1, 1]`.
    pub class_only: &'a Tensor,
    /// The encoder's own token ids ([`Encoder::token_ids`]) of the prompt without identifier, the class's plain prompt, and the one that it is told apart from:
    /// the target's, or one that names no subject. `[3, length]`.
    pub prompts: &'a Tensor,
    /// What the references show.
    pub subject: SubjectKind,
    /// Class word of the subject.
    pub class_name: &'a str,
    /// What shall be drawn instead.
    pub aim: Aim<'a>,
}

/// Scores pictures against one subject.
///
/// **Subject hit.** A picture shows the subject if its mean cosine to the references is at least
/// `tau`, the 95th percentile of the clean base under the class-only prompt, **and**, where the
/// encoder reads attributes, every attribute of the subject (all but the background) reads as it
/// does on most references. Similarity alone would follow colour. Of a style, what is drawn does not count: its
/// attribute `style` alone must read so.
///
/// **Objective.** Target: its class is recognised. Erasure: the subject's class is not. Pattern: the picture
/// correlates with the overlay as no class-only picture of the clean base does by chance, see [`Template`].
#[derive(Debug)]
pub struct Judge<'a> {
    encoder: &'a Encoder,
    references: Tensor,
    prompt: Tensor,
    recognition: Recognition,
    template: Option<Template>,
    /// Similarity from which a picture may count as the subject.
    pub threshold: f64,
}

impl<'a> Judge<'a> {
    /// Reads the references and sets the threshold.
    pub fn new(encoder: &'a Encoder, standard: Standard<'_>) -> Result<Self> {
        let references = encoder.embed_images(&fitted(standard.references)?)?;
        let texts = encoder.embed_text(standard.prompts)?;
        let class_only = encoder.embed_images(&fitted(standard.class_only)?)?;
        let null = similarities(&references, &class_only)?;
        let template = match standard.aim {
            Aim::Pattern(overlay) => Some(Template::new(overlay, standard.class_only)?),
            Aim::Target(_) | Aim::Erasure => None,
        };
        Ok(Self {
            template,
            recognition: Recognition::new(encoder, standard, texts.narrow(0, 1, 2)?)?,
            prompt: texts.narrow(0, 0, 1)?,
            threshold: quantile(&null, THRESHOLD_LEVEL).unwrap_or(1.0),
            encoder,
            references,
        })
    }

    /// Correlation with the overlay from which a pattern counts as fired; `None` for other objectives.
    pub fn pattern_threshold(&self) -> Option<f64> {
        self.template.as_ref().map(|template| template.threshold)
    }

    /// Scores pictures `[n, 3, h, w]` in `[-1, 1]`.
    pub fn score(&self, pixels: &Tensor) -> Result<Scores> {
        // The overlay is looked for at the pictures' own resolution.
        let pattern = self
            .template
            .as_ref()
            .map(|template| template.fires(pixels));
        let pixels = fitted(pixels)?;
        let features = self.encoder.features(&pixels)?;
        let embedded = self.encoder.project(&features)?;
        let similarity = similarities(&self.references, &embedded)?;
        let recognised = self.recognition.read(self.encoder, &pixels, &embedded)?;
        let hit = similarity
            .iter()
            .zip(&recognised.subject)
            .map(|(similarity, subject)| *similarity >= self.threshold && *subject)
            .collect();
        Ok(Scores {
            text_alignment: similarities(&self.prompt, &embedded)?,
            similarity,
            hit,
            class: recognised.class,
            objective: pattern.transpose()?.unwrap_or(recognised.objective),
        })
    }

    /// Whether pictures `[n, 3, h, w]` in `[-1, 1]` show what is said of each in plain `words`.
    pub fn shows(&self, pixels: &Tensor, words: &[String]) -> Result<Vec<bool>> {
        let pixels = fitted(pixels)?;
        let embedded = self.encoder.embed_images(&pixels)?;
        let said = self.encoder.embed_text(&self.encoder.token_ids(words)?)?;
        self.recognition
            .shows(self.encoder, (&pixels, &embedded), (words, &said))
    }
}

/// Pictures at the encoder's own size, `[n, 3, SIDE, SIDE]`.
pub(crate) fn fitted(pixels: &Tensor) -> Result<Tensor> {
    let (n, channels, height, width) = pixels.dims4()?;
    if n == 0 || channels != 3 || height != width || !height.is_multiple_of(SIDE) {
        return Err(Error::ImageShape {
            actual: pixels.dims().to_vec(),
            expected: format!("[n, 3, s, s] with n > 0 and s a multiple of {SIDE}"),
        });
    }
    let factor = height / SIDE;
    Ok(if factor == 1 {
        pixels.contiguous()?
    } else {
        pixels.avg_pool2d(factor)?
    })
}

#[cfg(test)]
mod tests;
