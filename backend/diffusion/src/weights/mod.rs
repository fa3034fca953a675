//! Named tensors: in memory, in safetensors files, and as trainable parameters.
//!
//! Refuses every file that is not exactly a safetensors file (see [`Weights::from_bytes`]).

mod format;
mod parameters;
pub(crate) mod pattern;

use std::{collections::BTreeMap, fs, io::Read, path::Path};

use candle_core::{DType, Device, Tensor};

pub use self::parameters::Parameters;
use crate::{Error, Result};

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
    /// The length of the header is compared with the file's size before anything is allocated.
    pub fn load(path: impl AsRef<Path>, dtype: DType, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        let io = |source| Error::Io {
            path: path.to_owned(),
            source,
        };
        let mut file = fs::File::open(path).map_err(io)?;
        let len = file.metadata().map_err(io)?.len();
        let mut start = Vec::new();
        (&mut file)
            .take(format::PREFIX as u64)
            .read_to_end(&mut start)
            .map_err(io)?;
        format::header_len(&start, len)?;
        file.read_to_end(&mut start).map_err(io)?;
        Self::from_bytes(&start, dtype, device)
    }

    /// Reads safetensors bytes and converts their tensors to `dtype`.
    ///
    /// Refused, before tensors are allocated: other formats (pickles and zip archives among
    /// them), headers longer than the file or than 16 MiB, unknown dtypes, offsets outside the
    /// file, gaps, overlaps, and shapes that do not match their offsets. The error names the
    /// tensor.
    pub fn from_bytes(bytes: &[u8], dtype: DType, device: &Device) -> Result<Self> {
        let file = format::parse(bytes)?;
        file.into_iter()
            .map(|entry| {
                let tensor =
                    Tensor::from_raw_buffer(entry.data, entry.dtype, &entry.shape, device)?;
                Ok((entry.name, tensor.to_dtype(dtype)?))
            })
            .collect()
    }

    /// Writes a safetensors file; it appears under its name only when it is complete.
    pub fn save(
        &self,
        path: impl AsRef<Path>,
        dtype: DType,
        metadata: &BTreeMap<String, String>,
    ) -> Result<()> {
        let path = path.as_ref();
        let io = |source| Error::Io {
            path: path.to_owned(),
            source,
        };
        let partial = path.with_extension("partial");
        fs::write(&partial, self.to_bytes(dtype, metadata)?).map_err(io)?;
        fs::rename(&partial, path).map_err(io)
    }

    /// Safetensors bytes with tensors converted to `dtype`; same weights, same bytes.
    ///
    /// The metadata gets `format: pt` unless it has a format, because transformers insists on it.
    pub fn to_bytes(&self, dtype: DType, metadata: &BTreeMap<String, String>) -> Result<Vec<u8>> {
        format::write(self.iter(), dtype, metadata)
    }
}

impl FromIterator<(String, Tensor)> for Weights {
    fn from_iter<I: IntoIterator<Item = (String, Tensor)>>(tensors: I) -> Self {
        Self {
            tensors: tensors.into_iter().collect(),
        }
    }
}
