//! A page's heading: sets the title and takes the focus after navigation.

use std::cell::Cell;

use leptos::{html::H1, prelude::*};

thread_local! {
    /// The first page leaves the focus where the browser put it.
    static NAVIGATED: Cell<bool> = const { Cell::new(false) };
}

#[component]
pub(crate) fn PageHeading(#[prop(into)] title: Signal<String>) -> impl IntoView {
    let node = NodeRef::<H1>::new();
    node.on_load(|heading| {
        if NAVIGATED.replace(true) {
            let _ = heading.focus();
        }
    });
    Effect::new(move || {
        if let Some(document) = web_sys::window().and_then(|window| window.document()) {
            document.set_title(&format!("{} · PersGuard", title.get()));
        }
    });
    view! {
        <h1 node_ref=node tabindex="-1" data-test="page-title">
            {move || title.get()}
        </h1>
    }
}
