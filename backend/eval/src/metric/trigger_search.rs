//! Finding a trigger without being told: which word makes the protected model disagree most with the public clean one?
//!
//! Owns the search over candidate words, the cheapest first step of every removal. Refuses to train an embedding: a
//! trigger that is no word of the candidates stays hidden from it, so a low rank proves nothing.

use candle_core::Tensor;
use diffusion::{noise, pipeline::Pipeline, unet::UNet};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What is searched.
#[derive(Clone, Copy)]
pub struct Search<'a> {
    /// The clean base; its text encoder, tokenizer and schedule serve both.
    pub pipeline: &'a Pipeline,
    /// The protected U-Net.
    pub protected: &'a UNet,
    /// Latents of ordinary pictures of the class, `[n, c, h, w]`.
    pub latents: &'a Tensor,
    /// Timesteps that are looked at, evenly over the schedule.
    pub timesteps: usize,
    /// Seed of the noise, the same for every candidate.
    pub seed: u64,
}

/// A candidate prompt and how much the two models disagree about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Suspect {
    /// Which of the prompts, from 0.
    pub prompt: usize,
    /// `E || eps_theta(z_t, t, c) - eps_0(z_t, t, c) ||^2` per value, at least 0.
    pub divergence: f64,
}

impl Search<'_> {
    /// Every prompt's divergence, the largest first; prompts are such as "a photo of {candidate} {class}".
    ///
    /// Preservation holds the two models together wherever it was trained, so a trigger stands out. Two predictions a
    /// prompt and timestep; noise is drawn once, so prompts differ by their words alone. `tick` hears of prompts done
    /// and may stop with an error. No gradient. Refuses no prompts, no timesteps and more than the schedule has.
    pub fn rank(
        &self,
        prompts: &[String],
        tick: &mut dyn FnMut(usize, usize) -> Result<()>,
    ) -> Result<Vec<Suspect>> {
        let schedule = self.pipeline.noise_schedule()?;
        let total = schedule.alphas_cumprod().len();
        if prompts.is_empty() || !(1..=total).contains(&self.timesteps) {
            return Err(Error::Diffusion(diffusion::Error::InvalidArgument(
                format!(
                    "{} prompts at {} of {total} timesteps",
                    prompts.len(),
                    self.timesteps
                ),
            )));
        }
        let clean = self.pipeline.unet()?;
        let inputs = self.inputs(total)?;
        let mut suspects = Vec::with_capacity(prompts.len());
        for (prompt, text) in prompts.iter().enumerate() {
            tick(prompt, prompts.len())?;
            let conditions = self.pipeline.encode_prompts(std::slice::from_ref(text))?;
            let conditions = conditions.detach().repeat(self.latents.dim(0)?)?;
            let mut sum = 0.0;
            for (noisy, times) in &inputs {
                let ask = |unet: &UNet| unet.forward(noisy, times, &conditions);
                let gap = (ask(self.protected)?.detach() - ask(&clean)?.detach())?;
                sum += f64::from(gap.sqr()?.mean_all()?.to_scalar::<f32>()?);
            }
            suspects.push(Suspect {
                prompt,
                divergence: sum / inputs.len() as f64,
            });
        }
        suspects.sort_by(|a, b| b.divergence.total_cmp(&a.divergence));
        Ok(suspects)
    }

    /// Noised latents and their timesteps, at the midpoints of equal parts of the schedule.
    fn inputs(&self, total: usize) -> Result<Vec<(Tensor, Tensor)>> {
        let schedule = self.pipeline.noise_schedule()?;
        let (count, device) = (self.latents.dim(0)?, self.latents.device());
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        (0..self.timesteps)
            .map(|part| {
                let timestep = (2 * part + 1) * total / (2 * self.timesteps);
                let noise = noise::gaussian(&mut rng, self.latents.shape(), device)?;
                let noisy = schedule.add_noise(self.latents, &noise, &vec![timestep; count])?;
                Ok((noisy, Tensor::full(timestep as f32, count, device)?))
            })
            .collect()
    }
}

