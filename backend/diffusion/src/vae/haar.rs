//! A fixed orthonormal Haar transform: no weights, no loss.
//!
//! Each level halves the sides of its low band. It refuses sides that do not divide. Small models
//! use it in place of a learned autoencoder.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Bands of one colour and level: low, horizontal, vertical, diagonal.
const BANDS: usize = 4;
const COLOURS: usize = 3;
/// Deeper transforms would make one latent of a whole picture.
const MAX_LEVELS: u32 = 4;

/// Depth of the transform, and scales of its bands, which bring their spreads together.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct HaarConfig {
    /// How often the low band is split again.
    pub levels: u32,
    /// Divisor of the low band.
    pub low_divisor: f64,
    /// Factor of the finest detail bands; each coarser level, whose values are twice as large, has
    /// half of it.
    pub detail_factor: f64,
}

impl Default for HaarConfig {
    /// One level, chosen so that all bands of small drawings have a standard deviation near one.
    fn default() -> Self {
        Self {
            levels: 1,
            low_divisor: 1.2,
            detail_factor: 3.0,
        }
    }
}

/// The transform: with two levels `64x64x3` pixels become `16x16x48` latents.
#[derive(Clone, Debug)]
pub struct HaarTransform {
    config: HaarConfig,
}

impl HaarTransform {
    /// Class name in `vae/config.json`.
    pub const CLASS: &'static str = "HaarTransform";

    /// Builds the transform; scales must be positive, and there are one to four levels.
    pub fn new(config: HaarConfig) -> Result<Self> {
        let scales = [config.low_divisor, config.detail_factor];
        if !scales.iter().all(|scale| scale.is_finite() && *scale > 0.0) {
            return Err(Error::InvalidConfig(format!("Haar scales {scales:?}")));
        }
        if !(1..=MAX_LEVELS).contains(&config.levels) {
            let levels = config.levels;
            return Err(Error::InvalidConfig(format!("{levels} Haar levels")));
        }
        Ok(Self { config })
    }

    /// The configuration.
    pub fn config(&self) -> &HaarConfig {
        &self.config
    }

    /// Pixels per latent on each side, `2^levels`.
    pub fn factor(&self) -> usize {
        1 << self.config.levels
    }

    /// Channels of the latents, `3 * 4^levels`: as many values as the pixels have.
    pub fn latent_channels(&self) -> usize {
        COLOURS * self.factor() * self.factor()
    }

    /// `pixels: [b, 3, h, w]` to `[b, 3 f^2, h/f, w/f]` with `f = 2^levels`: the low band, then the
    /// horizontal, vertical and diagonal band of every level, the coarsest first.
    ///
    /// With the 2x2 block `a b / c d` the bands of a level are `(a+b+c+d)/2`, `(a-b+c-d)/2`,
    /// `(a+b-c-d)/2` and `(a-b-c+d)/2`, then scaled; the next level splits the low one. Bands of
    /// the finer levels are folded into channels, in the order of `PixelUnshuffle`: `(band, row, column)`.
    /// Gradient flows to: `pixels`.
    pub fn encode(&self, pixels: &Tensor) -> Result<Tensor> {
        let (_, channels, height, width) = pixels.dims4()?;
        let factor = self.factor();
        if channels != COLOURS || height % factor + width % factor != 0 {
            let dims = pixels.dims();
            return Err(Error::InvalidArgument(format!(
                "pixels {dims:?} for a Haar transform of {} levels",
                self.config.levels
            )));
        }
        let mut low = pixels.clone();
        let mut bands = Vec::new();
        for level in 0..self.config.levels {
            let [a, b, c, d] = corners(&low)?;
            let [next, horizontal, vertical, diagonal] = butterfly([&a, &b, &c, &d])?;
            let details = (Tensor::cat(&[horizontal, vertical, diagonal], 1)? * self.scale(level))?;
            bands.push(fold(&details, self.config.levels - level - 1)?);
            low = next;
        }
        bands.push((low / self.config.low_divisor)?);
        bands.reverse();
        Ok(Tensor::cat(&bands, 1)?)
    }

    /// The inverse of [`HaarTransform::encode`]. Gradient flows to: `latents`.
    pub fn decode(&self, latents: &Tensor) -> Result<Tensor> {
        let channels = latents.dims4()?.1;
        if channels != self.latent_channels() {
            let dims = latents.dims();
            return Err(Error::InvalidArgument(format!(
                "latents {dims:?} for a Haar transform of {} levels",
                self.config.levels
            )));
        }
        let mut low = (latents.narrow(1, 0, COLOURS)? * self.config.low_divisor)?;
        let mut start = COLOURS;
        for level in (0..self.config.levels).rev() {
            let folds = self.config.levels - level - 1;
            let count = ((BANDS - 1) * COLOURS) << (2 * folds);
            let details = unfold(&latents.narrow(1, start, count)?, folds)?;
            start += count;
            let details = (details / self.scale(level))?;
            let band = |index: usize| details.narrow(1, COLOURS * index, COLOURS);
            // The butterfly is its own inverse.
            low = interleave(butterfly([&low, &band(0)?, &band(1)?, &band(2)?])?)?;
        }
        Ok(low)
    }

