//! Textual inversion against transformers and diffusers.

use candle_core::{DType, Device, Tensor};
use diffusion::{
    optimizer::{AdamW, AdamWConfig},
    text::{TextEncoder, TextualInversion, Tokenizer},
    weights::Weights,
};

use crate::support::{config, path, relative_error, tensors, values};

fn weights() -> Weights {
    tensors("text").with_prefix("weight.")
}

#[test]
fn gradients_and_twenty_steps_agree_with_transformers() {
    let file = tensors("textual_inversion");
    let ids = file.get("ids").unwrap().to_dtype(DType::U32).unwrap();
    let inversion = TextualInversion::new("<dog-toy>", file.get("start").unwrap()).unwrap();
    let all = inversion.over(&weights()).unwrap();
    let encoder = TextEncoder::new(config("text"), &all).unwrap();
    let mut optimizer = AdamW::new(AdamWConfig {
        lr: 1e-2,
        ..AdamWConfig::default()
    });
    let (_, rows) = inversion.parameters().iter().next().unwrap();
    let off = |actual: &Tensor, name: &str| relative_error(actual, file.get(name).unwrap());
    for step in 0..20 {
        let states = encoder.forward(&ids).unwrap();
        if step == 0 {
            assert!(off(&states, "states") < 1e-5);
        }
        let error = (states - tensors("text").get("target").unwrap()).unwrap();
        let gradients = error.sqr().unwrap().mean_all().unwrap().backward().unwrap();
        for (name, tensor) in all.iter().filter(|(_, tensor)| tensor.id() != rows.id()) {
            assert!(gradients.get(tensor).is_none(), "{name} is frozen");
        }
        if step == 0 {
            let error = off(gradients.get(rows).expect("rows train"), "gradient");
            assert!(error < 1e-4, "gradient is off by {error}");
        }
        optimizer.step(inversion.parameters(), &gradients).unwrap();
    }
    let error = off(rows, "end");
    assert!(error < 1e-4, "off by {error} after twenty steps");
}

#[test]
fn files_are_those_of_diffusers() {
    let theirs = path("learned_embeds.safetensors");
    let inversion = TextualInversion::load(&theirs, &Device::Cpu).unwrap();
    assert_eq!(inversion.token(), "<dog-toy>");
    let (_, rows) = inversion.parameters().iter().next().unwrap();
    let file = tensors("textual_inversion");
    assert_eq!(values(rows), values(file.get("start").unwrap()));
    let folder = tempfile::tempdir().unwrap();
    let ours = folder.path().join("learned_embeds.safetensors");
    inversion.save(&ours, DType::F32).unwrap();
    let read = |path| Weights::load(path, DType::F32, &Device::Cpu).unwrap();
    let (ours, theirs) = (read(ours), read(theirs));
    assert_eq!(ours.len(), 1);
    let (ours, theirs) = (ours.get("<dog-toy>"), theirs.get("<dog-toy>"));
    assert_eq!(values(ours.unwrap()), values(theirs.unwrap()));
}

#[test]
fn parts_of_a_file_are_read_by_name() {
    let table = weights();
    let table = table.get("text_model.embeddings.token_embedding.weight");
    let rows = |first: usize| table.unwrap().narrow(0, first, 2).unwrap();
    let file: Weights = [
        ("clip_l".to_owned(), rows(0)),
        ("clip_g".to_owned(), rows(7)),
    ]
    .into_iter()
    .collect();
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("embeds.safetensors");
    file.save(&place, DType::F32, &std::collections::BTreeMap::new())
        .unwrap();
    let load = |part| TextualInversion::load_part(&place, part, "<a>", &Device::Cpu);
    let second = load("clip_g").unwrap();
    let (_, found) = second.parameters().iter().next().unwrap();
    assert_eq!(values(found), values(&rows(7)));
    assert!(load("clip_h").is_err());
    assert!(TextualInversion::load(&place, &Device::Cpu).is_err());
}

#[test]
fn prompts_become_the_ids_that_diffusers_gives() {
    let read = |name: &str| std::fs::read(path("tokenizer").join(name)).unwrap();
    let tokenizer_config = read("tokenizer_config.json");
    let tokenizer = Tokenizer::from_files(
        &read("vocab.json"),
        &read("merges.txt"),
        Some(&tokenizer_config),
    )
    .unwrap();
    let table = weights();
    let name = "text_model.embeddings.token_embedding.weight";
    let rows = table.get(name).unwrap();
    let rows = rows.narrow(0, 0, tokenizer.vocabulary_size()).unwrap();
    let table: Weights = [(name.to_owned(), rows)].into_iter().collect();
    let inversion =
        TextualInversion::load(path("learned_embeds.safetensors"), &Device::Cpu).unwrap();
    let tokenizer = inversion.tokenizer(tokenizer, &table).unwrap();
    let expected: serde_json::Value = config("textual_inversion");
    let prompts: Vec<String> = serde_json::from_value(expected["prompts"].clone()).unwrap();
    let ids: Vec<Vec<u32>> = serde_json::from_value(expected["ids"].clone()).unwrap();
    for (prompt, ids) in prompts.iter().zip(ids) {
        assert_eq!(tokenizer.encode(prompt), ids, "{prompt}");
    }
    let again = tokenizer.with_added_token("<dog-toy>", vec![1]);
    assert!(again.is_err());
}

#[test]
fn inversions_follow_one_another() {
    let weights = weights();
    let first = TextualInversion::like("<a>", &[3, 4], &weights).unwrap();
    let both = first.over(&weights).unwrap();
    let second = TextualInversion::like("<b>", &[5], &weights).unwrap();
    let both = second.over(&both).unwrap();
    let encoder = TextEncoder::new(config("text"), &both).unwrap();
    let states = |ids: [u32; 4]| {
        let ids = Tensor::new(&[ids], &Device::Cpu).unwrap();
        encoder.forward(&ids).unwrap()
    };
    let new = states([598, 600, 601, 602]);
    assert_eq!(values(&new), values(&states([598, 3, 4, 5])));
    let gradients = new.sqr().unwrap().sum_all().unwrap().backward().unwrap();
    for inversion in [&first, &second] {
        let (_, rows) = inversion.parameters().iter().next().unwrap();
        assert!(gradients.get(rows).is_some(), "{}", inversion.token());
    }
    let past = Tensor::new(&[[598u32, 603]], &Device::Cpu).unwrap();
    assert!(encoder.forward(&past).is_err());
    assert!(TextualInversion::like("<c>", &[600], &weights).is_err());
}
