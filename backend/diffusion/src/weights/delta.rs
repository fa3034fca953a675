//! What a weights file changes of another one: exact, and checked by hashes at both ends.
//!
//! A delta is itself a safetensors file. It holds the tensors that differ or are new, as the result has them; its
//! metadata hold `format`, the SHA-256 of the base and of the result, and the header of the result as it stands in that
//! file. Applying it gives the result byte by byte, or nothing.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde_json::json;
use sha2::{Digest, Sha256};

use super::header::{self, Entry, Header, METADATA, PREFIX, malformed};
use crate::{Error, Result};

const FORMAT: &str = "persguard-delta-1";
const CHUNK: usize = 1 << 18;

/// What a delta holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Tensors that differ from the base or are new.
    pub changed: usize,
    /// Tensors of the result.
    pub tensors: usize,
    /// Size of the delta.
    pub delta_bytes: u64,
    /// Size of the result.
    pub result_bytes: u64,
}

/// A weights file, open for reading in pieces.
struct Source {
    path: PathBuf,
    file: File,
    /// As it stands in the file, without its length.
    text: Vec<u8>,
    header: Header,
    size: u64,
}

/// Tensors in the order of their bytes.
fn in_order(header: &Header) -> Vec<(&String, &Entry)> {
    let mut entries: Vec<_> = header.tensors.iter().collect();
    // An empty tensor shares its start with the one behind it; their names then decide.
    entries.sort_by_key(|(name, entry)| (entry.start, entry.end, *name));
    entries
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Error + '_ {
    move |source| Error::Io {
        path: path.to_owned(),
        source,
    }
}

impl Source {
    fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(io(path))?;
        let size = file.metadata().map_err(io(path))?.len();
        let mut start = Vec::new();
        let first = (&mut file).take(64).read_to_end(&mut start);
        first.map_err(io(path))?;
        let length = header::header_len(&start, size)?;
        let mut text = vec![0; length];
        file.seek(SeekFrom::Start(PREFIX as u64))
            .map_err(io(path))?;
        file.read_exact(&mut text).map_err(io(path))?;
        let header = header::parse(&text, size - PREFIX as u64 - length as u64)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            text,
            header,
            size,
        })
    }

    fn sha256(&self) -> Result<String> {
        let mut digest = Sha256::new();
        let mut file = File::open(&self.path).map_err(io(&self.path))?;
        let mut chunk = vec![0; CHUNK];
        loop {
            match file.read(&mut chunk).map_err(io(&self.path))? {
                0 => return Ok(hex::encode(digest.finalize())),
                count => digest.update(&chunk[..count]),
            }
        }
    }

    /// The bytes of a tensor.
    fn tensor(&self, entry: &Entry) -> Result<impl Read + use<>> {
        let mut file = self.file.try_clone().map_err(io(&self.path))?;
        let start = (PREFIX + self.text.len()) as u64 + entry.start;
        file.seek(SeekFrom::Start(start)).map_err(io(&self.path))?;
        Ok(BufReader::with_capacity(CHUNK, file).take(entry.end - entry.start))
    }

    /// The tensor of this name, if it looks like another file's.
    fn alike(&self, name: &str, entry: &Entry) -> Option<&Entry> {
        let own = self.header.tensors.get(name)?;
        (own.element.name() == entry.element.name() && own.shape == entry.shape).then_some(own)
    }
}

/// Writes what `result` changes of `base`.
pub fn make(base: &Path, result: &Path, delta: &Path) -> Result<Summary> {
    let (base, result) = (Source::open(base)?, Source::open(result)?);
    let mut changed = Vec::new();
    for (name, entry) in in_order(&result.header) {
        if !is_same(&base, &result, name, entry)? {
            changed.push((name, entry));
        }
    }
    let header = delta_header(&base, &result, &changed)?;
    let mut writer = Target::create(delta)?;
    writer.write(&(header.len() as u64).to_le_bytes())?;
    writer.write(&header)?;
    for (_, entry) in &changed {
        writer.copy(&mut result.tensor(entry)?, &result.path)?;
    }
    Ok(Summary {
        changed: changed.len(),
        tensors: result.header.tensors.len(),
        delta_bytes: writer.keep()?.1,
        result_bytes: result.size,
    })
}

fn is_same(base: &Source, result: &Source, name: &str, entry: &Entry) -> Result<bool> {
    let Some(own) = base.alike(name, entry) else {
        return Ok(false);
    };
    let (mut left, mut right) = (base.tensor(own)?, result.tensor(entry)?);
    let (mut ours, mut theirs) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut rest = entry.end - entry.start;
    while rest > 0 {
        let count = usize::try_from(rest).unwrap_or(CHUNK).min(CHUNK);
        left.read_exact(&mut ours[..count])
            .map_err(io(&base.path))?;
        right
            .read_exact(&mut theirs[..count])
            .map_err(io(&result.path))?;
        if ours[..count] != theirs[..count] {
            return Ok(false);
        }
        rest -= count as u64;
    }
    Ok(true)
}

