//! One module a screen.

pub(crate) mod account;
pub(crate) mod device;
pub(crate) mod gallery;
pub(crate) mod home;
pub(crate) mod job;
pub(crate) mod jobs;
pub(crate) mod landing;
pub(crate) mod letters;
pub(crate) mod models;
pub(crate) mod new_set;
pub(crate) mod nodes;
pub(crate) mod not_found;
pub(crate) mod protect;
pub(crate) mod set;
pub(crate) mod sign;
pub(crate) mod storage;
pub(crate) mod study;

use std::str::FromStr;

use leptos::prelude::*;
use leptos_router::hooks::use_params_map;

/// The `:id` of the address, if it is an id of that kind.
pub(crate) fn use_id<Id>() -> Memo<Option<Id>>
where
    Id: FromStr + PartialEq + Send + Sync + 'static,
{
    let params = use_params_map();
    Memo::new(move |_| params.with(|params| params.get("id").and_then(|id| id.parse().ok())))
}
