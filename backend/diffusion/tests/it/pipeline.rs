//! Whole folders: written by diffusers, written here, and the images they draw.

use std::{collections::BTreeMap, fs, ops::ControlFlow, path::Path};

use candle_core::{DType, Device, Tensor};
use diffusion::{
    Error,
    pipeline::Pipeline,
    sample::{SampleConfig, sample},
    schedule::{Ddim, ScheduleConfig},
    text::{TextConfig, TextEncoder, Tokenizer},
    unet::{PerLevel, UNetConfig},
    vae::{Autoencoder, HaarConfig, HaarTransform},
    weights::Weights,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::support::{path, relative_error, tensors};

fn prompts() -> [String; 2] {
    ["a photo of a dog", "the beach"].map(str::to_owned)
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("file exists")).expect("file parses")
}

#[test]
fn folder_of_diffusers_draws_the_same_images() {
    let pipeline = Pipeline::load(path("pipeline"), &Device::Cpu).unwrap();
    let file = tensors("pipeline");
    let unet = pipeline.unet().unwrap();
    let empty = pipeline
        .encode_prompts(&[String::new(), String::new()])
        .unwrap();
    let context = pipeline.encode_prompts(&prompts()).unwrap();
    let ddim = Ddim::new(&pipeline.noise_schedule().unwrap(), 10).unwrap();
    let mut latents = file.get("noise").unwrap().clone();
    for timestep in ddim.timesteps() {
        let timesteps = Tensor::full(*timestep as f32, 2, &Device::Cpu).unwrap();
        let plain = unet.forward(&latents, &timesteps, &empty).unwrap();
        let guided = unet.forward(&latents, &timesteps, &context).unwrap();
        let prediction = (&plain + ((guided - &plain).unwrap() * 3.0).unwrap()).unwrap();
        latents = ddim.step(&prediction, *timestep, &latents).unwrap();
    }
    let pixels = pipeline.autoencoder.decode(&latents).unwrap();
    let images = pixels.affine(0.5, 0.5).unwrap().clamp(0.0, 1.0).unwrap();
    let error = relative_error(&images, file.get("images").unwrap());
    assert!(error < 1e-3, "images are off by {error}");
}

#[test]
fn saved_folder_equals_the_one_of_diffusers() {
    let pipeline = Pipeline::load(path("pipeline"), &Device::Cpu).unwrap();
    let folder = tempfile::tempdir().unwrap();
    pipeline.save(folder.path(), DType::F32).unwrap();
    let configs = [
        "model_index.json",
        "unet/config.json",
        "vae/config.json",
        "text_encoder/config.json",
        "scheduler/scheduler_config.json",
        "tokenizer/vocab.json",
    ];
    for name in configs {
        assert_covers(
            name,
            &json(&path("pipeline").join(name)),
            &json(&folder.path().join(name)),
        );
    }
    let read = |root: &Path, name: &str| Weights::load(root.join(name), DType::F32, &Device::Cpu);
    for name in ["unet", "vae"] {
        let name = format!("{name}/diffusion_pytorch_model.safetensors");
        let expected = read(&path("pipeline"), &name).unwrap();
        assert_equal(&expected, &read(folder.path(), &name).unwrap());
    }
    let name = "text_encoder/model.safetensors";
    let ours = read(folder.path(), name)
        .unwrap()
        .with_prefix("text_model.");
    assert_equal(&read(&path("pipeline"), name).unwrap(), &ours);
    let merges = |root: &Path| fs::read(root.join("tokenizer/merges.txt")).unwrap();
    assert_eq!(merges(&path("pipeline")), merges(folder.path()));
    let again = Pipeline::load(folder.path(), &Device::Cpu).unwrap();
    assert_eq!(
        again.to_files(DType::F32).unwrap(),
        pipeline.to_files(DType::F32).unwrap()
    );
}

/// Every field of `expected` is in `actual` with the same value (1 and 1.0 are the same).
fn assert_covers(name: &str, expected: &Value, actual: &Value) {
    for (field, value) in expected.as_object().expect("configurations are objects") {
        let same = match (value.as_f64(), actual[field].as_f64()) {
            (Some(expected), Some(actual)) => (expected - actual).abs() < 1e-12,
            _ => *value == actual[field],
        };
        assert!(same, "{name}: {field} was {value}, is {}", actual[field]);
    }
}

fn assert_equal(expected: &Weights, actual: &Weights) {
    assert_eq!(expected.len(), actual.len());
    for (name, tensor) in expected.iter() {
        assert!(
            relative_error(actual.get(name).unwrap(), tensor) == 0.0,
            "{name}"
        );
    }
}

fn tiny() -> Pipeline {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let names = |names: [&str; 2]| names.map(str::to_owned).to_vec();
    let tokenizer = Tokenizer::for_words(["photo", "dog"], 8).unwrap();
    let text = TextConfig {
        vocab_size: tokenizer.vocabulary_size(),
        hidden_size: 8,
        intermediate_size: 16,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        max_position_embeddings: 8,
        eos_token_id: Some(tokenizer.end_id()),
        ..TextConfig::default()
    };
    let unet = UNetConfig {
        in_channels: 12,
        out_channels: 12,
        block_out_channels: vec![8, 8],
        layers_per_block: 1,
        down_block_types: names(["DownBlock2D", "CrossAttnDownBlock2D"]),
        up_block_types: names(["CrossAttnUpBlock2D", "UpBlock2D"]),
        cross_attention_dim: 8,
        attention_head_dim: PerLevel::Same(2),
        norm_num_groups: 4,
        sample_size: Some(4),
        ..UNetConfig::default()
    };
    let text_weights = text.initialize(&mut rng).unwrap();
    Pipeline::new(
        unet.clone(),
        unet.initialize(&mut rng).unwrap(),
        Autoencoder::Haar(HaarTransform::new(HaarConfig::default()).unwrap()),
        TextEncoder::new(text, &text_weights).unwrap(),
        tokenizer,
        ScheduleConfig {
            clip_sample: false,
            ..ScheduleConfig::default()
        },
    )
    .unwrap()
}

