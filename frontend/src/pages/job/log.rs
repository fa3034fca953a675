//! The tail of a job's log; follows the end until somebody scrolls up, and shows the lines with a word alone.

use leptos::{html::Pre, prelude::*};

use crate::state::kept::keep;

/// Pixels from the end that still count as being there.
const NEAR: i32 = 24;

/// The lines that hold a word, written in small letters; all of them without one.
fn with_word<'a>(lines: &'a [String], word: &'a str) -> impl Iterator<Item = &'a String> {
    lines
        .iter()
        .filter(move |line| word.is_empty() || line.to_lowercase().contains(word))
}

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
    let word = keep("log-word", || RwSignal::new(String::new()));
    let found = Memo::new(move |_| {
        let word = word.with(|word| word.trim().to_lowercase());
        log.with(|log| with_word(log, &word).cloned().collect::<Vec<_>>())
    });
    let lines = move || {
        found.with(|found| match (found.is_empty(), log.with(Vec::is_empty)) {
            (_, true) => say!("No line yet.").to_owned(),
            (true, false) => say!("No line has this.").to_owned(),
            (false, false) => found.join("\n"),
        })
    };
    let tally = move || {
        let searched = word.with(|word| !word.trim().is_empty());
        searched.then(|| {
            let found = found.with(Vec::len);
            plural!(
                log.with(Vec::len),
                "{found} of {count} line",
                "{found} of {count} lines",
                found
            )
        })
    };
    view! {
        <details class="fold" open=true>
            <summary>{say!("Log")}</summary>
            <div class="fold-body">
                <div class="row">
                    <label class="visually-hidden" for="log-search">{say!("Search in the log")}</label>
                    <input
                        id="log-search"
                        class="input log-search"
                        type="search"
                        placeholder=say!("Search in the log")
                        autocomplete="off"
                        spellcheck="false"
                        data-test="log-search"
                        prop:value=move || word.get()
                        on:input=move |event| word.set(event_target_value(&event))
                    />
                    <span class="small soft number" role="status" data-test="log-found">{tally}</span>
                </div>
                <pre class="log" tabindex="0" role="log" aria-live="off" aria-label=say!("Log of the job") node_ref=node data-test="log" on:scroll=scrolled>
                    {lines}
                </pre>
            </div>
        </details>
    }
}

#[cfg(test)]
mod tests {
    use super::with_word;

    #[test]
    fn lines_are_found_whatever_their_letters() {
        let lines = ["Step 1", "Loss 0.5", "step 2"].map(str::to_owned);
        assert_eq!(with_word(&lines, "step").count(), 2);
        assert_eq!(with_word(&lines, "").count(), 3);
        assert_eq!(with_word(&lines, "nothing").count(), 0);
    }
}
