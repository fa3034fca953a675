//! The loss of a model on the protected pictures over a fixed bank of noises, in three bands: a diagnostic, never proof.
//!
//! Owns the bank. Refuses to train, and to draw conclusions: a low loss says that a model can denoise the subject, not
//! that it draws it.

use candle_core::Tensor;
use diffusion::{
    noise,
    schedule::NoiseSchedule,
    unet::{Conditions, UNet},
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::Result;

/// Timesteps of the bank (EVALUATION, metrics: loss curve).
pub const TIMESTEPS: usize = 32;
/// Noises of each timestep and picture.
pub const NOISES: usize = 4;

/// Mean losses by noise band: thirds of the schedule's timesteps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BandMeans {
    /// Little noise: texture.
    pub low: f64,
    /// The middle third.
    pub middle: f64,
    /// Much noise: layout.
    pub high: f64,
}

/// Losses of one model over the bank.
#[derive(Clone, Debug, PartialEq)]
pub struct LossPoint {
    /// By timestep, rising, the mean over noises and pictures.
    pub by_timestep: Vec<(usize, f64)>,
    /// Means of the three bands.
    pub bands: BandMeans,
    /// Mean over the bank.
    pub mean: f64,
}

/// 32 timesteps x 4 noises x every picture, the same for every model and checkpoint.
#[derive(Clone, Debug)]
pub struct LossBank {
    schedule: NoiseSchedule,
    latents: Tensor,
    timesteps: Vec<usize>,
    seed: u64,
}

impl LossBank {
    /// `latents: [n, c, h, w]` of the protected pictures; noises come from `seed`.
    ///
    /// Timesteps are the midpoints of 32 equal parts of the schedule.
    pub fn new(schedule: NoiseSchedule, latents: &Tensor, seed: u64) -> Self {
        let total = schedule.alphas_cumprod().len();
        let midpoint = |part: usize| (2 * part + 1) * total / (2 * TIMESTEPS);
        Self {
            schedule,
            latents: latents.detach(),
            timesteps: (0..TIMESTEPS).map(midpoint).collect(),
            seed,
        }
    }

    /// The bank's timesteps, rising.
    pub fn timesteps(&self) -> &[usize] {
        &self.timesteps
    }

    /// Losses of `unet` under `condition` (one row).
    pub fn measure(&self, unet: &UNet, condition: &Conditions) -> Result<LossPoint> {
        let conditions = condition.repeat(self.latents.dim(0)?)?;
        self.measure_by(&mut |noisy, times| Ok(unet.forward(noisy, times, &conditions)?))
    }

    /// Losses of anything that predicts.
    ///
    /// `predict(z_t, t)` gets `[n, c, h, w]` and `[n]`, and gives the prediction. The loss of one entry is
    /// `mean || y - predict(z_t, t) ||^2` over its values, `y` the schedule's target (noise or velocity; METHOD,
    /// Eq. 3). No gradient.
    pub fn measure_by(
        &self,
        predict: &mut dyn FnMut(&Tensor, &Tensor) -> Result<Tensor>,
    ) -> Result<LossPoint> {
        let (count, device) = (self.latents.dim(0)?, self.latents.device());
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut by_timestep = Vec::with_capacity(TIMESTEPS);
        for &timestep in &self.timesteps {
            let times = Tensor::full(timestep as f32, count, device)?;
            let rows = vec![timestep; count];
            let mut sum = 0.0;
            for _ in 0..NOISES {
                let noise = noise::gaussian(&mut rng, self.latents.shape(), device)?;
                let noisy = self.schedule.add_noise(&self.latents, &noise, &rows)?;
                let target = self
                    .schedule
                    .training_target(&self.latents, &noise, &rows)?;
                let error = (predict(&noisy, &times)?.detach() - target)?;
                sum += f64::from(error.sqr()?.mean_all()?.to_scalar::<f32>()?);
            }
            by_timestep.push((timestep, sum / NOISES as f64));
        }
        Ok(self.summarise(by_timestep))
    }

