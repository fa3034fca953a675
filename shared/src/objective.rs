//! What an attacker shall get instead of the protected subject.

use serde::{Deserialize, Serialize};

/// The disclosed behaviour that personalization fires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Objective {
    /// Another object appears in the subject's place.
    Target {
        /// Class word of that object, from the base model's vetted list.
        target_class: String,
    },
}
