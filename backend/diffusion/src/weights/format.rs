//! The safetensors format: a length, a JSON header, then the values.
//!
//! Written here because files come from strangers (each refusal must name the tensor) and because
//! saved bytes are addressed by hash (the order of the header must not vary).

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Bytes of the header's length.
pub(super) const PREFIX: usize = 8;

/// Longest header that is accepted; that of the largest known U-Net is below 1 MiB.
const MAX_HEADER: u64 = 16 << 20;

const METADATA: &str = "__metadata__";

/// One tensor of a file, checked.
pub(super) struct Entry<'a> {
    pub(super) name: String,
    pub(super) dtype: DType,
    pub(super) shape: Vec<usize>,
    pub(super) data: &'a [u8],
}

#[derive(Deserialize, Serialize)]
struct Info {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

fn malformed(reason: impl Into<String>) -> Error {
    Error::MalformedWeights {
        reason: reason.into(),
    }
}

/// Length of the header of a file of `file_len` bytes that begins with `start`.
pub(super) fn header_len(start: &[u8], file_len: u64) -> Result<usize> {
    let prefix = start
        .first_chunk::<PREFIX>()
        .ok_or_else(|| malformed("shorter than 8 bytes"))?;
    let len = u64::from_le_bytes(*prefix);
    if len > MAX_HEADER || len.saturating_add(PREFIX as u64) > file_len {
        // The first bytes may be a plausible length too, so the magic only explains a refusal.
        if start.starts_with(b"PK") || start.starts_with(&[0x80]) {
            return Err(malformed(
                "it is a PyTorch pickle or archive; convert it to safetensors",
            ));
        }
        return Err(malformed(format!(
            "header of {len} bytes in a file of {file_len}"
        )));
    }
    usize::try_from(len).map_err(|_| malformed("header longer than memory"))
}

/// Checks a file and lists its tensors in the order of their names.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Entry<'_>>> {
    let (header, data) = bytes[..]
        .split_at_checked(PREFIX + header_len(bytes, bytes.len() as u64)?)
        .ok_or_else(|| malformed("truncated header"))?;
    let mut header: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&header[PREFIX..])
        .map_err(|error| malformed(format!("header is not JSON: {error}")))?;
    header.remove(METADATA);
    let mut entries = Vec::with_capacity(header.len());
    let mut spans = Vec::with_capacity(header.len());
    for (name, value) in header {
        let (entry, span) = entry(&name, value, data).map_err(|reason| Error::MalformedTensor {
            name: name.clone(),
            reason,
        })?;
        spans.push((span, name));
        entries.push(entry);
    }
    spans.sort();
    let mut end = 0;
    for ((start, stop), name) in spans {
        if start != end {
            let reason = format!("starts at {start}, the tensor before it ends at {end}");
            return Err(Error::MalformedTensor { name, reason });
        }
        end = stop;
    }
    if end != data.len() {
        return Err(malformed(format!(
            "{} bytes of data, {end} described",
            data.len()
        )));
    }
    Ok(entries)
}

type Span = (usize, usize);

fn entry<'a>(
    name: &str,
    value: serde_json::Value,
    data: &'a [u8],
) -> std::result::Result<(Entry<'a>, Span), String> {
    let info: Info = serde_json::from_value(value).map_err(|error| error.to_string())?;
    let dtype = dtype_from(&info.dtype).ok_or_else(|| format!("unknown dtype {}", info.dtype))?;
    let (start, end) = info.data_offsets;
    let values = data.get(start..end).ok_or_else(|| {
        format!(
            "offsets {start}..{end} outside {} bytes of data",
            data.len()
        )
    })?;
    let size = info
        .shape
        .iter()
        .try_fold(dtype.size_in_bytes(), |size, dim| size.checked_mul(*dim));
    if size != Some(values.len()) {
        return Err(format!(
            "shape {:?} of {} in {} bytes",
            info.shape,
            info.dtype,
            values.len()
        ));
    }
    let entry = Entry {
        name: name.to_owned(),
        dtype,
        shape: info.shape,
        data: values,
    };
    Ok((entry, (start, end)))
}

fn dtype_from(name: &str) -> Option<DType> {
    Some(match name {
        "F64" => DType::F64,
        "F32" => DType::F32,
        "F16" => DType::F16,
        "BF16" => DType::BF16,
        "I64" => DType::I64,
        "I32" => DType::I32,
        "U32" => DType::U32,
        "U8" => DType::U8,
        _ => return None,
    })
}

