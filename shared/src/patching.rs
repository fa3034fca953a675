//! JSON merge patch (RFC 7396), for fields that can change and cannot be removed.

use serde::{Deserialize, Deserializer};

/// A field that may be absent, but not `null`: a merge patch would remove it.
pub(crate) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use crate::organisation::UpdateOrganisation;

    #[test]
    fn absent_fields_stay_and_null_is_refused() {
        let parse = |text| serde_json::from_str::<UpdateOrganisation>(text);
        assert_eq!(parse("{}").unwrap().name, None);
        assert_eq!(parse(r#"{"name":"x"}"#).unwrap().name.as_deref(), Some("x"));
        assert!(parse(r#"{"name":null}"#).is_err());
        assert!(parse(r#"{"title":"x"}"#).is_err());
    }
}
