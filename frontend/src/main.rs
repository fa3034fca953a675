//! The dashboard: a client of the public REST API, rendered in the browser.
//!
//! Owns screens and their state. Refuses rules of its own: validation and wire types come from `shared`.

#![expect(
    unreachable_pub,
    reason = "the component macro gives every property builder public methods"
)]

mod api;
mod app;
mod components;
mod pages;
mod parts;
mod state;
mod text;

use wasm_bindgen::JsCast;
use web_sys::HtmlElement;

fn main() {
    console_error_panic_hook::set_once();
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
