//! The choice of a sampler, and one way to drive any of them.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::{Ddim, DpmSolver, Euler, NoiseSchedule, Pndm};
use crate::Result;

/// Samplers by their common names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SamplerKind {
    /// Deterministic, one prediction a step.
    #[default]
    Ddim,
    /// Euler's method over noise deviations.
    Euler,
    /// DPM-Solver++ (2M): as good as DDIM in half the steps.
    DpmSolver,
    /// DPM-Solver++ (2M) with the noise levels of Karras et al.
    DpmSolverKarras,
    /// Pseudo linear multistep, the first sampler of Stable Diffusion.
    Pndm,
}

/// A sampler under way: one run of latents from noise to clean.
#[derive(Clone, Debug)]
pub struct Sampler(State);

#[derive(Clone, Debug)]
enum State {
    Ddim(Ddim, Vec<f64>),
    Euler(Euler),
    DpmSolver(DpmSolver),
    Pndm(Pndm),
}

impl Sampler {
    /// Plans `steps` steps over a schedule.
    pub fn new(kind: SamplerKind, schedule: &NoiseSchedule, steps: usize) -> Result<Self> {
        Ok(Self(match kind {
            SamplerKind::Ddim => {
                let ddim = Ddim::new(schedule, steps)?;
                let timesteps = ddim.timesteps().iter().map(|t| *t as f64).collect();
                State::Ddim(ddim, timesteps)
            }
            SamplerKind::Euler => State::Euler(Euler::new(schedule, steps)?),
            SamplerKind::DpmSolver => State::DpmSolver(DpmSolver::new(schedule, steps, false)?),
            SamplerKind::DpmSolverKarras => {
                State::DpmSolver(DpmSolver::new(schedule, steps, true)?)
            }
            SamplerKind::Pndm => State::Pndm(Pndm::new(schedule, steps)?),
        }))
    }

    /// What the model is asked, in order: its timestep input, one entry a prediction.
    pub fn timesteps(&self) -> &[f64] {
        match &self.0 {
            State::Ddim(_, timesteps) => timesteps,
            State::Euler(euler) => euler.timesteps(),
            State::DpmSolver(solver) => solver.timesteps(),
            State::Pndm(pndm) => pndm.timesteps(),
        }
    }

    /// Factor of the unit Gaussian noise that sampling starts from.
    pub fn initial_scale(&self) -> f64 {
        match &self.0 {
            State::Euler(euler) => euler.initial_scale(),
            _ => 1.0,
        }
    }

    /// The latents as the model reads them before prediction `index`.
    pub fn scale_input(&self, latents: &Tensor, index: usize) -> Result<Tensor> {
        match &self.0 {
            State::Euler(euler) => euler.scale_input(latents, index),
            _ => Ok(latents.clone()),
        }
    }

    /// Latents after prediction `index`. Predictions come in the order of [`Self::timesteps`], because multistep
    /// samplers remember earlier ones.
    pub fn step(&mut self, prediction: &Tensor, index: usize, latents: &Tensor) -> Result<Tensor> {
        match &mut self.0 {
            State::Ddim(ddim, _) => ddim.step(prediction, ddim.timesteps()[index], latents),
            State::Euler(euler) => euler.step(prediction, index, latents),
            State::DpmSolver(solver) => solver.step(prediction, index, latents),
            State::Pndm(pndm) => pndm.step(prediction, index, latents),
        }
    }
}
