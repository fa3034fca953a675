//! The header of a safetensors file: what it lists, checked before anything else is read.
//!
//! Written here because files come from strangers: each refusal names the tensor, and nothing
//! larger than a small multiple of the header is allocated.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, MapAccess, Visitor},
};

use super::{element::ElementType, unique::UniqueStrings};
use crate::{Error, Result};

/// Bytes of the header's length.
pub(super) const PREFIX: usize = 8;

/// Longest header that is accepted; that of the largest known U-Net is below 1 MiB.
const MAX_HEADER: u64 = 16 << 20;

/// Longest name of a tensor that is accepted; those of known models stay below 120 bytes.
const MAX_NAME: usize = 512;

/// Most dimensions of a tensor; those of known models have four.
const MAX_RANK: usize = 8;

/// The entry of a header that describes no tensor.
pub(super) const METADATA: &str = "__metadata__";

/// What a header says, checked against the size of its file.
#[derive(Debug, Default)]
pub(super) struct Header {
    pub(super) tensors: BTreeMap<String, Entry>,
    pub(super) metadata: BTreeMap<String, String>,
}

/// One tensor; `start` counts from the end of the header.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) element: ElementType,
    pub(super) shape: Vec<usize>,
    pub(super) start: u64,
    pub(super) end: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Info {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (u64, u64),
}

/// The error of a file that is not what it should be.
pub(super) fn malformed(reason: impl Into<String>) -> Error {
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
        return Err(match disguise(start) {
            Some(reason) => malformed(reason),
            None => malformed(format!("header of {len} bytes in a file of {file_len}")),
        });
    }
    usize::try_from(len).map_err(|_| malformed("header longer than memory"))
}

/// What a file of another kind is, by its first bytes.
fn disguise(start: &[u8]) -> Option<&'static str> {
    Some(match start {
        [b'P', b'K', ..] | [0x80, 2..=5, ..] => {
            "it is a PyTorch pickle or archive, which may run code when it is opened; convert it to safetensors"
        }
        [b'G', b'G', b'U', b'F', ..] => {
            "it is a GGUF file of quantised weights; take the model's safetensors"
        }
        [0x89, b'H', b'D', b'F', ..] => "it is an HDF5 file of Keras; take the model's safetensors",
        [b'v', b'e', b'r', b's', b'i', b'o', b'n', ..] => {
            "it is a text that stands for a large file; fetch the file itself (git lfs pull)"
        }
        [b'<', ..] => "it is a web page, perhaps of a download that needed a login",
        _ => return None,
    })
}

/// Parses a header without its length; `data_len` bytes follow it.
pub(super) fn parse(json: &[u8], data_len: u64) -> Result<Header> {
    let mut current = None;
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let listing = Listing {
        data_len,
        current: &mut current,
    };
    let header = listing
        .deserialize(&mut deserializer)
        .and_then(|header| deserializer.end().map(|()| header))
        .map_err(|error| match current {
            Some(name) => malformed_tensor(&name, error.to_string()),
            None => malformed(format!("header is not JSON: {error}")),
        })?;
    check_spans(&header, data_len)?;
    Ok(header)
}

/// The error of one tensor, whose name may be hostile too.
fn malformed_tensor(name: &str, reason: impl Into<String>) -> Error {
    Error::MalformedTensor {
        name: printable(name),
        reason: reason.into(),
    }
}

/// The first characters of a text, without any that a terminal would obey.
pub(super) fn printable(text: &str) -> String {
    let mut kept: String = text
        .chars()
        .take(120)
        .map(|letter| if letter.is_control() { '?' } else { letter })
        .collect();
    if kept.len() < text.len() && text.chars().count() > 120 {
        kept.push('…');
    }
    kept
}

/// The tensors must cover the data exactly: no gap, no overlap, nothing behind them.
fn check_spans(header: &Header, data_len: u64) -> Result<()> {
    let mut spans: Vec<_> = header
        .tensors
        .iter()
        .map(|(name, entry)| (entry.start, entry.end, name))
        .collect();
    spans.sort_unstable();
    let mut covered = 0;
    for (start, end, name) in spans {
        if start != covered {
            let reason = format!("starts at {start}, the tensor before it ends at {covered}");
            return Err(malformed_tensor(name, reason));
        }
        covered = end;
    }
    if covered != data_len {
        return Err(malformed(format!(
            "{data_len} bytes of data, {covered} described"
        )));
    }
    Ok(())
}

/// Reads the header's object; `current` holds the name of the tensor that is being read.
struct Listing<'a> {
    data_len: u64,
    current: &'a mut Option<String>,
}

impl<'de> DeserializeSeed<'de> for Listing<'_> {
    type Value = Header;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Header, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Listing<'_> {
    type Value = Header;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let mut header = Header::default();
        let mut described = false;
        while let Some(name) = map.next_key::<String>()? {
            *self.current = Some(name.clone());
            if name == METADATA {
                if std::mem::replace(&mut described, true) {
                    return Err(A::Error::custom("listed twice"));
                }
                header.metadata = map.next_value::<UniqueStrings>()?.0;
            } else {
                if header.tensors.contains_key(&name) {
                    return Err(A::Error::custom("listed twice"));
                }
                check_name(&name).map_err(A::Error::custom)?;
                let info: Info = map.next_value()?;
                let entry = entry(info, self.data_len).map_err(A::Error::custom)?;
                header.tensors.insert(name, entry);
            }
            *self.current = None;
        }
        Ok(header)
    }
}

fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > MAX_NAME || name.contains(char::is_control) {
        return Err(format!(
            "its name has {} bytes and must have 1 to {MAX_NAME}, none of them control characters",
            name.len()
        ));
    }
    Ok(())
}

fn entry(info: Info, data_len: u64) -> Result<Entry, String> {
    let element = ElementType::from_name(&info.dtype)
        .ok_or_else(|| format!("unknown dtype {}", printable(&info.dtype)))?;
    let (start, end) = info.data_offsets;
    if start > end || end > data_len {
        return Err(format!(
            "offsets {start}..{end} outside {data_len} bytes of data"
        ));
    }
    if info.shape.len() > MAX_RANK {
        return Err(format!("{} dimensions", info.shape.len()));
    }
    let size = info
        .shape
        .iter()
        .try_fold(element.size_in_bytes(), |size, dim| size.checked_mul(*dim));
    if size.map(|size| size as u64) != Some(end - start) {
        return Err(format!(
            "shape {:?} of {} in {} bytes",
            info.shape,
            element.name(),
            end - start
        ));
    }
    Ok(Entry {
        element,
        shape: info.shape,
        start,
        end,
    })
}
