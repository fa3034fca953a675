//! Two pictures on one spot with a movable edge: the same seed without and with protection.
//!
//! A range input covers the picture, so a pointer, a finger and the arrow keys all move the edge.

use leptos::prelude::*;

use crate::components::icon::{Glyph, Icon};

#[component]
pub(crate) fn Compare(
    #[prop(into)] clean_url: Signal<String>,
    #[prop(into)] protected_url: Signal<String>,
    /// What both pictures were asked to show.
    #[prop(into)]
    prompt: Signal<String>,
) -> impl IntoView {
    let split = RwSignal::new(50_u8);
    view! {
        <div class="compare" data-test="compare">
            <div class="compare-stage" style=("--split", move || format!("{}%", split.get()))>
                <img
                    src=move || protected_url.get()
                    width="32"
                    height="32"
                    alt=move || say!("With protection, asked for: {prompt}", prompt = prompt.get())
                />
                <img
                    class="compare-top"
                    src=move || clean_url.get()
                    width="32"
                    height="32"
                    alt=move || say!("Without protection, asked for: {prompt}", prompt = prompt.get())
                />
                <div class="compare-line" aria-hidden="true">
                    <span class="compare-knob">
                        <Icon glyph=Glyph::Sides />
                    </span>
                </div>
                <span class="compare-label compare-label-left" aria-hidden="true">{weave!("Without{protection}", protection = view! { <span class="wide-only">{say!(" protection")}</span> })}</span>
                <span class="compare-label compare-label-right" aria-hidden="true">{weave!("With{protection}", protection = view! { <span class="wide-only">{say!(" protection")}</span> })}</span>
                <Edge split=split class="compare-input" test="compare-range" />
            </div>
        </div>
    }
}

/// What moves the edge between two pictures.
#[component]
pub(crate) fn Edge(split: RwSignal<u8>, class: &'static str, test: &'static str) -> impl IntoView {
    let text = move || {
        say!(
            "{clean} % without protection, {protected} % with protection",
            clean = split.get(),
            protected = 100 - split.get()
        )
    };
    let moved = move |event| {
        if let Ok(value) = event_target_value(&event).parse() {
            split.set(value);
        }
    };
    view! {
        <input
            type="range"
            class=class
            min="0"
            max="100"
            step="1"
            data-test=test
            aria-label=say!("Edge between the picture without and with protection")
            aria-valuetext=text
            prop:value=move || split.get().to_string()
            on:input=moved
        />
    }
}
