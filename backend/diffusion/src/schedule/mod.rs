//! Noise schedules: how much noise each timestep has, and what the model predicts.
//!
//! Refuses prediction types and options that it does not compute exactly as diffusers does.

mod ddim;
mod dpm_solver;
mod euler;
mod pndm;
mod sampler;
mod spacing;

use std::f64::consts::PI;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub use self::{
    ddim::Ddim,
    dpm_solver::DpmSolver,
    euler::Euler,
    pndm::Pndm,
    sampler::{Sampler, SamplerKind},
    spacing::Spacing,
};
use crate::{Error, Result};

/// Most steps of a schedule; known models have 1000, and a file may claim any number.
const MAX_TIMESTEPS: usize = 100_000;

/// How noise grows from step to step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BetaSchedule {
    /// Betas grow linearly.
    Linear,
    /// Roots of betas grow linearly (Stable Diffusion).
    ScaledLinear,
    /// Squared cosine, betas capped at 0.999 (Nichol and Dhariwal, arXiv 2102.09672, eq. 17).
    #[serde(rename = "squaredcos_cap_v2")]
    SquaredCosine,
}

/// What the model predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PredictionType {
    /// The noise.
    Epsilon,
    /// `sqrt(abar) * noise - sqrt(1 - abar) * latents` (Salimans and Ho, arXiv 2202.00512).
    VPrediction,
    /// The clean latents; diffusers knows it, this package refuses it.
    Sample,
}

/// Configuration of a schedule, as diffusers writes it into `scheduler_config.json`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct ScheduleConfig {
    /// Number of timesteps in training.
    pub num_train_timesteps: usize,
    /// First beta.
    pub beta_start: f64,
    /// Last beta.
    pub beta_end: f64,
    /// How betas grow.
    pub beta_schedule: BetaSchedule,
    /// What the model predicts.
    pub prediction_type: PredictionType,
    /// Whether sampling clips predicted latents to `clip_sample_range`.
    pub clip_sample: bool,
    /// Bound of that clipping.
    pub clip_sample_range: f64,
    /// Whether the step past the first timestep has no noise at all.
    pub set_alpha_to_one: bool,
    /// Added to every inference timestep of leading spacing.
    pub steps_offset: usize,
    /// Which timesteps sampling visits; each sampler has a default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestep_spacing: Option<Spacing>,
    /// Whether the last timestep is pure noise (Lin et al., arXiv 2305.08891, algorithm 1); the model must then
    /// predict velocities.
    pub rescale_betas_zero_snr: bool,
    /// Everything else in the file.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Default for ScheduleConfig {
    /// Diffusers' defaults of `DDIMScheduler`.
    fn default() -> Self {
        Self {
            num_train_timesteps: 1000,
            beta_start: 1e-4,
            beta_end: 0.02,
            beta_schedule: BetaSchedule::Linear,
            prediction_type: PredictionType::Epsilon,
            clip_sample: true,
            clip_sample_range: 1.0,
            set_alpha_to_one: true,
            steps_offset: 0,
            timestep_spacing: None,
            rescale_betas_zero_snr: false,
            extra: Map::new(),
        }
    }
}

impl ScheduleConfig {
    /// Reads a `scheduler_config.json`.
    ///
    /// Only `DDIMScheduler` clips unless it is told not to; a file of another scheduler that says nothing of clipping
    /// means none, as diffusers' pipelines read it. Betas that it leaves out are those of its class.
    pub fn from_json(json: &[u8]) -> serde_json::Result<Self> {
        let mut fields: Map<String, Value> = serde_json::from_slice(json)?;
        let class = fields.get(CLASS).and_then(Value::as_str);
        let silent = class.is_some_and(|class| class != "DDIMScheduler")
            && !fields.contains_key("clip_sample");
        if let Some(schedule) = class.and_then(latent_schedule) {
            let betas = [
                ("beta_start", json!(0.000_85)),
                ("beta_end", json!(0.012)),
                ("beta_schedule", json!(schedule)),
            ];
            for (field, value) in betas {
                fields.entry(field).or_insert(value);
            }
        }
        let config: Self = serde_json::from_value(Value::Object(fields))?;
        Ok(Self {
            clip_sample: config.clip_sample && !silent,
            ..config
        })
    }

    /// The sampler that a folder's own scheduler stands for, where this package has it.
    pub fn sampler(&self) -> Option<SamplerKind> {
        let karras = self.extra.get("use_karras_sigmas").and_then(Value::as_bool);
        let class = self.extra.get(CLASS).and_then(Value::as_str)?;
        match (class, karras.unwrap_or(false)) {
            ("DDIMScheduler", _) => Some(SamplerKind::Ddim),
            ("PNDMScheduler", _) => Some(SamplerKind::Pndm),
            ("EulerDiscreteScheduler", false) => Some(SamplerKind::Euler),
            ("DPMSolverMultistepScheduler", false) => Some(SamplerKind::DpmSolver),
            ("DPMSolverMultistepScheduler", true) => Some(SamplerKind::DpmSolverKarras),
            _ => None,
        }
    }
}

