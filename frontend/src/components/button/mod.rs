//! The one button of a form: busy while its request is under way, never lost to the keyboard.

use leptos::prelude::*;

#[component]
pub(crate) fn SubmitButton(
    #[prop(into)] label: String,
    busy: RwSignal<bool>,
    #[prop(into)] busy_label: String,
    test: &'static str,
    #[prop(default = "button button-primary")] class: &'static str,
) -> impl IntoView {
    view! {
        <button
            type="submit"
            class=class
            data-test=test
            aria-disabled=move || if busy.get() { "true" } else { "false" }
        >
            {move || {
                busy.get().then(|| view! { <span class="spinner" aria-hidden="true"></span> })
            }}
            <span>{move || if busy.get() { busy_label.clone() } else { label.clone() }}</span>
        </button>
    }
}