fn delta_header(base: &Source, result: &Source, changed: &[(&String, &Entry)]) -> Result<Vec<u8>> {
    let text = std::str::from_utf8(&result.text).map_err(|_| malformed("header is not UTF-8"))?;
    let mut entries = serde_json::Map::new();
    let metadata = json!({
        "format": FORMAT, "base_sha256": base.sha256()?, "result_sha256": result.sha256()?,
        "result_header": text,
    });
    entries.insert(METADATA.to_owned(), metadata);
    let mut start = 0;
    for (name, entry) in changed {
        let end = start + entry.end - entry.start;
        let described = json!({
            "dtype": entry.element.name(), "shape": entry.shape, "data_offsets": [start, end],
        });
        entries.insert((*name).clone(), described);
        start = end;
    }
    let mut header = serde_json::Value::Object(entries).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

/// Writes the result that a delta makes of its base; neither a wrong base nor a wrong result is accepted.
pub fn apply(base: &Path, delta: &Path, result: &Path) -> Result<Summary> {
    let (base, delta) = (Source::open(base)?, Source::open(delta)?);
    if recorded(&delta.header.metadata, "format")? != FORMAT {
        return Err(malformed("it is no delta of this kind"));
    }
    let expected = recorded(&delta.header.metadata, "base_sha256")?;
    expect("base", expected, base.sha256()?)?;
    let text = recorded(&delta.header.metadata, "result_header")?.as_bytes();
    let mut writer = Target::create(result)?;
    writer.write(&(text.len() as u64).to_le_bytes())?;
    writer.write(text)?;
    // What the header says of its data is checked against the tensors that are found for it.
    let header: Header = header::parse(text, span(text)?)?;
    for (name, entry) in in_order(&header) {
        let missing = || malformed(format!("neither the base nor the delta has {name}"));
        match (delta.alike(name, entry), base.alike(name, entry)) {
            (Some(own), _) => writer.copy(&mut delta.tensor(own)?, &delta.path)?,
            (None, Some(own)) => writer.copy(&mut base.tensor(own)?, &base.path)?,
            (None, None) => return Err(missing()),
        }
    }
    let expected = recorded(&delta.header.metadata, "result_sha256")?;
    expect("result", expected, writer.sha256())?;
    Ok(Summary {
        changed: delta.header.tensors.len(),
        tensors: header.tensors.len(),
        delta_bytes: delta.size,
        result_bytes: writer.keep()?.1,
    })
}

/// Bytes that a header's tensors take.
fn span(text: &[u8]) -> Result<u64> {
    let listed: BTreeMap<String, serde_json::Value> = serde_json::from_slice(text)
        .map_err(|error| malformed(format!("header of the result is not JSON: {error}")))?;
    let ends = listed.values();
    let ends = ends.filter_map(|entry| entry.get("data_offsets")?.get(1)?.as_u64());
    Ok(ends.max().unwrap_or(0))
}

fn recorded<'a>(metadata: &'a BTreeMap<String, String>, name: &str) -> Result<&'a str> {
    let value = metadata.get(name).map(String::as_str);
    value.ok_or_else(|| malformed(format!("it is no delta: it does not tell {name}")))
}

fn expect(what: &'static str, expected: &str, found: String) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(Error::OtherFile {
        what,
        expected: expected.to_owned(),
        found,
    })
}

/// A file that gets its name when it is complete.
struct Target {
    path: PathBuf,
    partial: PathBuf,
    file: BufWriter<File>,
    digest: Sha256,
    size: u64,
    kept: bool,
}

impl Target {
    fn create(path: &Path) -> Result<Self> {
        let mut partial = path.as_os_str().to_owned();
        partial.push(format!(".{}.part", std::process::id()));
        let partial = PathBuf::from(partial);
        let file = File::create_new(&partial).map_err(io(&partial))?;
        Ok(Self {
            path: path.to_owned(),
            partial,
            file: BufWriter::with_capacity(CHUNK, file),
            digest: Sha256::new(),
            size: 0,
            kept: false,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.digest.update(bytes);
        self.size += bytes.len() as u64;
        self.file.write_all(bytes).map_err(io(&self.partial))
    }

    fn copy(&mut self, from: &mut impl Read, path: &Path) -> Result<()> {
        let mut chunk = vec![0; CHUNK];
        loop {
            match from.read(&mut chunk).map_err(io(path))? {
                0 => return Ok(()),
                count => self.write(&chunk[..count])?,
            }
        }
    }

    fn sha256(&self) -> String {
        hex::encode(self.digest.clone().finalize())
    }

    /// Gives the file its name; tells its hash and size.
    fn keep(mut self) -> Result<(String, u64)> {
        self.file.flush().map_err(io(&self.partial))?;
        let synced = self.file.get_ref().sync_all();
        synced.map_err(io(&self.partial))?;
        std::fs::rename(&self.partial, &self.path).map_err(io(&self.path))?;
        self.kept = true;
        Ok((self.sha256(), self.size))
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if !self.kept {
            let _ = std::fs::remove_file(&self.partial); // the first error matters
        }
    }
}

#[cfg(test)]
#[path = "delta_tests.rs"]
mod tests;
