//! General quality by domain: prompt suites that have nothing to do with any subject, and what protection costs there.
//!
//! Owns the built-in suites, the reading of caption files and the summary. Refuses to draw and to open files.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};
use shared::evaluation::Estimate;

use super::distance::{KernelConfig, KernelDistance, frechet_distance, kernel_distance};
use crate::{Error, Result, quality::Drift, statistics::bootstrap_mean};

/// Bytes of a caption file.
pub const CAPTION_FILE_BYTES: usize = 4 << 20;
/// Captions of a file.
pub const CAPTIONS: usize = 50_000;
/// Characters of a caption.
pub const CAPTION_CHARACTERS: usize = 1000;

/// A kind of picture that a base model is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Domain {
    /// Things, photographed.
    Photographs,
    /// Manners of painting.
    ArtStyles,
    /// Nothing in particular.
    Abstract,
    /// People, at work and at rest.
    People,
    /// Places.
    Scenes,
}

impl Domain {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Photographs,
        Self::ArtStyles,
        Self::Abstract,
        Self::People,
        Self::Scenes,
    ];

    /// Its built-in prompts.
    pub const fn prompts(self) -> &'static [&'static str] {
        match self {
            Self::Photographs => &[
                "a photo of a red bicycle leaning on a brick wall",
                "a photo of a bowl of ramen on a wooden table",
                "a close-up photo of a sunflower with a bee",
                "a photo of an old typewriter beside a cup of coffee",
                "a photo of a pair of hiking boots covered in mud",
                "a photo of a sailboat at anchor",
                "a macro photo of frost on a leaf",
                "a photo of a stack of books by a window",
                "a photo of a steam locomotive at a station",
                "a photo of a violin in its open case",
                "a photo of a market stall full of oranges",
                "a photo of a lighthouse lamp at dusk",
            ],
            Self::ArtStyles => &[
                "an impressionist painting of a garden pond",
                "a woodblock print of a fishing village",
                "a cubist painting of a guitar",
                "a watercolour of a church tower in the rain",
                "an art nouveau poster of a theatre",
                "a charcoal drawing of a horse",
                "a baroque still life with grapes and a skull",
                "a pointillist painting of a river bank",
                "a pixel art castle on a hill",
                "a stained glass window with birds",
                "an ink wash painting of mountains",
                "a linocut of a fox among ferns",
            ],
            Self::Abstract => &[
                "overlapping circles in blue and orange",
                "a grid of black squares that dissolves into dots",
                "thick swirls of white and gold paint",
                "a pattern of interlocking triangles",
                "a gradient from violet to green with film grain",
                "thin parallel lines that bend around a sphere",
                "splashes of red ink on grey paper",
                "a spiral of coloured paper strips",
                "a mosaic of broken mirrors",
                "smoke in teal light on black",
            ],
            Self::People => &[
                "a portrait of an elderly fisherman",
                "a photo of a nurse reading a chart",
                "a photo of children who play football in the street",
                "a portrait of a young woman with a red scarf",
                "a photo of a baker who kneads dough",
                "a photo of two friends laughing on a bench",
                "a photo of a violinist on a stage",
                "a photo of a carpenter in a workshop",
                "a photo of a runner at the finish line",
                "a portrait of a man with round glasses",
                "a photo of a family around a dinner table",
                "a photo of a farmer in a rice field",
            ],
            Self::Scenes => &[
                "a narrow street in an old town at night",
                "a snowy mountain pass under a clear sky",
                "a harbour with cranes at sunrise",
                "a forest path in autumn",
                "a desert road that leads to the horizon",
                "a kitchen with morning light",
                "a crowded train platform",
                "a waterfall in a rain forest",
                "a library with tall shelves",
                "a beach with palm trees and a storm far out",
                "a city skyline seen from a rooftop garden",
                "a wheat field with a single oak",
            ],
        }
    }
}

/// Reads a caption file: plain UTF-8 text, one caption a line, blank lines left out.
///
/// Refused, with the line: more than [`CAPTION_FILE_BYTES`], [`CAPTIONS`] or [`CAPTION_CHARACTERS`], other encodings,
/// control characters, and a file without captions. A leading byte order mark is skipped.
pub fn parse_captions(bytes: &[u8]) -> Result<Vec<String>> {
    let refuse = |line: usize, reason: String| Err(Error::Captions { line, reason });
    if bytes.len() > CAPTION_FILE_BYTES {
        let reason = format!(
            "{} bytes, at most {CAPTION_FILE_BYTES} are read",
            bytes.len()
        );
        return refuse(0, reason);
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            let before = &bytes[..error.valid_up_to()];
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
            return refuse(line, "not UTF-8 text".to_owned());
        }
    };
    let mut captions = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let caption = line.trim();
        if caption.is_empty() {
            continue;
        }
        if caption.chars().any(|c| c.is_control() && c != '\t') {
            return refuse(index + 1, "a control character".to_owned());
        }
        if caption.chars().count() > CAPTION_CHARACTERS {
            return refuse(
                index + 1,
                format!("more than {CAPTION_CHARACTERS} characters"),
            );
        }
        if captions.len() == CAPTIONS {
            return refuse(index + 1, format!("more than {CAPTIONS} captions"));
        }
        captions.push(caption.to_owned());
    }
    if captions.is_empty() {
        return refuse(0, "no caption in it".to_owned());
    }
    Ok(captions)
}