fn draw(pipeline: &Pipeline, seeds: &[u64], batch_size: usize) -> diffusion::Result<Tensor> {
    let prompts = vec!["a photo of a dog".to_owned(); seeds.len()];
    let config = SampleConfig {
        steps: 3,
        guidance_scale: 4.0,
        batch_size,
        ..SampleConfig::default()
    };
    let unet = pipeline.unet()?;
    sample(pipeline, &unet, &prompts, seeds, &config, &mut |_, _| {
        ControlFlow::Continue(())
    })
}

#[test]
fn image_depends_on_its_own_seed_only() {
    let pipeline = tiny();
    let together = draw(&pipeline, &[5, 6, 7], 3).unwrap();
    assert_eq!(together.dims(), [3, 3, 8, 8]);
    let alone = draw(&pipeline, &[7], 1).unwrap();
    let third = together.narrow(0, 2, 1).unwrap();
    assert!(relative_error(&alone, &third) < 1e-4);
    assert!(relative_error(&alone, &together.narrow(0, 0, 1).unwrap()) > 1e-2);
    let batched = draw(&pipeline, &[5, 6, 7], 2).unwrap();
    assert!(relative_error(&batched, &together) < 1e-4);
}

#[test]
fn sampling_reports_progress_and_can_be_cancelled() {
    let pipeline = tiny();
    let unet = pipeline.unet().unwrap();
    let config = SampleConfig {
        steps: 4,
        guidance_scale: 1.0,
        batch_size: 1,
        ..SampleConfig::default()
    };
    let prompts = vec![String::new(); 2];
    let mut seen = Vec::new();
    let mut stop_at = |done: usize, total: usize| {
        seen.push((done, total));
        if done == 5 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let error = sample(&pipeline, &unet, &prompts, &[1, 2], &config, &mut stop_at).unwrap_err();
    assert!(matches!(
        error,
        Error::Cancelled {
            completed: 5,
            total: 8
        }
    ));
    assert_eq!(seen, [(1, 8), (2, 8), (3, 8), (4, 8), (5, 8)]);
}

#[test]
fn small_model_survives_files_and_half_precision() {
    let pipeline = tiny();
    let files: BTreeMap<_, _> = pipeline.to_files(DType::F16).unwrap();
    assert!(files.contains_key("vae/config.json"));
    assert!(!files.contains_key("vae/diffusion_pytorch_model.safetensors"));
    let again = Pipeline::from_files(&files, &Device::Cpu).unwrap();
    assert_eq!(again.latent_shape(), (12, 4, 4));
    assert_eq!(again.image_side(), 8);
    let difference = relative_error(
        &draw(&again, &[3], 1).unwrap(),
        &draw(&pipeline, &[3], 1).unwrap(),
    );
    assert!(
        difference < 0.05,
        "half precision changes the image by {difference}"
    );
}

#[test]
fn folders_pad_as_their_special_tokens_map_says() {
    let mut files = tiny().to_files(DType::F32).unwrap();
    let plain = Pipeline::from_files(&files, &Device::Cpu).unwrap();
    let map = files["tokenizer/special_tokens_map.json"].clone();
    let map = String::from_utf8(map).unwrap();
    let map = map.replace(r#""pad_token": "<|endoftext|>""#, r#""pad_token": "!""#);
    files.insert(
        "tokenizer/special_tokens_map.json".to_owned(),
        map.into_bytes(),
    );
    let marked = Pipeline::from_files(&files, &Device::Cpu).unwrap();
    let last = |pipeline: &Pipeline| pipeline.tokenizer.encode("").last().copied();
    assert_eq!(last(&plain), Some(plain.tokenizer.end_id()));
    assert_eq!(last(&marked), marked.tokenizer.id("!"));
    // It is written so that everybody reads the same.
    let again = marked.to_files(DType::F32).unwrap();
    let again = Pipeline::from_files(&again, &Device::Cpu).unwrap();
    assert_eq!(last(&again), last(&marked));
}

#[test]
fn missing_files_are_named() {
    let mut files = tiny().to_files(DType::F32).unwrap();
    files.remove("unet/diffusion_pytorch_model.safetensors");
    let error = Pipeline::from_files(&files, &Device::Cpu).unwrap_err();
    assert!(matches!(error, Error::MissingFile(name) if name.starts_with("unet/")));
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let pipeline = tiny();
    let wrong = UNetConfig {
        in_channels: 4,
        ..pipeline.unet_config.clone()
    };
    let weights = wrong.initialize(&mut ChaCha8Rng::seed_from_u64(2)).unwrap();
    let error = Pipeline::new(
        wrong,
        weights,
        pipeline.autoencoder.clone(),
        pipeline.text.clone(),
        pipeline.tokenizer.clone(),
        pipeline.schedule.clone(),
    );
    assert!(matches!(error, Err(Error::InvalidConfig(_))));
}
