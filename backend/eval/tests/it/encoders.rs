//! CLIP and DINO against transformers on small random weights.

use candle_core::{D, DType, Device, Tensor};
use diffusion::text::Tokenizer;
use eval::{
    Error,
    net::{Clip, Dino, ImageEncoder, clip::ClipFiles, image_similarity},
};

use crate::support::{fixture, gap, json, tensors, values};

/// A vocabulary that the small text tower has room for.
fn tokenizer() -> Tokenizer {
    Tokenizer::for_words(["a", "dog"], 6).unwrap()
}

fn clip() -> Clip {
    let (weights, config) = (fixture("clip_model.safetensors"), fixture("clip.json"));
    let files = ClipFiles {
        weights: &weights,
        config: &config,
        preprocessor: None,
    };
    Clip::load(files, tokenizer()).unwrap()
}

fn normalised(xs: &Tensor) -> Vec<f32> {
    let length = xs
        .sqr()
        .unwrap()
        .sum_keepdim(D::Minus1)
        .unwrap()
        .sqrt()
        .unwrap();
    values(&xs.broadcast_div(&length).unwrap())
}

#[test]
fn clip_agrees_with_transformers() {
    let expected = tensors("clip.safetensors");
    let get = |name: &str| expected.get(name).unwrap();
    let clip = clip();
    let image = normalised(&clip.image_features(get("pixels")).unwrap());
    let image_gap = gap(&image, &values(get("image")));
    let ids = get("ids").to_dtype(DType::U32).unwrap();
    let text = normalised(&clip.text_features(&ids).unwrap());
    let text_gap = gap(&text, &values(get("text")));
    assert!(
        image_gap < 1e-4 && text_gap < 1e-4,
        "{image_gap} {text_gap}"
    );
}

#[test]
fn dino_agrees_with_transformers() {
    let expected = tensors("dino.safetensors");
    let dino = Dino::load(
        &fixture("dino_model.safetensors"),
        &fixture("dino.json"),
        None,
    )
    .unwrap();
    let found = dino.features(expected.get("pixels").unwrap()).unwrap();
    let gap = gap(&values(&found), &values(expected.get("features").unwrap()));
    assert!(gap < 1e-4, "{gap}");
}

#[test]
fn encoders_are_never_compared() {
    let (weights, config) = (fixture("dino_model.safetensors"), fixture("dino.json"));
    let (clip, dino) = (clip(), Dino::load(&weights, &config, None).unwrap());
    let pixels = Tensor::zeros((2, 3, 40, 40), DType::F32, &Device::Cpu).unwrap();
    let (left, right) = (
        clip.embed_images(&pixels).unwrap(),
        dino.embed_images(&pixels).unwrap(),
    );
    let same = image_similarity(&left, &left).unwrap();
    assert!(same.iter().all(|cosine| (cosine - 1.0).abs() < 1e-5));
    let refused = image_similarity(&left, &right);
    assert!(matches!(refused, Err(Error::OtherEncoder { .. })));
    assert_ne!(left.encoder(), right.encoder());
}

#[test]
fn files_that_disagree_are_refused() {
    let (weights, config) = (fixture("clip_model.safetensors"), json("clip.json"));
    let load = |config: &serde_json::Value, weights: &[u8]| {
        let config = config.to_string();
        let files = ClipFiles {
            weights,
            config: config.as_bytes(),
            preprocessor: None,
        };
        Clip::load(files, tokenizer()).map(drop)
    };
    assert!(load(&config, &weights).is_ok());
    assert!(load(&config, &weights[..weights.len() - 1]).is_err());
    let changes = [
        ("hidden_size", 32_i64),
        ("num_attention_heads", 3),
        ("num_attention_heads", 0),
        ("patch_size", 7),
        ("image_size", 1_i64 << 40),
        ("num_hidden_layers", 1_i64 << 40),
    ];
    for (field, value) in changes {
        let mut bad = config.clone();
        bad["vision_config"][field] = value.into();
        assert!(load(&bad, &weights).is_err(), "{field} {value}");
    }
    let clip_weights = &weights;
    assert!(Dino::load(clip_weights, &fixture("dino.json"), None).is_err());
    assert!(Dino::load(&fixture("dino_model.safetensors"), b"{", None).is_err());
}
