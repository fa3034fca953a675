//! Weights in the layout of `TensorFlow.js`: a manifest in JSON and shards of bytes, quantized or not.
//!
//! Owns bounds, dequantizing and the change of axes. Refuses other types, unknown lengths, and a manifest that does not
//! use its bytes exactly.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use serde::Deserialize;

use crate::{Error, Result};

/// Values of all tensors together; the largest of these networks has 5.6 million.
const VALUES: usize = 64 << 20;
/// Tensors.
const TENSORS: usize = 4096;

/// Bytes of one network.
#[derive(Clone, Copy)]
pub struct ManifestFiles<'a> {
    /// `*-weights_manifest.json`.
    pub manifest: &'a [u8],
    /// The shards, one after the other in the order of the manifest.
    pub shards: &'a [u8],
}

/// Tensors by name, in `PyTorch`'s order of axes.
#[derive(Debug)]
pub struct Manifest {
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

#[derive(Deserialize)]
struct Group {
    weights: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    shape: Vec<usize>,
    dtype: String,
    quantization: Option<Quantization>,
}

#[derive(Deserialize)]
struct Quantization {
    dtype: String,
    scale: f32,
    min: f32,
}

impl Manifest {
    /// Reads all tensors: `float32`, or `uint8` as `byte * scale + min`.
    pub fn read(files: ManifestFiles<'_>) -> Result<Self> {
        let groups: Vec<Group> =
            serde_json::from_slice(files.manifest).map_err(|error| refuse(error.to_string()))?;
        let entries: Vec<Entry> = groups.into_iter().flat_map(|group| group.weights).collect();
        if entries.len() > TENSORS {
            return Err(refuse(format!("{} tensors", entries.len())));
        }
        let mut rest = files.shards;
        let mut total = 0_usize;
        let mut tensors = BTreeMap::new();
        for entry in entries {
            let count = entry
                .shape
                .iter()
                .try_fold(1_usize, |product, side| product.checked_mul(*side));
            let count = count.filter(|count| *count > 0 && *count <= VALUES - total);
            let count =
                count.ok_or_else(|| refuse(format!("{} has {:?}", entry.name, entry.shape)))?;
            total += count;
            let values = values(&entry, count, &mut rest)?;
            if values.iter().any(|value| !value.is_finite()) {
                return Err(refuse(format!("{} is not finite", entry.name)));
            }
            if tensors
                .insert(entry.name.clone(), (entry.shape, values))
                .is_some()
            {
                return Err(refuse(format!("{} comes twice", entry.name)));
            }
        }
        if !rest.is_empty() {
            return Err(refuse(format!("{} bytes too many", rest.len())));
        }
        Ok(Self { tensors })
    }

    /// A vector of `count` values.
    pub(super) fn vector(&self, name: &str, count: usize) -> Result<Tensor> {
        self.get(name, &[count])
    }

    /// A matrix, `[inputs, outputs]` in the file and `[outputs, inputs]` here.
    pub(super) fn matrix(&self, name: &str, inputs: usize, outputs: usize) -> Result<Tensor> {
        Ok(self.get(name, &[inputs, outputs])?.t()?.contiguous()?)
    }

    /// A kernel, `[height, width, inputs, outputs]` in the file and `[outputs, inputs, height, width]` here.
    pub(super) fn kernel(
        &self,
        name: &str,
        side: usize,
        inputs: usize,
        outputs: usize,
    ) -> Result<Tensor> {
        let kernel = self.get(name, &[side, side, inputs, outputs])?;
        Ok(kernel.permute((3, 2, 0, 1))?.contiguous()?)
    }

    /// A depthwise kernel, `[height, width, channels, 1]` in the file and `[channels, 1, height, width]` here.
    pub(super) fn depthwise(&self, name: &str, side: usize, channels: usize) -> Result<Tensor> {
        let kernel = self.get(name, &[side, side, channels, 1])?;
        Ok(kernel.permute((2, 3, 0, 1))?.contiguous()?)
    }

    fn get(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let Some((found, values)) = self.tensors.get(name) else {
            return Err(refuse(format!("there is no {name}")));
        };
        if found != shape {
            return Err(refuse(format!(
                "{name} has shape {found:?}, needed is {shape:?}"
            )));
        }
        Ok(Tensor::from_slice(values, shape, &Device::Cpu)?)
    }
}

fn values(entry: &Entry, count: usize, rest: &mut &[u8]) -> Result<Vec<f32>> {
    let kind = entry.quantization.as_ref().map(|q| q.dtype.as_str());
    let size = match (entry.dtype.as_str(), kind) {
        ("float32", None) => 4 * count,
        ("float32", Some("uint8")) => count,
        (dtype, kind) => {
            return Err(refuse(format!(
                "{} is {dtype}, stored as {kind:?}",
                entry.name
            )));
        }
    };
    let bytes = rest
        .split_off(..size)
        .ok_or_else(|| refuse(format!("the bytes end in {}", entry.name)))?;
    Ok(match &entry.quantization {
        Some(q) => bytes
            .iter()
            .map(|byte| f32::from(*byte) * q.scale + q.min)
            .collect(),
        None => {
            let (words, _) = bytes.as_chunks::<4>();
            words.iter().map(|word| f32::from_le_bytes(*word)).collect()
        }
    })
}

fn refuse(reason: String) -> Error {
    Error::Manifest { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = r#"[{"weights":[
        {"name":"a","shape":[2],"dtype":"float32","quantization":{"dtype":"uint8","scale":0.5,"min":-1.0}},
        {"name":"b","shape":[1,2],"dtype":"float32"}],"paths":["x.bin"]}]"#;

    fn shards() -> Vec<u8> {
        let floats = [1.5_f32, -2.0].map(f32::to_le_bytes).concat();
        [vec![0, 255], floats].concat()
    }

    fn read(manifest: &str, shards: &[u8]) -> Result<Manifest> {
        Manifest::read(ManifestFiles {
            manifest: manifest.as_bytes(),
            shards,
        })
    }

    #[test]
    fn bytes_are_scaled_and_floats_kept() {
        let found = read(ONE, &shards()).unwrap();
        let vector = found.vector("a", 2).unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(vector, [-1.0, 126.5]);
        let matrix = found.matrix("b", 1, 2).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(matrix, [[1.5], [-2.0]]);
        assert!(found.vector("a", 3).is_err() && found.vector("c", 1).is_err());
    }

    #[test]
    fn manifests_that_lie_are_refused() {
        let long = [shards(), vec![1]].concat();
        for (manifest, shards) in [
            (ONE.to_owned(), shards()[..9].to_vec()),
            (ONE.to_owned(), long),
            (ONE.replace("uint8", "uint16"), shards()),
            (ONE.replace("\"b\"", "\"a\""), shards()),
            (ONE.replace("[1,2]", "[4294967296,4294967296]"), shards()),
            (ONE.replace("[2]", "[0]"), shards()),
            ("{}".to_owned(), shards()),
        ] {
            assert!(
                matches!(read(&manifest, &shards), Err(Error::Manifest { .. })),
                "{manifest}"
            );
        }
    }
}
