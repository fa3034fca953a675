//! Writing a model folder.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use candle_core::DType;
use serde_json::{Value, json};

use super::{
    Pipeline, SecondText,
    files::{
        MODEL_WEIGHTS, SCHEDULER, SECOND_TEXT, SECOND_TOKENIZER, TEXT, TEXT_WEIGHTS, TOKENIZER,
    },
};
use crate::{
    Error, Result,
    text::{TextEncoder, Tokenizer},
    vae::Autoencoder,
    weights::Weights,
};

/// Pretty JSON of a configuration, with fields that its readers insist on.
fn pretty(file: &str, config: impl serde::Serialize, required: Value) -> Result<(String, Vec<u8>)> {
    let json = |source| Error::Json {
        file: file.to_owned(),
        source,
    };
    let mut config = serde_json::to_value(config).map_err(json)?;
    if let (Value::Object(config), Value::Object(required)) = (&mut config, required) {
        for (field, value) in required {
            config.entry(field).or_insert(value);
        }
    }
    let mut bytes = serde_json::to_vec_pretty(&config).map_err(json)?;
    bytes.push(b'\n');
    Ok((file.to_owned(), bytes))
}

/// The index of a pipeline that was made here.
fn model_index(pipeline: &Pipeline) -> Value {
    let library = match pipeline.autoencoder {
        Autoencoder::Haar(_) => "diffusion",
        Autoencoder::Kl(_) => "diffusers",
    };
    let mut index = json!({
        "_class_name": "StableDiffusionPipeline",
        "feature_extractor": [null, null],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": [library, pipeline.autoencoder.class()],
    });
    if pipeline.second_text.is_some() {
        index["_class_name"] = json!("StableDiffusionXLPipeline");
        index["force_zeros_for_empty_prompt"] = json!(true);
        index["image_encoder"] = json!([null, null]);
        index[SECOND_TEXT] = json!(["transformers", "CLIPTextModelWithProjection"]);
        index[SECOND_TOKENIZER] = json!(["transformers", "CLIPTokenizer"]);
    } else {
        index["requires_safety_checker"] = json!(false);
        index["safety_checker"] = json!([null, null]);
    }
    index
}

/// The files of a folder that are no weights.
fn small_files(pipeline: &Pipeline) -> Result<BTreeMap<String, Vec<u8>>> {
    let index = pipeline.model_index.clone();
    let index = index.unwrap_or_else(|| model_index(pipeline));
    let mut files = BTreeMap::from([
        pretty("model_index.json", index, json!({}))?,
        pretty(
            "unet/config.json",
            &pipeline.unet_config,
            json!({ "_class_name": "UNet2DConditionModel" }),
        )?,
        pretty(
            "vae/config.json",
            pipeline.autoencoder.config()?,
            json!({ "_class_name": pipeline.autoencoder.class() }),
        )?,
        pretty(
            SCHEDULER,
            &pipeline.schedule,
            json!({ "_class_name": "DDIMScheduler" }),
        )?,
    ]);
    let texts = texts(pipeline);
    for ((part, encoder), (folder, tokenizer)) in texts {
        let config = format!("{part}/config.json");
        let required = json!({ "model_type": "clip_text_model" });
        files.extend([pretty(&config, encoder.config(), required)?]);
        let named = |(name, content)| (format!("{folder}/{name}"), content);
        files.extend(tokenizer.to_files().into_iter().map(named));
    }
    Ok(files)
}

type NamedText<'a> = (
    (&'static str, &'a TextEncoder),
    (&'static str, &'a Tokenizer),
);

/// The text encoders and their tokenizers with their folders.
fn texts(pipeline: &Pipeline) -> Vec<NamedText<'_>> {
    let first = ((TEXT, &pipeline.text), (TOKENIZER, &pipeline.tokenizer));
    let second = pipeline.second_text.as_ref();
    let second = second.map(|SecondText { encoder, tokenizer }| {
        ((SECOND_TEXT, encoder), (SECOND_TOKENIZER, tokenizer))
    });
    std::iter::once(first).chain(second).collect()
}

/// The weights of a folder by their files' names.
fn weights(pipeline: &Pipeline) -> Vec<(String, &Weights)> {
    let mut all = vec![(format!("unet/{}", MODEL_WEIGHTS[0]), &pipeline.unet_weights)];
    let vae = pipeline.autoencoder.weights();
    all.extend(vae.map(|weights| (format!("vae/{}", MODEL_WEIGHTS[0]), weights)));
    for ((part, encoder), _) in texts(pipeline) {
        all.push((format!("{part}/{}", TEXT_WEIGHTS[0]), encoder.weights()));
    }
    all
}

/// Everything that a folder holds.
pub(super) fn contents(pipeline: &Pipeline, dtype: DType) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = small_files(pipeline)?;
    for (name, weights) in weights(pipeline) {
        files.insert(name, weights.to_bytes(dtype, &BTreeMap::new())?);
    }
    Ok(files)
}

/// Writes a folder; weights go to the disk tensor by tensor.
pub(super) fn folder(pipeline: &Pipeline, folder: &Path, dtype: DType) -> Result<()> {
    for (name, content) in small_files(pipeline)? {
        let path = place(folder, &name)?;
        fs::write(&path, content).map_err(|source| Error::Io { path, source })?;
    }
    for (name, weights) in weights(pipeline) {
        weights.save(place(folder, &name)?, dtype, &BTreeMap::new())?;
    }
    Ok(())
}

/// The path of a file whose folder exists.
fn place(folder: &Path, name: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    let parent = path.parent().unwrap_or(folder);
    match fs::create_dir_all(parent) {
        Ok(()) => Ok(path),
        Err(source) => Err(Error::Io { path, source }),
    }
}