/// The field that names diffusers' class of scheduler.
const CLASS: &str = "_class_name";

/// Diffusers' classes whose noise levels follow from betas as [`NoiseSchedule::new`] computes them. What a model was
/// trained under does not depend on which of them draws.
const BY_BETAS: &[&str] = &[
    "DDIMParallelScheduler",
    "DDIMScheduler",
    "DDPMParallelScheduler",
    "DDPMScheduler",
    "DEISMultistepScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSDEScheduler",
    "DPMSolverSinglestepScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "HeunDiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "LCMScheduler",
    "LMSDiscreteScheduler",
    "PNDMScheduler",
    "SASolverScheduler",
    "TCDScheduler",
    "UniPCMultistepScheduler",
];

/// How betas grow by default in the classes whose defaults are latent diffusion's betas (0.00085 to 0.012) and not
/// those of `DDIMScheduler`: signatures in diffusers 0.35.
fn latent_schedule(class: &str) -> Option<&'static str> {
    match class {
        "LCMScheduler" | "TCDScheduler" => Some("scaled_linear"),
        "DPMSolverSDEScheduler"
        | "HeunDiscreteScheduler"
        | "KDPM2AncestralDiscreteScheduler"
        | "KDPM2DiscreteScheduler" => Some("linear"),
        _ => None,
    }
}

/// Refuses a class of scheduler whose noise levels are others than its betas say, if it has betas at all.
fn check_class(class: Option<&Value>) -> Result<()> {
    let value = match class {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::String(class)) if BY_BETAS.contains(&class.as_str()) => return Ok(()),
        Some(Value::String(class)) => class.clone(),
        Some(other) => other.to_string(),
    };
    Err(Error::Unsupported {
        what: "scheduler",
        value: format!(
            "{value}, whose noise levels are not known to follow from betas; a model that was trained on betas can be \
             saved again with DDIMScheduler or PNDMScheduler and its own betas, any other cannot be protected here"
        ),
    })
}

/// Fields that would change the computation, with the values under which they do not.
const INERT: &[(&str, &[&str])] = &[
    ("thresholding", &["false"]),
    ("trained_betas", &["null"]),
    ("use_flow_sigmas", &["false"]),
];

/// The noise levels of a diffusion process.
#[derive(Clone, Debug)]
pub struct NoiseSchedule {
    config: ScheduleConfig,
    alphas_cumprod: Vec<f32>,
}

impl NoiseSchedule {
    /// Computes the noise levels; refuses what this package cannot train or sample.
    pub fn new(config: &ScheduleConfig) -> Result<Self> {
        if config.prediction_type == PredictionType::Sample {
            return Err(Error::Unsupported {
                what: "prediction_type",
                value: "sample".to_owned(),
            });
        }
        check_class(config.extra.get(CLASS))?;
        for (field, inert) in INERT {
            if let Some(value) = config.extra.get(*field).map(ToString::to_string)
                && !inert.contains(&value.as_str())
            {
                return Err(Error::Unsupported { what: field, value });
            }
        }
        if config.rescale_betas_zero_snr && config.prediction_type == PredictionType::Epsilon {
            return Err(Error::Unsupported {
                what: "rescale_betas_zero_snr",
                value: "true with predicted noise: pure noise says nothing of the picture"
                    .to_owned(),
            });
        }
        let betas = betas(config)?;
        // The product runs in f32, as in diffusers: late noise levels depend on it.
        let mut product = 1.0_f32;
        let mut alphas_cumprod: Vec<f32> = betas
            .into_iter()
            .map(|beta| {
                product *= 1.0 - beta;
                product
            })
            .collect();
        if config.rescale_betas_zero_snr {
            silence_last(&mut alphas_cumprod);
        }
        Ok(Self {
            config: config.clone(),
            alphas_cumprod,
        })
    }

    /// The configuration.
    pub fn config(&self) -> &ScheduleConfig {
        &self.config
    }

    /// Share of the signal's variance left at each timestep.
    pub fn alphas_cumprod(&self) -> &[f32] {
        &self.alphas_cumprod
    }

    /// Signal-to-noise ratio at a timestep, `abar / (1 - abar)`.
    pub fn signal_to_noise(&self, timestep: usize) -> Result<f32> {
        let signal = self.alpha(timestep)?;
        Ok(signal / (1.0 - signal))
    }

