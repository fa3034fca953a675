//! Sends one picture: hash, announce, PUT with progress, complete.
//!
//! `fetch` cannot report upload progress, so the PUT goes through `XMLHttpRequest`.

use std::collections::BTreeMap;

use js_sys::{Promise, Uint8Array};
use sha2::{Digest, Sha256};
use shared::{
    SetId, UploadId,
    image::ProtectedImage,
    problem::ErrorCode,
    upload::{ARCHIVE_MEDIA_TYPE, CreateUpload, LeftOut},
};
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, File, ProgressEvent, XmlHttpRequest};

use crate::api::{self, ApiError, http::refusal};

/// Where one file stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stage {
    /// Reading and hashing.
    Hashing,
    /// Share of the bytes that has left, 0 to 1.
    Sending(f64),
    /// The server decodes and cleans it.
    Checking,
}

/// What became of one file.
pub(crate) enum Sent {
    /// A picture joined the set.
    Picture(ProtectedImage),
    /// So did those of an archive, but for these files; the set knows which.
    Archive(Vec<LeftOut>),
}

/// Completes an upload whose bytes arrived; asked twice, the server answers the same.
pub(crate) async fn complete(id: UploadId) -> Result<Sent, ApiError> {
    let completed = api::complete_upload(id).await?;
    if let Some(unpacked) = completed.unpacked {
        return Ok(Sent::Archive(unpacked.left_out));
    }
    completed.image.map(Sent::Picture).ok_or_else(|| {
        ApiError::Browser(say!("The server took the file and named no image. Try again.").into())
    })
}

/// Whether an upload may have been completed, or may be later, for all that its sender heard.
pub(crate) fn is_undecided(error: &ApiError) -> bool {
    match error {
        ApiError::Refused(problem) => {
            problem.retryable || problem.code == ErrorCode::Unauthenticated
        }
        ApiError::Unreadable { status, .. } => *status < 400 || *status >= 500,
        ApiError::Unreachable | ApiError::Aborted => true,
        ApiError::Browser(_) => false,
    }
}

/// Announces a file for a set, a picture or an archive of pictures, and sends its bytes.
pub(crate) async fn send(
    set: SetId,
    file: &File,
    report: impl Fn(Stage) + Clone + 'static,
) -> Result<UploadId, ApiError> {
    report(Stage::Hashing);
    let mut announcement = announce(set, file);
    refuse_early(&announcement)?;
    announcement.sha256 = hash(file).await?;
    let upload = api::create_upload(&announcement).await?;
    report(Stage::Sending(0.0));
    let sending = report.clone();
    put(&upload.url, file, &upload.headers, move |share| {
        sending(Stage::Sending(share));
    })
    .await?;
    Ok(upload.id)
}

/// What a file is; browsers call archives by several names, or by none.
pub(crate) fn media_type(file: &File) -> String {
    let named = file.type_();
    let is_archive = named.contains("zip") || file.name().to_ascii_lowercase().ends_with(".zip");
    if is_archive {
        ARCHIVE_MEDIA_TYPE.to_owned()
    } else {
        named
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a file's size is a whole, non-negative number below 2^53"
)]
fn announce(set: SetId, file: &File) -> CreateUpload {
    CreateUpload {
        protected_set_id: set,
        filename: file.name(),
        size_bytes: file.size() as u64,
        sha256: "0".repeat(64),
        media_type: media_type(file),
    }
}

/// Applies the shared rules before a byte is read or sent.
fn refuse_early(announcement: &CreateUpload) -> Result<(), ApiError> {
    match announcement.validate().into_iter().next() {
        None => Ok(()),
        Some(error) => Err(ApiError::Browser(error.detail)),
    }
}

