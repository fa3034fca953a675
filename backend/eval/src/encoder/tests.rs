//! Tests of the metric encoder on small random weights.

use diffusion::noise::gaussian;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;

fn config() -> EncoderConfig {
    let attribute = |name: &str, values: &[&str]| Attribute {
        name: name.to_owned(),
        values: values.iter().map(|&value| value.to_owned()).collect(),
    };
    EncoderConfig {
        attributes: vec![
            attribute("class", &["dog", "cat"]),
            attribute("tint", &["red", "blue", "green"]),
        ],
        text: TextConfig {
            vocab_size: 10,
            hidden_size: 8,
            intermediate_size: 16,
            num_hidden_layers: 1,
            num_attention_heads: 2,
            max_position_embeddings: 6,
            eos_token_id: Some(9),
            ..TextConfig::default()
        },
        embedding: 8,
    }
}

fn weights() -> Weights {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut weights = Weights::new();
    for (name, shape) in config().shapes() {
        weights.insert(
            name,
            (gaussian(&mut rng, &shape[..], &Device::Cpu).unwrap() * 0.2).unwrap(),
        );
    }
    for (name, tensor) in config().text.initialize(&mut rng).unwrap().iter() {
        weights.insert(format!("text.{name}"), tensor.clone());
    }
    weights
}

fn pixels() -> Tensor {
    gaussian(
        &mut ChaCha8Rng::seed_from_u64(4),
        (3, 3, SIDE, SIDE),
        &Device::Cpu,
    )
    .unwrap()
}

#[test]
fn a_saved_encoder_reads_the_same() {
    let encoder = Encoder::from_weights(config(), &weights()).unwrap();
    let bytes = weights()
        .to_bytes(DType::F32, &config().metadata())
        .unwrap();
    let loaded = Encoder::load(&bytes).unwrap();
    let embed = |encoder: &Encoder| {
        encoder
            .embed_images(&pixels())
            .unwrap()
            .to_vec2::<f32>()
            .unwrap()
    };
    assert_eq!(embed(&encoder), embed(&loaded));
    let readings = loaded.attributes(&pixels()).unwrap();
    assert_eq!(readings.len(), 3);
    assert_eq!(readings, encoder.attributes(&pixels()).unwrap());
    for reading in &readings[0] {
        assert!((0.0..=1.0).contains(&reading.probability), "{reading:?}");
    }
    assert_eq!(readings[0][1].attribute, "tint");
    assert!(["red", "blue", "green"].contains(&readings[0][1].value));
}

#[test]
fn embeddings_are_unit_vectors_and_padding_does_not_matter() {
    let encoder = Encoder::from_weights(config(), &weights()).unwrap();
    let ids = Tensor::new(&[[1_u32, 2, 9, 9, 9, 9], [1, 2, 9, 3, 4, 5]], &Device::Cpu).unwrap();
    let texts = encoder.embed_text(&ids).unwrap().to_vec2::<f32>().unwrap();
    for (a, b) in texts[0].iter().zip(&texts[1]) {
        assert!(
            (a - b).abs() < 1e-6,
            "what follows the end token changed the caption"
        );
    }
    let rows = encoder
        .embed_images(&pixels())
        .unwrap()
        .to_vec2::<f32>()
        .unwrap();
    for row in rows.iter().chain(&texts) {
        let length: f32 = row.iter().map(|value| value * value).sum();
        assert!((length - 1.0).abs() < 1e-5);
    }
}

#[test]
fn files_without_a_configuration_or_a_tensor_are_refused() {
    let plain = weights().to_bytes(DType::F32, &BTreeMap::new()).unwrap();
    assert!(Encoder::load(&plain).is_err());
    let without = |missing: &str| -> Weights {
        let all = weights();
        let kept = all.iter().filter(|(name, _)| *name != missing);
        kept.map(|(name, tensor)| (name.to_owned(), tensor.clone()))
            .collect()
    };
    for missing in [
        "head.tint.bias",
        "image.layers.2.conv.weight",
        "text_projection.weight",
    ] {
        let error = Encoder::from_weights(config(), &without(missing)).unwrap_err();
        assert!(error.to_string().contains(missing), "{error}");
    }
}

#[test]
fn every_weight_of_the_picture_half_gets_a_gradient() {
    let parameters = diffusion::weights::Parameters::from_weights(&weights()).unwrap();
    let encoder = Encoder::from_weights(config(), &parameters.weights()).unwrap();
    let features = encoder.features(&pixels()).unwrap();
    let mut sum = encoder
        .project(&features)
        .unwrap()
        .sqr()
        .unwrap()
        .sum_all()
        .unwrap();
    sum = (sum
        + encoder
            .project(&features)
            .unwrap()
            .narrow(1, 0, 3)
            .unwrap()
            .sum_all()
            .unwrap())
    .unwrap();
    for logits in encoder.logits(&features).unwrap() {
        sum = (sum + logits.sqr().unwrap().sum_all().unwrap()).unwrap();
    }
    let gradients = sum.backward().unwrap();
    for (name, variable) in parameters
        .iter()
        .filter(|(name, _)| name.starts_with("image.") || name.starts_with("head."))
    {
        let gradient = gradients.get(variable).expect(name);
        let size = gradient
            .abs()
            .unwrap()
            .max_all()
            .unwrap()
            .to_scalar::<f32>()
            .unwrap();
        assert!(size.is_finite() && size > 0.0, "{name}");
    }
}

#[test]
fn an_encoder_of_unknown_words_refuses_prompts_and_takes_no_others() {
    let encoder = || Encoder::from_weights(config(), &weights()).unwrap();
    let prompts = ["a photo of a dog".to_owned()];
    let refused = encoder().token_ids(&prompts).unwrap_err();
    let sizes = crate::Error::EncoderVocabulary {
        tokens: 10,
        length: 6,
    };
    assert_eq!(refused.to_string(), sizes.to_string());
    assert!(!encoder().has_the_words_of(&Tokenizer::clip()));
    assert!(encoder().with_tokenizer(Tokenizer::clip()).is_err());
}

#[test]
fn the_demo_domains_words_come_with_an_encoder_of_its_size() {
    let text = TextConfig {
        vocab_size: 1607,
        max_position_embeddings: 20,
        eos_token_id: Some(1606),
        ..config().text
    };
    let words = vocabulary::of(&text).expect("the size of the demo's encoder");
    assert_eq!(words.tokenize("a photo of a dog").len(), 5);
    // Words that nobody drew there fall into pieces and stay within the vocabulary.
    let ids = words.encode("a photo of a labradoodle");
    assert!(ids.len() == 20 && ids.iter().all(|id| *id < 1607));
    let longer = TextConfig {
        max_position_embeddings: 77,
        ..text.clone()
    };
    assert!(vocabulary::of(&longer).is_none());
    let other_end = TextConfig {
        eos_token_id: Some(5),
        ..text
    };
    assert!(vocabulary::of(&other_end).is_none());
}
