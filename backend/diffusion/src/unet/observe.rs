//! Looking at cross-attention while a U-Net predicts.
//!
//! Owns the hook and the probabilities that it shows. Refuses to store anything: who looks decides what stays.

use std::{fmt, sync::Arc};

use candle_core::{D, DType, Tensor};

use crate::Result;

/// What the queries of one cross-attention layer look at.
#[derive(Debug)]
pub struct CrossAttention<'a> {
    /// Height of the layer's feature map.
    pub height: usize,
    /// Width of the layer's feature map.
    pub width: usize,
    /// Probabilities of the text's tokens for every pixel, mean over heads: `[b, height * width, s]` (`f32`), rows of
    /// sum 1.
    pub probabilities: &'a Tensor,
}

type Look = dyn Fn(&CrossAttention<'_>) -> Result<()> + Send + Sync;

/// Hears of every cross-attention layer of every prediction, in the order of computation.
#[derive(Clone)]
pub struct AttentionObserver(Arc<Look>);

impl AttentionObserver {
    /// Calls `look` for each layer; an error ends the prediction with it.
    pub fn new(look: impl Fn(&CrossAttention<'_>) -> Result<()> + Send + Sync + 'static) -> Self {
        Self(Arc::new(look))
    }

    pub(super) fn see(&self, attention: &CrossAttention<'_>) -> Result<()> {
        (self.0)(attention)
    }
}

impl fmt::Debug for AttentionObserver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AttentionObserver")
    }
}

/// `softmax(q k^T / sqrt(c / heads) + bias)`, mean over heads, without gradient.
///
/// `q: [b, n, c]`, `k: [b, s, c]`, `bias: [b, s]`; result `[b, n, s]` (`f32`).
pub(super) fn probabilities(
    q: &Tensor,
    k: &Tensor,
    heads: usize,
    bias: Option<&Tensor>,
) -> Result<Tensor> {
    let split = |xs: &Tensor| -> Result<Tensor> {
        let (batch, length, channels) = xs.dims3()?;
        let xs = xs.detach().to_dtype(DType::F32)?;
        let xs = xs.reshape((batch, length, heads, channels / heads))?;
        Ok(xs.transpose(1, 2)?.contiguous()?)
    };
    let (q, k) = (split(q)?, split(k)?);
    let scale = 1.0 / (q.dim(D::Minus1)? as f64).sqrt();
    let mut scores = (q.matmul(&k.transpose(2, 3)?.contiguous()?)? * scale)?;
    if let Some(bias) = bias {
        scores = scores.broadcast_add(&bias.unsqueeze(1)?.unsqueeze(1)?)?;
    }
    let raised = scores
        .broadcast_sub(&scores.max_keepdim(D::Minus1)?)?
        .exp()?;
    let shares = raised.broadcast_div(&raised.sum_keepdim(D::Minus1)?)?;
    Ok(shares.mean(1)?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::{
        noise,
        ops::{self, Mask},
    };

    #[test]
    fn probabilities_are_those_of_the_fused_attention() {
        const HEADS: usize = 3;
        const KEYS: usize = 5;
        let device = Device::Cpu;
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let mut random =
            |rows: usize| noise::gaussian(&mut rng, (2, rows, HEADS * KEYS), &device).unwrap();
        let (q, k) = (random(7), random(KEYS));
        let bias = Tensor::new(&[[0.0_f32, 0.3, -1e4, 0.0, 1.0]; 2], &device).unwrap();
        // Values that are the identity in every head make attention return its own probabilities.
        let identity = Tensor::eye(KEYS, DType::F32, &device).unwrap();
        let v = identity.repeat((1, HEADS)).unwrap();
        let v = v.unsqueeze(0).unwrap().repeat((2, 1, 1)).unwrap();
        let fused = ops::attention(&q, &k, &v, HEADS, Mask::Bias(&bias)).unwrap();
        let fused = fused.reshape((2, 7, HEADS, KEYS)).unwrap().mean(2).unwrap();
        let found = probabilities(&q, &k, HEADS, Some(&bias)).unwrap();
        let gap = (found - fused).unwrap().abs().unwrap().max_all().unwrap();
        assert!(gap.to_scalar::<f32>().unwrap() < 1e-6);
    }
}
