//! A moment on the reader's own clock; behind it, the same in UTC.

use leptos::prelude::*;
use shared::Timestamp;

use crate::{state::fetch::use_interval, text};

const TICK_MILLISECONDS: u64 = 10_000;

/// When it was or will be.
#[component]
pub(crate) fn Moment(at: Timestamp) -> impl IntoView {
    view! { <time datetime=at.rfc3339() title=text::utc(at)>{text::moment(at)}</time> }
}

/// How long ago it was.
#[component]
pub(crate) fn Ago(at: Timestamp) -> impl IntoView {
    let words = RwSignal::new(text::ago(at));
    use_interval(TICK_MILLISECONDS, move || {
        words.try_set(text::ago(at));
    });
    view! { <time datetime=at.rfc3339() title=text::utc(at)>{move || words.get()}</time> }
}
