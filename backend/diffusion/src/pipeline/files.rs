//! The files of a model folder, in both directions.

use std::{collections::BTreeMap, fs, io, path::Path};

use candle_core::{DType, Device};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Pipeline, SecondText};
use crate::{
    Error, Result,
    schedule::ScheduleConfig,
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

/// Folders of the text encoders and their tokenizers.
const TEXT: &str = "text_encoder";
const TOKENIZER: &str = "tokenizer";
const SECOND_TEXT: &str = "text_encoder_2";
const SECOND_TOKENIZER: &str = "tokenizer_2";

const SCHEDULER: &str = "scheduler/scheduler_config.json";

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
    let has = |name: &str| Ok::<_, Error>(source.find(name)?.is_some());
    let second_text = has(&format!("{SECOND_TEXT}/config.json"))?.then(|| {
        Ok::<_, Error>(SecondText {
            encoder: text(source, SECOND_TEXT, device)?,
            tokenizer: tokenizer(source, SECOND_TOKENIZER)?,
        })
    });
    let model_index = has("model_index.json")?.then(|| parse(source, "model_index.json"));
    Pipeline {
        unet_config: parse(source, "unet/config.json")?,
        unet_weights: weights(source, "unet", MODEL_WEIGHTS, device)?,
        autoencoder,
        text: text(source, TEXT, device)?,
        tokenizer: tokenizer(source, TOKENIZER)?,
        second_text: second_text.transpose()?,
        schedule: ScheduleConfig::from_json(&require(source, SCHEDULER)?).map_err(|source| {
            let file = SCHEDULER.to_owned();
            Error::Json { file, source }
        })?,
        model_index: model_index.transpose()?,
    }
    .checked()
}

fn text(source: &dyn Source, part: &str, device: &Device) -> Result<TextEncoder> {
    let config = parse(source, &format!("{part}/config.json"))?;
    TextEncoder::new(config, &weights(source, part, TEXT_WEIGHTS, device)?)
}

fn tokenizer(source: &dyn Source, part: &str) -> Result<Tokenizer> {
    let config = source.find(&format!("{part}/tokenizer_config.json"))?;
    Tokenizer::from_files(
        &require(source, &format!("{part}/vocab.json"))?,
        &require(source, &format!("{part}/merges.txt"))?,
        config.as_deref(),
    )
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

/// Everything that a folder holds.
pub(super) fn contents(pipeline: &Pipeline, dtype: DType) -> Result<BTreeMap<String, Vec<u8>>> {
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
    let none = BTreeMap::new();
    let unet = pipeline.unet_weights.to_bytes(dtype, &none)?;
    files.insert(format!("unet/{}", MODEL_WEIGHTS[0]), unet);
    if let Some(weights) = pipeline.autoencoder.weights() {
        let name = format!("vae/{}", MODEL_WEIGHTS[0]);
        files.insert(name, weights.to_bytes(dtype, &none)?);
    }
    add_text(
        &mut files,
        (TEXT, &pipeline.text),
        (TOKENIZER, &pipeline.tokenizer),
        dtype,
    )?;
    if let Some(SecondText { encoder, tokenizer }) = &pipeline.second_text {
        let (encoder, tokenizer) = ((SECOND_TEXT, encoder), (SECOND_TOKENIZER, tokenizer));
        add_text(&mut files, encoder, tokenizer, dtype)?;
    }
    Ok(files)
}

/// The files of a text encoder and its tokenizer.
fn add_text(
    files: &mut BTreeMap<String, Vec<u8>>,
    (part, encoder): (&str, &TextEncoder),
    (folder, tokenizer): (&str, &Tokenizer),
    dtype: DType,
) -> Result<()> {
    let config = format!("{part}/config.json");
    files.extend([pretty(
        &config,
        encoder.config(),
        json!({ "model_type": "clip_text_model" }),
    )?]);
    let weights = encoder.weights().to_bytes(dtype, &BTreeMap::new())?;
    files.insert(format!("{part}/{}", TEXT_WEIGHTS[0]), weights);
    for (name, content) in tokenizer.to_files() {
        files.insert(format!("{folder}/{name}"), content);
    }
    Ok(())
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
