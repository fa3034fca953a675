//! This machine's own speed of matrix products.

use std::time::Instant;

use anyhow::Result;
use candle_core::Device;
use diffusion::{Threads, noise, ops};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const SIDE: usize = 2048;

/// The fastest of some products of square matrices, in 1e9 operations a second.
pub(crate) fn gigaflops(threads: usize) -> Result<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let left = noise::gaussian(&mut rng, (SIDE, SIDE), &Device::Cpu)?;
    let right = noise::gaussian(&mut rng, (SIDE, SIDE), &Device::Cpu)?;
    let threads = Threads::new(threads)?;
    let mut fastest = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        let product = threads.run(|| ops::linear(&left, &right, None))?;
        fastest = fastest.min(start.elapsed().as_secs_f64());
        drop(product);
    }
    Ok(2.0 * (SIDE as f64).powi(3) / fastest / 1e9)
}