/// Features of a net for one domain, `[n, d]` each.
#[derive(Clone, Copy, Debug)]
pub struct DomainFeatures<'a> {
    /// Real pictures of the domain, if the user has any.
    pub real: Option<&'a Tensor>,
    /// The clean base's pictures.
    pub clean: &'a Tensor,
    /// The protected model's.
    pub protected: &'a Tensor,
}

/// What protection costs in one domain.
#[derive(Clone, Debug, PartialEq)]
pub struct DomainQuality {
    /// Text alignment, protected minus clean, over twins.
    pub text_alignment: Estimate,
    /// `1 - cos(clean, protected)` over twins.
    pub distance: Estimate,
    /// FID of the protected model's pictures from the clean base's.
    pub frechet: Option<f64>,
    /// KID of the same.
    pub kernel: Option<KernelDistance>,
    /// FID of each model from real pictures, clean and protected: their difference is what the gate limits.
    pub frechet_to_real: Option<(f64, f64)>,
}

/// Summarises one domain from its twins' drift, and from features where a net is at hand.
pub fn domain_quality(
    drift: &Drift,
    features: Option<DomainFeatures<'_>>,
    seed: u64,
) -> Result<DomainQuality> {
    let (mut frechet, mut kernel, mut to_real) = (None, None, None);
    if let Some(features) = features {
        frechet = Some(frechet_distance(features.clean, features.protected)?);
        let config = KernelConfig {
            seed,
            ..KernelConfig::default()
        };
        kernel = Some(kernel_distance(features.clean, features.protected, config)?);
        if let Some(real) = features.real {
            let clean = frechet_distance(real, features.clean)?;
            to_real = Some((clean, frechet_distance(real, features.protected)?));
        }
    }
    Ok(DomainQuality {
        text_alignment: bootstrap_mean(&drift.text_alignment, seed),
        distance: bootstrap_mean(&drift.distance, seed),
        frechet,
        kernel,
        frechet_to_real: to_real,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn suites_hold_different_short_prompts() {
        let mut all: Vec<_> = Domain::ALL
            .iter()
            .flat_map(|domain| domain.prompts())
            .collect();
        let count = all.len();
        assert!(
            Domain::ALL
                .iter()
                .all(|domain| domain.prompts().len() >= 10)
        );
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
        // CLIP reads 75 tokens between its marks.
        let tokenizer = diffusion::text::Tokenizer::clip();
        assert!(
            all.iter()
                .all(|prompt| tokenizer.tokenize(prompt).len() < 40)
        );
    }

    #[test]
    fn caption_files_are_plain_text_within_bounds() {
        let found = parse_captions("\u{feff}a dog\r\n\n  a cat \t\n".as_bytes()).unwrap();
        assert_eq!(found, ["a dog", "a cat"]);
        let line = |bytes: &[u8]| match parse_captions(bytes) {
            Err(Error::Captions { line, .. }) => line,
            other => panic!("{other:?}"),
        };
        assert_eq!(line(b"fine\nbad \xff"), 2);
        assert_eq!(line(b"fine\n\nbe\x07ll"), 3);
        assert_eq!(line(" \n\n".as_bytes()), 0);
        assert_eq!(line("x".repeat(CAPTION_CHARACTERS + 1).as_bytes()), 1);
        assert_eq!(line("y\n".repeat(CAPTIONS + 1).as_bytes()), CAPTIONS + 1);
        assert_eq!(line(&vec![b'z'; CAPTION_FILE_BYTES + 1]), 0);
    }

    #[test]
    fn distances_come_with_features_alone() {
        let drift = Drift {
            text_alignment: vec![-0.1, 0.0, 0.1, -0.2],
            distance: vec![0.1, 0.2, 0.3, 0.2],
        };
        let bare = domain_quality(&drift, None, 1).unwrap();
        assert!((bare.text_alignment.value + 0.05).abs() < 1e-12);
        assert_eq!(
            (bare.frechet, bare.kernel, bare.frechet_to_real),
            (None, None, None)
        );
        let rows = |seed| {
            fixture::pictures(12, seed)
                .narrow(3, 0, 2)
                .unwrap()
                .flatten_from(1)
                .unwrap()
        };
        let (clean, protected) = (rows(1), rows(2));
        let features = DomainFeatures {
            real: Some(&clean),
            clean: &clean,
            protected: &protected,
        };
        let full = domain_quality(&drift, Some(features), 1).unwrap();
        let (same, other) = full.frechet_to_real.unwrap();
        assert!(same.abs() < 1e-6 && (other - full.frechet.unwrap()).abs() < 1e-9 && other > 1.0);
    }
}
