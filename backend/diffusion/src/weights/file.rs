//! Safetensors files that are listed first and read tensor by tensor.
//!
//! Opening reads headers alone. Memory is bounded by the tensors that are asked for: a model
//! compares its shapes with the listing (see [`WeightsFile::check`]) before any is made.

use std::{
    collections::BTreeMap,
    fs,
    ops::Bound,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use candle_core::{DType, Device, Tensor};
use half::{bf16, f16};

use super::{
    Weights,
    header::{self, PREFIX, malformed},
    stored::StoredTensor,
};
use crate::{Error, Result};

/// Bytes that are read at once; a multiple of every element's size.
const CHUNK: usize = 1 << 20;

/// Where the bytes of one file are.
#[derive(Debug)]
enum Content<'a> {
    File { path: PathBuf, file: fs::File },
    Bytes(&'a [u8]),
}

/// One file, and where its data begin.
#[derive(Debug)]
struct Part<'a> {
    content: Content<'a>,
    data_start: u64,
}

/// The tensors of a safetensors file, or of several that belong together, not yet read.
#[derive(Clone, Debug)]
pub struct WeightsFile<'a> {
    parts: Arc<Vec<Part<'a>>>,
    tensors: BTreeMap<String, StoredTensor>,
    metadata: BTreeMap<String, String>,
}

impl WeightsFile<'static> {
    /// Opens a safetensors file, or the `.safetensors.index.json` of several, and reads headers.
    ///
    /// Refused: other formats (pickles and archives among them), headers longer than the file
    /// or than 16 MiB, fields given twice, unknown dtypes, offsets outside the file, gaps,
    /// overlaps, and shapes that do not match their offsets. The error names the tensor.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            return super::shards::open(path);
        }
        Self::from_parts(vec![open_part(path)?])
    }
}

impl<'a> WeightsFile<'a> {
    /// Like [`WeightsFile::open`], over the bytes of one file.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self> {
        let (header, data_start) = read_header(&Content::Bytes(bytes), bytes.len() as u64)?;
        let content = Content::Bytes(bytes);
        Self::from_parts(vec![(
            Part {
                content,
                data_start,
            },
            header,
        )])
    }

    fn from_parts(parts: Vec<(Part<'a>, header::Header)>) -> Result<Self> {
        let mut tensors = BTreeMap::new();
        let mut metadata = BTreeMap::new();
        let mut contents = Vec::with_capacity(parts.len());
        for (index, (part, header)) in parts.into_iter().enumerate() {
            metadata.extend(header.metadata);
            for (name, entry) in header.tensors {
                let stored = StoredTensor {
                    part: index,
                    start: part.data_start + entry.start,
                    element: entry.element,
                    shape: entry.shape,
                    transposed: false,
                };
                if tensors.insert(name.clone(), stored).is_some() {
                    let reason = "two files hold it".to_owned();
                    return Err(Error::MalformedTensor { name, reason });
                }
            }
            contents.push(part);
        }
        Ok(Self {
            parts: Arc::new(contents),
            tensors,
            metadata,
        })
    }

    /// Opens files of one model; `of` gives the file in which a tensor must lie.
    pub(super) fn open_parts(
        paths: &[PathBuf],
        of: impl Fn(&str) -> Option<usize>,
    ) -> Result<WeightsFile<'static>> {
        let parts = paths.iter().map(|path| open_part(path));
        let file = WeightsFile::from_parts(parts.collect::<Result<_>>()?)?;
        for (name, stored) in &file.tensors {
            if of(name) != Some(stored.part) {
                let reason = "its file holds it, the index does not say so".to_owned();
                let name = name.clone();
                return Err(Error::MalformedTensor { name, reason });
            }
        }
        Ok(file)
    }

    /// The tensor called `name`.
    pub fn get(&self, name: &str) -> Option<&StoredTensor> {
        self.tensors.get(name)
    }

    /// All tensors in the order of their names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &StoredTensor)> {
        self.tensors
            .iter()
            .map(|(name, stored)| (name.as_str(), stored))
    }

    /// Whether the name of any tensor starts with `prefix`.
    pub fn has_prefix(&self, prefix: &str) -> bool {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let mut names = self.tensors.range::<str, _>(from);
        names
            .next()
            .is_some_and(|(name, _)| name.starts_with(prefix))
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
        self.tensors.values().map(StoredTensor::value_count).sum()
    }

    /// What the files say about themselves.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The same files with other names: `rename` gives each tensor's new name, if it stays.
    #[must_use]
    pub fn renamed(&self, rename: impl Fn(&str) -> Option<String>) -> Self {
        self.mapped(|name, stored| Some((rename(name)?, stored.clone())))
    }

    /// The same files with other tensors, of which each is a part of one that is here.
    pub(crate) fn mapped<I: IntoIterator<Item = (String, StoredTensor)>>(
        &self,
        map: impl Fn(&str, &StoredTensor) -> I,
    ) -> Self {
        Self {
            parts: Arc::clone(&self.parts),
            tensors: self
                .iter()
                .flat_map(|(name, stored)| map(name, stored))
                .collect(),
            metadata: self.metadata.clone(),
        }
    }

    /// Reads one tensor and converts it to `dtype`; it is in memory once, a chunk of it twice.
    pub fn read(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor> {
        let stored = self.get(name).ok_or_else(|| Error::MissingTensor {
            name: name.to_owned(),
            expected: Vec::new(),
        })?;
        let tensor = match stored.element.dtype() {
            Some(DType::F64) => self.tensor(name, stored, f64::from_le_bytes, device),
            Some(DType::F32) => self.tensor(name, stored, f32::from_le_bytes, device),
            Some(DType::F16) if dtype == DType::F32 => self.tensor(
                name,
                stored,
                |bytes| f16::from_le_bytes(bytes).to_f32(),
                device,
            ),
            Some(DType::BF16) if dtype == DType::F32 => self.tensor(
                name,
                stored,
                |bytes| bf16::from_le_bytes(bytes).to_f32(),
                device,
            ),
            Some(DType::F16) => self.tensor(name, stored, f16::from_le_bytes, device),
            Some(DType::BF16) => self.tensor(name, stored, bf16::from_le_bytes, device),
            Some(DType::I64) => self.tensor(name, stored, i64::from_le_bytes, device),
            Some(DType::I32) => self.tensor(name, stored, i32::from_le_bytes, device),
            Some(DType::U32) => self.tensor(name, stored, u32::from_le_bytes, device),
            Some(DType::U8) => self.tensor(name, stored, u8::from_le_bytes, device),
            _ => Err(Error::MalformedTensor {
                name: name.to_owned(),
                reason: format!("values of type {} cannot be read", stored.element.name()),
            }),
        }?;
        let tensor = if stored.transposed {
            tensor.t()?.contiguous()?
        } else {
            tensor
        };
        Ok(tensor.to_dtype(dtype)?)
    }

    /// Reads all tensors.
    pub fn load(&self, dtype: DType, device: &Device) -> Result<Weights> {
        self.tensors
            .keys()
            .map(|name| Ok((name.clone(), self.read(name, dtype, device)?)))
            .collect()
    }

    fn tensor<T: candle_core::WithDType, const SIZE: usize>(
        &self,
        name: &str,
        stored: &StoredTensor,
        decode: impl Fn([u8; SIZE]) -> T,
        device: &Device,
    ) -> Result<Tensor> {
        let mut values = Vec::with_capacity(stored.value_count());
        let length = stored.value_count() as u64 * SIZE as u64;
        let part = &self.parts[stored.part];
        let mut append = |bytes: &[u8]| {
            let (elements, _) = bytes.as_chunks::<SIZE>();
            values.extend(elements.iter().map(|element| decode(*element)));
        };
        part.content
            .chunks(stored.start, length, &mut append)
            .map_err(|error| match error {
                Error::MalformedWeights { reason } => Error::MalformedTensor {
                    name: name.to_owned(),
                    reason,
                },
                other => other,
            })?;
        Ok(Tensor::from_vec(values, stored.file_shape(), device)?)
    }
}

