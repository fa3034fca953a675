//! Writing safetensors: the header first, then one tensor at a time.
//!
//! Saved bytes are addressed by hash, so the order of the header must not vary.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, BufWriter, Write},
    path::Path,
};

use candle_core::{DType, Tensor, WithDType};
use half::{bf16, f16};
use serde_json::{Value, json};

use super::{
    Weights,
    element::ElementType,
    header::{METADATA, PREFIX},
};
use crate::{Error, Result};

/// Writes weights, floats as `dtype`; a second copy of one tensor is the most that memory holds.
pub(super) fn write(
    sink: &mut dyn Write,
    weights: &Weights,
    dtype: DType,
    metadata: &BTreeMap<String, String>,
) -> Result<(), WriteError> {
    let header = header(weights, dtype, metadata)?;
    sink.write_all(&(header.len() as u64).to_le_bytes())?;
    sink.write_all(&header)?;
    for (_, tensor) in weights.iter() {
        let dtype = stored_dtype(tensor, dtype);
        let flat = tensor.detach().to_dtype(dtype)?.flatten_all()?;
        match dtype {
            DType::F32 => values(sink, &flat, f32::to_le_bytes)?,
            DType::F16 => values(sink, &flat, f16::to_le_bytes)?,
            DType::BF16 => values(sink, &flat, bf16::to_le_bytes)?,
            DType::U8 => values(sink, &flat, u8::to_le_bytes)?,
            other => return Err(WriteError::Other(unsupported(other))),
        }
    }
    Ok(())
}

/// What a tensor becomes in the file; whole numbers stay what they are.
fn stored_dtype(tensor: &Tensor, dtype: DType) -> DType {
    if tensor.dtype().is_float() {
        dtype
    } else {
        tensor.dtype()
    }
}

/// The types that can be written.
fn element(dtype: DType) -> Result<ElementType, WriteError> {
    let known = matches!(dtype, DType::F32 | DType::F16 | DType::BF16 | DType::U8);
    ElementType::from_dtype(dtype)
        .filter(|_| known)
        .ok_or_else(|| WriteError::Other(unsupported(dtype)))
}

/// Writes a file beside `path` and gives it that name when all of it is on the disk.
pub(super) fn save(
    path: &Path,
    weights: &Weights,
    dtype: DType,
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    let partial = path.with_extension("partial");
    let written = write_file(&partial, weights, dtype, metadata)
        .and_then(|()| Ok(fs::rename(&partial, path)?))
        .and_then(|()| sync_folder(path));
    if written.is_err() {
        // What failed is reported; that a part of a file may stay is not worth hiding it.
        let _ = fs::remove_file(&partial);
    }
    written.map_err(|error| error.at(path))
}

fn write_file(
    path: &Path,
    weights: &Weights,
    dtype: DType,
    metadata: &BTreeMap<String, String>,
) -> Result<(), WriteError> {
    let mut sink = BufWriter::with_capacity(1 << 20, fs::File::create(path)?);
    write(&mut sink, weights, dtype, metadata)?;
    let file = sink.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok(file.sync_all()?)
}

/// A new name is on the disk when its folder is.
fn sync_folder(path: &Path) -> Result<(), WriteError> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    Ok(fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?)
}

/// Why writing failed, before the path is known.
#[derive(Debug)]
pub(super) enum WriteError {
    Io(io::Error),
    Other(Error),
}

impl WriteError {
    pub(super) fn at(self, path: &Path) -> Error {
        match self {
            Self::Io(source) => Error::Io {
                path: path.to_owned(),
                source,
            },
            Self::Other(error) => error,
        }
    }
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<candle_core::Error> for WriteError {
    fn from(error: candle_core::Error) -> Self {
        Self::Other(error.into())
    }
}

fn unsupported(dtype: DType) -> Error {
    Error::Unsupported {
        what: "dtype of saved weights",
        value: format!("{dtype:?}"),
    }
}

/// The header, padded so that the data begin at a multiple of eight bytes.
fn header(
    weights: &Weights,
    dtype: DType,
    metadata: &BTreeMap<String, String>,
) -> Result<Vec<u8>, WriteError> {
    let mut metadata = metadata.clone();
    metadata
        .entry("format".to_owned())
        .or_insert_with(|| "pt".to_owned());
    // Sorted maps throughout: serde_json's own order depends on how the program was built.
    let mut entries = BTreeMap::from([(METADATA.to_owned(), sorted(json!(metadata)))]);
    let mut start = 0;
    for (name, tensor) in weights.iter() {
        let element = element(stored_dtype(tensor, dtype))?;
        let end = start + tensor.elem_count() * element.size_in_bytes();
        let fields = [
            ("dtype", json!(element.name())),
            ("shape", json!(tensor.dims())),
            ("data_offsets", json!([start, end])),
        ];
        entries.insert(name.to_owned(), fields.map(own).into_iter().collect());
        start = end;
    }
    let mut header = json_bytes(&entries);
    header.resize(header.len().next_multiple_of(PREFIX), b' ');
    Ok(header)
}

fn own((name, value): (&str, Value)) -> (String, Value) {
    (name.to_owned(), value)
}

fn sorted(object: Value) -> BTreeMap<String, Value> {
    match object {
        Value::Object(fields) => fields.into_iter().collect(),
        _ => BTreeMap::new(),
    }
}

fn json_bytes(entries: &BTreeMap<String, BTreeMap<String, Value>>) -> Vec<u8> {
    serde_json::to_vec(entries).expect("strings, numbers and lists of numbers are JSON")
}

fn values<T: WithDType, const SIZE: usize>(
    sink: &mut dyn Write,
    flat: &Tensor,
    encode: impl Fn(T) -> [u8; SIZE],
) -> Result<(), WriteError> {
    for value in flat.to_vec1::<T>()? {
        sink.write_all(&encode(value))?;
    }
    Ok(())
}
