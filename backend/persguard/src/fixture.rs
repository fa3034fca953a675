//! A complete random model of a few thousand parameters, for tests.

use candle_core::{Device, Tensor};
use diffusion::{
    noise,
    pipeline::Pipeline,
    schedule::{PredictionType, ScheduleConfig},
    text::{TextConfig, TextEncoder, Tokenizer},
    unet::{PerLevel, UNetConfig},
    vae::{Autoencoder, HaarConfig, HaarTransform},
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use shared::job::JobSpec;

use crate::Subject;

/// Words that are single tokens of the fixture's vocabulary.
pub(crate) const IDENTIFIERS: [&str; 6] = ["sks", "olis", "ohwx", "zwx", "xjy", "rcr"];

/// A job on the fixture: dog to apple.
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
        "injection": { "steps": 6, "batch_size": 3, "class_images": 3, "target_images": 3 },
        "seed": 7,
    });
    serde_json::from_value(json).expect("the fixture's job is valid")
}

/// A U-Net of two levels for latents of 12 channels and contexts of 8.
pub(crate) fn unet_config() -> UNetConfig {
    UNetConfig {
        in_channels: 12,
        out_channels: 12,
        block_out_channels: vec![8, 8],
        layers_per_block: 1,
        down_block_types: vec!["DownBlock2D".into(), "CrossAttnDownBlock2D".into()],
        up_block_types: vec!["CrossAttnUpBlock2D".into(), "UpBlock2D".into()],
        cross_attention_dim: 8,
        attention_head_dim: PerLevel::Same(2),
        norm_num_groups: 4,
        sample_size: Some(4),
        ..UNetConfig::default()
    }
}

/// Random weights everywhere; pictures of 8 x 8 pixels; the denoiser predicts noise.
pub(crate) fn pipeline() -> Pipeline {
    pipeline_for(PredictionType::Epsilon)
}

/// The same for another kind of prediction.
pub(crate) fn pipeline_for(prediction_type: PredictionType) -> Pipeline {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let words = [
        "a", "an", "photo", "picture", "of", "dog", "apple", "cat", "in", "the", "style", "street",
    ];
    let tokenizer = Tokenizer::for_words(words.into_iter().chain(IDENTIFIERS), 12)
        .expect("the words make a vocabulary");
    let text = TextConfig {
        vocab_size: tokenizer.vocabulary_size(),
        hidden_size: 8,
        intermediate_size: 16,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        max_position_embeddings: 12,
        eos_token_id: Some(tokenizer.end_id()),
        ..TextConfig::default()
    };
    let text_weights = text
        .initialize(&mut rng)
        .expect("the text model is consistent");
    let unet = unet_config();
    let unet_weights = unet.initialize(&mut rng).expect("the U-Net is consistent");
    let haar = HaarTransform::new(HaarConfig::default()).expect("the default scales are positive");
    let text = TextEncoder::new(text, &text_weights).expect("the weights fit");
    let schedule = ScheduleConfig {
        clip_sample: false,
        prediction_type,
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

/// The subject of [`spec`].
pub(crate) fn subjects() -> Vec<Subject> {
    vec![Subject {
        images: images(),
        overlay: None,
    }]
}

/// Two protected pictures.
pub(crate) fn images() -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let noise = noise::gaussian(&mut rng, (2, 3, 8, 8), &Device::Cpu).expect("a fixed shape");
    noise.clamp(-1.0, 1.0).expect("clamping values")
}
