//! Gates: does the encoder read the asked attributes? Refuses to count what was not asked for.

use candle_core::Tensor;
use diffusion::Result;
use eval::encoder::Encoder;
use rand::seq::IndexedRandom;

use super::batch::ATTRIBUTES;
use crate::attributes::{Accessory, Background, Class, Identity, Style, Tint};
use crate::caption::{self, Mention, OPENINGS};
use crate::seeds::Split;

/// Share of right readings per attribute, in the order of [`ATTRIBUTES`], and how many were asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Accuracy {
    right: [usize; 5],
    asked: [usize; 5],
    whole: usize,
    pictures: usize,
}

/// A prompt and what a picture for it must show.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// The text.
    pub text: String,
    /// Index of the wanted value per attribute; `None` where the text leaves it open.
    pub wanted: [Option<usize>; 5],
}

impl Prompt {
    /// Prompt `index` of the development split: class, colour, accessory and background are all asked for.
    pub fn composed(index: u64) -> Self {
        Self::composed_from(Split::Development, index)
    }

    /// The same for any split.
    pub fn composed_from(split: Split, index: u64) -> Self {
        let mut rng = split.rng((1 << 33) + index);
        let class = *Class::ALL.choose(&mut rng).expect("there are classes");
        let tint = *Tint::ALL[1..].choose(&mut rng).expect("there are tints");
        let accessory = *Accessory::ALL[1..]
            .choose(&mut rng)
            .expect("there are accessories");
        let background = *Background::ALL
            .choose(&mut rng)
            .expect("there are backgrounds");
        let mention = Mention {
            tint: Some(tint),
            accessory: Some(accessory),
            background: Some(background),
            ..Mention::NOTHING
        };
        Self {
            text: caption::describe(class, mention, OPENINGS[0]),
            wanted: [
                Some(class.index()),
                None,
                Some(tint.index()),
                Some(accessory.index()),
                Some(background.index()),
            ],
        }
    }

    /// "a photo of a CLASS".
    pub fn plain(class: Class) -> Self {
        let mut wanted = [None; 5];
        wanted[0] = Some(class.index());
        Self {
            text: caption::describe(class, Mention::NOTHING, OPENINGS[0]),
            wanted,
        }
    }

    /// Any text that should show this identity.
    pub fn identity(text: String, identity: Identity) -> Self {
        let Identity {
            class,
            style,
            tint,
            accessory,
        } = identity;
        let wanted = [
            Some(class.index()),
            Some(style.index()),
            Some(tint.index()),
            Some(accessory.index()),
            None,
        ];
        Self { text, wanted }
    }

    /// "a 3d figure of a CLASS": class and style are asked for.
    pub fn styled(class: Class, style: Style) -> Self {
        let mention = Mention {
            style: Some(style),
            ..Mention::NOTHING
        };
        let mut wanted = [None; 5];
        (wanted[0], wanted[1]) = (Some(class.index()), Some(style.index()));
        Self {
            text: caption::describe(class, mention, OPENINGS[0]),
            wanted,
        }
    }
}

impl Accuracy {
    /// Reads `pixels: [n, 3, 32, 32]` and compares with what was wanted of each picture.
    pub fn measure(
        encoder: &Encoder,
        pixels: &Tensor,
        wanted: &[[Option<usize>; 5]],
    ) -> Result<Self> {
        let mut accuracy = Self {
            pictures: wanted.len(),
            ..Self::default()
        };
        for (readings, wanted) in encoder.attributes(pixels)?.iter().zip(wanted) {
            let mut all = true;
            for (at, (reading, wanted)) in readings.iter().zip(wanted).enumerate() {
                if let Some(wanted) = wanted {
                    accuracy.asked[at] += 1;
                    accuracy.right[at] += usize::from(reading.index == *wanted);
                    all &= reading.index == *wanted;
                }
            }
            accuracy.whole += usize::from(all);
        }
        Ok(accuracy)
    }

    /// Both measurements as one.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        for at in 0..5 {
            self.right[at] += other.right[at];
            self.asked[at] += other.asked[at];
        }
        self.whole += other.whole;
        self.pictures += other.pictures;
        self
    }

    /// Share of pictures in which everything asked for is right: the hit-rate, if an identity was.
    pub fn hit_rate(&self) -> f64 {
        self.whole as f64 / self.pictures.max(1) as f64
    }

    /// Share of right readings of one attribute.
    pub fn of(&self, attribute: usize) -> f64 {
        self.right[attribute] as f64 / self.asked[attribute].max(1) as f64
    }
}

/// Mean cosine distance between pictures of the same prompt with other seeds: row `i` of both is prompt `i`, and the
/// shorter one counts. 0 says that a prompt always gives the same picture.
pub fn diversity(encoder: &Encoder, pixels: &Tensor, again: &Tensor) -> Result<f64> {
    let count = pixels.dim(0)?.min(again.dim(0)?);
    let first = encoder.embed_images(&pixels.narrow(0, 0, count)?)?;
    let second = encoder.embed_images(&again.narrow(0, 0, count)?)?;
    let cosine = (first * second)?.sum(1)?.mean_all()?.to_scalar::<f32>()?;
    Ok(1.0 - f64::from(cosine))
}

impl std::fmt::Display for Accuracy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, (name, _)) in ATTRIBUTES
            .iter()
            .enumerate()
            .filter(|(at, _)| self.asked[*at] > 0)
        {
            write!(f, "{name}={:.3} ", self.of(at))?;
        }
        write!(f, "all={:.3} n={}", self.hit_rate(), self.pictures)
    }
}
