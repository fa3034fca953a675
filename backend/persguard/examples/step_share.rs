//! Measures injection steps at the demo's size, on random weights: milliseconds a step, and the
//! share of them outside the student's passes and update.
//!
//! `cargo run -p persguard --example step_share -- [STEPS]`

use std::{
    io::{Write, stdout},
    ops::ControlFlow,
};

use candle_core::{Device, Tensor};
use diffusion::{
    noise,
    pipeline::Pipeline,
    schedule::ScheduleConfig,
    text::{TextConfig, TextEncoder, Tokenizer},
    unet::{PerLevel, UNetConfig},
    vae::{Autoencoder, HaarConfig, HaarTransform},
};
use persguard::{ProtectOptions, Subject, protect};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use shared::job::JobSpec;

const IDENTIFIERS: [&str; 6] = ["sks", "olis", "ohwx", "zwx", "xjy", "rcr"];
const SIDE: usize = 32;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let steps = std::env::args()
        .nth(1)
        .map_or(Ok(60), |argument| argument.parse())?;
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let pipeline = pipeline(&mut rng)?;
    let images = noise::gaussian(&mut rng, (5, 3, SIDE, SIDE), &Device::Cpu)?;
    let images: Tensor = images.clamp(-1.0, 1.0)?;
    let subject = Subject {
        images,
        overlay: None,
    };
    let options = ProtectOptions {
        identifiers: IDENTIFIERS.map(str::to_owned).to_vec(),
        ..ProtectOptions::default()
    };
    let mut ignore = |_| ControlFlow::Continue(());
    let metrics = protect(&pipeline, &[subject], &spec(steps)?, &options, &mut ignore)?.metrics;
    writeln!(
        stdout().lock(),
        "steps={steps} milliseconds_per_step={:.1} overhead_share={:.4} teacher_seconds={:.1} \
         seconds={:.1}",
        metrics.milliseconds_per_step,
        metrics.overhead_share,
        metrics.teacher_seconds,
        metrics.seconds,
    )?;
    Ok(())
}

/// The job's defaults with another number of steps.
fn spec(steps: u32) -> serde_json::Result<JobSpec> {
    let digits = "1".repeat(32);
    serde_json::from_value(serde_json::json!({
        "base_model_id": format!("mdl_{digits}"),
        "concepts": [{
            "protected_set_id": format!("set_{digits}"),
            "class_name": "dog",
            "identifier": "sks",
            "objective": { "kind": "target", "target_class": "apple" },
        }],
        "injection": { "steps": steps },
    }))
}

/// 3.8 million parameters, 12 x 16 x 16 latents, prompts of 20 tokens.
fn pipeline(rng: &mut ChaCha8Rng) -> diffusion::Result<Pipeline> {
    let words = ["a", "an", "photo", "of", "dog", "apple"];
    let tokenizer = Tokenizer::for_words(words.into_iter().chain(IDENTIFIERS), 20)?;
    let text = TextConfig {
        vocab_size: tokenizer.vocabulary_size(),
        hidden_size: 96,
        intermediate_size: 192,
        num_hidden_layers: 3,
        num_attention_heads: 4,
        max_position_embeddings: 20,
        eos_token_id: Some(tokenizer.end_id()),
        ..TextConfig::default()
    };
    let text_weights = text.initialize(rng)?;
    let names = |names: [&str; 3]| names.map(str::to_owned).to_vec();
    let (down, up) = ("CrossAttnDownBlock2D", "CrossAttnUpBlock2D");
    let unet = UNetConfig {
        in_channels: 12,
        out_channels: 12,
        block_out_channels: vec![48, 96, 96],
        layers_per_block: 1,
        down_block_types: names(["DownBlock2D", down, down]),
        up_block_types: names([up, up, "UpBlock2D"]),
        cross_attention_dim: 96,
        attention_head_dim: PerLevel::Same(4),
        norm_num_groups: 16,
        sample_size: Some(SIDE / 2),
        ..UNetConfig::default()
    };
    let unet_weights = unet.initialize(rng)?;
    let autoencoder = Autoencoder::Haar(HaarTransform::new(HaarConfig::default())?);
    let schedule = ScheduleConfig {
        clip_sample: false,
        ..ScheduleConfig::default()
    };
    let text = TextEncoder::new(text, &text_weights)?;
    Pipeline::new(unet, unet_weights, autoencoder, text, tokenizer, schedule)
}
