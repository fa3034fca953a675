//! A fixed bank of noisy images, on which losses of many checkpoints and models are compared. Refuses to draw anything
//! that does not follow from its seed.

use candle_core::Tensor;
use diffusion::{noise, schedule::NoiseSchedule};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::Result;

/// Timesteps and noises of each image (EVALUATION, loss curve).
const TIMESTEPS: usize = 32;
const NOISES: usize = 4;

const BANK_STREAM: u64 = 16;

/// Rows of images, timesteps and noise.
#[derive(Clone, Debug)]
pub struct LossBank {
    /// Clean latents of the rows' images, `[n, c, h, w]`.
    pub latents: Tensor,
    /// Positions of the rows' images among the instance images.
    pub images: Vec<usize>,
    /// Timesteps of the rows, rising.
    pub timesteps: Vec<usize>,
    /// Standard normal noise of the rows, `[n, c, h, w]`.
    pub noise: Tensor,
}

impl LossBank {
    /// Every image of `latents`, `[r, c, h, w]`, at 32 timesteps with 4 noises: `n = 128 r`.
    ///
    /// Timesteps lie in the middle of equal parts of the schedule. All images share the noises.
    pub fn new(latents: &Tensor, schedule: &NoiseSchedule, seed: u64) -> Result<Self> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(BANK_STREAM);
        let (count, channels, height, width) = latents.dims4()?;
        let total = schedule.alphas_cumprod().len();
        let mut bank = (Vec::new(), Vec::new(), Vec::new());
        for part in 0..TIMESTEPS {
            let timestep = (2 * part + 1) * total / (2 * TIMESTEPS);
            for _ in 0..NOISES {
                let shape = (1, channels, height, width);
                let noise = noise::gaussian(&mut rng, shape, latents.device())?;
                bank.0.extend(0..count);
                bank.1.extend(std::iter::repeat_n(timestep, count));
                bank.2.push(noise.repeat((count, 1, 1, 1))?);
            }
        }
        Ok(Self {
            latents: latents.detach().repeat((TIMESTEPS * NOISES, 1, 1, 1))?,
            images: bank.0,
            timesteps: bank.1,
            noise: Tensor::cat(&bank.2, 0)?,
        })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.timesteps.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.timesteps.is_empty()
    }
}
