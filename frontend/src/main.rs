//! The dashboard: a client of the public REST API, rendered in the browser.
//!
//! Owns screens and their state. Refuses rules of its own: validation and wire types come from `shared`.

#![expect(
    unreachable_pub,
    reason = "the component macro gives every property builder public methods"
)]
// See the second `main`: without the screens much is used by tests alone.
#![cfg_attr(
    not(any(target_arch = "wasm32", clippy)),
    allow(dead_code, unused_imports)
)]

#[macro_use]
mod language;

mod api;
mod app;
mod components;
mod pages;
mod parts;
mod state;
mod text;

use wasm_bindgen::JsCast;
use wasm_bindgen_futures::spawn_local;
use web_sys::HtmlElement;

use crate::language::{language, learn, speak, wanted};

#[cfg(any(target_arch = "wasm32", clippy))]
fn main() {
    console_error_panic_hook::set_once();
    let chosen = wanted();
    if chosen == language() {
        return mount();
    }
    spawn_local(async move {
        // What cannot be fetched is shown in English, which is better than nothing.
        let learned = learn(chosen).await;
        speak(if learned { chosen } else { language() });
        mount();
    });
}

/// Outside a browser its tests run and nothing is shown: compiling the screens for that costs a core a minute and a half.
#[cfg(not(any(target_arch = "wasm32", clippy)))]
fn main() {}

fn mount() {
    let root = web_sys::window()
        .and_then(|window| window.document())
        .and_then(|document| document.get_element_by_id("app"))
        .and_then(|element| element.dyn_into::<HtmlElement>().ok());
    if let Some(root) = root {
        // Takes away what the page shows while the module loads.
        root.set_inner_html("");
        leptos::mount::mount_to(root, app::App).forget();
    }
}
