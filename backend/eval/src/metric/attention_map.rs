//! Where the words of a prompt land in a picture: cross-attention maps after DAAM (Tang et al., arXiv 2210.04885).
//!
//! Owns recording, upsampling and averaging. Refuses to interpret: [`super::detection`] and people do.

use std::{
    ops::ControlFlow,
    sync::{Arc, Mutex, PoisonError},
};

use candle_core::{DType, Device, Tensor};
use diffusion::{
    pipeline::Pipeline,
    sample::{SampleConfig, sample},
    text::Tokenizer,
    unet::{AttentionObserver, CrossAttention, UNet},
};

use crate::{Error, Result};

#[cfg(test)]
mod tests;

/// Sharpness of the cubic kernel, `PyTorch`'s for upsampling.
const CUBIC: f64 = -0.75;

/// A picture with the attention that drew it.
#[derive(Clone, Debug)]
pub struct AttentionDrawing {
    /// `[1, 3, h, w]` in `[-1, 1]`.
    pub pixels: Tensor,
    /// One map a token of the padded prompt, `[tokens, h', w']` at the latents' size, never negative. Before
    /// upsampling the tokens' shares add up to 1 at every place.
    pub maps: Tensor,
}

/// Draws one picture and records cross-attention: for every token the mean over heads, layers and steps of its
/// attention probabilities, each layer's upsampled to the latents' size (bicubic, clamped at 0).
///
/// Guidance changes the picture and not what is recorded: the prompt's own prediction alone counts. Costs the scores
/// of every cross-attention a second time; an unobserved model pays nothing.
pub fn draw_with_attention(
    pipeline: &Pipeline,
    unet: &UNet,
    prompt: &str,
    seed: u64,
    config: &SampleConfig,
) -> Result<AttentionDrawing> {
    let (_, height, width) = pipeline.latent_shape();
    let recorder = Recorder::new(height, width);
    let observed = unet.observed(recorder.observer());
    let prompts = [prompt.to_owned()];
    let mut go = |_: usize, _: usize| ControlFlow::Continue(());
    let pixels = sample(pipeline, &observed, &prompts, &[seed], config, &mut go)?;
    Ok(AttentionDrawing {
        pixels,
        maps: recorder.mean()?,
    })
}

/// Positions of a word's tokens in a prompt as the tokenizer encodes it; empty where it does not occur.
pub fn word_positions(tokenizer: &Tokenizer, prompt: &str, word: &str) -> Vec<usize> {
    let (encoded, sought) = (tokenizer.encode(prompt), tokenizer.tokenize(word));
    if sought.is_empty() {
        return Vec::new();
    }
    let found = encoded
        .windows(sought.len())
        .position(|window| window == sought);
    found.map_or_else(Vec::new, |start| (start..start + sought.len()).collect())
}

/// A word's map: the mean over its tokens' maps, `[h, w]`. Refuses positions outside the prompt, and none.
pub fn word_map(maps: &Tensor, positions: &[usize]) -> Result<Tensor> {
    let tokens = maps.dim(0)?;
    let rows: Option<Vec<u32>> = positions
        .iter()
        .map(|position| u32::try_from(*position).ok().filter(|_| *position < tokens))
        .collect();
    match rows {
        Some(rows) if !rows.is_empty() => {
            let rows = Tensor::new(rows, maps.device())?;
            Ok(maps.index_select(&rows, 0)?.mean(0)?)
        }
        _ => Err(Error::ImageShape {
            actual: maps.dims().to_vec(),
            expected: format!("maps of the tokens {positions:?}"),
        }),
    }
}

/// Pearson correlation of two maps `[h, w]`, in `[-1, 1]`; 0 where one is flat.
///
/// Identifier and class of a joint trigger look at one place; a leak shows as an identifier that takes it alone.
pub fn overlap(left: &Tensor, right: &Tensor) -> Result<f64> {
    let centre = |map: &Tensor| -> Result<Tensor> {
        let flat = map.flatten_all()?.to_dtype(DType::F64)?;
        Ok(flat.broadcast_sub(&flat.mean_all()?)?)
    };
    let (left, right) = (centre(left)?, centre(right)?);
    let product = |a: &Tensor, b: &Tensor| -> Result<f64> { Ok((a * b)?.sum_all()?.to_scalar()?) };
    let norm = (product(&left, &left)? * product(&right, &right)?).sqrt();
    if norm <= f64::MIN_POSITIVE {
        return Ok(0.0);
    }
    Ok((product(&left, &right)? / norm).clamp(-1.0, 1.0))
}