impl Content<'_> {
    /// Hands over `length` bytes from `start` on, in pieces.
    fn chunks(&self, start: u64, length: u64, take: &mut dyn FnMut(&[u8])) -> Result<()> {
        match self {
            Content::Bytes(bytes) => {
                take(slice(bytes, start, length).ok_or_else(|| malformed("truncated"))?);
            }
            Content::File { path, file } => {
                let mut buffer = vec![0; usize::try_from(length).unwrap_or(CHUNK).min(CHUNK)];
                let mut done = 0;
                while done < length {
                    let count = usize::try_from(length - done).unwrap_or(CHUNK).min(CHUNK);
                    let piece = &mut buffer[..count];
                    file.read_exact_at(piece, start + done)
                        .map_err(|source| io_error(path, source))?;
                    take(piece);
                    done += count as u64;
                }
            }
        }
        Ok(())
    }
}

fn slice(bytes: &[u8], start: u64, length: u64) -> Option<&[u8]> {
    let start = usize::try_from(start).ok()?;
    let end = start.checked_add(usize::try_from(length).ok()?)?;
    bytes.get(start..end)
}

fn io_error(path: &Path, source: std::io::Error) -> Error {
    Error::Io {
        path: path.to_owned(),
        source,
    }
}

/// Says which file is meant, where several are opened.
fn in_file(path: &Path, error: Error) -> Error {
    match error {
        Error::MalformedWeights { reason } => {
            let name = path.file_name().unwrap_or(path.as_os_str());
            malformed(format!("{}: {reason}", name.display()))
        }
        other => other,
    }
}

/// Opens a file and reads its header; anything but a regular file is refused, unopened.
fn open_part(path: &Path) -> Result<(Part<'static>, header::Header)> {
    let io = |source| io_error(path, source);
    let about = fs::metadata(path).map_err(io)?;
    if !about.is_file() {
        return Err(malformed(format!("{} is not a file", path.display())));
    }
    let content = Content::File {
        path: path.to_owned(),
        file: fs::File::open(path).map_err(io)?,
    };
    let read = read_header(&content, about.len());
    let (header, data_start) = read.map_err(|error| in_file(path, error))?;
    Ok((
        Part {
            content,
            data_start,
        },
        header,
    ))
}

/// The header, and where the data behind it begin.
fn read_header(content: &Content<'_>, length: u64) -> Result<(header::Header, u64)> {
    let mut start = Vec::new();
    content.chunks(0, length.min(PREFIX as u64), &mut |bytes| {
        start.extend_from_slice(bytes);
    })?;
    let header_len = header::header_len(&start, length)? as u64;
    let data_start = PREFIX as u64 + header_len;
    let mut json = Vec::new();
    content.chunks(PREFIX as u64, header_len, &mut |bytes| {
        json.extend_from_slice(bytes);
    })?;
    Ok((header::parse(&json, length - data_start)?, data_start))
}