    fn summarise(&self, by_timestep: Vec<(usize, f64)>) -> LossPoint {
        let total = self.schedule.alphas_cumprod().len();
        let (mut sums, mut counts) = ([0.0; 3], [0_usize; 3]);
        for (timestep, loss) in &by_timestep {
            let band = (timestep * 3 / total).min(2);
            sums[band] += loss;
            counts[band] += 1;
        }
        let band = |index: usize| sums[index] / counts[index].max(1) as f64;
        LossPoint {
            bands: BandMeans {
                low: band(0),
                middle: band(1),
                high: band(2),
            },
            mean: sums.iter().sum::<f64>() / by_timestep.len().max(1) as f64,
            by_timestep,
        }
    }
}

/// How much of the clean model's learning the protected one lacks, over an attack's checkpoints.
///
/// `1 - (L_A1(0) - L_A1(s)) / (L_A0(0) - L_A0(s))` at the last step: 0 where the attack lowers the loss alike, 1 where it
/// does not lower the protected model's, above 1 where that rises. Curves are mean losses by checkpoint, the first
/// before the attack. `None` with fewer than two checkpoints, or where the attack does not lower the clean model's.
pub fn learning_lost(clean: &[f64], protected: &[f64]) -> Option<f64> {
    let fall = |curve: &[f64]| match curve {
        [first, .., last] => Some(first - last),
        _ => None,
    };
    let (clean, protected) = (fall(clean)?, fall(protected)?);
    (clean > 0.0).then(|| 1.0 - protected / clean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn the_bank_is_fixed_and_knows_its_bands() {
        let pipeline = fixture::pipeline();
        let latents = pipeline
            .autoencoder
            .encode(&fixture::pictures(2, 4))
            .unwrap();
        let bank = LossBank::new(pipeline.noise_schedule().unwrap(), &latents, 5);
        assert_eq!(bank.timesteps().len(), TIMESTEPS);
        assert_eq!((bank.timesteps()[0], bank.timesteps()[31]), (15, 984));
        // A predictor of nothing loses the mean square of the noise, whatever the timestep.
        let mut seen = Vec::new();
        let found = bank
            .measure_by(&mut |noisy, times| {
                seen.push(times.to_vec1::<f32>().unwrap()[0]);
                Ok(noisy.zeros_like()?)
            })
            .unwrap();
        assert_eq!(seen.len(), TIMESTEPS * NOISES);
        for band in [found.bands.low, found.bands.middle, found.bands.high] {
            assert!((band - 1.0).abs() < 0.02, "{band}");
        }
        // One that knows the picture and undoes the noise loses nothing.
        let schedule = pipeline.noise_schedule().unwrap();
        let exact = bank
            .measure_by(&mut |noisy, times| {
                let t = times.to_vec1::<f32>().unwrap()[0];
                let index = bank
                    .timesteps()
                    .iter()
                    .find(|step| **step as f32 == t)
                    .unwrap();
                let kept = f64::from(schedule.alphas_cumprod()[*index]);
                let noise = (noisy - (&latents * kept.sqrt())?)?;
                Ok((noise / (1.0 - kept).sqrt())?)
            })
            .unwrap();
        assert!(exact.mean < 1e-6, "{}", exact.mean);
    }

    #[test]
    fn a_model_measures_the_same_twice_and_otherwise_under_another_prompt() {
        let pipeline = fixture::pipeline();
        let latents = pipeline
            .autoencoder
            .encode(&fixture::pictures(2, 4))
            .unwrap();
        let bank = LossBank::new(pipeline.noise_schedule().unwrap(), &latents, 5);
        let unet = pipeline.unet().unwrap();
        let measure = |prompt: &str| {
            let condition = pipeline.encode_prompts(&[prompt.to_owned()]).unwrap();
            bank.measure(&unet, &condition).unwrap()
        };
        let first = measure("a photo of a dog");
        assert_eq!(first, measure("a photo of a dog"));
        assert!((first.mean - measure("a photo of olis apple").mean).abs() > 1e-6);
        assert!(first.mean > 0.5 && first.mean < 3.0, "{}", first.mean);
    }

    #[test]
    fn learning_is_compared_from_start_to_end() {
        assert_eq!(learning_lost(&[0.5, 0.3, 0.1], &[0.5, 0.5, 0.5]), Some(1.0));
        let half = learning_lost(&[0.5, 0.1], &[0.4, 0.2]).unwrap();
        assert!((half - 0.5).abs() < 1e-12);
        assert_eq!(learning_lost(&[0.5], &[0.5]), None);
        assert_eq!(learning_lost(&[0.1, 0.5], &[0.5, 0.1]), None);
    }
}
