//! The configurations of a model folder, without its weights.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Models;
use crate::{Error, Result, vae::HaarTransform};

impl Models {
    /// Reads the configurations of a folder in the diffusers layout.
    pub fn from_folder(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let vae: Value = parse(folder, "vae/config.json")?;
        let haar = vae.get("_class_name").and_then(Value::as_str) == Some(HaarTransform::CLASS);
        let mut texts = vec![parse(folder, "text_encoder/config.json")?];
        if folder.join("text_encoder_2/config.json").exists() {
            texts.push(parse(folder, "text_encoder_2/config.json")?);
        }
        Ok(Self {
            unet: parse(folder, "unet/config.json")?,
            texts,
            vae: (!haar)
                .then(|| parse(folder, "vae/config.json"))
                .transpose()?,
        })
    }
}

fn parse<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<T> {
    let path = folder.join(name);
    let bytes = std::fs::read(&path).map_err(|source| Error::Io { path, source })?;
    serde_json::from_slice(&bytes).map_err(|source| Error::Json {
        file: name.to_owned(),
        source,
    })
}
