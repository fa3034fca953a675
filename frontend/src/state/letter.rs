//! The token of a letter's link: it comes behind `#`, leaves the address at once, and lives in memory alone.

use leptos::{ev, prelude::*};

use crate::state::browser::take_fragment;

/// The token that a link brought; provided by the application's root, so that it outlives a way over the sign-in page.
#[derive(Clone, Copy)]
pub(crate) struct LetterToken(RwSignal<Option<String>>);

impl LetterToken {
    pub(crate) fn provide() {
        provide_context(Self(RwSignal::new(None)));
    }

    /// Takes the token out of the address, where there is one; else the one that was there before.
    ///
    /// Another link to the page that is open changes no more than what follows `#`: it is heard, too.
    pub(crate) fn take() -> Self {
        let kept: Self = expect_context();
        kept.read_address();
        let listener = window_event_listener(ev::hashchange, move |_| kept.read_address());
        on_cleanup(move || listener.remove());
        kept
    }

    fn read_address(self) {
        let fragment = take_fragment();
        let token = fragment.and_then(|text| text.strip_prefix("token=").map(str::to_owned));
        if token.is_some() {
            self.0.set(token);
        }
    }

    /// The token, if a link brought one.
    pub(crate) fn get(self) -> Option<String> {
        self.0.get()
    }

    /// The token for a request.
    pub(crate) fn value(self) -> String {
        self.0.get_untracked().unwrap_or_default()
    }

    /// Forgets it: it works once.
    pub(crate) fn forget(self) {
        self.0.set(None);
    }
}
