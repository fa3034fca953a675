//! The state of a training run, saved and continued exactly. Refuses to continue another run's state.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use diffusion::optimizer::{AdamW, AdamWConfig, Ema, clip_gradients};
use diffusion::weights::{Parameters, Weights};
use diffusion::{Error, Result};

/// Gradients are scaled down to this norm.
const MAX_NORM: f64 = 1.0;
/// Share of the steps in which the learning rate grows.
const WARM_UP: f64 = 0.03;
/// The learning rate ends at this share of its peak.
const FLOOR: f64 = 0.02;

/// Parameters, optimiser and average of one run.
pub struct Run {
    /// What is trained.
    pub parameters: Parameters,
    optimizer: AdamW,
    average: Ema,
    decay: f64,
    peak: f64,
    steps: usize,
}

/// Settings of a run.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Peak learning rate.
    pub peak: f64,
    /// Decay of the average of weights.
    pub decay: f64,
    /// Steps of the whole run; the learning rate depends on it.
    pub steps: usize,
}

impl Run {
    /// A run that starts at `weights`.
    pub fn start(settings: Settings, weights: &Weights) -> Result<Self> {
        let parameters = Parameters::from_weights(weights)?;
        let average = Ema::new(memory(0, settings.decay), &parameters);
        let optimizer = AdamW::new(AdamWConfig::default());
        let Settings { peak, decay, steps } = settings;
        Ok(Self {
            parameters,
            optimizer,
            average,
            decay,
            peak,
            steps,
        })
    }

    /// Steps taken.
    pub fn taken(&self) -> usize {
        self.optimizer.steps()
    }

    /// Whether all steps were taken.
    pub fn is_finished(&self) -> bool {
        self.taken() >= self.steps
    }

    /// Averaged weights.
    pub fn averaged(&self) -> Weights {
        self.average.weights()
    }

    /// One step down the gradient of `loss`; returns its value.
    pub fn descend(&mut self, loss: &Tensor) -> Result<f32> {
        let mut gradients = loss.backward()?;
        clip_gradients(&self.parameters, &mut gradients, MAX_NORM)?;
        self.optimizer
            .set_lr(self.peak * rate(self.taken(), self.steps));
        self.optimizer.step(&self.parameters, &gradients)?;
        if self.taken().is_power_of_two() {
            let memory = memory(self.taken(), self.decay);
            self.average = Ema::from_weights(memory, &self.average.weights());
        }
        self.average.update(&self.parameters)?;
        Ok(loss.to_scalar::<f32>()?)
    }

    /// Writes everything that the next step depends on; the file appears only when it is complete.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut all = Weights::new();
        let parts = [
            ("parameters", self.parameters.weights()),
            ("optimizer", self.optimizer.to_weights()?),
            ("average", self.average.weights()),
        ];
        for (part, weights) in &parts {
            for (name, tensor) in weights.iter() {
                all.insert(format!("{part}.{name}"), tensor.clone());
            }
        }
        all.save(
            path,
            DType::F32,
            &BTreeMap::from([("steps".into(), self.steps.to_string())]),
        )
    }

    /// Continues from [`Self::save`].
    pub fn resume(settings: Settings, path: &Path) -> Result<Self> {
        let all = Weights::load(path, DType::F32, &Device::Cpu)?;
        let parameters = Parameters::from_weights(&all.with_prefix("parameters."))?;
        if parameters.is_empty() {
            return Err(Error::InvalidArgument(format!(
                "{} is no saved run",
                path.display()
            )));
        }
        let optimizer = all.with_prefix("optimizer.");
        let optimizer = AdamW::from_weights(AdamWConfig::default(), &optimizer)?;
        let Settings { peak, decay, steps } = settings;
        let memory = memory(optimizer.steps(), decay);
        let average = Ema::from_weights(memory, &all.with_prefix("average."));
        Ok(Self {
            parameters,
            optimizer,
            average,
            decay,
            peak,
            steps,
        })
    }
}

/// Decay of the average at a step: it remembers a fifth of the run at most, or the first, random weights would
/// stay in it for too long.
fn memory(step: usize, decay: f64) -> f64 {
    let since = step.checked_ilog2().map_or(1, |power| 1_usize << power);
    (1.0 - 5.0 / since as f64).clamp(0.0, decay)
}

/// Learning rate as a share of its peak: a short rise, then half a cosine.
pub fn rate(step: usize, steps: usize) -> f64 {
    let done = (step as f64 + 1.0) / steps.max(1) as f64;
    if done < WARM_UP {
        return done / WARM_UP;
    }
    let angle = std::f64::consts::PI * ((done - WARM_UP) / (1.0 - WARM_UP)).min(1.0);
    FLOOR + (1.0 - FLOOR) * (1.0 + angle.cos()) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn learning_rate_rises_then_falls() {
        let rates: Vec<f64> = (0..1000).map(|step| rate(step, 1000)).collect();
        assert!(rates[0] < 0.05 && rates[999] < 0.03);
        let top = rates.iter().position(|&rate| rate > 0.9999).unwrap();
        assert!((25..35).contains(&top), "{top}");
        assert!(rates[top..].windows(2).all(|pair| pair[1] <= pair[0]));
    }
}
