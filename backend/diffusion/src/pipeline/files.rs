//! The files of a model, found by fixed names in a folder or in memory.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    path::Path,
};

use crate::{Error, Result, weights::WeightsFile};

/// Names of the weights of a denoiser or autoencoder in its folder, the preferred one first; those that end in `.json`
/// list the files of weights in several.
pub const MODEL_WEIGHTS: [&str; 4] = [
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.safetensors.index.json",
    "diffusion_pytorch_model.fp16.safetensors",
    "diffusion_pytorch_model.safetensors.index.fp16.json",
];
/// The same of a text encoder.
pub(super) const TEXT_WEIGHTS: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "model.fp16.safetensors",
    "model.safetensors.index.fp16.json",
];

/// Weights that are refused: to open them is to run what they say.
const PICKLES: [&str; 4] = [
    "diffusion_pytorch_model.bin",
    "diffusion_pytorch_model.fp16.bin",
    "pytorch_model.bin",
    "pytorch_model.fp16.bin",
];

/// Folders of the text encoders and their tokenizers.
pub(super) const TEXT: &str = "text_encoder";
pub(super) const TOKENIZER: &str = "tokenizer";
pub(super) const SECOND_TEXT: &str = "text_encoder_2";
pub(super) const SECOND_TOKENIZER: &str = "tokenizer_2";

pub(super) const SCHEDULER: &str = "scheduler/scheduler_config.json";

/// Longest configuration or vocabulary that is read; CLIP's has a little over 1 MB.
const MAX_SMALL: u64 = 64 << 20;

/// Where files come from.
pub(super) trait Source {
    /// The content of a small file, or nothing if it is absent.
    fn find(&self, name: &str) -> Result<Option<Vec<u8>>>;

    /// The listing of a weights file, or nothing if it is absent.
    fn weights(&self, name: &str) -> Result<Option<WeightsFile<'_>>>;
}

/// A folder on disk.
pub(super) struct Folder<'a>(pub(super) &'a Path);

impl Source for Folder<'_> {
    fn find(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let path = self.0.join(name);
        let mut content = Vec::new();
        let read = fs::File::open(&path)
            .and_then(|file| file.take(MAX_SMALL + 1).read_to_end(&mut content));
        match read {
            Ok(length) if length as u64 > MAX_SMALL => Err(Error::InvalidConfig(format!(
                "{name} has more than {MAX_SMALL} bytes"
            ))),
            Ok(_) => Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Io { path, source }),
        }
    }

    fn weights(&self, name: &str) -> Result<Option<WeightsFile<'_>>> {
        let path = self.0.join(name);
        if path.try_exists().unwrap_or(true) {
            return WeightsFile::open(path).map(Some);
        }
        Ok(None)
    }
}

impl Source for BTreeMap<String, Vec<u8>> {
    fn find(&self, name: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.get(name).cloned())
    }

    fn weights(&self, name: &str) -> Result<Option<WeightsFile<'_>>> {
        // Shards are for files that do not fit into memory; in memory they do not occur.
        let index = Path::new(name)
            .extension()
            .is_some_and(|kind| kind == "json");
        self.get(name)
            .filter(|_| !index)
            .map(|bytes| WeightsFile::from_bytes(bytes))
            .transpose()
    }
}

/// The listing of a part's weights under the first of `names` that is there.
pub(super) fn weights<'a>(
    source: &'a dyn Source,
    part: &str,
    names: [&str; 4],
) -> Result<WeightsFile<'a>> {
    for name in names {
        if let Some(file) = source.weights(&format!("{part}/{name}"))? {
            return Ok(file);
        }
    }
    for name in PICKLES.map(|name| format!("{part}/{name}")) {
        if source.find(&name).is_ok_and(|found| found.is_none()) {
            continue;
        }
        return Err(Error::MalformedWeights {
            reason: format!(
                "{name} is a PyTorch pickle, which may run code when it is opened; convert it to safetensors"
            ),
        });
    }
    Err(Error::MissingFile(format!("{part}/{}", names[0])))
}
