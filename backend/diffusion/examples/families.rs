//! Prints how far this package is from diffusers on each family, and writes folders for diffusers to read.
//!
//! `cargo run -p diffusion --example families -- [FOLDER]`. With a folder, a freshly drawn model of each family is saved
//! there with images that it draws; `tests/fixtures/check.py` has diffusers load it and draw the same.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

#[path = "../tests/it/measure.rs"]
mod measure;

use std::{collections::BTreeMap, path::Path};

use anyhow::{Result, bail};
use candle_core::{DType, Device};
use diffusion::{noise, pipeline::Pipeline, weights::Weights};
use measure::{FAMILIES, draw, errors, folder};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Bounds of forward pass and gradients; training and images have their own in the tests.
const FORWARD: f32 = 1e-5;
const GRADIENT: f32 = 1e-4;

fn main() -> Result<()> {
    let mut worst = (0.0_f32, 0.0_f32);
    for family in FAMILIES {
        let errors = errors(family)?;
        println!(
            "{family}: forward {:.1e}, gradients {:.1e}, after 20 AdamW steps {:.1e}, images {:.1e}",
            errors.forward, errors.gradient, errors.trained, errors.image
        );
        worst = (worst.0.max(errors.forward), worst.1.max(errors.gradient));
    }
    if let Some(target) = std::env::args().nth(1) {
        for family in FAMILIES {
            save(family, &Path::new(&target).join(family))?;
        }
    }
    let (forward, gradient) = worst;
    println!(
        "families={} worst_forward={forward:.1e} worst_gradient={gradient:.1e}",
        FAMILIES.len()
    );
    if forward > FORWARD || gradient > GRADIENT {
        bail!("beyond {FORWARD:e} forward or {GRADIENT:e} for gradients");
    }
    Ok(())
}

/// A denoiser drawn here beside the family's other parts, and what it makes of some noise.
fn save(family: &str, target: &Path) -> Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut pipeline = Pipeline::load(folder(family), &Device::Cpu)?;
    pipeline.unet_weights = pipeline.unet_config.initialize(&mut rng)?;
    pipeline.save(target, DType::F32)?;
    let noise = noise::gaussian(&mut rng, (2, 4, 8, 8), &Device::Cpu)?;
    let drawn = Weights::from_iter([
        ("images".to_owned(), draw(&pipeline, &noise)?),
        ("noise".to_owned(), noise),
    ]);
    Ok(drawn.save(
        target.join("drawn.safetensors"),
        DType::F32,
        &BTreeMap::new(),
    )?)
}
