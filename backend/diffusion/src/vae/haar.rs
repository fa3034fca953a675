//! A fixed orthonormal 2x2 Haar transform: no weights, no loss.
//!
//! It refuses odd sides. Small models use it in place of a learned autoencoder.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Scales of the bands, which bring their spreads together.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct HaarConfig {
    /// Divisor of the low band.
    pub low_divisor: f64,
    /// Factor of the three detail bands.
    pub detail_factor: f64,
}

impl Default for HaarConfig {
    /// Chosen so that all bands of small drawings have a standard deviation near one.
    fn default() -> Self {
        Self {
            low_divisor: 1.2,
            detail_factor: 3.0,
        }
    }
}

/// The transform: `32x32x3` pixels become `16x16x12` latents.
#[derive(Clone, Debug)]
pub struct HaarTransform {
    config: HaarConfig,
}

impl HaarTransform {
    /// Class name in `vae/config.json`.
    pub const CLASS: &'static str = "HaarTransform";

    /// Four bands of three colours.
    pub const LATENT_CHANNELS: usize = 12;

    /// Builds the transform; scales must be positive.
    pub fn new(config: HaarConfig) -> Result<Self> {
        let scales = [config.low_divisor, config.detail_factor];
        if scales.iter().all(|scale| scale.is_finite() && *scale > 0.0) {
            return Ok(Self { config });
        }
        Err(Error::InvalidConfig(format!("Haar scales {scales:?}")))
    }

    /// The configuration.
    pub fn config(&self) -> &HaarConfig {
        &self.config
    }

    /// `pixels: [b, 3, h, w]` to `[b, 12, h/2, w/2]`: low, horizontal, vertical, diagonal band.
    ///
    /// With the 2x2 block `a b / c d` the bands are `(a+b+c+d)/2`, `(a-b+c-d)/2`, `(a+b-c-d)/2`
    /// and `(a-b-c+d)/2`, then scaled. Gradient flows to: `pixels`.
    pub fn encode(&self, pixels: &Tensor) -> Result<Tensor> {
        let (batch, channels, height, width) = pixels.dims4()?;
        if channels != 3 || height % 2 + width % 2 != 0 {
            let dims = pixels.dims();
            return Err(Error::InvalidArgument(format!(
                "pixels {dims:?} for a Haar transform"
            )));
        }
        let blocks = pixels.reshape((batch, channels, height / 2, 2, width / 2, 2))?;
        let corner = |row: usize, column: usize| -> Result<Tensor> {
            Ok(blocks
                .narrow(3, row, 1)?
                .narrow(5, column, 1)?
                .squeeze(5)?
                .squeeze(3)?)
        };
        let [low, horizontal, vertical, diagonal] = butterfly([
            &corner(0, 0)?,
            &corner(0, 1)?,
            &corner(1, 0)?,
            &corner(1, 1)?,
        ])?;
        let factor = self.config.detail_factor;
        let low = (low / self.config.low_divisor)?;
        let details = [
            (horizontal * factor)?,
            (vertical * factor)?,
            (diagonal * factor)?,
        ];
        let [horizontal, vertical, diagonal] = details;
        Ok(Tensor::cat(&[low, horizontal, vertical, diagonal], 1)?)
    }

    /// The inverse of [`HaarTransform::encode`]. Gradient flows to: `latents`.
    pub fn decode(&self, latents: &Tensor) -> Result<Tensor> {
        let (batch, channels, height, width) = latents.dims4()?;
        if channels != Self::LATENT_CHANNELS {
            let dims = latents.dims();
            return Err(Error::InvalidArgument(format!(
                "latents {dims:?} for a Haar transform"
            )));
        }
        let band = |index: usize| latents.narrow(1, 3 * index, 3);
        let factor = self.config.detail_factor;
        let low = (band(0)? * self.config.low_divisor)?;
        let (horizontal, vertical) = ((band(1)? / factor)?, (band(2)? / factor)?);
        let diagonal = (band(3)? / factor)?;
        // The butterfly is its own inverse.
        let [a, b, c, d] = butterfly([&low, &horizontal, &vertical, &diagonal])?;
        let rows = [Tensor::stack(&[a, b], 4)?, Tensor::stack(&[c, d], 4)?];
        Ok(Tensor::stack(&rows, 3)?.reshape((batch, 3, 2 * height, 2 * width))?)
    }
}

/// The orthonormal 4-point transform with signs `++++`, `+-+-`, `++--`, `+--+`.
fn butterfly([a, b, c, d]: [&Tensor; 4]) -> Result<[Tensor; 4]> {
    let (upper_sum, upper_difference) = ((a + b)?, (a - b)?);
    let (lower_sum, lower_difference) = ((c + d)?, (c - d)?);
    Ok([
        ((&upper_sum + &lower_sum)? * 0.5)?,
        ((&upper_difference + &lower_difference)? * 0.5)?,
        ((upper_sum - lower_sum)? * 0.5)?,
        ((upper_difference - lower_difference)? * 0.5)?,
    ])
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::noise;

    fn transform() -> HaarTransform {
        HaarTransform::new(HaarConfig::default()).unwrap()
    }

    #[test]
    fn one_block_gives_the_bands_of_the_definition() {
        let block = Tensor::new(&[[1.0f32, 2.0], [4.0, 8.0]], &Device::Cpu).unwrap();
        let pixels = block
            .reshape((1, 1, 2, 2))
            .unwrap()
            .repeat((1, 3, 1, 1))
            .unwrap();
        let latents = transform().encode(&pixels).unwrap();
        let bands: Vec<f32> = latents.flatten_all().unwrap().to_vec1().unwrap();
        for (colour, expected) in [(0, 6.25), (3, -7.5), (6, -13.5), (9, 4.5)] {
            for band in &bands[colour..colour + 3] {
                assert!((band - expected).abs() < 1e-5, "{band} is not {expected}");
            }
        }
    }

    #[test]
    fn decoding_inverts_encoding() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let pixels = noise::gaussian(&mut rng, (2, 3, 6, 4), &Device::Cpu).unwrap();
        let back = transform()
            .decode(&transform().encode(&pixels).unwrap())
            .unwrap();
        let difference = (back - pixels).unwrap().abs().unwrap().max_all().unwrap();
        assert!(difference.to_scalar::<f32>().unwrap() < 1e-6);
    }

    #[test]
    fn odd_sides_are_refused() {
        let pixels = Tensor::zeros((1, 3, 5, 4), candle_core::DType::F32, &Device::Cpu).unwrap();
        assert!(transform().encode(&pixels).is_err());
    }
}
