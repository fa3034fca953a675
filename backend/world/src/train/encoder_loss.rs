//! What the metric encoder is trained to do. Refuses to know how it is optimised.

use std::collections::BTreeMap;

use candle_core::{D, Device, Tensor};
use diffusion::Result;
use diffusion::ops::linear;
use eval::encoder::Encoder;

/// One batch for the encoder.
pub struct Batch {
    /// `[n, 3, 32, 32]` in [-1, 1], damaged like generated pictures.
    pub pixels: Tensor,
    /// Token ids of the captions, `[n, length]`.
    pub ids: Tensor,
    /// Token ids of prompts with free identifiers, `[m, length]`.
    pub free_ids: Tensor,
    /// The captions, to see which pictures share one.
    pub captions: Vec<String>,
    /// Index of every attribute's value, for every picture.
    pub labels: Vec<[usize; 5]>,
}

/// The parts of the loss.
pub struct Losses {
    /// Cross-entropy of the attributes, summed over them.
    pub attributes: Tensor,
    /// Symmetric contrastive loss between pictures and captions (`InfoNCE`, arXiv 1807.03748, eq. 4).
    pub contrastive: Tensor,
    /// Cross-entropy of every token given the text encoder's state at its place: keeps identifiers apart.
    pub tokens: Tensor,
}

impl Losses {
    /// Weighted sum that is minimised.
    pub fn total(&self) -> Result<Tensor> {
        Ok(((&self.attributes + &self.contrastive)? + (&self.tokens * 0.5)?)?)
    }
}

/// The loss of a batch. `scale` is the logarithm of the inverse temperature, one value; `embedding` the token
/// embeddings `[vocabulary, width]`. Gradient flows to: the encoder's weights, `scale`, `embedding`.
pub fn losses(
    encoder: &Encoder,
    scale: &Tensor,
    embedding: &Tensor,
    batch: &Batch,
) -> Result<Losses> {
    let features = encoder.features(&batch.pixels)?;
    let hidden = encoder.text_encoder().forward(&batch.ids)?;
    let images = encoder.project(&features)?;
    let texts = encoder.project_text(&batch.ids, &hidden)?;
    Ok(Losses {
        attributes: attributes(&encoder.logits(&features)?, &batch.labels)?,
        contrastive: contrastive(&images, &texts, scale, &batch.captions)?,
        tokens: tokens(encoder, embedding, &hidden, batch)?,
    })
}

fn attributes(logits: &[Tensor], labels: &[[usize; 5]]) -> Result<Tensor> {
    let mut sum = Tensor::zeros((), candle_core::DType::F32, &Device::Cpu)?;
    for (at, logits) in logits.iter().enumerate() {
        let index =
            |labels: &[usize; 5]| u32::try_from(labels[at]).expect("attributes have few values");
        let wanted = Tensor::from_iter(labels.iter().map(index), &Device::Cpu)?;
        sum = (sum + candle_nn::loss::cross_entropy(logits, &wanted)?)?;
    }
    Ok(sum)
}

fn contrastive(
    images: &Tensor,
    texts: &Tensor,
    scale: &Tensor,
    captions: &[String],
) -> Result<Tensor> {
    let logits = linear(images, texts, None)?.broadcast_mul(&scale.exp()?)?;
    let wanted = shared_captions(captions)?;
    let side = |logits: &Tensor| -> Result<Tensor> {
        let likely = candle_nn::ops::log_softmax(logits, D::Minus1)?;
        Ok((likely * &wanted)?.sum(D::Minus1)?.mean(0)?.neg()?)
    };
    Ok(((side(&logits)? + side(&logits.t()?.contiguous()?)?)? * 0.5)?)
}

/// Row `i` spreads its weight evenly over the pictures that have caption `i`.
fn shared_captions(captions: &[String]) -> Result<Tensor> {
    let mut counts: BTreeMap<&str, f32> = BTreeMap::new();
    for caption in captions {
        *counts.entry(caption).or_default() += 1.0;
    }
    let cell = |a: &String, b: &String| {
        if a == b {
            1.0 / counts[a.as_str()]
        } else {
            0.0
        }
    };
    let cells: Vec<f32> = captions
        .iter()
        .flat_map(|a| captions.iter().map(move |b| cell(a, b)))
        .collect();
    Ok(Tensor::from_vec(
        cells,
        (captions.len(), captions.len()),
        &Device::Cpu,
    )?)
}

fn tokens(encoder: &Encoder, embedding: &Tensor, hidden: &Tensor, batch: &Batch) -> Result<Tensor> {
    let free = encoder.text_encoder().forward(&batch.free_ids)?;
    let hidden = Tensor::cat(&[hidden, &free], 0)?.flatten_to(1)?;
    let ids = Tensor::cat(&[&batch.ids, &batch.free_ids], 0)?.flatten_all()?;
    Ok(candle_nn::loss::cross_entropy(
        &linear(&hidden, embedding, None)?,
        &ids,
    )?)
}
