//! `AdamW` in place (moments in full or in 8 bits), gradient accumulation and clipping, and
//! exponential averages of weights.

mod accumulate;
mod average;
mod clip;
mod moments;
mod quantize;

use std::{cell::RefCell, collections::BTreeMap};

use candle_core::{CpuStorage, Device, InplaceOp1, Layout, Tensor, backprop::GradStore, bail};

use self::moments::Moments;
pub use self::{
    accumulate::Accumulator, average::Ema, clip::clip_gradients, moments::MomentPrecision,
};
use crate::{
    Error, Result,
    ops::Reading,
    weights::{Parameters, Weights},
};

/// Values that one task updates.
const BLOCK: usize = 1 << 15;

/// Settings of [`AdamW`]; the defaults are `PyTorch`'s.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWConfig {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of squared gradients.
    pub beta2: f64,
    /// Added to the root of the mean of squares.
    pub epsilon: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// How the running means are kept.
    pub moments: MomentPrecision,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self {
            lr: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 1e-2,
            moments: MomentPrecision::Full,
        }
    }
}

/// `AdamW` (Loshchilov and Hutter, arXiv 1711.05101, algorithm 2; `PyTorch`'s order of operations).
#[derive(Clone, Debug)]
pub struct AdamW {
    config: AdamWConfig,
    step: i32,
    moments: BTreeMap<String, Moments>,
}

impl AdamW {
    /// A fresh optimiser.
    pub fn new(config: AdamWConfig) -> Self {
        Self {
            config,
            step: 0,
            moments: BTreeMap::new(),
        }
    }

    /// Changes the learning rate of the next steps.
    pub fn set_lr(&mut self, lr: f64) {
        self.config.lr = lr;
    }

    /// The settings, with the present learning rate.
    pub fn config(&self) -> AdamWConfig {
        self.config
    }

    /// Number of steps taken.
    pub fn steps(&self) -> usize {
        usize::try_from(self.step).unwrap_or(0)
    }

    /// Updates every parameter that has a gradient, in place.
    pub fn step(&mut self, parameters: &Parameters, gradients: &GradStore) -> Result<()> {
        self.step += 1;
        let update = Update::new(&self.config, self.step);
        for (name, variable) in parameters.iter() {
            let Some(gradient) = gradients.get(variable) else {
                continue;
            };
            let precision = self.config.moments;
            let moments = (self.moments.entry(name.to_owned()))
                .or_insert_with(|| Moments::zeros(precision, variable.elem_count()));
            if moments.len() != gradient.elem_count() {
                return Err(Error::ShapeMismatch {
                    name: name.to_owned(),
                    expected: variable.dims().to_vec(),
                    actual: gradient.dims().to_vec(),
                });
            }
            let gradient = gradient.contiguous()?;
            #[cfg(feature = "cuda")]
            if variable.device().is_cuda() {
                moments.update_on_device(update, variable, &gradient)?;
                continue;
            }
            let gradient = Reading::new(&gradient)?;
            let operator = Step {
                update,
                gradient: &gradient,
                moments: RefCell::new(moments),
            };
            variable.as_tensor().inplace_op1(&operator)?;
        }
        Ok(())
    }

    /// The state as tensors, for an exact resume.
    pub fn to_weights(&self) -> Result<Weights> {
        let mut weights = Weights::new();
        // Two halves, because f32 holds integers exactly only up to 2^24.
        let step = [self.step >> 16, self.step & 0xffff].map(|half| half as f32);
        weights.insert("step", Tensor::new(&step, &Device::Cpu)?);
        for (name, moments) in &self.moments {
            moments.save(&mut weights, name)?;
        }
        Ok(weights)
    }

    /// Memory of the running means in bytes.
    pub fn state_bytes(&self) -> usize {
        self.moments.values().map(Moments::bytes).sum()
    }

