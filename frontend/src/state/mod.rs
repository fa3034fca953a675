//! State that outlives one view: who is signed in, what is being fetched, what is being uploaded.

pub(crate) mod browser;
pub(crate) mod device_code;
pub(crate) mod draft;
pub(crate) mod fetch;
pub(crate) mod form;
pub(crate) mod kept;
pub(crate) mod letter;
pub(crate) mod model_uploads;
pub(crate) mod pages;
pub(crate) mod session;
pub(crate) mod speech;
pub(crate) mod uploads;
