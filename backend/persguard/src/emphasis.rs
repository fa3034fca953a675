//! Which timesteps `L_BB` and `L_PP` look at, and how much they count.
//!
//! A deviation of ours from the uniform expectation of METHOD. Layout, and with it the object, is
//! decided where noise is high; there the two prompts differ least in predicted noise, and most in
//! the picture that the prediction stands for. On the demo's base model the difference between
//! "dog" and "apple" was 0.014 / 0.007 / 0.0003 at low / middle / high noise; uniform training for
//! 150 steps drifted by as much at high noise and left the trigger without effect.
//!
//! Owns the density and the weights. Refuses to touch `L_BR`, which is the attacker's loss.

use diffusion::schedule::{NoiseSchedule, PredictionType};
use rand::{Rng, seq::SliceRandom};

/// Largest weight before normalisation; keeps schedules that end in pure noise finite.
const CAP: f64 = 200.0;

/// The emphasis on high noise for one schedule.
#[derive(Clone, Debug)]
pub struct Emphasis {
    weights: Vec<f32>,
}

impl Emphasis {
    /// Weights `min(1 / abar_t, CAP)` with mean 1 over all timesteps: an error in predicted noise
    /// counts as the error in the picture that it makes, up to the factor `1 - abar_t`. An error in
    /// predicted velocity does so by itself: its weights are 1.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "weights are used in single precision"
    )]
    pub fn new(schedule: &NoiseSchedule) -> Self {
        let signal = schedule.alphas_cumprod().iter();
        let raw: Vec<f64> = signal
            .map(|abar| match schedule.config().prediction_type {
                PredictionType::VPrediction => 1.0,
                _ => (1.0 / f64::from(*abar)).min(CAP),
            })
            .collect();
        let mean = raw.iter().sum::<f64>() / raw.len() as f64;
        Self {
            weights: raw.iter().map(|weight| (weight / mean) as f32).collect(),
        }
    }

    /// Weight of a timestep.
    pub fn weight(&self, timestep: usize) -> f32 {
        self.weights[timestep]
    }

    /// `count` timesteps in random order, with density proportional to `t`: one from each of
    /// `count` slices of equal probability.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of the number of timesteps"
    )]
    pub fn draw(&self, count: usize, rng: &mut impl Rng) -> Vec<usize> {
        let all = self.weights.len();
        let mut timesteps: Vec<usize> = (0..count)
            .map(|slice| {
                let share = (slice as f64 + rng.random::<f64>()) / count as f64;
                ((share.sqrt() * all as f64) as usize).min(all - 1)
            })
            .collect();
        timesteps.shuffle(rng);
        timesteps
    }
}

#[cfg(test)]
mod tests {
    use diffusion::schedule::ScheduleConfig;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn emphasis() -> Emphasis {
        Emphasis::new(&NoiseSchedule::new(&ScheduleConfig::default()).unwrap())
    }

    #[test]
    fn weights_rise_with_noise_and_have_mean_one() {
        let emphasis = emphasis();
        let mean = emphasis.weights.iter().sum::<f32>() / 1000.0;
        assert!((mean - 1.0).abs() < 1e-4, "{mean}");
        assert!(emphasis.weights.windows(2).all(|pair| pair[0] <= pair[1]));
        let ratio = emphasis.weight(999) / emphasis.weight(0);
        // abar_0 = 0.9999, and the cap.
        assert!((ratio - 0.9999 * 200.0).abs() < 0.1, "{ratio}");
    }

    #[test]
    fn timesteps_lean_to_high_noise() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let drawn = emphasis().draw(400, &mut rng);
        let below = drawn.iter().filter(|timestep| **timestep < 500).count();
        // A quarter of the area under a rising line lies in its lower half.
        assert!((99..=101).contains(&below), "{below}");
        assert!(drawn.iter().all(|timestep| *timestep < 1000));
        assert!(drawn.windows(2).any(|pair| pair[0] > pair[1]));
    }
}
