//! The code of a program that waits: it comes behind `#`, leaves the address at once, and lives in memory alone.

use leptos::prelude::*;

use crate::state::{browser::take_fragment, draft::here};

/// The code that an address brought; taken by the application's root, so that it outlives a way over the sign-in page.
#[derive(Clone, Copy)]
pub(crate) struct DeviceCode(StoredValue<Option<String>>);

impl DeviceCode {
    pub(crate) fn provide() {
        // What follows `#` elsewhere is not ours to take.
        let fragment = (here() == "/device").then(take_fragment).flatten();
        let code = fragment.and_then(|text| text.strip_prefix("code=").map(str::to_owned));
        provide_context(Self(StoredValue::new(code)));
    }

    pub(crate) fn expect() -> Self {
        expect_context()
    }

    /// The code, or nothing to fill a field with.
    pub(crate) fn value(self) -> String {
        self.0.get_value().unwrap_or_default()
    }

    /// Forgets it: it works once.
    pub(crate) fn forget(self) {
        self.0.set_value(None);
    }
}