/// Serialises tensors in the given order, with sorted metadata; only floats are converted.
pub(super) fn write<'a>(
    tensors: impl Iterator<Item = (&'a str, &'a Tensor)>,
    dtype: DType,
    metadata: &BTreeMap<String, String>,
) -> Result<Vec<u8>> {
    let mut metadata = metadata.clone();
    metadata
        .entry("format".to_owned())
        .or_insert_with(|| "pt".to_owned());
    let mut header = serde_json::Map::new();
    header.insert(METADATA.to_owned(), serde_json::json!(metadata));
    let mut data = Vec::new();
    for (name, tensor) in tensors {
        let start = data.len();
        let dtype = if tensor.dtype().is_float() {
            dtype
        } else {
            tensor.dtype()
        };
        let name_of_dtype = append(&mut data, &tensor.detach().to_dtype(dtype)?)?;
        let info = Info {
            dtype: name_of_dtype.to_owned(),
            shape: tensor.dims().to_vec(),
            data_offsets: (start, data.len()),
        };
        header.insert(name.to_owned(), serde_json::json!(info));
    }
    let mut header = serde_json::Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(PREFIX), b' ');
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut header);
    bytes.append(&mut data);
    Ok(bytes)
}

/// Appends the values of a tensor in little-endian order; returns the dtype's name in the format.
fn append(data: &mut Vec<u8>, tensor: &Tensor) -> Result<&'static str> {
    let flat = tensor.flatten_all()?;
    Ok(match tensor.dtype() {
        DType::F32 => {
            data.extend(
                flat.to_vec1::<f32>()?
                    .iter()
                    .flat_map(|value| value.to_le_bytes()),
            );
            "F32"
        }
        DType::F16 => {
            data.extend(
                flat.to_vec1::<half::f16>()?
                    .iter()
                    .flat_map(|value| value.to_le_bytes()),
            );
            "F16"
        }
        DType::BF16 => {
            data.extend(
                flat.to_vec1::<half::bf16>()?
                    .iter()
                    .flat_map(|value| value.to_le_bytes()),
            );
            "BF16"
        }
        DType::U8 => {
            data.extend(flat.to_vec1::<u8>()?);
            "U8"
        }
        other => {
            let value = format!("{other:?}");
            return Err(Error::Unsupported {
                what: "dtype of saved weights",
                value,
            });
        }
    })
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::weights::Weights;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(data);
        bytes
    }

    fn refusal(bytes: &[u8]) -> String {
        Weights::from_bytes(bytes, DType::F32, &Device::Cpu)
            .expect_err("refused")
            .to_string()
    }

    #[test]
    fn absurd_header_length_is_refused() {
        let mut bytes = u64::MAX.to_le_bytes().to_vec();
        bytes[0] = 0x7f;
        bytes.extend_from_slice(&[0; 64]);
        assert!(refusal(&bytes).contains("header of"));
        assert!(refusal(&[1, 2]).contains("shorter than 8 bytes"));
        assert!(refusal(&[200, 0, 0, 0, 0, 0, 0, 0, b'{']).contains("header of 200 bytes"));
    }

    #[test]
    fn pickles_and_archives_are_refused() {
        assert!(refusal(b"PK\x03\x04 and then some").contains("pickle"));
        assert!(refusal(&[0x80, 2, 0, 0, 0, 0, 0, 0, 0]).contains("pickle"));
    }

    #[test]
    fn offsets_outside_the_file_name_the_tensor() {
        let header = r#"{"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#;
        assert!(refusal(&file(header, &[0; 8])).contains("tensor w"));
        let header = r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#;
        assert!(refusal(&file(header, &[0; 8])).contains("tensor w"));
    }

    #[test]
    fn shapes_that_lie_name_the_tensor() {
        let header =
            r#"{"w":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}}"#;
        assert!(refusal(&file(header, &[0; 8])).contains("tensor w: shape"));
        let header = r#"{"w":{"dtype":"F13","shape":[2],"data_offsets":[0,8]}}"#;
        assert!(refusal(&file(header, &[0; 8])).contains("unknown dtype F13"));
    }

    #[test]
    fn gaps_overlaps_and_trailing_bytes_are_refused() {
        let header = r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}"#;
        assert!(refusal(&file(header, &[0; 6])).contains("tensor b: starts at 2"));
        let header = r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#;
        assert!(refusal(&file(header, &[0; 6])).contains("6 bytes of data, 4 described"));
    }

    #[test]
    fn saved_bytes_are_stable_and_read_back() {
        let mut weights = Weights::new();
        let values = Tensor::new(&[[1.0f32, -2.5], [0.0, 1e-3]], &Device::Cpu).unwrap();
        weights.insert("b", values.clone());
        weights.insert("a", values.t().unwrap());
        let metadata = BTreeMap::from([("seed".to_owned(), "7".to_owned())]);
        let bytes = weights.to_bytes(DType::F32, &metadata).unwrap();
        assert_eq!(bytes, weights.to_bytes(DType::F32, &metadata).unwrap());
        let read = Weights::from_bytes(&bytes, DType::F32, &Device::Cpu).unwrap();
        assert_eq!(read.len(), 2);
        let transposed = read.get("a").unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(transposed, vec![vec![1.0, 0.0], vec![-2.5, 1e-3]]);
    }
}
