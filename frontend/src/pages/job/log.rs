//! The tail of a job's log; follows the end until somebody scrolls up.

use leptos::{html::Pre, prelude::*};

/// Pixels from the end that still count as being there.
const NEAR: i32 = 24;

#[component]
pub(super) fn LogTail(log: RwSignal<Vec<String>>) -> impl IntoView {
    let node = NodeRef::<Pre>::new();
    let follow = StoredValue::new(true);
    let scrolled = move |_| {
        if let Some(pre) = node.get_untracked() {
            let below = pre.scroll_height() - pre.scroll_top() - pre.client_height();
            follow.set_value(below <= NEAR);
        }
    };
    Effect::new(move || {
        log.track();
        if follow.get_value() {
            request_animation_frame(move || {
                if let Some(pre) = node.try_get_untracked().flatten() {
                    pre.set_scroll_top(pre.scroll_height());
                }
            });
        }
    });
    let text = move || {
        log.with(|log| {
            if log.is_empty() {
                "No line yet.".to_owned()
            } else {
                log.join("\n")
            }
        })
    };
    view! {
        <details class="fold" open=true>
            <summary>"Log"</summary>
            <div class="fold-body">
                <pre class="log" tabindex="0" role="log" aria-live="off" aria-label="Log of the job" node_ref=node data-test="log" on:scroll=scrolled>
                    {text}
                </pre>
            </div>
        </details>
    }
}
