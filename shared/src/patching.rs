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
    use serde::{Serialize, de::DeserializeOwned};

    use crate::{
        api_key::UpdateApiKey, auth::UpdateUser, organisation::UpdateOrganisation,
        webhook::UpdateWebhook,
    };

    fn removes_nothing<T: DeserializeOwned + Serialize>(fields: &[&str]) {
        let nothing: T = serde_json::from_str("{}").unwrap();
        // A client that changes one field must not seem to remove the others.
        assert_eq!(serde_json::to_string(&nothing).unwrap(), "{}");
        for field in fields {
            let removal = format!("{{\"{field}\":null}}");
            assert!(serde_json::from_str::<T>(&removal).is_err(), "{removal}");
        }
    }

    #[test]
    fn patches_neither_say_nor_accept_that_a_field_goes() {
        removes_nothing::<UpdateApiKey>(&["name", "allowed_addresses"]);
        removes_nothing::<UpdateOrganisation>(&["name"]);
        removes_nothing::<UpdateUser>(&["name"]);
        removes_nothing::<UpdateWebhook>(&["url", "description", "events", "status"]);
    }

    #[test]
    fn absent_fields_stay_and_null_is_refused() {
        let parse = |text| serde_json::from_str::<UpdateOrganisation>(text);
        assert_eq!(parse("{}").unwrap().name, None);
        assert_eq!(parse(r#"{"name":"x"}"#).unwrap().name.as_deref(), Some("x"));
        assert!(parse(r#"{"name":null}"#).is_err());
        assert!(parse(r#"{"title":"x"}"#).is_err());
    }
}
