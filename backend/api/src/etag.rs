//! Strong entity tags: the hash of the representation, whoever asks.

use serde::Serialize;

use crate::{error::Error, secret};

/// The tag of these bytes.
pub(crate) fn of_bytes(bytes: &[u8]) -> String {
    format!("\"{}\"", &secret::sha256_hex(bytes)[..32])
}

/// Whether a list of tags names this one. A weak tag never does: bytes are compared here.
pub(crate) fn names(list: &str, tag: &str) -> bool {
    list.split(',')
        .map(str::trim)
        .any(|known| known == "*" || known == tag)
}

/// The header `If-Match`: which version of an object a change is meant for.
#[derive(Clone, Debug, Default)]
pub struct IfMatch(pub(crate) Option<String>);

impl IfMatch {
    /// Whether the change is for one version alone, so that nobody may have changed it meanwhile.
    pub fn names_one(&self) -> bool {
        let any = |list: &String| list.split(',').any(|tag| tag.trim() == "*");
        !self.0.as_ref().is_some_and(any)
    }

    /// Refuses a change without the header, and one that is meant for another version.
    ///
    /// `current` is what `GET` would answer now.
    pub fn check(&self, current: &impl Serialize) -> Result<(), Error> {
        let Some(list) = &self.0 else {
            return Err(Error::PreconditionRequired);
        };
        let bytes = serde_json::to_vec(current).map_err(Error::internal)?;
        if names(list, &of_bytes(&bytes)) {
            return Ok(());
        }
        Err(Error::PreconditionFailed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn change_is_for_the_version_that_was_read() {
        let tag = of_bytes(br#"{"a":1}"#);
        let current = serde_json::json!({ "a": 1 });
        let check = |text: Option<&str>| IfMatch(text.map(str::to_owned)).check(&current);
        assert!(check(Some(&tag)).is_ok());
        assert!(check(Some(&format!("\"x\", {tag}"))).is_ok());
        assert!(check(Some("*")).is_ok());
        assert!(matches!(
            check(Some("\"x\"")),
            Err(Error::PreconditionFailed)
        ));
        assert!(IfMatch(Some(tag.clone())).names_one() && IfMatch(None).names_one());
        assert!(!IfMatch(Some("*".to_owned())).names_one());
        let weak = format!("W/{tag}");
        assert!(matches!(check(Some(&weak)), Err(Error::PreconditionFailed)));
        assert!(matches!(check(None), Err(Error::PreconditionRequired)));
    }
}
