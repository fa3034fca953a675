//! Cursor pagination: the same envelope for every list.

use serde::{Deserialize, Serialize};

/// One page of a list, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// The items.
    pub data: Vec<T>,
    /// Whether older items follow.
    pub has_more: bool,
    /// Goes into `?after=` for the next page.
    pub next_cursor: Option<String>,
}
