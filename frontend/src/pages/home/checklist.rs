//! The four steps of the main path, ticked by what exists; gone once dismissed.

use leptos::prelude::*;
use shared::{
    gallery::GallerySummary,
    job::Job,
    limits,
    protected_set::{ProtectedSet, SetStatus},
};

use crate::{
    components::icon::{Glyph, Icon},
    language::say,
    state::{
        browser::{recall, remember},
        pages::Pages,
    },
};

const DISMISSED: &str = "persguard.checklist-dismissed";

const STEPS: [(&str, &str); 4] = [
    (mark!("Add images"), mark!("At least three of one subject")),
    (mark!("Declare your rights"), mark!("Seals the set")),
    (
        mark!("Launch protection"),
        mark!("Training, then a real attack"),
    ),
    (
        mark!("Read the gallery"),
        mark!("With and without, side by side"),
    ),
];

#[component]
pub(super) fn Checklist(
    sets: Pages<ProtectedSet>,
    jobs: Pages<Job>,
    galleries: Pages<GallerySummary>,
) -> impl IntoView {
    let dismissed = RwSignal::new(recall(DISMISSED).is_some());
    let done = Memo::new(move |_| {
        let any_set = |test: fn(&ProtectedSet) -> bool| {
            sets.items.with(|sets| sets.iter().flatten().any(test))
        };
        let filled = any_set(|set| {
            set.status == SetStatus::Sealed || set.images.len() >= limits::MIN_IMAGES
        });
        let sealed = any_set(|set| set.status == SetStatus::Sealed);
        let launched = jobs
            .items
            .with(|jobs| jobs.iter().flatten().next().is_some());
        let judged = galleries
            .items
            .with(|galleries| galleries.iter().flatten().next().is_some());
        [filled, sealed, launched, judged]
    });
    let dismiss = move |_| {
        dismissed.set(true);
        remember(DISMISSED, Some("1"));
    };
    let loaded = Memo::new(move |_| {
        sets.items.with(Option::is_some)
            && jobs.items.with(Option::is_some)
            && galleries.items.with(Option::is_some)
    });
    move || {
        (loaded.get() && !dismissed.get()).then(|| {
            let done = done.get();
            let next = done.iter().position(|done| !done);
            let steps = STEPS
                .into_iter()
                .enumerate()
                .map(|(index, step)| view! { <Step index=index step=step done=done[index] next=next == Some(index) /> })
                .collect_view();
            view! {
                <section class="card card-tight" aria-labelledby="checklist" data-test="checklist">
                    <div class="row-between">
                        <h2 id="checklist">{say!("From images to evidence in four steps")}</h2>
                        <button type="button" class="button button-quiet button-small" on:click=dismiss>{say!("Hide this")}</button>
                    </div>
                    <ol class="steps">{steps}</ol>
                </section>
            }
        })
    }
}

#[component]
fn Step(index: usize, step: (&'static str, &'static str), done: bool, next: bool) -> impl IntoView {
    let class = match (done, next) {
        (true, _) => "step step-done",
        (false, true) => "step step-next",
        (false, false) => "step",
    };
    let mark = if done {
        view! { <Icon glyph=Glyph::Check /> }.into_any()
    } else {
        (index + 1).into_any()
    };
    view! {
        <li class=class>
            <span class="step-mark">{mark}</span>
            <span>
                <span class="strong">{say(step.0)}</span>
                {done.then(|| view! { <span class="visually-hidden">" "{say!("(done)")}</span> })}
                <br />
                <span class="small soft">{say(step.1)}</span>
            </span>
        </li>
    }
}
