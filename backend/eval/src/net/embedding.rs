//! Embeddings that know their encoder, so that two encoders are never compared by mistake.
//!
//! Owns the two traits, the demo encoder's part in them and the cosine. Refuses embeddings of different encoders.

use candle_core::Tensor;

use crate::{Encoder, Error, Result, metric::fitted};

/// Rows of length 1, `[n, d]`, and the name of the encoder that made them.
#[derive(Clone, Debug)]
pub struct Embeddings {
    encoder: String,
    rows: Tensor,
}

impl Embeddings {
    pub(super) fn new(encoder: &str, rows: Tensor) -> Self {
        Self {
            encoder: encoder.to_owned(),
            rows,
        }
    }

    /// The encoder's name, for reports.
    pub fn encoder(&self) -> &str {
        &self.encoder
    }

    /// `[n, d]`.
    pub fn rows(&self) -> &Tensor {
        &self.rows
    }
}

/// Pictures to vectors.
pub trait ImageEncoder {
    /// What reports call it.
    fn name(&self) -> &str;

    /// `pixels: [n, 3, h, w]` in `[-1, 1]`, prepared as the encoder needs them.
    fn embed_images(&self, pixels: &Tensor) -> Result<Embeddings>;
}

/// Pictures and captions to vectors of one space.
pub trait CaptionEncoder: ImageEncoder {
    /// Whole captions, cut off where the encoder's text ends.
    fn embed_captions(&self, captions: &[String]) -> Result<Embeddings>;
}

/// The demo domain's encoder.
#[derive(Clone, Copy, Debug)]
pub struct DemoEncoder<'a> {
    /// The encoder.
    pub encoder: &'a Encoder,
}

impl ImageEncoder for DemoEncoder<'_> {
    fn name(&self) -> &'static str {
        "the demo encoder"
    }

    fn embed_images(&self, pixels: &Tensor) -> Result<Embeddings> {
        let rows = self.encoder.embed_images(&fitted(pixels)?)?;
        Ok(Embeddings::new(self.name(), rows))
    }
}

impl CaptionEncoder for DemoEncoder<'_> {
    fn embed_captions(&self, captions: &[String]) -> Result<Embeddings> {
        let ids = self.encoder.token_ids(captions)?;
        Ok(Embeddings::new(self.name(), self.encoder.embed_text(&ids)?))
    }
}

/// For every row of `pictures` the mean cosine over `references`, in `[-1, 1]` (EVALUATION, metrics: image similarity;
/// with a caption as the only reference, text alignment).
///
/// Refuses embeddings of two encoders.
pub fn image_similarity(references: &Embeddings, pictures: &Embeddings) -> Result<Vec<f64>> {
    if references.encoder != pictures.encoder
        || references.rows.dims()[1..] != pictures.rows.dims()[1..]
    {
        return Err(Error::OtherEncoder {
            references: references.encoder.clone(),
            pictures: pictures.encoder.clone(),
        });
    }
    crate::metric::similarities(&references.rows, &pictures.rows)
}