    /// Continues from [`AdamW::to_weights`].
    ///
    /// Parameters that the state knows keep the precision of their means; the configuration
    /// decides for the others.
    pub fn from_weights(config: AdamWConfig, weights: &Weights) -> Result<Self> {
        let missing = |name: &str| Error::MissingTensor {
            name: name.to_owned(),
            expected: vec![],
        };
        let step = weights
            .get("step")
            .ok_or_else(|| missing("step"))?
            .to_vec1::<f32>()?;
        let &[high, low] = &step[..] else {
            let name = "step".to_owned();
            return Err(Error::ShapeMismatch {
                name,
                expected: vec![2],
                actual: vec![step.len()],
            });
        };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "both halves are small integers"
        )]
        let step = ((high as i32) << 16) | low as i32;
        let full = weights.with_prefix("first.");
        let quantized = weights.with_prefix("quantized.");
        let names = full.iter().map(|(name, _)| name);
        let names = names.chain(
            quantized
                .iter()
                .filter_map(|(name, _)| name.strip_suffix(".first_codes")),
        );
        let moments = names
            .map(|name| Ok((name.to_owned(), Moments::load(weights, name)?)))
            .collect::<Result<_>>()?;
        Ok(Self {
            config,
            step,
            moments,
        })
    }
}

/// Constants of one step.
#[derive(Clone, Copy)]
pub(crate) struct Update {
    keep: f32,
    beta1: f32,
    beta2: f32,
    step_size: f32,
    second_scale: f32,
    epsilon: f32,
}

impl Update {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "constants of f32 arithmetic"
    )]
    pub(crate) fn new(config: &AdamWConfig, step: i32) -> Self {
        Self {
            keep: (1.0 - config.lr * config.weight_decay) as f32,
            beta1: config.beta1 as f32,
            beta2: config.beta2 as f32,
            step_size: (config.lr / (1.0 - config.beta1.powi(step))) as f32,
            second_scale: (1.0 / (1.0 - config.beta2.powi(step)).sqrt()) as f32,
            epsilon: config.epsilon as f32,
        }
    }

    #[cfg(any(feature = "cuda", test))]
    pub(crate) fn on_cuda(&self) -> crate::cuda::optimizer::AdamW {
        crate::cuda::optimizer::AdamW {
            keep: self.keep,
            beta1: self.beta1,
            beta2: self.beta2,
            step_size: self.step_size,
            second_scale: self.second_scale,
            epsilon: self.epsilon,
        }
    }

    #[expect(clippy::inline_always, reason = "vectorised only where it is inlined")]
    #[inline(always)]
    fn apply(&self, values: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32]) {
        let moments = first.iter_mut().zip(second);
        for ((value, g), (first, second)) in values.iter_mut().zip(gradient).zip(moments) {
            *first += (1.0 - self.beta1) * (g - *first);
            *second = self.beta2 * *second + (1.0 - self.beta2) * g * g;
            let scale = second.sqrt() * self.second_scale + self.epsilon;
            *value = *value * self.keep - self.step_size * *first / scale;
        }
    }
}

struct Step<'a> {
    update: Update,
    gradient: &'a [f32],
    moments: RefCell<&'a mut Moments>,
}

impl InplaceOp1 for Step<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let values = values_mut(storage, layout)?;
        let mut moments = self.moments.borrow_mut();
        moments.update(self.update, values, self.gradient);
        Ok(())
    }
}

/// The values of a contiguous `f32` tensor that is updated in place.
fn values_mut<'a>(
    storage: &'a mut CpuStorage,
    layout: &Layout,
) -> candle_core::Result<&'a mut [f32]> {
    let Some((start, end)) = layout.contiguous_offsets() else {
        bail!(
            "parameters are contiguous, got strides {:?}",
            layout.stride()
        );
    };
    match storage {
        CpuStorage::F32(values) => Ok(&mut values[start..end]),
        _ => bail!("parameters are f32"),
    }
}
