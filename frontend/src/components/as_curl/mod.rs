//! An action as a shell does it: folded away beside its button, written when somebody opens it.

use leptos::{ev, prelude::*};
use wasm_bindgen::JsCast;
use web_sys::Element;

use crate::{
    api::curl::by_person,
    state::browser::{can_copy, copy},
};

#[component]
pub(crate) fn AsCurl(
    /// The commands, as the page stands now.
    #[prop(into)]
    commands: Signal<String>,
    #[prop(into)] test: String,
    /// Tells two apart that stand together.
    #[prop(optional)]
    label: Option<&'static str>,
) -> impl IntoView {
    let label = label.unwrap_or_else(|| say!("As curl"));
    let opened = RwSignal::new(false);
    let copied = RwSignal::new(false);
    let toggle = move |event: ev::Event| {
        let fold = event
            .target()
            .and_then(|target| target.dyn_into::<Element>().ok());
        opened.set(fold.is_some_and(|fold| fold.has_attribute("open")));
        copied.set(false);
    };
    let hint = move || {
        if commands.with(|commands| by_person(commands)) {
            say!(
                "With an access token of yours (POST /v1/tokens) in PERSGUARD_ACCESS_TOKEN: API keys may not do this."
            )
        } else {
            say!("With an API key of yours in PERSGUARD_API_KEY.")
        }
    };
    let take = move |_| {
        copy(&commands.get_untracked());
        copied.set(true);
    };
    view! {
        <details class="as-curl" data-test=test on:toggle=toggle>
            <summary>{label}</summary>
            {move || {
                opened
                    .get()
                    .then(|| {
                        view! {
                            <div class="stack-tight">
                                <p class="field-hint">{hint}</p>
                                <pre class="code-block" tabindex="0" role="group" aria-label=say!("Commands")>{move || commands.get()}</pre>
                                <div class="row" hidden=!can_copy()>
                                    <button type="button" class="button button-small" on:click=take>{say!("Copy")}</button>
                                    <span class="small soft" role="status">{move || if copied.get() { say!("Copied") } else { "" }}</span>
                                </div>
                            </div>
                        }
                    })
            }}
        </details>
    }
}