/// Adds up what an observer sees.
#[derive(Clone, Debug)]
struct Recorder {
    size: (usize, usize),
    sum: Arc<Mutex<(Option<Tensor>, usize)>>,
}

impl Recorder {
    fn new(height: usize, width: usize) -> Self {
        Self {
            size: (height, width),
            sum: Arc::default(),
        }
    }

    fn observer(&self) -> AttentionObserver {
        let recorder = self.clone();
        AttentionObserver::new(move |attention| recorder.add(attention))
    }

    /// The last row is the prompt's; with guidance the empty prompt's comes before it.
    fn add(&self, attention: &CrossAttention<'_>) -> diffusion::Result<()> {
        let (height, width) = (attention.height, attention.width);
        let rows = attention.probabilities.dim(0)?;
        let shares = attention
            .probabilities
            .get(rows - 1)?
            .to_device(&Device::Cpu)?;
        let maps = shares.t()?.reshape(((), height, width))?;
        let maps = upsampled(&maps, self.size)?;
        let mut sum = self.sum.lock().unwrap_or_else(PoisonError::into_inner);
        sum.0 = Some(match sum.0.take() {
            Some(before) => (before + maps)?,
            None => maps,
        });
        sum.1 += 1;
        Ok(())
    }

    fn mean(&self) -> Result<Tensor> {
        let sum = self.sum.lock().unwrap_or_else(PoisonError::into_inner);
        let total = sum.0.as_ref().ok_or_else(|| Error::ImageShape {
            actual: Vec::new(),
            expected: "a model with cross-attention".to_owned(),
        })?;
        Ok((total / sum.1 as f64)?)
    }
}

/// Bicubic upsampling as `PyTorch`'s `interpolate(align_corners=False)`, clamped at 0.
///
/// `maps: [n, h, w]` (`f32`); result `[n, size]`. Separable, so two matrices do it.
fn upsampled(maps: &Tensor, size: (usize, usize)) -> candle_core::Result<Tensor> {
    let (count, height, width) = maps.dims3()?;
    if (height, width) == size {
        return maps.contiguous();
    }
    let rows = cubic_matrix(height, size.0)?;
    let columns = cubic_matrix(width, size.1)?.t()?.contiguous()?;
    let wide = maps
        .reshape((count * height, width))?
        .matmul(&columns)?
        .reshape((count, height, size.1))?;
    let tall = rows.broadcast_left(count)?.contiguous()?.matmul(&wide)?;
    tall.maximum(0.0)
}

/// Weights of `inputs` for every output, `[outputs, inputs]`; beyond the edge the edge counts.
fn cubic_matrix(inputs: usize, outputs: usize) -> candle_core::Result<Tensor> {
    let mut weights = vec![0.0_f32; inputs * outputs];
    let scale = inputs as f64 / outputs as f64;
    for output in 0..outputs {
        let centre = (output as f64 + 0.5) * scale - 0.5;
        for offset in -1..=2_i32 {
            let place = centre.floor() + f64::from(offset);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "clamped to the inputs"
            )]
            let input = place.clamp(0.0, (inputs - 1) as f64) as usize;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a weight of f32 arithmetic"
            )]
            let weight = cubic((centre - place).abs()) as f32;
            weights[output * inputs + input] += weight;
        }
    }
    Tensor::from_vec(weights, (outputs, inputs), &Device::Cpu)
}

/// Keys' cubic convolution kernel (1981) at a distance of at most 2.
fn cubic(distance: f64) -> f64 {
    let (x, a) = (distance, CUBIC);
    if x <= 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else {
        ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
    }
}
