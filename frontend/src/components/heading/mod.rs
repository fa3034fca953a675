//! A page's heading: sets the title and takes the focus after navigation.

use std::cell::RefCell;

use leptos::{html::H1, prelude::*};
use shared::language::Language;

use crate::{language::language, state::draft::here};

thread_local! {
    /// Where the last heading stood, and in which language.
    static LAST: RefCell<Option<(String, Language)>> = const { RefCell::new(None) };
}

/// The first page leaves the focus where the browser put it; so does one that only changed its language.
fn takes_focus(last: Option<(String, Language)>, path: &str, language: Language) -> bool {
    last.is_some_and(|(before, spoken)| before != path || spoken == language)
}

#[component]
pub(crate) fn PageHeading(#[prop(into)] title: Signal<String>) -> impl IntoView {
    let node = NodeRef::<H1>::new();
    node.on_load(|heading| {
        let (path, language) = (here(), language());
        let last = LAST.replace(Some((path.clone(), language)));
        if takes_focus(last, &path, language) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heading_in_another_language_leaves_the_focus() {
        let (english, german) = (Language::English, Language::German);
        let last = |path: &str| Some((path.to_owned(), english));
        assert!(!takes_focus(None, "/home", english));
        assert!(takes_focus(last("/"), "/home", english));
        assert!(!takes_focus(last("/home"), "/home", german));
        // Its language changed on a page that has no heading yet.
        assert!(takes_focus(last("/"), "/home", german));
        // What could not be loaded comes after its outline.
        assert!(takes_focus(last("/home"), "/home", english));
    }
}
