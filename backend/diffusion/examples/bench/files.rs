//! Weights in the diffusers layout and inputs, written once for both sides.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use diffusion::{noise, unet::UNetConfig, weights::Weights};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::sizes::{self, BATCH, SIDE, TOKENS};

/// Writes all models and their inputs below `folder`.
pub(crate) fn write(folder: &Path) -> Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    for (size, config) in sizes::unets() {
        let weights = config.initialize(&mut rng)?;
        let inputs = unet_inputs(&config, &mut rng)?;
        let place = folder.join(format!("unet-{size}"));
        model(&place, "diffusion_pytorch_model", &config, &weights)?;
        save(&inputs, &place.join("inputs.safetensors"))?;
    }
    let config = sizes::autoencoder();
    let weights = config.initialize(&mut rng)?;
    for (side, count) in sizes::IMAGES {
        let place = folder.join(format!("vae-{side}"));
        model(&place, "diffusion_pytorch_model", &config, &weights)?;
        let latents = (count, config.latent_channels, side / 4, side / 4);
        let inputs = [
            (
                "pixels",
                noise::gaussian(&mut rng, (count, 3, side, side), &Device::Cpu)?,
            ),
            ("latents", noise::gaussian(&mut rng, latents, &Device::Cpu)?),
        ];
        save(&named(inputs), &place.join("inputs.safetensors"))?;
    }
    for (size, config) in sizes::texts() {
        let weights = config.initialize(&mut rng)?;
        let place = folder.join(format!("text-{size}"));
        model(&place, "model", &config, &weights)?;
        let shape = (BATCH, config.max_position_embeddings);
        let ids: Vec<f32> = (0..shape.0 * shape.1)
            .map(|_| f32::from(rng.random_range(0..1600_u16)))
            .collect();
        let inputs = [("ids", Tensor::from_vec(ids, shape, &Device::Cpu)?)];
        save(&named(inputs), &place.join("inputs.safetensors"))?;
    }
    Ok(())
}

/// What a training step and a sampling run read.
fn unet_inputs(config: &UNetConfig, rng: &mut ChaCha8Rng) -> Result<Weights> {
    let latents = (BATCH, config.in_channels, SIDE, SIDE);
    let context = (BATCH, TOKENS, config.cross_attention_dim);
    let mut normal =
        |shape: &[usize]| -> Result<Tensor> { Ok(noise::gaussian(rng, shape, &Device::Cpu)?) };
    let latents = [latents.0, latents.1, latents.2, latents.3];
    Ok(named([
        ("latents", normal(&latents)?),
        ("target", normal(&latents)?),
        ("context", normal(&[context.0, context.1, context.2])?),
        ("timesteps", normal(&[BATCH])?.abs()?.affine(300.0, 0.0)?),
    ]))
}

fn named<const N: usize>(tensors: [(&str, Tensor); N]) -> Weights {
    tensors
        .into_iter()
        .map(|(name, tensor)| (name.to_owned(), tensor))
        .collect()
}

fn model(place: &Path, name: &str, config: &impl Serialize, weights: &Weights) -> Result<()> {
    fs::create_dir_all(place)?;
    fs::write(
        place.join("config.json"),
        serde_json::to_vec_pretty(config)?,
    )?;
    save(weights, &place.join(format!("{name}.safetensors")))
}

fn save(tensors: &Weights, path: &Path) -> Result<()> {
    Ok(tensors.save(path, DType::F32, &BTreeMap::new())?)
}

/// The inputs of a model, cut to `batch` entries.
pub(crate) fn inputs(place: &Path, batch: usize) -> Result<Weights> {
    let path = place.join("inputs.safetensors");
    let cut = |(name, tensor): (&str, &Tensor)| -> Result<(String, Tensor)> {
        Ok((name.to_owned(), tensor.narrow(0, 0, batch)?.contiguous()?))
    };
    let all = Weights::load(path, DType::F32, &Device::Cpu)?;
    all.iter().map(cut).collect()
}

/// The weights of a model.
pub(crate) fn weights(place: &Path, name: &str) -> Result<Weights> {
    let path = place.join(format!("{name}.safetensors"));
    Ok(Weights::load(path, DType::F32, &Device::Cpu)?)
}

/// The configuration of a model.
pub(crate) fn config<T: serde::de::DeserializeOwned>(place: &Path) -> Result<T> {
    Ok(serde_json::from_slice(&fs::read(
        place.join("config.json"),
    )?)?)
}
