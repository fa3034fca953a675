//! Damage that generated pictures show: blur, noise, lost detail, shifted colours. The metric encoder learns on
//! it. Refuses to touch what the base model trains on.

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

/// Damages one picture in place, `pixels: [3, side, side]` in [-1, 1]; a third of the calls leave it clean.
pub fn degrade(pixels: &mut [f32], side: usize, rng: &mut impl Rng) {
    if rng.random_bool(1.0 / 3.0) {
        return;
    }
    if rng.random_bool(0.4) {
        let strength = rng.random_range(0.2..1.0);
        blur(pixels, side, strength);
    }
    if rng.random_bool(0.5) {
        fade_detail(pixels, side, 2, rng);
    }
    if rng.random_bool(0.5) {
        shift_colours(pixels, rng);
    }
    if rng.random_bool(0.5) {
        let deviation = rng.random_range(0.02..0.18);
        add_noise(pixels, deviation, rng);
    }
    for value in pixels.iter_mut() {
        *value = value.clamp(-1.0, 1.0);
    }
}

/// Mixes every pixel with the mean of its 3 x 3 neighbourhood.
pub fn blur(pixels: &mut [f32], side: usize, strength: f32) {
    for plane in pixels.chunks_exact_mut(side * side) {
        let sharp = plane.to_vec();
        for (at, value) in plane.iter_mut().enumerate() {
            let (x, y) = (at % side, at / side);
            let columns = x.saturating_sub(1)..(x + 2).min(side);
            let rows = y.saturating_sub(1)..(y + 2).min(side);
            let count = (columns.len() * rows.len()) as f32;
            let sum: f32 = rows
                .map(|row| sharp[row * side..][columns.clone()].iter().sum::<f32>())
                .sum();
            *value += strength * (sum / count - *value);
        }
    }
}

/// Scales the deviations from the mean of every block and shakes both, as a sampler of Haar latents does.
fn fade_detail(pixels: &mut [f32], side: usize, block: usize, rng: &mut impl Rng) {
    let keep: f32 = rng.random_range(0.3..1.1);
    let shake: f32 = rng.random_range(0.0..0.12);
    let mut normal = || -> f32 { StandardNormal.sample(rng) };
    for plane in pixels.chunks_exact_mut(side * side) {
        for y in (0..side).step_by(block) {
            for x in (0..side).step_by(block) {
                let places = (y..y + block).flat_map(|y| (x..x + block).map(move |x| y * side + x));
                let mean = places.clone().map(|at| plane[at]).sum::<f32>() / (block * block) as f32;
                let shaken = mean + 0.5 * shake * normal();
                for at in places {
                    plane[at] = shaken + keep * (plane[at] - mean) + 0.7 * shake * normal();
                }
            }
        }
    }
}

fn shift_colours(pixels: &mut [f32], rng: &mut impl Rng) {
    let plane = pixels.len() / 3;
    for channel in pixels.chunks_exact_mut(plane) {
        let (gain, offset) = (rng.random_range(0.85..1.12), rng.random_range(-0.08..0.08));
        for value in channel.iter_mut() {
            *value = *value * gain + offset;
        }
    }
}

/// Adds independent Gaussian noise.
pub fn add_noise(pixels: &mut [f32], deviation: f32, rng: &mut impl Rng) {
    for value in pixels {
        let noise: f32 = StandardNormal.sample(rng);
        *value += deviation * noise;
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn damage_repeats_and_stays_in_range() {
        let damaged = |seed| {
            let mut pixels: Vec<f32> = (0..3 * 64).map(|i| (i as f32 * 0.37).sin()).collect();
            degrade(&mut pixels, 8, &mut ChaCha8Rng::seed_from_u64(seed));
            pixels
        };
        for seed in 0..50 {
            assert_eq!(damaged(seed), damaged(seed));
            assert!(
                damaged(seed)
                    .iter()
                    .all(|value| (-1.0..=1.0).contains(value))
            );
        }
    }

    #[test]
    fn blur_keeps_a_flat_picture() {
        let mut pixels = vec![0.25; 3 * 16];
        blur(&mut pixels, 4, 1.0);
        assert!(pixels.iter().all(|value| (value - 0.25).abs() < 1e-6));
    }
}
