//! Styles and scripts inside of a page that this server draws: a policy allows them by their hash (CSP level 3, hash
//! sources).

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

/// What a policy's `style-src` or `script-src` says of exactly this text.
pub(crate) fn source(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}
