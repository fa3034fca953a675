//! Small conveniences of the browser: storage, focus, random keys, the time of day.
//!
//! Every call answers something sensible where the browser refuses.

use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement, Node, Storage};

use crate::api::transfer::hexadecimal;

fn storage() -> Option<Storage> {
    web_sys::window()?.local_storage().ok().flatten()
}

/// Reads a remembered setting.
pub(crate) fn recall(key: &str) -> Option<String> {
    storage()?.get_item(key).ok().flatten()
}

/// Remembers a setting; `None` forgets it.
pub(crate) fn remember(key: &str, value: Option<&str>) {
    let Some(storage) = storage() else { return };
    // A full or blocked storage costs a preference, nothing else.
    let _ = match value {
        Some(value) => storage.set_item(key, value),
        None => storage.remove_item(key),
    };
}

/// What follows the sign `#` in the address; it is taken out, so that neither the history nor a shoulder keeps it.
pub(crate) fn take_fragment() -> Option<String> {
    let window = web_sys::window()?;
    let location = window.location();
    let fragment = location.hash().ok()?;
    let text = fragment.strip_prefix('#')?.to_owned();
    let path = location.pathname().ok()?;
    // Where the history refuses, the code stays in sight until it expires.
    let history = window.history().ok()?;
    let _ = history.replace_state_with_url(&wasm_bindgen::JsValue::NULL, "", Some(&path));
    Some(text)
}

/// Moves the keyboard focus to an element and into view.
pub(crate) fn focus(id: &str) {
    let element = web_sys::window()
        .and_then(|window| window.document())
        .and_then(|document| document.get_element_by_id(id))
        .and_then(|element| element.dyn_into::<HtmlElement>().ok());
    if let Some(element) = element {
        // A field inside a closed fold cannot take the focus.
        if let Ok(Some(fold)) = element.closest("details") {
            let _ = fold.set_attribute("open", "");
        }
        let _ = element.focus();
    }
}

/// Moves the focus to whichever of these elements comes first on the page.
pub(crate) fn focus_first_of(ids: &[String]) {
    let Some(document) = web_sys::window().and_then(|window| window.document()) else {
        return;
    };
    let mut first: Option<Element> = None;
    for element in ids.iter().filter_map(|id| document.get_element_by_id(id)) {
        let earlier = first.as_ref().is_none_or(|known| {
            known.compare_document_position(&element) & Node::DOCUMENT_POSITION_PRECEDING != 0
        });
        if earlier {
            first = Some(element);
        }
    }
    if let Some(element) = first {
        focus(&element.id());
    }
}

/// What of a page is no state of its views: which folds are open, and where in the window a control stands.
pub(crate) struct Scene {
    control: Option<(Element, f64)>,
    folds: Vec<bool>,
}

impl Scene {
    pub(crate) fn of(control: Option<&Element>) -> Self {
        let top = |control: &Element| control.get_bounding_client_rect().top();
        Self {
            control: control.map(|control| (control.clone(), top(control))),
            folds: folds()
                .iter()
                .map(|fold| fold.has_attribute("open"))
                .collect(),
        }
    }

    /// Puts a page that was drawn anew back as it was.
    pub(crate) fn restore(&self) {
        let folds = folds();
        // Another number of folds is another page.
        if folds.len() == self.folds.len() {
            for (fold, open) in folds.iter().zip(&self.folds) {
                let _ = fold.toggle_attribute_with_force("open", *open);
            }
        }
        if let (Some((control, top)), Some(window)) = (&self.control, web_sys::window()) {
            window.scroll_by_with_x_and_y(0.0, control.get_bounding_client_rect().top() - top);
        }
    }
}

/// Everything that folds, in the order of the page.
fn folds() -> Vec<Element> {
    let found = web_sys::window()
        .and_then(|window| window.document())
        .and_then(|document| document.query_selector_all("main details").ok());
    let Some(found) = found else {
        return Vec::new();
    };
    let all = (0..found.length()).filter_map(|index| found.get(index));
    all.filter_map(|node| node.dyn_into().ok()).collect()
}

/// Loads the page anew, with whatever the server has now.
pub(crate) fn reload() {
    if let Some(window) = web_sys::window() {
        let _ = window.location().reload();
    }
}

/// Sets or clears the theme on the document.
pub(crate) fn apply_theme(theme: Option<&str>) {
    let root = web_sys::window()
        .and_then(|window| window.document())
        .and_then(|document| document.document_element());
    if let Some(root) = root {
        let _ = match theme {
            Some(theme) => root.set_attribute("data-theme", theme),
            None => root.remove_attribute("data-theme"),
        };
    }
}

/// Whether the system asks for dark colours.
pub(crate) fn prefers_dark() -> bool {
    web_sys::window()
        .and_then(|window| window.match_media("(prefers-color-scheme: dark)").ok())
        .flatten()
        .is_some_and(|query| query.matches())
}

/// 128 random bits in hexadecimal, for `Idempotency-Key`.
pub(crate) fn random_key() -> String {
    let mut bytes = [0_u8; 16];
    let filled = web_sys::window()
        .and_then(|window| window.crypto().ok())
        .is_some_and(|crypto| crypto.get_random_values_with_u8_array(&mut bytes).is_ok());
    if !filled {
        // Without a source of randomness the time still separates two forms.
        bytes[..8].copy_from_slice(&js_sys::Date::now().to_bits().to_be_bytes());
    }
    hexadecimal(&bytes)
}

/// Whether there is a clipboard: on https and localhost only.
pub(crate) fn can_copy() -> bool {
    web_sys::window().is_some_and(|window| window.is_secure_context())
}

/// Copies text; silently nothing where the clipboard is closed.
pub(crate) fn copy(text: &str) {
    if let Some(window) = web_sys::window().filter(|_| can_copy()) {
        let _ = window.navigator().clipboard().write_text(text);
    }
}