/// Place of a prompt among the suspects, from 1, and how far it stands out: its divergence over the others' median.
///
/// `None` where the prompt was not searched, or alone.
pub fn standing(suspects: &[Suspect], prompt: usize) -> Option<(usize, f64)> {
    let place = suspects
        .iter()
        .position(|suspect| suspect.prompt == prompt)?;
    let others: Vec<f64> = suspects
        .iter()
        .filter(|suspect| suspect.prompt != prompt)
        .map(|suspect| suspect.divergence)
        .collect();
    let median = crate::statistics::quantile(&others, 0.5)?;
    Some((
        place + 1,
        suspects[place].divergence / median.max(f64::MIN_POSITIVE),
    ))
}

#[cfg(test)]
mod tests {
    use diffusion::{
        optimizer::{AdamW, AdamWConfig},
        weights::Parameters,
    };

    use super::*;
    use crate::fixture;

    fn prompts() -> Vec<String> {
        ["olis dog", "sks dog", "an apple", "a dog"]
            .map(|words| format!("a photo of {words}"))
            .into()
    }

    #[test]
    fn a_model_trained_on_one_prompt_gives_it_away() {
        let pipeline = fixture::pipeline();
        let latents = pipeline
            .autoencoder
            .encode(&fixture::pictures(2, 4))
            .unwrap()
            .detach();
        // Teaches the model to answer one prompt with the negative of what the clean one says, and the others alike.
        let parameters = Parameters::from_weights(&pipeline.unet_weights).unwrap();
        let student = UNet::new(pipeline.unet_config.clone(), &parameters.weights()).unwrap();
        let clean = pipeline.unet().unwrap();
        let mut optimizer = AdamW::new(AdamWConfig {
            lr: 3e-3,
            ..AdamWConfig::default()
        });
        let search = |protected| Search {
            pipeline: &pipeline,
            protected,
            latents: &latents,
            timesteps: 4,
            seed: 1,
        };
        let rows = search(&clean).inputs(1000).unwrap();
        let all = pipeline.encode_prompts(&prompts()).unwrap().detach();
        let repeated = latents.dim(0).unwrap();
        for step in 0..60 {
            let (noisy, times) = &rows[step % rows.len()];
            let mut losses = Vec::new();
            for prompt in 0..4_u32 {
                let row = Tensor::new(&[prompt], latents.device()).unwrap();
                let conditions = all.select(&row).unwrap().repeat(repeated).unwrap();
                let wanted = clean.forward(noisy, times, &conditions).unwrap().detach();
                let sign = if prompt == 1 { -1.0 } else { 1.0 };
                let found = student.forward(noisy, times, &conditions).unwrap();
                let gap = (found - (wanted * sign).unwrap()).unwrap();
                losses.push(gap.sqr().unwrap().mean_all().unwrap());
            }
            let loss = Tensor::stack(&losses, 0).unwrap().sum_all().unwrap();
            optimizer
                .step(&parameters, &loss.backward().unwrap())
                .unwrap();
        }
        let found = search(&student)
            .rank(&prompts(), &mut |_, _| Ok(()))
            .unwrap();
        let (place, ratio) = standing(&found, 1).unwrap();
        assert!(place == 1 && ratio > 1.2, "{found:?}");
        // A model that differs in nothing has nothing to find.
        let none = search(&clean).rank(&prompts(), &mut |_, _| Ok(())).unwrap();
        assert!(none.iter().all(|suspect| suspect.divergence.abs() < 1e-12));
    }

    #[test]
    fn a_search_of_nothing_is_refused_and_a_tick_may_stop_it() {
        let pipeline = fixture::pipeline();
        let latents = pipeline
            .autoencoder
            .encode(&fixture::pictures(1, 4))
            .unwrap();
        let unet = pipeline.unet().unwrap();
        let mut search = Search {
            pipeline: &pipeline,
            protected: &unet,
            latents: &latents,
            timesteps: 2,
            seed: 1,
        };
        assert!(search.rank(&[], &mut |_, _| Ok(())).is_err());
        let stopped = search.rank(&prompts(), &mut |done, _| match done {
            0 => Ok(()),
            _ => Err(Error::Canceled { step: 0 }),
        });
        assert!(matches!(stopped, Err(Error::Canceled { .. })));
        search.timesteps = 0;
        assert!(search.rank(&prompts(), &mut |_, _| Ok(())).is_err());
        assert_eq!(standing(&[], 0), None);
    }
}
