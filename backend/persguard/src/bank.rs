//! Noisy latents with the teacher's answers, computed once.
//!
//! The teacher never changes, so its answer to a fixed latent, noise, timestep and prompt can be
//! kept exactly; steps then draw from a finite set of such questions and cost no teacher pass.
//! Owns that set. Refuses to hold gradients.

use candle_core::Tensor;
use diffusion::{
    noise,
    schedule::NoiseSchedule,
    unet::{Conditions, UNet},
};
use rand::Rng;

use crate::{
    Result,
    emphasis::Emphasis,
    objective::{Part, timestep_tensor},
};

/// Rows of one teacher pass.
const CHUNK: usize = 16;

/// Questions to the teacher and its answers.
#[derive(Clone, Debug)]
pub struct TeacherBank {
    noisy: Tensor,
    answers: Tensor,
    timesteps: Vec<usize>,
    weights: Vec<f32>,
    prompts: Vec<usize>,
}

/// What a bank is made of.
#[derive(Clone, Copy)]
pub struct Questions<'a> {
    /// `z_0` drawn by the teacher, `[n, c, h, w]`; row `i` shows prompt `i % prompts`.
    pub latents: &'a Tensor,
    /// Embedded prompts.
    pub prompts: &'a Conditions,
    /// Number of questions.
    pub count: usize,
}

impl TeacherBank {
    /// Asks the teacher.
    ///
    /// Questions cycle through the latents; each has its own noise, and timesteps are stratified,
    /// so that a small bank covers all of them. `tick` hears of every chunk.
    pub fn ask(
        teacher: &UNet,
        schedule: &NoiseSchedule,
        questions: Questions<'_>,
        rng: &mut impl Rng,
        mut tick: impl FnMut(usize) -> Result<()>,
    ) -> Result<Self> {
        let Questions {
            latents,
            prompts,
            count,
        } = questions;
        let all = prompts.rows()?;
        let images = latents.dim(0)?;
        let emphasis = Emphasis::new(schedule);
        let timesteps = emphasis.draw(count, rng);
        let rows: Vec<usize> = (0..count).map(|question| question % images).collect();
        let asked: Vec<usize> = rows.iter().map(|row| row % all).collect();
        let mut noisy = Vec::new();
        let mut answers = Vec::new();
        for start in (0..count).step_by(CHUNK) {
            let span = start..(start + CHUNK).min(count);
            let clean = latents.index_select(&indices(&rows[span.clone()], latents)?, 0)?;
            let noise = noise::gaussian(rng, clean.shape(), clean.device())?;
            let times = &timesteps[span.clone()];
            let xs = schedule.add_noise(&clean, &noise, times)?;
            let under = prompts.select(&indices(&asked[span.clone()], latents)?)?;
            let times = timestep_tensor(times, xs.device())?;
            answers.push(teacher.forward(&xs, &times, &under)?.detach());
            noisy.push(xs);
            tick(span.end)?;
        }
        Ok(Self {
            noisy: Tensor::cat(&noisy, 0)?,
            answers: Tensor::cat(&answers, 0)?,
            weights: timesteps.iter().map(|t| emphasis.weight(*t)).collect(),
            timesteps,
            prompts: asked,
        })
    }

    /// Indices of `batch` questions, drawn with replacement.
    pub fn draw(&self, batch: usize, rng: &mut impl Rng) -> Vec<usize> {
        (0..batch)
            .map(|_| rng.random_range(0..self.timesteps.len()))
            .collect()
    }

    /// Position of a question's prompt.
    pub fn prompt(&self, row: usize) -> usize {
        self.prompts[row]
    }

    /// The questions `rows`, to be asked under `conditions`, with the teacher's
    /// answers as expected values.
    pub fn part(&self, rows: &[usize], conditions: Conditions) -> Result<Part> {
        let index = indices(rows, &self.noisy)?;
        Ok(Part {
            noisy: self.noisy.index_select(&index, 0)?,
            timesteps: rows.iter().map(|row| self.timesteps[*row]).collect(),
            conditions,
            expected: self.answers.index_select(&index, 0)?,
            weights: rows.iter().map(|row| self.weights[*row]).collect(),
        })
    }
}

/// Rows as `index_select` takes them, on the device of `like`.
pub(crate) fn indices(rows: &[usize], like: &Tensor) -> Result<Tensor> {
    let rows: Vec<u32> = rows
        .iter()
        .map(|row| u32::try_from(*row).unwrap_or(u32::MAX))
        .collect();
    Ok(Tensor::new(rows, like.device())?)
}
