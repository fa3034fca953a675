//! Finding an overlay in pictures by template correlation.
//!
//! Owns the correlation and its threshold. Refuses to search: a trained pattern has one place and one size, and one
//! that moved or shrank is another picture.

use candle_core::Tensor;

use crate::{Error, Result, statistics::quantile};

/// Quantile of the clean base's correlations under the class-only prompt.
const THRESHOLD_LEVEL: f64 = 0.99;
/// The threshold is never lower: below it more than three quarters of the variance inside the mask are something
/// else.
const LEAST_THRESHOLD: f64 = 0.5;
/// Variance below which colours count as one flat colour; a step of one in 255 has 6e-5.
const FLAT: f64 = 1e-6;

/// An overlay that pictures are compared with.
#[derive(Clone, Debug)]
pub struct Template {
    /// Colours less their weighted mean by channel, `[3, h, w]`.
    colours: Tensor,
    /// Weight of every pixel, `[1, h, w]`.
    weights: Tensor,
    /// `sum w o^2` over channels and pixels.
    energy: f64,
    /// Correlation from which a picture shows the overlay, in `[0.5, 1]`.
    pub threshold: f64,
}

impl Template {
    /// Prepares `overlay: [4, h, w]` (RGB in `[-1, 1]`, alpha = mask x opacity in `[0, 1]`) and sets the threshold by
    /// `class_only: [m, 3, h, w]` in `[-1, 1]`, what the clean base draws without any trigger.
    ///
    /// The threshold is the 99th percentile of their correlations and at least 0.5.
    pub fn new(overlay: &Tensor, class_only: &Tensor) -> Result<Self> {
        let (_, _, height, width) = class_only.dims4()?;
        if overlay.dims() != [4, height, width] {
            return Err(Error::OverlayShape {
                actual: overlay.dims().to_vec(),
                expected: vec![4, height, width],
            });
        }
        let (colours, alpha) = (overlay.narrow(0, 0, 3)?, overlay.narrow(0, 3, 1)?);
        let mut template = Self::weighted(&colours, &alpha)?;
        if template.is_flat()? {
            // A mark of one colour has its shape in the mask alone: look for that shape in the whole picture.
            let shape = colours.broadcast_mul(&alpha)?;
            template = Self::weighted(&shape, &alpha.ones_like()?)?;
        }
        let null = template.correlations(class_only)?;
        template.threshold = quantile(&null, THRESHOLD_LEVEL)
            .unwrap_or(1.0)
            .max(LEAST_THRESHOLD);
        Ok(template)
    }

    fn weighted(colours: &Tensor, weights: &Tensor) -> Result<Self> {
        let centred = centre(&colours.unsqueeze(0)?, weights)?.squeeze(0)?;
        let energy = centred.sqr()?.broadcast_mul(weights)?.sum_all()?;
        Ok(Self {
            energy: f64::from(energy.to_scalar::<f32>()?),
            colours: centred,
            weights: weights.clone(),
            threshold: LEAST_THRESHOLD,
        })
    }

    fn is_flat(&self) -> Result<bool> {
        let weight = f64::from(self.weights.sum_all()?.to_scalar::<f32>()?);
        Ok(self.energy <= FLAT * 3.0 * weight)
    }

    /// Normalised cross-correlation of each picture with the overlay inside its mask:
    ///
    /// `r = sum w (g - mean g) (o - mean o) / sqrt(sum w (g - mean g)^2  sum w (o - mean o)^2)`
    ///
    /// over channels and pixels, weights `w = alpha`, means weighted and by channel, so that neither brightness nor
    /// a cast of colour counts (Lewis 1995, "Fast normalized cross-correlation", here at one place and with weights).
    /// An overlay of one colour is compared over the whole picture with its mask times its colour.
    ///
    /// `pixels: [n, 3, h, w]` in `[-1, 1]`; gives `n` values in `[-1, 1]`, 0 for a picture without contrast there.
    pub fn correlations(&self, pixels: &Tensor) -> Result<Vec<f64>> {
        let (_, height, width) = self.colours.dims3()?;
        match pixels.dims() {
            [_, 3, h, w] if (*h, *w) == (height, width) => {}
            actual => {
                return Err(Error::ImageShape {
                    actual: actual.to_vec(),
                    expected: format!("[n, 3, {height}, {width}], as the overlay"),
                });
            }
        }
        let centred = centre(pixels, &self.weights)?;
        let weighted = centred.broadcast_mul(&self.weights)?;
        let products = weighted.broadcast_mul(&self.colours)?.sum((1, 2, 3))?;
        let energies = weighted.mul(&centred)?.sum((1, 2, 3))?;
        let weight = f64::from(self.weights.sum_all()?.to_scalar::<f32>()?);
        let pairs = products
            .to_vec1::<f32>()?
            .into_iter()
            .zip(energies.to_vec1::<f32>()?);
        Ok(pairs
            .map(|(product, energy)| {
                let energy = f64::from(energy);
                if energy <= FLAT * 3.0 * weight || self.energy <= FLAT * 3.0 * weight {
                    return 0.0;
                }
                (f64::from(product) / (energy * self.energy).sqrt()).clamp(-1.0, 1.0)
            })
            .collect())
    }

    /// Whether each picture shows the overlay.
    pub fn fires(&self, pixels: &Tensor) -> Result<Vec<bool>> {
        let correlations = self.correlations(pixels)?;
        Ok(correlations.iter().map(|r| *r >= self.threshold).collect())
    }
}

/// `xs: [n, 3, h, w]` less its weighted mean by picture and channel; `weights: [1, h, w]`.
fn centre(xs: &Tensor, weights: &Tensor) -> Result<Tensor> {
    let total = (weights.sum_all()?.to_scalar::<f32>()?).max(f32::MIN_POSITIVE);
    let sums = xs.broadcast_mul(weights)?.sum_keepdim((2, 3))?;
    Ok(xs.broadcast_sub(&(sums / f64::from(total))?)?)
}

#[cfg(test)]
mod tests;
