//! What an attacker will see, composed in the page from the set's own first image. A sketch, never a result.

use leptos::prelude::*;

use super::concept::ConceptForm;
use crate::api::patches::patch_url;

/// Pictures up to this side are shown with hard pixels.
const PIXEL_SIDE: u32 = 128;

/// The first image of a set, as far as a sketch needs it.
#[derive(Clone)]
struct Picture {
    url: String,
    class: &'static str,
}

fn picture(concept: ConceptForm) -> Option<Picture> {
    concept.set.with_value(|set| {
        set.images.first().map(|image| Picture {
            url: image.url.clone(),
            class: if image.width.max(image.height) <= PIXEL_SIDE {
                "sketch-image pixel"
            } else {
                "sketch-image"
            },
        })
    })
}

/// The picture of one objective; the card's words say what it shows.
#[component]
pub(super) fn Sketch(concept: ConceptForm, kind: &'static str) -> impl IntoView {
    let picture = picture(concept);
    let base = picture.clone().map(|picture| {
        view! { <img class=picture.class src=picture.url width="160" height="160" alt="" loading="lazy" /> }
    });
    let over = match kind {
        "erasure" => view! {
            {picture.map(|picture| view! { <Fill url=picture.url /> })}
            <span class="sketch-note">{say!("sketch, not a result")}</span>
        }
        .into_any(),
        "pattern" => view! { <Overlay concept=concept /> }.into_any(),
        _ => {
            let name = move || concept.objective.target.get();
            view! { <span class="sketch-tile">{name}</span> }.into_any()
        }
    };
    view! { <span class=format!("sketch sketch-{kind}") aria-hidden="true">{base} {over}</span> }
}

/// The patch at its place, size and strength.
#[component]
fn Overlay(concept: ConceptForm) -> impl IntoView {
    let objective = concept.objective;
    view! {
        <img
            class="sketch-patch"
            src=move || patch_url(objective.patch())
            data-at=move || objective.position.get()
            style=("--size", move || format!("{}%", objective.size.get()))
            style=("--veil", move || format!("{}%", objective.opacity.get()))
            width="160"
            height="160"
            alt=""
        />
    }
}

/// The middle, filled with the colours of two corners.
#[component]
fn Fill(url: String) -> impl IntoView {
    view! {
        <span class="sketch-fill">
            <img class="sketch-corner" src=url.clone() width="160" height="160" alt="" />
            <img class="sketch-corner sketch-corner-far" src=url width="160" height="160" alt="" />
        </span>
    }
}