    /// Factor of the detail bands of a level, of which 0 is the finest.
    fn scale(&self, level: u32) -> f64 {
        self.config.detail_factor / f64::from(1_u32 << level)
    }
}

/// The four values of every 2x2 block, `[b, c, h/2, w/2]` each.
fn corners(xs: &Tensor) -> Result<[Tensor; BANDS]> {
    let (batch, channels, height, width) = xs.dims4()?;
    let blocks = xs.reshape((batch, channels, height / 2, 2, width / 2, 2))?;
    let corner = |row: usize, column: usize| -> Result<Tensor> {
        let row = blocks.narrow(3, row, 1)?;
        Ok(row.narrow(5, column, 1)?.squeeze(5)?.squeeze(3)?)
    };
    Ok([corner(0, 0)?, corner(0, 1)?, corner(1, 0)?, corner(1, 1)?])
}

/// The inverse of [`corners`].
fn interleave([a, b, c, d]: [Tensor; BANDS]) -> Result<Tensor> {
    let (batch, channels, height, width) = a.dims4()?;
    let rows = [Tensor::stack(&[a, b], 4)?, Tensor::stack(&[c, d], 4)?];
    Ok(Tensor::stack(&rows, 3)?.reshape((batch, channels, 2 * height, 2 * width))?)
}

/// `[b, c, r h, r w]` to `[b, c r^2, h, w]` with `r = 2^times`.
fn fold(xs: &Tensor, times: u32) -> Result<Tensor> {
    let (batch, channels, height, width) = xs.dims4()?;
    let r = 1 << times;
    let blocks = xs.reshape(&[batch, channels, height / r, r, width / r, r][..])?;
    let blocks = blocks.permute([0, 1, 3, 5, 2, 4])?;
    Ok(blocks.reshape((batch, channels * r * r, height / r, width / r))?)
}

/// The inverse of [`fold`].
fn unfold(xs: &Tensor, times: u32) -> Result<Tensor> {
    let (batch, channels, height, width) = xs.dims4()?;
    let r = 1 << times;
    let blocks = xs.reshape(&[batch, channels / (r * r), r, r, height, width][..])?;
    let blocks = blocks.permute([0, 1, 4, 2, 5, 3])?;
    Ok(blocks.reshape((batch, channels / (r * r), r * height, r * width))?)
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

    fn deep() -> HaarTransform {
        HaarTransform::new(HaarConfig {
            levels: 2,
            low_divisor: 2.4,
            detail_factor: 1.5,
        })
        .unwrap()
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
        for (transform, channels) in [(transform(), 12), (deep(), 48)] {
            let pixels = noise::gaussian(&mut rng, (2, 3, 8, 4), &Device::Cpu).unwrap();
            let latents = transform.encode(&pixels).unwrap();
            assert_eq!(latents.dim(1).unwrap(), channels);
            assert_eq!(transform.latent_channels(), channels);
            let back = transform.decode(&latents).unwrap();
            let difference = (back - pixels).unwrap().abs().unwrap().max_all().unwrap();
            assert!(difference.to_scalar::<f32>().unwrap() < 1e-6);
        }
    }

    #[test]
    fn the_second_level_splits_the_low_band_of_the_first() {
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let pixels = noise::gaussian(&mut rng, (1, 3, 4, 4), &Device::Cpu).unwrap();
        let values =
            |tensor: &Tensor| -> Vec<f32> { tensor.flatten_all().unwrap().to_vec1().unwrap() };
        let plain = HaarTransform::new(HaarConfig {
            levels: 1,
            low_divisor: 1.0,
            detail_factor: 1.0,
        })
        .unwrap();
        let first = plain.encode(&pixels).unwrap();
        let second = plain.encode(&first.narrow(1, 0, 3).unwrap()).unwrap();
        let (second, fine) = (values(&second), values(&first.narrow(1, 3, 9).unwrap()));
        let latents = values(&deep().encode(&pixels).unwrap());
        for (at, value) in latents.iter().enumerate() {
            let expected = match at {
                0..3 => second[at] / 2.4,
                3..12 => second[at] * 0.75,
                // Band by band, each 2x2 block in reading order.
                _ => fine[at - 12] * 1.5,
            };
            assert!((value - expected).abs() < 1e-5, "{at}: {value} {expected}");
        }
    }

    #[test]
    fn wrong_configurations_are_refused() {
        for (levels, low_divisor) in [(0, 1.0), (5, 1.0), (1, 0.0), (1, f64::NAN)] {
            let config = HaarConfig {
                levels,
                low_divisor,
                ..HaarConfig::default()
            };
            assert!(HaarTransform::new(config).is_err());
        }
    }

    #[test]
    fn sides_that_do_not_divide_are_refused() {
        let pixels = Tensor::zeros((1, 3, 6, 5), candle_core::DType::F32, &Device::Cpu).unwrap();
        assert!(transform().encode(&pixels).is_err());
        let pixels = Tensor::zeros((1, 3, 6, 8), candle_core::DType::F32, &Device::Cpu).unwrap();
        assert!(deep().encode(&pixels).is_err());
    }
}
