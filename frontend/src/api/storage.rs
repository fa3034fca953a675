//! A look at the artifact store.

use std::collections::BTreeMap;

use shared::storage_check::{BrowserProbe, StorageCheck};
use web_sys::Blob;

use super::{
    ApiError,
    http::{Call, Method},
    transfer,
};

/// Lets the server try its store.
pub(crate) fn check() -> Call<StorageCheck> {
    Call::new(Method::Post, "/v1/admin/storage-checks").by_person()
}

/// Sends the probe as a picture would be sent.
pub(crate) async fn put(probe: &BrowserProbe) -> Result<(), ApiError> {
    let text = js_sys::Array::of1(&probe.text.as_str().into());
    let blob = Blob::new_with_str_sequence(&text);
    let blob =
        blob.map_err(|_| ApiError::Browser(say!("This browser cannot make a file.").into()))?;
    let headers: &BTreeMap<String, String> = &probe.put_headers;
    transfer::put(&probe.put_url, &blob, headers, |_| ()).await
}

/// Fetches the probe as results would be fetched; whether it is unchanged.
pub(crate) async fn get(probe: &BrowserProbe) -> Result<bool, ApiError> {
    Ok(transfer::get_text(&probe.get_url).await? == probe.text)
}

/// Removes what is left of the probe.
pub(crate) fn remove(sha256: &str) -> Call<()> {
    let path = format!("/v1/admin/storage-probes/{sha256}");
    Call::unread(Method::Delete, path)
}
