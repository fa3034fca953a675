//! Compares planned with measured: peak memory and time of a training step, each setup in a process of its own.
//!
//! `cargo run -p diffusion --example plan_check`. It calls itself with the number of a setup.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::process::Command;

use anyhow::{Context, Result};
use candle_core::{DType, Device};
use diffusion::{
    optimizer::MomentPrecision,
    plan::{Models, Rate, Setup, Trial, plan},
    unet::{PerLevel, UNetConfig},
    vae::{AutoencoderConfig, HaarConfig},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Steps of a measurement, of which the fastest counts, and measurements of a setup, of which the median does.
const STEPS: usize = 7;
const ROUNDS: usize = 3;

fn models(channels: [usize; 3], latents: usize) -> Models {
    let names = |names: [&str; 3]| names.map(str::to_owned).to_vec();
    let (down, up) = ("CrossAttnDownBlock2D", "CrossAttnUpBlock2D");
    let unet = UNetConfig {
        in_channels: latents,
        out_channels: latents,
        block_out_channels: channels.to_vec(),
        layers_per_block: 1,
        down_block_types: names(["DownBlock2D", down, down]),
        up_block_types: names([up, up, "UpBlock2D"]),
        cross_attention_dim: channels[2],
        attention_head_dim: PerLevel::Same(4),
        norm_num_groups: 16,
        ..UNetConfig::default()
    };
    Models {
        unet,
        texts: Vec::new(),
        vae: AutoencoderConfig::Haar(HaarConfig::default()),
    }
}

/// The demo's denoiser, one of twice its size, and one of 70 million values.
fn setups() -> Vec<(&'static str, Models, Setup)> {
    let small = Setup {
        batch: 32,
        latent: (16, 16),
        tokens: 20,
        ..Setup::default()
    };
    let wide = Setup {
        batch: 4,
        latent: (32, 32),
        tokens: 77,
        ..small
    };
    let demo = models([48, 96, 96], 12);
    let medium = models([64, 128, 128], 48);
    let large = models([160, 320, 640], 4);
    let lean = |setup: Setup| Setup {
        checkpointing: true,
        ..setup
    };
    let half = |setup: Setup| Setup {
        compute: DType::BF16,
        ..setup
    };
    let coded = |setup: Setup| Setup {
        moments: MomentPrecision::EightBit,
        ..setup
    };
    vec![
        ("demo", demo.clone(), small),
        ("demo, checkpointing", demo.clone(), lean(small)),
        ("demo, bf16", demo, half(small)),
        ("medium", medium.clone(), small),
        ("medium, checkpointing", medium.clone(), lean(small)),
        ("medium, bf16, checkpointing", medium, half(lean(small))),
        ("large", large.clone(), wide),
        ("large, checkpointing", large.clone(), lean(wide)),
        ("large, 8-bit moments", large, coded(wide)),
    ]
}

fn main() -> Result<()> {
    if let Some(index) = std::env::args().nth(1) {
        let (_, models, setup) = setups()
            .into_iter()
            .nth(index.parse()?)
            .context("a setup's number")?;
        return diffusion::in_pool(|| measure(&models, &setup));
    }
    println!("setup                         planned MB  measured MB  ratio   planned/measured ms");
    let mut worst = (0.0_f64, 0.0_f64);
    for (index, (name, models, setup)) in setups().into_iter().enumerate() {
        let megabytes = plan(&models, &setup)?.memory.process() / 1e6;
        let own = Command::new(std::env::current_exe()?)
            .arg(index.to_string())
            .output()?;
        let text = String::from_utf8(own.stdout)?;
        let mut fields = text.split_whitespace().map(str::parse::<f64>);
        let mut field = || fields.next().context("two numbers")?.context("a number");
        let (measured, time) = (field()?, field()?);
        println!(
            "{name:<28} {megabytes:>11.0} {measured:>12.0} {:>6.2} {time:>9.2}",
            megabytes / measured
        );
        let off = |ratio: f64| (ratio - 1.0).abs();
        worst = (
            worst.0.max(off(megabytes / measured)),
            worst.1.max(off(time)),
        );
    }
    println!("worst_memory={:.2} worst_time={:.2}", worst.0, worst.1);
    Ok(())
}

/// Prints the peak of this process in megabytes, and the planned time of a step over the measured one.
///
/// The rate comes from steps of half the height, in turns with the steps that it shall foretell, so that what else the
/// machine does hits both. The peak is taken before, with nothing beside it.
fn measure(models: &Models, setup: &Setup) -> Result<()> {
    let mut trial = Trial::new(models, setup, 3, &Device::Cpu)?;
    for _ in 0..3 {
        trial.step()?;
    }
    let peak = status("VmHWM:")?;
    let planned = plan(models, setup)?;
    let small = Setup {
        latent: (setup.latent.0 / 2, setup.latent.1),
        ..*setup
    };
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let seconds = Rate::measure(models, &small, 4, &Device::Cpu)?.seconds(&planned);
        let mut times = Vec::new();
        for _ in 0..STEPS {
            let (passes, update) = trial.step()?;
            times.push(passes + update);
        }
        ratios.push(seconds / times.into_iter().fold(f64::INFINITY, f64::min));
    }
    println!("{peak:.1} {:.3}", median(ratios));
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A size from the process's own status, in megabytes.
fn status(field: &str) -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    Ok(kilobytes.context("the field")?.parse::<f64>()? * 1024.0 / 1e6)
}
