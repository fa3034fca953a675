//! Pairs of pictures at one attack step: a scrubber, a grid, and the chosen pair in full.

use leptos::prelude::*;
use shared::gallery::{GalleryImage, GalleryPair};

use super::View;
use crate::components::compare::Compare;

#[component]
pub(super) fn Scrubber(view: View) -> impl IntoView {
    let steps: Vec<u32> = view.gallery.with_value(|gallery| {
        gallery
            .report
            .checkpoints
            .iter()
            .map(|checkpoint| checkpoint.attack_step)
            .collect()
    });
    let last = steps.len().saturating_sub(1);
    let ticks = steps
        .iter()
        .map(|step| view! { <span>{*step}</span> })
        .collect_view();
    let steps = StoredValue::new(steps);
    let index = move || {
        let step = view.step.get();
        steps.with_value(|steps| steps.iter().position(|other| *other == step).unwrap_or(0))
    };
    let moved = move |event| {
        let index = event_target_value(&event).parse::<usize>().ok();
        let step = index.and_then(|index| steps.with_value(|steps| steps.get(index).copied()));
        if let Some(step) = step {
            view.show_step(step);
        }
    };
    let words = move || match view.step.get() {
        0 => "Before any attack".to_owned(),
        step => format!("After {step} steps of the attack"),
    };
    view! {
        <div class="card card-tight scrubber">
            <label class="strong" for="attack-step" data-test="step-label">{words}</label>
            <input
                id="attack-step"
                type="range"
                min="0"
                max=last.to_string()
                step="1"
                data-test="step-range"
                aria-valuetext=words
                prop:value=move || index().to_string()
                on:input=moved
            />
            <div class="scrubber-ticks" aria-hidden="true">{ticks}</div>
        </div>
    }
}

fn pairs_at(view: View) -> Vec<GalleryPair> {
    let step = view.step.get();
    view.gallery.with_value(|gallery| {
        gallery
            .pairs
            .iter()
            .filter(|pair| pair.attack_step == step)
            .cloned()
            .collect()
    })
}

#[component]
pub(super) fn Grid(view: View) -> impl IntoView {
    view! {
        <div class="pairs" role="group" aria-label="Pairs; choose one to compare" data-test="pairs">
            <For each=move || pairs_at(view) key=|pair| (pair.attack_step, pair.seed) let:pair>
                <Pair view=view pair=pair />
            </For>
        </div>
    }
}

#[component]
fn Pair(view: View, pair: GalleryPair) -> impl IntoView {
    let seed = pair.seed;
    let pressed = move || {
        if view.seed.get() == Some(seed) {
            "true"
        } else {
            "false"
        }
    };
    view! {
        <button type="button" class="pair" data-test="pair" aria-pressed=pressed on:click=move |_| view.show_seed(seed)>
            <span class="pair-pictures">
                <img src=pair.clean.url.clone() width="96" height="96" loading="lazy" alt=alt("Without protection", &pair.clean, &pair.prompt) />
                <img src=pair.protected.url.clone() width="96" height="96" loading="lazy" alt=alt("With protection", &pair.protected, &pair.prompt) />
            </span>
            <span class="pair-words">
                <span><span class="clean-ink strong">"Without"</span><br />{score(&pair.clean)}</span>
                <span><span class="guarded-ink strong">"With"</span><br />{score(&pair.protected)}</span>
            </span>
        </button>
    }
}

fn alt(arm: &str, image: &GalleryImage, prompt: &str) -> String {
    let shows = if image.hit {
        "shows the subject"
    } else {
        "does not show the subject"
    };
    format!("{arm}: {shows}; asked for {prompt}")
}

fn score(image: &GalleryImage) -> String {
    let mark = if image.hit { "subject" } else { "not it" };
    format!("{:.2} · {mark}", image.similarity)
}

/// The chosen pair with its slider, and the way to its neighbours.
#[component]
pub(super) fn Selected(view: View) -> impl IntoView {
    let pair = Memo::new(move |_| {
        let seed = view.seed.get();
        pairs_at(view)
            .into_iter()
            .find(|pair| Some(pair.seed) == seed)
    });
    let read = move |read: fn(&GalleryPair) -> String| {
        Signal::derive(move || pair.with(|pair| pair.as_ref().map(read).unwrap_or_default()))
    };
    let turn = move |forward: bool| {
        let pairs = pairs_at(view);
        let here = pairs
            .iter()
            .position(|pair| Some(pair.seed) == view.seed.get_untracked());
        if let (Some(here), false) = (here, pairs.is_empty()) {
            let offset = if forward { 1 } else { pairs.len() - 1 };
            view.show_seed(pairs[(here + offset) % pairs.len()].seed);
        }
    };
    view! {
        <Compare clean_url=read(|pair| pair.clean.url.clone()) protected_url=read(|pair| pair.protected.url.clone()) prompt=read(|pair| pair.prompt.clone()) />
        <div class="row-between">
            <p class="small soft" data-test="selected">{read(|pair| format!("Seed {}, asked for “{}”", pair.seed, pair.prompt))}</p>
            <div class="row">
                <button type="button" class="button button-small" data-test="previous-pair" on:click=move |_| turn(false)>"Previous"</button>
                <button type="button" class="button button-small" data-test="next-pair" on:click=move |_| turn(true)>"Next"</button>
            </div>
        </div>
        <p class="small">
            "Similarity to your images: "
            <span class="clean-ink strong number">{read(|pair| format!("{:.2} without", pair.clean.similarity))}</span>
            ", "
            <span class="guarded-ink strong number">{read(|pair| format!("{:.2} with", pair.protected.similarity))}</span>
            "."
        </p>
    }
}
