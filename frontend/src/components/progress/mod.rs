//! A progress bar with its numbers.

use leptos::prelude::*;

#[component]
pub(crate) fn ProgressBar(
    /// Share done, 0 to 1.
    #[prop(into)]
    share: Signal<f64>,
    #[prop(into)] label: Signal<String>,
    #[prop(optional)] small: bool,
) -> impl IntoView {
    let percent = move || format!("{:.0}", share.get().clamp(0.0, 1.0) * 100.0);
    let class = if small {
        "progress progress-small"
    } else {
        "progress"
    };
    view! {
        <div class=class>
            <div
                class="progress-track"
                role="progressbar"
                aria-label=move || label.get()
                aria-valuemin="0"
                aria-valuemax="100"
                aria-valuenow=percent
            >
                <div class="progress-fill" style=("--share", move || format!("{}%", percent()))></div>
            </div>
        </div>
    }
}
