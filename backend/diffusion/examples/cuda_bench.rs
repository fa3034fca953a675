//! Times training steps of a random U-Net of Stable Diffusion 1.5's size at 512 pixels on a GPU.
//!
//! `cargo run --release -p diffusion --features cuda --example cuda_bench -- [STEPS] [BATCH]`;
//! `cuda_bench.py` beside this file times the same step in diffusers. Masters are `f32`, the
//! computation is `bf16`, the optimiser is `AdamW` with moments in `f32`.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use candle_core::{DType, Device};
use diffusion::{
    cuda, noise,
    optimizer::{AdamW, AdamWConfig},
    unet::{UNet, UNetConfig},
    weights::Parameters,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Latents of 512 pixels, and the tokens of a prompt.
const SIDE: usize = 64;
const TOKENS: usize = 77;

/// Steps before the clock starts: kernels load, memory is taken.
const WARM_UP: usize = 3;

/// Largest use of device memory, asked for every few milliseconds, by all programs together.
struct Watch {
    peak: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Watch {
    fn start(device: &Device) -> Result<Self> {
        let stream = device.as_cuda_device()?.cuda_stream();
        let (peak, stop) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let thread = thread::spawn({
            let (peak, stop) = (Arc::clone(&peak), Arc::clone(&stop));
            move || {
                while !stop.load(Ordering::Relaxed) {
                    if let Ok((free, total)) = stream.context().mem_get_info() {
                        peak.fetch_max(total - free, Ordering::Relaxed);
                    }
                    thread::sleep(Duration::from_millis(2));
                }
            }
        });
        Ok(Self { peak, stop, thread })
    }

    fn finish(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        // A watch that died has seen what it has seen.
        let _ = self.thread.join();
        self.peak.load(Ordering::Relaxed)
    }
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let steps: usize = arguments.next().map_or(Ok(20), |steps| steps.parse())?;
    let batch: usize = arguments.next().map_or(Ok(1), |batch| batch.parse())?;
    let device = cuda::device(0).context("there is no CUDA device")?;
    let watch = Watch::start(&device)?;
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let config = UNetConfig {
        cross_attention_dim: 768,
        ..UNetConfig::default()
    };
    let weights = config.initialize(&mut rng)?.to_device(&device)?;
    let count = weights.value_count();
    let parameters = Parameters::from_weights(&weights)?;
    drop(weights);
    let unet = UNet::new(config, &parameters.weights())?;
    let mut optimizer = AdamW::new(AdamWConfig::default());
    let latents = noise::gaussian(&mut rng, (batch, 4, SIDE, SIDE), &device)?;
    let latents = latents.to_dtype(DType::BF16)?;
    let target = noise::gaussian(&mut rng, (batch, 4, SIDE, SIDE), &device)?;
    let context = noise::gaussian(&mut rng, (batch, TOKENS, 768), &device)?.into();
    let timesteps = noise::gaussian(&mut rng, batch, &device)?;
    let timesteps = timesteps.abs()?.affine(300.0, 0.0)?;
    let mut times = Vec::new();
    let mut last = 0.0;
    for _ in 0..WARM_UP + steps {
        let start = Instant::now();
        let prediction = unet.forward(&latents, &timesteps, &context)?;
        let loss = (prediction.to_dtype(DType::F32)? - &target)?
            .sqr()?
            .mean_all()?;
        let gradients = loss.backward()?;
        optimizer.step(&parameters, &gradients)?;
        // Reading the loss waits for the device; the update is waited for by name.
        last = loss.to_scalar::<f32>()?;
        device.synchronize()?;
        times.push(start.elapsed().as_secs_f64());
    }
    times.drain(..WARM_UP);
    times.sort_by(f64::total_cmp);
    let median = times[times.len() / 2];
    println!(
        "persguard: {:.1} M parameters, batch {batch}, median {:.1} ms, {:.2} steps/s, \
         {:.2} GB of device memory in use, loss {last:.5}",
        count as f64 / 1e6,
        1e3 * median,
        1.0 / median,
        watch.finish() as f64 / 1e9,
    );
    Ok(())
}
