//! Pairs of pictures at one attack step: a scrubber, and the chosen pair in full.

use leptos::prelude::*;
use shared::gallery::GalleryPair;

use super::{View, inspect::Inspect};
use crate::language::decimal;

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
        0 => say!("Before any attack").to_owned(),
        step => say!("After {step} steps of the attack", step),
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

/// The chosen pair with its slider, and the way to its neighbours.
#[component]
pub(super) fn Selected(view: View) -> impl IntoView {
    let pair = Memo::new(move |_| {
        let seed = view.seed.get();
        view.pairs
            .with(|pairs| pairs.iter().find(|pair| Some(pair.seed) == seed).cloned())
    });
    let read = move |read: fn(&GalleryPair) -> String| {
        Signal::derive(move || pair.with(|pair| pair.as_ref().map(read).unwrap_or_default()))
    };
    let turn = move |forward: bool| {
        let seed = view.pairs.with_untracked(|pairs| {
            let chosen = view.seed.get_untracked();
            let here = pairs.iter().position(|pair| Some(pair.seed) == chosen)?;
            let offset = if forward { 1 } else { pairs.len() - 1 };
            Some(pairs[(here + offset) % pairs.len()].seed)
        });
        if let Some(seed) = seed {
            view.show_seed(seed);
        }
    };
    view! {
        <Inspect clean_url=read(|pair| pair.clean.url.clone()) protected_url=read(|pair| pair.protected.url.clone()) prompt=read(|pair| pair.prompt.clone()) />
        <div class="row-between">
            <p class="small soft" data-test="selected">{read(|pair| say!("Seed {seed}, asked for “{prompt}”", seed = pair.seed.to_string(), prompt = pair.prompt))}</p>
            <div class="row">
                <button type="button" class="button button-small" data-test="previous-pair" on:click=move |_| turn(false)>{say!("Previous")}</button>
                <button type="button" class="button button-small" data-test="next-pair" on:click=move |_| turn(true)>{say!("Next")}</button>
            </div>
        </div>
        <p class="small">
            {say!("Similarity to your images:")}" "
            <span class="clean-ink strong number">{read(|pair| say!("{similarity} without", similarity = decimal(pair.clean.similarity, 2)))}</span>
            ", "
            <span class="guarded-ink strong number">{read(|pair| say!("{similarity} with", similarity = decimal(pair.protected.similarity, 2)))}</span>
            "."
        </p>
    }
}
