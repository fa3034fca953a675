//! A complete random model and encoder of a few thousand parameters, for tests.

use candle_core::{Device, Tensor};
use diffusion::{
    noise,
    pipeline::Pipeline,
    sample::SampleConfig,
    schedule::ScheduleConfig,
    text::{TextConfig, TextEncoder, Tokenizer},
    unet::{PerLevel, UNetConfig},
    vae::{Autoencoder, HaarConfig, HaarTransform},
    weights::Weights,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use shared::job::JobSpec;

use crate::encoder::{Attribute, Encoder, EncoderConfig, SIDE};

/// Tokens of a prompt, of the encoder and of the base model.
const LENGTH: usize = 12;

/// A job on the fixture: dog to apple, attacked for three steps.
pub(crate) fn spec() -> JobSpec {
    let digits = "1".repeat(32);
    let json = serde_json::json!({
        "base_model_id": format!("mdl_{digits}"),
        "concepts": [{
            "protected_set_id": format!("set_{digits}"),
            "class_name": "dog",
            "identifier": "sks",
            "objective": { "kind": "target", "target_class": "apple" },
        }],
        "evaluation": { "checkpoints": [0, 3], "images_per_arm": 3 },
        "seed": 7,
    });
    serde_json::from_value(json).expect("the fixture's job is valid")
}

/// Two DDIM steps.
pub(crate) fn sampling() -> SampleConfig {
    SampleConfig {
        steps: 2,
        guidance_scale: 4.0,
        ..SampleConfig::default()
    }
}

fn tokenizer() -> Tokenizer {
    let words = ["a", "an", "photo", "of", "dog", "apple", "sks", "olis"];
    Tokenizer::for_words(words, LENGTH).expect("the words make a vocabulary")
}

fn text_config(tokenizer: &Tokenizer) -> TextConfig {
    TextConfig {
        vocab_size: tokenizer.vocabulary_size(),
        hidden_size: 8,
        intermediate_size: 16,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        max_position_embeddings: tokenizer.max_length(),
        eos_token_id: Some(tokenizer.end_id()),
        ..TextConfig::default()
    }
}

/// Random weights everywhere; pictures of the encoder's size, and the encoder's words.
pub(crate) fn pipeline() -> Pipeline {
    pipeline_of(tokenizer())
}

/// The same size of a model that has more words than the encoder, other ids for them, and longer prompts.
pub(crate) fn stranger() -> Pipeline {
    let words = [
        "street", "a", "an", "photo", "of", "dog", "apple", "sks", "olis", "corgi",
    ];
    pipeline_of(Tokenizer::for_words(words, LENGTH + 8).expect("the words make a vocabulary"))
}

fn pipeline_of(tokenizer: Tokenizer) -> Pipeline {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let text = text_config(&tokenizer);
    let text_weights = text
        .initialize(&mut rng)
        .expect("the text model is consistent");
    let unet = UNetConfig {
        in_channels: 12,
        out_channels: 12,
        block_out_channels: vec![8, 8],
        layers_per_block: 1,
        down_block_types: vec!["DownBlock2D".into(), "CrossAttnDownBlock2D".into()],
        up_block_types: vec!["CrossAttnUpBlock2D".into(), "UpBlock2D".into()],
        cross_attention_dim: 8,
        attention_head_dim: PerLevel::Same(2),
        norm_num_groups: 4,
        sample_size: Some(SIDE / 2),
        ..UNetConfig::default()
    };
    let unet_weights = unet.initialize(&mut rng).expect("the U-Net is consistent");
    let haar = HaarTransform::new(HaarConfig::default()).expect("the default scales are positive");
    let text = TextEncoder::new(text, &text_weights).expect("the weights fit");
    let schedule = ScheduleConfig {
        clip_sample: false,
        ..ScheduleConfig::default()
    };
    Pipeline::new(
        unet,
        unet_weights,
        Autoencoder::Haar(haar),
        text,
        tokenizer,
        schedule,
    )
    .expect("the parts fit each other")
}

/// A card of stripes over the middle of pictures, transparent around: `[4, SIDE, SIDE]`.
pub(crate) fn overlay() -> Tensor {
    let inside = |at: usize| (SIDE / 4..3 * SIDE / 4).contains(&at);
    let value = |channel: usize, y: usize, x: usize| match channel {
        3 => f32::from(u8::from(inside(y) && inside(x))),
        _ if (y + channel) % 4 < 2 => 0.9,
        _ => -0.7,
    };
    let values: Vec<f32> = (0..4 * SIDE * SIDE)
        .map(|at| value(at / (SIDE * SIDE), at / SIDE % SIDE, at % SIDE))
        .collect();
    Tensor::from_vec(values, (4, SIDE, SIDE), &Device::Cpu).expect("four planes")
}

/// Pictures `[n, 3, h, w]` under an overlay `[4, h, w]`.
pub(crate) fn covered(pictures: &Tensor, overlay: &Tensor) -> Tensor {
    let cover = || -> candle_core::Result<Tensor> {
        let (colours, alpha) = (overlay.narrow(0, 0, 3)?, overlay.narrow(0, 3, 1)?);
        let kept = pictures.broadcast_mul(&(1.0 - &alpha)?)?;
        kept.broadcast_add(&colours.broadcast_mul(&alpha)?)
    };
    cover().expect("equal sizes")
}

/// A random encoder that reads class, style, tint and background.
pub(crate) fn encoder() -> Encoder {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let attribute = |name: &str, values: &[&str]| Attribute {
        name: name.into(),
        values: values.iter().map(|value| (*value).into()).collect(),
    };
    let config = EncoderConfig {
        attributes: vec![
            attribute("class", &["dog", "apple", "car"]),
            attribute("style", &["noto", "print"]),
            attribute("tint", &["red", "blue"]),
            attribute("background", &["snow", "beach"]),
        ],
        text: text_config(&tokenizer()),
        embedding: 16,
    };
    let text = config
        .text
        .initialize(&mut rng)
        .expect("the text model is consistent");
    let mut weights: Weights = text
        .iter()
        .map(|(name, tensor)| (format!("text.{name}"), tensor.clone()))
        .collect();
    for (name, shape) in config.shapes() {
        let fan = shape.iter().skip(1).product::<usize>().max(1) as f64;
        let noise = noise::gaussian(&mut rng, shape, &Device::Cpu).expect("a known shape");
        weights.insert(name, (noise / fan.sqrt()).expect("scaling values"));
    }
    let encoder = Encoder::from_weights(config, &weights).expect("the weights fit");
    let encoder = encoder.with_tokenizer(tokenizer());
    encoder.expect("the words are those of the caption half")
}

/// Ids of the three prompts of a [`crate::metric::Standard`].
pub(crate) fn prompt_ids() -> Tensor {
    let tokenizer = tokenizer();
    let prompts = [
        "a photo of a dog",
        "a photo of a dog",
        "a photo of an apple",
    ];
    let ids: Vec<u32> = prompts
        .iter()
        .flat_map(|prompt| tokenizer.encode(prompt))
        .collect();
    Tensor::from_vec(ids, (3, LENGTH), &Device::Cpu).expect("three rows")
}

/// Pictures of noise, `[count, 3, SIDE, SIDE]`.
pub(crate) fn pictures(count: usize, seed: u64) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let noise = noise::gaussian(&mut rng, (count, 3, SIDE, SIDE), &Device::Cpu);
    noise
        .and_then(|noise| Ok(noise.clamp(-1.0, 1.0)?))
        .expect("a known shape")
}

/// Pictures of one grey each.
pub(crate) fn flat_pictures(greys: &[f32]) -> Tensor {
    let picture = |grey: &f32| Tensor::full(*grey, (1, 3, SIDE, SIDE), &Device::Cpu);
    let pictures: Vec<Tensor> = greys
        .iter()
        .map(|grey| picture(grey).expect("a known shape"))
        .collect();
    Tensor::cat(&pictures, 0).expect("equal shapes")
}
