//! Home: what there is, and the next thing to do with it.

mod cards;
mod checklist;

use leptos::prelude::*;
use shared::{gallery::GallerySummary, job::Job, protected_set::ProtectedSet};

use crate::{
    api,
    components::{
        heading::PageHeading,
        loaded::{Loaded, Skeleton},
        notice::ErrorNotice,
        sample_sets::SampleSets,
    },
    pages::{jobs::JobCard, letters::UnconfirmedNotice},
    state::{
        fetch::{use_fetch, use_interval},
        pages::Pages,
    },
};
use cards::{DemoCard, GalleryCard, SetCard};
use checklist::Checklist;

const POLL_MILLISECONDS: u64 = 5_000;
/// Jobs on this page; the rest are on theirs.
const RECENT_JOBS: usize = 4;

#[component]
pub(crate) fn HomePage() -> impl IntoView {
    let sets = Pages::new(api::protected_sets);
    let jobs = Pages::new(api::jobs);
    let galleries = Pages::new(api::galleries);
    use_interval(POLL_MILLISECONDS, move || {
        let active = jobs
            .items
            .with_untracked(|jobs| jobs.iter().flatten().any(|job| !job.status.is_final()));
        if active {
            jobs.refresh(|job| job.id.to_string());
            galleries.refresh(|gallery| gallery.id.to_string());
        }
    });
    view! {
        <div class="page-head-row">
            <PageHeading title=say!("Home") />
            <a class="button button-primary" href="/sets/new" data-test="new-set">{say!("New image set")}</a>
        </div>
        <UnconfirmedNotice />
        <Checklist sets=sets jobs=jobs galleries=galleries />
        <Sets sets=sets />
        <Jobs jobs=jobs />
        <Galleries galleries=galleries />
    }
}

#[component]
fn Sets(sets: Pages<ProtectedSet>) -> impl IntoView {
    let list = move |items: Vec<ProtectedSet>| {
        if items.is_empty() {
            return view! { <NoSets /> }.into_any();
        }
        let cards = items
            .into_iter()
            .map(|set| view! { <SetCard set=set /> })
            .collect_view();
        view! { <div class="cards">{cards}</div> }.into_any()
    };
    view! {
        <section class="stack" aria-labelledby="home-sets">
            <h2 id="home-sets">{say!("Image sets")}</h2>
            <Listed pages=sets what=say!("Your image sets could not be loaded") draw=list />
        </section>
    }
}

#[component]
fn NoSets() -> impl IntoView {
    let demo = use_fetch(api::demo);
    view! {
        <div class="empty" data-test="no-sets">
            <h3>{say!("Start with a sample, or upload 3 to 20 images you own")}</h3>
            <p>{say!("A set holds one subject: your character, your pet, your style. It is private to you.")}</p>
            <a class="button button-primary" href="/sets/new">{say!("Upload my images")}</a>
        </div>
        <Loaded
            fetch=demo
            what=say!("The sample sets could not be loaded")
            skeleton=|| view! { <div class="cards"><Skeleton class="skeleton-card" times=3 /></div> }
            draw=|demo| view! { <SampleSets samples=demo.sample_sets /> }.into_any()
        />
    }
}

#[component]
fn Jobs(jobs: Pages<Job>) -> impl IntoView {
    let list = move |items: Vec<Job>| {
        if items.is_empty() {
            return view! {
                <div class="empty">
                    <p>{say!("No job yet. Seal a set, then launch its protection: training and judging run on this server.")}</p>
                </div>
            }
            .into_any();
        }
        let cards = items
            .into_iter()
            .take(RECENT_JOBS)
            .map(|job| view! { <JobCard job=job /> })
            .collect_view();
        view! { <div class="stack-tight">{cards}</div> }.into_any()
    };
    view! {
        <section class="stack" aria-labelledby="home-jobs">
            <div class="row-between">
                <h2 id="home-jobs">{say!("Recent jobs")}</h2>
                <a href="/jobs">{say!("All jobs")}</a>
            </div>
            <Listed pages=jobs what=say!("Your jobs could not be loaded") draw=list more=false />
        </section>
    }
}

#[component]
fn Galleries(galleries: Pages<GallerySummary>) -> impl IntoView {
    let demo = use_fetch(api::demo);
    let demo_card = move || demo.data.get().map(|demo| view! { <DemoCard demo=demo /> });
    let list = move |items: Vec<GallerySummary>| {
        let none = items.is_empty();
        let cards = items
            .into_iter()
            .map(|gallery| view! { <GalleryCard gallery=gallery /> })
            .collect_view();
        let empty = move || {
            let demo = demo
                .data
                .with(|demo| demo.as_ref().is_some_and(|demo| demo.gallery.is_some()));
            (none && !demo).then(|| {
                view! {
                    <div class="empty">
                        <p>{say!("No gallery yet. It appears here when a protection was attacked and judged.")}</p>
                    </div>
                }
            })
        };
        view! {
            {empty}
            <div class="cards">{cards} {demo_card}</div>
        }
        .into_any()
    };
    view! {
        <section class="stack" aria-labelledby="home-galleries">
            <h2 id="home-galleries">{say!("Galleries")}</h2>
            <Listed pages=galleries what=say!("Your galleries could not be loaded") draw=list />
        </section>
    }
}

/// A paged list with its skeleton, its error beside what is already there, and its next page.
#[component]
pub(crate) fn Listed<T, F>(
    pages: Pages<T>,
    what: &'static str,
    draw: F,
    #[prop(default = true)] more: bool,
) -> impl IntoView
where
    T: serde::de::DeserializeOwned + Clone + Send + Sync + 'static,
    F: Fn(Vec<T>) -> AnyView + Send + Sync + 'static,
{
    let retry = Callback::new(move |()| pages.more());
    view! {
        {move || pages.error.get().map(|error| view! { <ErrorNotice error=error what=what retry=retry /> })}
        {move || match pages.items.get() {
            Some(items) => draw(items),
            None if pages.error.with(Option::is_some) => ().into_any(),
            None => {
                view! { <div class="cards" aria-busy="true"><Skeleton class="skeleton-card" times=2 /></div> }.into_any()
            }
        }}
        {move || {
            (more && pages.has_more())
                .then(|| {
                    view! {
                        <button type="button" class="button" data-test="more" on:click=move |_| pages.more()>
                            {move || if pages.busy.get() { say!("Loading…") } else { say!("Show older ones") }}
                        </button>
                    }
                })
        }}
    }
}
