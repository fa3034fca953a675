//! What is typed and not sent yet, kept for this window: a reload or a lost session takes none of it.

use web_sys::Storage;

const PREFIX: &str = "persguard.draft ";
/// What no storage ever gets.
const SECRETS: [&str; 3] = ["password", "code", "/credentials"];

fn storage() -> Option<Storage> {
    web_sys::window()?.session_storage().ok().flatten()
}

/// The path that is shown.
pub(crate) fn here() -> String {
    web_sys::window()
        .and_then(|window| window.location().pathname().ok())
        .unwrap_or_default()
}

/// Whether a field's text may be kept.
pub(crate) fn is_kept(pointer: &str, kind: &str, autocomplete: &str) -> bool {
    let secret = kind == "password" || autocomplete == "one-time-code";
    !secret && SECRETS.iter().all(|word| !pointer.contains(word))
}

fn key(path: &str, pointer: &str) -> String {
    format!("{PREFIX}{path}{pointer}")
}

/// What was typed into a field of this page before.
pub(crate) fn of(pointer: &str) -> Option<String> {
    storage()?.get_item(&key(&here(), pointer)).ok().flatten()
}

/// Follows a field that was typed into and is changed by something else now.
pub(crate) fn follow(pointer: &str, text: &str) {
    if of(pointer).is_some_and(|kept| kept != text) {
        keep(pointer, text);
    }
}

/// Keeps what a field of this page holds now.
pub(crate) fn keep(pointer: &str, text: &str) {
    if let Some(storage) = storage() {
        // A full storage costs a draft, nothing else.
        let _ = storage.set_item(&key(&here(), pointer), text);
    }
}

/// Forgets what was typed on a page, once it was sent; without a path, on every page.
pub(crate) fn forget(path: &str) {
    let Some(storage) = storage() else { return };
    let start = if path.is_empty() {
        PREFIX.to_owned()
    } else {
        key(path, "#")
    };
    let count = storage.length().unwrap_or(0);
    let keys: Vec<String> = (0..count)
        .filter_map(|index| storage.key(index).ok().flatten())
        .filter(|key| key.starts_with(&start))
        .collect();
    for key in keys {
        let _ = storage.remove_item(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::is_kept;

    #[test]
    fn secrets_are_never_kept() {
        assert!(is_kept("#/name", "text", "off"));
        assert!(is_kept("#/email", "email", "email"));
        assert!(!is_kept("#/password", "password", "current-password"));
        assert!(!is_kept("#/code", "text", "one-time-code"));
        assert!(!is_kept("#/user_code", "text", "off"));
        let access = "#/source/credentials/access_key_id";
        assert!(!is_kept(access, "text", "off"));
    }
}
