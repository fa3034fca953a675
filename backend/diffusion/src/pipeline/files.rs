//! The files of a model folder, in both directions.

use std::{collections::BTreeMap, fs, io, path::Path};

use candle_core::{DType, Device};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Pipeline;
use crate::{
    Error, Result,
    text::{TextEncoder, Tokenizer},
    vae::Autoencoder,
    weights::Weights,
};

/// Where files come from.
pub(super) trait Source {
    /// The content of a file, or nothing if it is absent.
    fn find(&self, name: &str) -> Result<Option<Vec<u8>>>;
}

/// A folder on disk.
pub(super) struct Folder<'a>(pub(super) &'a Path);

impl Source for Folder<'_> {
    fn find(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let path = self.0.join(name);
        match fs::read(&path) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Io { path, source }),
        }
    }
}

impl Source for BTreeMap<String, Vec<u8>> {
    fn find(&self, name: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.get(name).cloned())
    }
}

/// Names of a part's weights, the preferred one first.
const MODEL_WEIGHTS: [&str; 2] = [
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.fp16.safetensors",
];
const TEXT_WEIGHTS: [&str; 2] = ["model.safetensors", "model.fp16.safetensors"];

fn require(source: &dyn Source, name: &str) -> Result<Vec<u8>> {
    source
        .find(name)?
        .ok_or_else(|| Error::MissingFile(name.to_owned()))
}

fn parse<T: DeserializeOwned>(source: &dyn Source, name: &str) -> Result<T> {
    let json = |source| Error::Json {
        file: name.to_owned(),
        source,
    };
    serde_json::from_slice(&require(source, name)?).map_err(json)
}

fn weights(source: &dyn Source, part: &str, names: [&str; 2], device: &Device) -> Result<Weights> {
    for name in names {
        if let Some(bytes) = source.find(&format!("{part}/{name}"))? {
            return Weights::from_bytes(&bytes, DType::F32, device);
        }
    }
    Err(Error::MissingFile(format!("{part}/{}", names[0])))
}

/// Reads a pipeline.
pub(super) fn read(source: &dyn Source, device: &Device) -> Result<Pipeline> {
    let vae = require(source, "vae/config.json")?;
    let autoencoder =
        Autoencoder::from_config(&vae, || weights(source, "vae", MODEL_WEIGHTS, device))?;
    let text_weights = weights(source, "text_encoder", TEXT_WEIGHTS, device)?;
    let text = TextEncoder::new(parse(source, "text_encoder/config.json")?, &text_weights)?;
    let tokenizer = Tokenizer::from_files(
        &require(source, "tokenizer/vocab.json")?,
        &require(source, "tokenizer/merges.txt")?,
        source.find("tokenizer/tokenizer_config.json")?.as_deref(),
    )?;
    let mut pipeline = Pipeline::new(
        parse(source, "unet/config.json")?,
        weights(source, "unet", MODEL_WEIGHTS, device)?,
        autoencoder,
        text,
        tokenizer,
        parse(source, "scheduler/scheduler_config.json")?,
    )?;
    if source.find("model_index.json")?.is_some() {
        pipeline.model_index = Some(parse(source, "model_index.json")?);
    }
    Ok(pipeline)
}

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
fn model_index(autoencoder: &Autoencoder) -> Value {
    let library = match autoencoder {
        Autoencoder::Haar(_) => "diffusion",
        Autoencoder::Kl(_) => "diffusers",
    };
    json!({
        "_class_name": "StableDiffusionPipeline",
        "feature_extractor": [null, null],
        "requires_safety_checker": false,
        "safety_checker": [null, null],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": [library, autoencoder.class()],
    })
}

/// Everything that a folder holds.
pub(super) fn contents(pipeline: &Pipeline, dtype: DType) -> Result<BTreeMap<String, Vec<u8>>> {
    let index = pipeline.model_index.clone();
    let index = index.unwrap_or_else(|| model_index(&pipeline.autoencoder));
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
            "text_encoder/config.json",
            pipeline.text.config(),
            json!({ "architectures": ["CLIPTextModel"], "model_type": "clip_text_model" }),
        )?,
        pretty(
            "scheduler/scheduler_config.json",
            &pipeline.schedule,
            json!({ "_class_name": "DDIMScheduler" }),
        )?,
    ]);
    let none = BTreeMap::new();
    let mut add = |name: String, weights: &Weights| -> Result<()> {
        files.insert(name, weights.to_bytes(dtype, &none)?);
        Ok(())
    };
    add(format!("unet/{}", MODEL_WEIGHTS[0]), &pipeline.unet_weights)?;
    add(
        format!("text_encoder/{}", TEXT_WEIGHTS[0]),
        pipeline.text.weights(),
    )?;
    if let Some(weights) = pipeline.autoencoder.weights() {
        add(format!("vae/{}", MODEL_WEIGHTS[0]), weights)?;
    }
    for (name, content) in pipeline.tokenizer.to_files() {
        files.insert(format!("tokenizer/{name}"), content);
    }
    Ok(files)
}

/// Writes files below a folder.
pub(super) fn write(folder: &Path, files: &BTreeMap<String, Vec<u8>>) -> Result<()> {
    for (name, content) in files {
        let path = folder.join(name);
        let io = |source| Error::Io {
            path: path.clone(),
            source,
        };
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(io)?;
        }
        fs::write(&path, content).map_err(io)?;
    }
    Ok(())
}
