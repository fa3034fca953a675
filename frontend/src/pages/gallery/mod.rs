//! The gallery: verdict and limits first, then every pair, then the numbers and the method.

mod method;
mod numbers;
mod pairs;
mod share;

use leptos::prelude::*;
use leptos_router::{
    NavigateOptions,
    hooks::{use_navigate, use_query_map},
};
use shared::{GalleryId, gallery::Gallery};

use crate::{
    api,
    components::{
        heading::PageHeading,
        loaded::{Loaded, Skeleton},
        verdict::Verdict,
    },
    pages::{not_found::NotFoundPage, study::StartStudy, use_id},
    state::{fetch::use_fetch, session::Session},
    text,
};
use method::{Download, Gates, Method, References};
use numbers::Numbers;
use pairs::{Grid, Scrubber, Selected};
use share::Share;

#[component]
pub(crate) fn GalleryPage() -> impl IntoView {
    let id = use_id::<GalleryId>();
    move || match id.get() {
        Some(id) => view! { <GalleryView id=id /> }.into_any(),
        None => view! { <NotFoundPage /> }.into_any(),
    }
}

#[component]
fn GalleryView(id: GalleryId) -> impl IntoView {
    let session = Session::expect();
    let gallery = use_fetch(move || api::gallery(id));
    let title = Signal::derive(move || {
        gallery.data.with(|gallery| {
            gallery
                .as_ref()
                .map_or_else(|| "Gallery".to_owned(), |gallery| gallery.title.clone())
        })
    });
    let back = move || {
        if session.user().is_some() {
            view! { <a class="crumb" href="/home">"Home"</a> }.into_any()
        } else {
            view! { <a class="crumb" href="/">"Start page"</a> }.into_any()
        }
    };
    let made = move || {
        gallery.data.with(|gallery| {
            gallery
                .as_ref()
                .map(|gallery| text::moment(gallery.created_at))
        })
    };
    view! {
        <div class="page-head">
            {back}
            <PageHeading title=title />
            <p class="soft small">{made}</p>
        </div>
        <Loaded
            fetch=gallery
            what="The gallery could not be loaded"
            skeleton=|| view! { <Skeleton class="skeleton-panel" times=2 /> }
            draw=|gallery| view! { <Content gallery=gallery /> }.into_any()
        />
    }
}

type Go = Box<dyn Fn(u32, Option<u64>)>;

/// Which step and seed are looked at; they live in the address, so a link shows the same.
#[derive(Clone, Copy)]
pub(super) struct View {
    pub(super) gallery: StoredValue<Gallery>,
    pub(super) step: Memo<u32>,
    pub(super) seed: Memo<Option<u64>>,
    go: StoredValue<Go, LocalStorage>,
}

impl View {
    fn new(gallery: Gallery) -> Self {
        let id = gallery.id;
        let gallery = StoredValue::new(gallery);
        let query = use_query_map();
        let step = Memo::new(move |_| {
            let asked = query.with(|query| query.get("step").and_then(|step| step.parse().ok()));
            gallery.with_value(|gallery| known_step(gallery, asked))
        });
        let seed = Memo::new(move |_| {
            let asked = query.with(|query| query.get("seed").and_then(|seed| seed.parse().ok()));
            gallery.with_value(|gallery| known_seed(gallery, step.get(), asked))
        });
        let navigate = use_navigate();
        let go: Go = Box::new(move |step, seed| {
            let seed = seed.map_or_else(String::new, |seed| format!("&seed={seed}"));
            let options = NavigateOptions {
                replace: true,
                scroll: false,
                ..NavigateOptions::default()
            };
            navigate(&format!("/galleries/{id}?step={step}{seed}"), options);
        });
        Self {
            gallery,
            step,
            seed,
            go: StoredValue::new_local(go),
        }
    }

    /// Looks at another attack step, the same seed.
    pub(super) fn show_step(self, step: u32) {
        self.go.with_value(|go| go(step, self.seed.get_untracked()));
    }

    /// Looks at another seed, the same step.
    pub(super) fn show_seed(self, seed: u64) {
        self.go
            .with_value(|go| go(self.step.get_untracked(), Some(seed)));
    }
}

fn known_step(gallery: &Gallery, asked: Option<u32>) -> u32 {
    let steps = gallery
        .report
        .checkpoints
        .iter()
        .map(|checkpoint| checkpoint.attack_step);
    let last = gallery
        .report
        .checkpoints
        .last()
        .map_or(0, |checkpoint| checkpoint.attack_step);
    asked
        .filter(|asked| steps.into_iter().any(|step| step == *asked))
        .unwrap_or(last)
}

fn known_seed(gallery: &Gallery, step: u32, asked: Option<u64>) -> Option<u64> {
    let seeds: Vec<u64> = gallery
        .pairs
        .iter()
        .filter(|pair| pair.attack_step == step)
        .map(|pair| pair.seed)
        .collect();
    asked
        .filter(|asked| seeds.contains(asked))
        .or_else(|| seeds.first().copied())
}

#[component]
fn Content(gallery: Gallery) -> impl IntoView {
    let report = gallery.report.clone();
    let references = gallery.references.clone();
    let download = gallery.protected_unet_url.clone();
    let class = gallery.report.protected_sha256.clone();
    let method = gallery.report.clone();
    // Only its owner sees the protected pictures, and may ask for more.
    let owned = !gallery.references.is_empty();
    let start = owned.then(|| {
        let (job, set) = (gallery.protect_job_id, gallery.protected_set_id);
        view! {
            <StartStudy protect_job_id=job concept=gallery.concept protected_set_id=set />
            <Gates protect_job_id=job />
        }
    });
    let id = gallery.id;
    let view = View::new(gallery);
    let share = owned.then(|| view! { <Share id=id view=view /> });
    view! {
        <Verdict report=report.clone() />
        <section class="stack" aria-labelledby="pairs">
            <h2 id="pairs">"What an attacker gets"</h2>
            <Scrubber view=view />
            <div class="gallery-body">
                <aside class="gallery-side stack">
                    <Selected view=view />
                    <References urls=references />
                </aside>
                <Grid view=view />
            </div>
        </section>
        <Numbers report=report view=view />
        <Method report=method />
        {share}
        {start}
        {download.map(|url| view! { <Download url=url sha256=class /> })}
    }
}