async fn hash(file: &File) -> Result<String, ApiError> {
    let unreadable =
        |_: JsValue| ApiError::Browser(say!("The file could not be read. Choose it again.").into());
    let buffer = JsFuture::from(file.array_buffer())
        .await
        .map_err(unreadable)?;
    // `crypto.subtle` exists on https and localhost only; elsewhere the digest is computed here.
    let subtle = web_sys::window().and_then(|window| {
        window
            .is_secure_context()
            .then(|| window.crypto().ok().map(|crypto| crypto.subtle()))
            .flatten()
    });
    let digest = match subtle {
        Some(subtle) => {
            let promise = subtle
                .digest_with_str_and_buffer_source("SHA-256", buffer.unchecked_ref())
                .map_err(unreadable)?;
            let digest = JsFuture::from(promise).await.map_err(unreadable)?;
            Uint8Array::new(&digest).to_vec()
        }
        None => Sha256::digest(Uint8Array::new(&buffer).to_vec()).to_vec(),
    };
    Ok(hexadecimal(&digest))
}

/// Lower-case hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

/// Sends bytes with headers, such as those that were signed, or `content-range`.
pub(crate) async fn put(
    url: &str,
    bytes: &Blob,
    headers: &BTreeMap<String, String>,
    progress: impl Fn(f64) + 'static,
) -> Result<(), ApiError> {
    let broken = |_: JsValue| ApiError::Unreachable;
    let request = XmlHttpRequest::new().map_err(broken)?;
    request.open("PUT", url).map_err(broken)?;
    for (name, value) in headers {
        request.set_request_header(name, value).map_err(broken)?;
    }
    let on_progress = Closure::<dyn FnMut(ProgressEvent)>::new(move |event: ProgressEvent| {
        if event.length_computable() && event.total() > 0.0 {
            progress(event.loaded() / event.total());
        }
    });
    if let Ok(upload) = request.upload() {
        upload.set_onprogress(Some(on_progress.as_ref().unchecked_ref()));
    }
    ended(&request, Some(bytes)).await.map(drop)
}

/// Fetches a text from an address as it was signed: the client for requests of ours ends every query with `&`.
pub(crate) async fn get_text(url: &str) -> Result<String, ApiError> {
    let broken = |_: JsValue| ApiError::Unreachable;
    let request = XmlHttpRequest::new().map_err(broken)?;
    request.open("GET", url).map_err(broken)?;
    ended(&request, None).await
}

/// Sends a request and waits for the text of its answer.
async fn ended(request: &XmlHttpRequest, body: Option<&Blob>) -> Result<String, ApiError> {
    let broken = |_: JsValue| ApiError::Unreachable;
    let ended = Promise::new(&mut |resolve, _| request.set_onloadend(Some(&resolve)));
    request.send_with_opt_blob(body).map_err(broken)?;
    JsFuture::from(ended).await.map_err(broken)?;
    let text = request.response_text().ok().flatten().unwrap_or_default();
    match request.status().unwrap_or(0) {
        0 => Err(ApiError::Unreachable),
        200..=299 => Ok(text),
        status => {
            let id = request.get_response_header("request-id").ok().flatten();
            Err(refusal(status, id.unwrap_or_default(), &text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::error::tests::refused;

    #[test]
    fn bytes_that_arrived_are_sent_again_only_after_a_clear_no() {
        let unreadable = |status| ApiError::Unreadable {
            status,
            request_id: String::new(),
        };
        for lost in [ApiError::Unreachable, unreadable(200), unreadable(502)] {
            assert!(is_undecided(&lost), "{lost:?}");
        }
        assert!(is_undecided(&refused(ErrorCode::Unauthenticated, false)));
        assert!(is_undecided(&refused(ErrorCode::StorageUnavailable, true)));
        // Completing these again would be refused for ever.
        for no in [ErrorCode::Conflict, ErrorCode::ChecksumMismatch] {
            assert!(!is_undecided(&refused(no, false)), "{no:?}");
        }
        assert!(!is_undecided(&unreadable(404)));
    }

    #[test]
    fn digest_is_lower_case_hexadecimal() {
        assert_eq!(hexadecimal(&[0x00, 0x0f, 0xa5, 0xff]), "000fa5ff");
    }
}
