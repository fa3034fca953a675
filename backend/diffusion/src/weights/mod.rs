//! Named tensors: in memory, in safetensors files, and as trainable parameters.
//!
//! Refuses every file that is not exactly a safetensors file (see [`WeightsFile::open`]).

pub mod delta;
mod element;
mod file;
mod header;
mod implied;
mod parameters;
pub(crate) mod pattern;
mod shards;
mod stored;
mod unique;
mod write;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, path::Path};

use candle_core::{DType, Device, Tensor};

pub use self::{
    element::ElementType, file::WeightsFile, parameters::Parameters, stored::StoredTensor,
};
use crate::Result;

/// Tensors by name, in the order of their names.
#[derive(Clone, Debug, Default)]
pub struct Weights {
    tensors: BTreeMap<String, Tensor>,
}

impl Weights {
    /// No tensors.
    pub fn new() -> Self {
        Self::default()
    }

    /// The tensor called `name`.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// All tensors in the order of their names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.tensors
            .iter()
            .map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// Adds or replaces a tensor.
    pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor) {
        self.tensors.insert(name.into(), tensor);
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether there is no tensor.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// Number of values in all tensors.
    pub fn value_count(&self) -> usize {
        self.tensors.values().map(Tensor::elem_count).sum()
    }

    /// The tensors whose names start with `prefix`, without it.
    #[must_use]
    pub fn with_prefix(&self, prefix: &str) -> Self {
        self.iter()
            .filter_map(|(name, tensor)| {
                Some((name.strip_prefix(prefix)?.to_owned(), tensor.clone()))
            })
            .collect()
    }

    /// The same tensors on `device`; those that are there already are shared.
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        let moved =
            |(name, tensor): (&str, &Tensor)| Ok((name.to_owned(), tensor.to_device(device)?));
        self.iter().map(moved).collect()
    }

    /// A copy that shares no storage and tracks no gradients.
    #[must_use]
    pub fn deep_copy(&self) -> Self {
        let copy = |tensor: &Tensor| tensor.detach().copy().expect("copying an existing tensor");
        self.iter()
            .map(|(name, tensor)| (name.to_owned(), copy(tensor)))
            .collect()
    }

    /// Reads a safetensors file and converts its tensors to `dtype`.
    ///
    /// The header is checked before any tensor is made (see [`WeightsFile::open`]).
    pub fn load(path: impl AsRef<Path>, dtype: DType, device: &Device) -> Result<Self> {
        WeightsFile::open(path)?.load(dtype, device)
    }

    /// Reads safetensors bytes and converts their tensors to `dtype`.
    pub fn from_bytes(bytes: &[u8], dtype: DType, device: &Device) -> Result<Self> {
        WeightsFile::from_bytes(bytes)?.load(dtype, device)
    }

    /// Writes a safetensors file; it appears under its name only when it is complete.
    ///
    /// Tensors are converted and written one at a time, so memory holds no second copy of all.
    pub fn save(
        &self,
        path: impl AsRef<Path>,
        dtype: DType,
        metadata: &BTreeMap<String, String>,
    ) -> Result<()> {
        write::save(path.as_ref(), self, dtype, metadata)
    }

    /// Safetensors bytes with tensors converted to `dtype`; same weights, same bytes.
    ///
    /// The metadata gets `format: pt` unless it has a format, because transformers insists on it.
    pub fn to_bytes(&self, dtype: DType, metadata: &BTreeMap<String, String>) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        write::write(&mut bytes, self, dtype, metadata).map_err(|error| error.at(Path::new("")))?;
        Ok(bytes)
    }
}

impl FromIterator<(String, Tensor)> for Weights {
    fn from_iter<I: IntoIterator<Item = (String, Tensor)>>(tensors: I) -> Self {
        Self {
            tensors: tensors.into_iter().collect(),
        }
    }
}
