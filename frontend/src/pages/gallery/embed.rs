//! A shared page in a frame: what to put into another site, and how it looks there.

use leptos::{ev, prelude::*};
use wasm_bindgen::JsCast;
use web_sys::Element;

use crate::state::browser::{can_copy, copy};

/// The element that shows a page inside of another.
pub(super) fn embed_code(url: &str, title: &str) -> String {
    format!(
        "<iframe src=\"{}\" title=\"{}\" width=\"100%\" height=\"720\" loading=\"lazy\"></iframe>",
        escaped(url),
        escaped(title)
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[component]
pub(super) fn Embed(code: String) -> impl IntoView {
    let copied = code.clone();
    view! {
        <label class="field-label" for="share-embed">{say!("To put into a page of those sites")}</label>
        <input id="share-embed" class="input" type="text" readonly data-test="share-embed" prop:value=code />
        <div class="row" hidden=!can_copy()>
            <button type="button" class="button button-small" on:click=move |_| copy(&copied)>{say!("Copy")}</button>
        </div>
    }
}

/// The page itself, as wide as a telephone or as there is room; with a password it asks for that first.
#[component]
pub(super) fn AsRecipient(url: String) -> impl IntoView {
    let opened = RwSignal::new(false);
    let narrow = RwSignal::new(false);
    let toggle = move |event: ev::Event| {
        let fold = event
            .target()
            .and_then(|target| target.dyn_into::<Element>().ok());
        opened.set(fold.is_some_and(|fold| fold.has_attribute("open")));
    };
    let width = move |small: bool, label: &'static str| {
        let pressed = move || (narrow.get() == small).to_string();
        view! { <button type="button" aria-pressed=pressed on:click=move |_| narrow.set(small)>{label}</button> }
    };
    let frame = move || {
        let url = url.clone();
        opened.get().then(|| {
            view! {
                <div class="stack-tight">
                    <div class="segments" role="group" aria-label=say!("Width of the preview")>
                        {width(false, say!("Wide"))} {width(true, say!("As on a telephone"))}
                    </div>
                    <iframe class="frame-preview" class:frame-narrow=move || narrow.get() src=url title=say!("The page as its recipient sees it") data-test="share-frame"></iframe>
                </div>
            }
        })
    };
    view! {
        <details data-test="share-preview" on:toggle=toggle>
            <summary>{say!("Preview it here")}</summary>
            {frame}
        </details>
    }
}

#[cfg(test)]
mod tests {
    use super::embed_code;

    #[test]
    fn a_title_stays_in_its_attribute() {
        assert_eq!(
            embed_code("https://persguard.example/s/0af3", "Rex & \"Co\" <1>"),
            "<iframe src=\"https://persguard.example/s/0af3\" title=\"Rex &amp; &quot;Co&quot; &lt;1&gt;\" \
             width=\"100%\" height=\"720\" loading=\"lazy\"></iframe>"
        );
    }
}
