//! Times one training step of a small U-Net: forward, backward, `AdamW`.
//!
//! `RAYON_NUM_THREADS=1 cargo run -p diffusion --example step_bench -- [STEPS] [FOLDER] [medium]`.
//! With a folder, the weights and the batch are written there, so that `step_bench.py` beside
//! this file can time the same step in `PyTorch` and diffusers; `medium` takes a larger U-Net.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::{collections::BTreeMap, fs, path::PathBuf, time::Instant};

use anyhow::{Result, bail};
use candle_core::{DType, Device};
use diffusion::{
    noise,
    optimizer::{AdamW, AdamWConfig},
    unet::{Conditions, PerLevel, UNet, UNetConfig},
    weights::{Parameters, Weights},
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: usize = 32;

fn demo_config() -> UNetConfig {
    let names = |names: [&str; 3]| names.map(str::to_owned).to_vec();
    UNetConfig {
        in_channels: 12,
        out_channels: 12,
        block_out_channels: vec![48, 96, 96],
        layers_per_block: 1,
        down_block_types: names([
            "DownBlock2D",
            "CrossAttnDownBlock2D",
            "CrossAttnDownBlock2D",
        ]),
        up_block_types: names(["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"]),
        cross_attention_dim: 96,
        attention_head_dim: PerLevel::Same(4),
        norm_num_groups: 16,
        sample_size: Some(16),
        ..UNetConfig::default()
    }
}

/// Twice the parameters, and latents of 4x4 blocks of pixels.
fn medium_config() -> UNetConfig {
    UNetConfig {
        in_channels: 48,
        out_channels: 48,
        block_out_channels: vec![64, 128, 128],
        cross_attention_dim: 128,
        ..demo_config()
    }
}

fn peak_megabytes() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.unwrap_or(f64::NAN) / 1024.0
}

/// Processor time of this process in milliseconds (user and system, in ticks of 10 ms).
fn processor_time() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat
        .rsplit(')')
        .next()
        .unwrap_or("")
        .split_whitespace()
        .skip(11)
        .take(2);
    fields
        .filter_map(|field| field.parse::<f64>().ok())
        .sum::<f64>()
        * 10.0
}

fn main() -> Result<()> {
    diffusion::in_pool(run)
}

fn run() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let steps: usize = arguments.next().map_or(Ok(10), |steps| steps.parse())?;
    let folder = arguments.next().map(PathBuf::from);
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let config = match arguments.next().as_deref() {
        None => demo_config(),
        Some("medium") => medium_config(),
        Some(other) => bail!("{other} is no size"),
    };
    let (channels, side) = (config.in_channels, 16);
    let weights = config.initialize(&mut rng)?;
    let latents = noise::gaussian(&mut rng, (BATCH, channels, side, side), &Device::Cpu)?;
    let target = noise::gaussian(&mut rng, (BATCH, channels, side, side), &Device::Cpu)?;
    let context = noise::gaussian(
        &mut rng,
        (BATCH, 20, config.cross_attention_dim),
        &Device::Cpu,
    )?;
    let timesteps = noise::gaussian(&mut rng, BATCH, &Device::Cpu)?
        .abs()?
        .affine(300.0, 0.0)?;
    if let Some(folder) = &folder {
        fs::create_dir_all(folder)?;
        let none = BTreeMap::new();
        weights.save(folder.join("unet.safetensors"), DType::F32, &none)?;
        fs::write(
            folder.join("config.json"),
            serde_json::to_vec_pretty(&config)?,
        )?;
        let batch = [
            ("latents", &latents),
            ("target", &target),
            ("context", &context),
            ("timesteps", &timesteps),
        ];
        let batch: Weights = batch
            .into_iter()
            .map(|(name, tensor)| (name.to_owned(), tensor.clone()))
            .collect();
        batch.save(folder.join("batch.safetensors"), DType::F32, &none)?;
    }
    let parameters = Parameters::from_weights(&weights)?;
    let unet = UNet::new(config, &parameters.weights())?;
    let conditions = Conditions::from(context);
    let mut optimizer = AdamW::new(AdamWConfig {
        lr: 1e-4,
        ..AdamWConfig::default()
    });
    let mut times = Vec::new();
    let mut processor = 0.0;
    let mut loss_value = 0.0;
    for step in 0..steps + 2 {
        if step == 2 {
            processor = processor_time();
        }
        let start = Instant::now();
        let prediction = unet.forward(&latents, &timesteps, &conditions)?;
        let loss = (prediction - &target)?.sqr()?.mean_all()?;
        let forward = start.elapsed();
        let gradients = loss.backward()?;
        let backward = start.elapsed();
        optimizer.step(&parameters, &gradients)?;
        loss_value = loss.to_scalar::<f32>()?;
        times.push([forward, backward, start.elapsed()].map(|time| time.as_secs_f64() * 1e3));
    }
    let processor = (processor_time() - processor) / steps as f64;
    times.drain(..2);
    times.sort_by(|left, right| left[2].total_cmp(&right[2]));
    let [forward, backward, total] = times[times.len() / 2];
    println!(
        "threads {} parameters {:.2} M median {total:.1} ms (forward {forward:.1}, backward {:.1}, \
         optimizer {:.1}), fastest {:.1} ms, processor {processor:.0} ms, peak {:.0} MB, loss {loss_value:.6}",
        rayon::current_num_threads(),
        weights.value_count() as f64 / 1e6,
        backward - forward,
        total - backward,
        times[0][2],
        peak_megabytes(),
    );
    Ok(())
}
