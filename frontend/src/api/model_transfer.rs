//! Sends the files of a model: hashed in slices, sent in parts, gone on with where the server stands.

use std::collections::BTreeMap;

use js_sys::{Reflect, Uint8Array};
use sha2::{Digest, Sha256};
use shared::{
    model_file::check_model_file,
    model_import::{AnnouncedFile, ImportFile},
};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, File};

use crate::api::{
    ApiError,
    transfer::{hexadecimal, put},
};

/// Bytes that are hashed at once, and the most that one request carries.
const SLICE_BYTES: f64 = 16.0 * 1024.0 * 1024.0;

/// A chosen file and its path inside the model.
#[derive(Clone, Debug)]
pub(crate) struct ModelFile {
    pub(crate) name: String,
    pub(crate) file: File,
}

/// The chosen files that belong to a model, and the names of those left out.
pub(crate) fn sort_out(files: Vec<File>) -> (Vec<ModelFile>, Vec<String>) {
    let (mut kept, mut left_out) = (Vec::new(), Vec::new());
    for file in files {
        let name = name_of(&file);
        if check_model_file(&name).is_ok() && file.size() > 0.0 {
            kept.push(ModelFile { name, file });
        } else {
            left_out.push(name);
        }
    }
    (kept, left_out)
}

/// The path below the chosen folder; a file chosen alone has its name.
fn name_of(file: &File) -> String {
    let path = Reflect::get(file, &JsValue::from_str("webkitRelativePath"));
    let path = path.ok().and_then(|path| path.as_string());
    path.and_then(|path| path.split_once('/').map(|(_, rest)| rest.to_owned()))
        .unwrap_or_else(|| file.name())
}

/// The chosen folder's name, or the file's without its ending.
pub(crate) fn title_of(file: &File) -> String {
    let path = Reflect::get(file, &JsValue::from_str("webkitRelativePath"));
    let path = path.ok().and_then(|path| path.as_string());
    path.and_then(|path| path.split_once('/').map(|(folder, _)| folder.to_owned()))
        .unwrap_or_else(|| file.name().trim_end_matches(".safetensors").to_owned())
}

fn slice(file: &File, start: f64, end: f64) -> Result<Blob, ApiError> {
    file.slice_with_f64_and_f64(start, end)
        .map_err(|_| unreadable(file))
}

fn unreadable(file: &File) -> ApiError {
    ApiError::Browser(say!(
        "{name} could not be read. Choose the files again.",
        name = file.name()
    ))
}

/// Announces a file; reads it once, a slice at a time, however large it is, until it is `stopped`.
pub(crate) async fn announce(
    model: &ModelFile,
    stopped: impl Fn() -> bool,
    report: impl Fn(f64),
) -> Result<AnnouncedFile, ApiError> {
    let size = model.file.size();
    let mut digest = Sha256::new();
    let mut start = 0.0;
    while start < size {
        let end = (start + SLICE_BYTES).min(size);
        let part = slice(&model.file, start, end)?;
        let buffer = JsFuture::from(part.array_buffer()).await;
        let buffer = buffer.map_err(|_| unreadable(&model.file))?;
        digest.update(Uint8Array::new(&buffer).to_vec());
        report(end - start);
        start = end;
        if stopped() {
            return Err(ApiError::Aborted);
        }
    }
    Ok(AnnouncedFile {
        name: model.name.clone(),
        size_bytes: whole(size),
        sha256: hexadecimal(&digest.finalize()),
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a file's size is a whole, non-negative number below 2^53"
)]
fn whole(size: f64) -> u64 {
    size as u64
}

/// Sends the next part of a file; gives how many bytes the server then has.
pub(crate) async fn send_part(
    target: &ImportFile,
    received: u64,
    file: &File,
    report: impl Fn(f64) + 'static,
) -> Result<u64, ApiError> {
    let (start, size) = (received as f64, target.size_bytes as f64);
    let end = (start + SLICE_BYTES).min(size);
    let part = slice(file, start, end)?;
    let range = format!("bytes {start}-{}/{size}", end - 1.0);
    let headers = BTreeMap::from([("content-range".to_owned(), range)]);
    put(&target.url, &part, &headers, move |share| {
        report(start + share * (end - start));
    })
    .await?;
    Ok(whole(end))
}
