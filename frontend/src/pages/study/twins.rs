//! The twins behind a chosen square: the same picture without and with protection. They stay while the square fills.

use leptos::prelude::*;
use shared::study::Study;

use super::atlas::{Choice, Look, Map, Square, square};
use crate::components::compare::Compare;

/// Pictures of each arm that a square shows.
const SHOWN: usize = 4;

/// A chosen square in words and pictures.
#[derive(Clone, PartialEq)]
pub(super) struct Close {
    title: String,
    sentence: String,
    pairs: Vec<(String, String)>,
}

impl Close {
    /// The square of a choice, if there is one.
    pub(super) fn of(study: &Study, maps: &[Map], choice: &Choice) -> Option<Self> {
        let (map, square) = square(maps, choice)?;
        let (_, rate, step) = choice;
        Some(Self {
            title: say!(
                "{title}, learning rate {rate}, {step} steps",
                title = map.title,
                rate = f64::from_bits(*rate),
                step
            ),
            sentence: square.sentence(*step),
            pairs: pairs(study, square, *step),
        })
    }
}

/// Addresses of twins: clean and protected pictures of the same cell, step and place.
fn pairs(study: &Study, square: &Square, step: u32) -> Vec<(String, String)> {
    let url = |name: &str| study.pictures.get(name).cloned();
    let mut pairs = Vec::new();
    for (_, key) in &square.cells {
        for at in 0..SHOWN {
            let clean = url(&format!("{key}/clean/{step}/{at:02}.png"));
            let protected = url(&format!("{key}/protected/{step}/{at:02}.png"));
            pairs.extend(clean.zip(protected));
        }
    }
    pairs.truncate(12);
    pairs
}

#[component]
pub(super) fn Twins(near: Memo<Option<Close>>, look: Look) -> impl IntoView {
    let title = Memo::new(move |_| near.with(|near| near.as_ref().map(|near| near.title.clone())));
    let title = Signal::derive(move || title.get().unwrap_or_default());
    let sentence = move || near.with(|near| near.as_ref().map(|near| near.sentence.clone()));
    let pairs = Memo::new(move |_| near.get().map_or_else(Vec::new, |near| near.pairs));
    let side = move |pick: fn(&(String, String)) -> &String| {
        Signal::derive(move || {
            let pair = |pairs: &Vec<(String, String)>| {
                let pair = pairs.get(look.twin.get());
                pair.map(|pair| pick(pair).clone()).unwrap_or_default()
            };
            pairs.with(pair)
        })
    };
    let strip = move || {
        let twin = |(at, (clean, protected)): (usize, (String, String))| {
            let pressed = move || {
                if look.twin.get() == at {
                    "true"
                } else {
                    "false"
                }
            };
            view! {
                <button type="button" class="pair-pick" aria-pressed=pressed aria-label=say!("Twin {number}", number = at + 1) on:click=move |_| look.twin.set(at)>
                    <img src=clean width="40" height="40" alt="" loading="lazy" />
                    <img src=protected width="40" height="40" alt="" loading="lazy" />
                </button>
            }
        };
        pairs.get().into_iter().enumerate().map(twin).collect_view()
    };
    let empty = Memo::new(move |_| pairs.with(Vec::is_empty));
    let compare = move || {
        if empty.get() {
            return view! { <p class="small soft">{say!("No pictures of this square are kept.")}</p> }.into_any();
        }
        view! {
            <div class="study-compare">
                <Compare clean_url=side(|pair| &pair.0) protected_url=side(|pair| &pair.1) prompt=title />
            </div>
        }
        .into_any()
    };
    view! {
        <div class="card" data-test="square-twins">
            <h3>{title}</h3>
            <p>{sentence}</p>
            {compare}
            <div class="pair-strip">{strip}</div>
        </div>
    }
}