    /// `sqrt(abar) * latents + sqrt(1 - abar) * noise`, one timestep per batch entry.
    ///
    /// `latents, noise: [b, ..]`. Gradient flows to: `latents`, `noise`.
    pub fn add_noise(
        &self,
        latents: &Tensor,
        noise: &Tensor,
        timesteps: &[usize],
    ) -> Result<Tensor> {
        let (signal, spread) = self.factors(latents, timesteps)?;
        Ok((latents.broadcast_mul(&signal)? + noise.broadcast_mul(&spread)?)?)
    }

    /// What the model is trained to predict: the noise or the velocity.
    pub fn training_target(
        &self,
        latents: &Tensor,
        noise: &Tensor,
        timesteps: &[usize],
    ) -> Result<Tensor> {
        if self.config.prediction_type == PredictionType::Epsilon {
            return Ok(noise.clone());
        }
        let (signal, spread) = self.factors(latents, timesteps)?;
        Ok((noise.broadcast_mul(&signal)? - latents.broadcast_mul(&spread)?)?)
    }

    fn alpha(&self, timestep: usize) -> Result<f32> {
        self.alphas_cumprod.get(timestep).copied().ok_or_else(|| {
            let count = self.alphas_cumprod.len();
            Error::InvalidArgument(format!("timestep {timestep} of {count}"))
        })
    }

    /// `sqrt(abar)` and `sqrt(1 - abar)`, shaped to multiply a batch.
    fn factors(&self, latents: &Tensor, timesteps: &[usize]) -> Result<(Tensor, Tensor)> {
        if latents.dims().first() != Some(&timesteps.len()) {
            let dims = latents.dims();
            let count = timesteps.len();
            return Err(Error::InvalidArgument(format!(
                "{count} timesteps for latents {dims:?}"
            )));
        }
        let alphas = timesteps
            .iter()
            .map(|timestep| self.alpha(*timestep))
            .collect::<Result<Vec<_>>>()?;
        let mut shape = vec![1; latents.rank()];
        shape[0] = timesteps.len();
        let tensor = |values: Vec<f32>| Tensor::from_vec(values, &shape[..], latents.device());
        let signal = tensor(alphas.iter().map(|alpha| alpha.sqrt()).collect())?;
        let spread = tensor(alphas.iter().map(|alpha| (1.0 - alpha).sqrt()).collect())?;
        Ok((signal, spread))
    }
}

/// Shifts and scales `sqrt(abar)` so that the first level stays and the last becomes 0.
fn silence_last(alphas_cumprod: &mut [f32]) {
    let (first, last) = (
        alphas_cumprod[0].sqrt(),
        alphas_cumprod[alphas_cumprod.len() - 1].sqrt(),
    );
    for alpha in alphas_cumprod {
        *alpha = ((alpha.sqrt() - last) * first / (first - last)).powi(2);
    }
}

/// Noise deviation relative to the signal at every timestep, `sqrt((1 - abar) / abar)`; where no signal is left,
/// that of `abar = 2^-24`.
fn deviations(schedule: &NoiseSchedule) -> Vec<f64> {
    let floor = 2.0_f64.powi(-24);
    let alphas = schedule.alphas_cumprod.iter();
    alphas
        .map(|alpha| f64::from(*alpha).max(floor))
        .map(|alpha| ((1.0 - alpha) / alpha).sqrt())
        .collect()
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "betas are f32, as in diffusers"
)]
fn betas(config: &ScheduleConfig) -> Result<Vec<f32>> {
    let count = config.num_train_timesteps;
    let inside = |beta: f64| beta > 0.0 && beta < 1.0;
    let betas = inside(config.beta_start) && inside(config.beta_end);
    if !(2..=MAX_TIMESTEPS).contains(&count) || !betas {
        return Err(Error::InvalidConfig(format!(
            "{count} timesteps with betas from {} to {}",
            config.beta_start, config.beta_end
        )));
    }
    let ramp = |start: f64, end: f64, index: usize| {
        start + (end - start) * index as f64 / (count - 1) as f64
    };
    let bar = |time: f64| ((time + 0.008) / 1.008 * PI / 2.0).cos().powi(2);
    let beta = |index: usize| match config.beta_schedule {
        BetaSchedule::Linear => ramp(config.beta_start, config.beta_end, index),
        BetaSchedule::ScaledLinear => {
            ramp(config.beta_start.sqrt(), config.beta_end.sqrt(), index).powi(2)
        }
        BetaSchedule::SquaredCosine => {
            let (now, next) = (
                index as f64 / count as f64,
                (index + 1) as f64 / count as f64,
            );
            (1.0 - bar(next) / bar(now)).min(0.999)
        }
    };
    Ok((0..count).map(|index| beta(index) as f32).collect())
}
