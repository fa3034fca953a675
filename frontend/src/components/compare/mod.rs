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
    let text = move || {
        format!(
            "{} % without protection, {} % with protection",
            split.get(),
            100 - split.get()
        )
    };
    let moved = move |event| {
        if let Ok(value) = event_target_value(&event).parse() {
            split.set(value);
        }
    };
    view! {
        <div class="compare" data-test="compare">
            <div class="compare-stage" style=("--split", move || format!("{}%", split.get()))>
                <img
                    src=move || protected_url.get()
                    width="32"
                    height="32"
                    alt=move || format!("With protection, asked for: {}", prompt.get())
                />
                <img
                    class="compare-top"
                    src=move || clean_url.get()
                    width="32"
                    height="32"
                    alt=move || format!("Without protection, asked for: {}", prompt.get())
                />
                <div class="compare-line" aria-hidden="true">
                    <span class="compare-knob">
                        <Icon glyph=Glyph::Sides />
                    </span>
                </div>
                <span class="compare-label compare-label-left" aria-hidden="true">"Without"<span class="wide-only">" protection"</span></span>
                <span class="compare-label compare-label-right" aria-hidden="true">"With"<span class="wide-only">" protection"</span></span>
                <input
                    type="range"
                    class="compare-input"
                    min="0"
                    max="100"
                    step="1"
                    data-test="compare-range"
                    aria-label="Edge between the picture without and with protection"
                    aria-valuetext=text
                    prop:value=move || split.get().to_string()
                    on:input=moved
                />
            </div>
        </div>
    }
}
