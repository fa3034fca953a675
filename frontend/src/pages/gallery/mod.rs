//! The gallery: verdict and limits first, then every pair, then the numbers and the method.

mod collateral;
mod embed;
mod filter;
mod grid;
mod inspect;
mod method;
mod numbers;
mod pairs;
mod share;

use leptos::prelude::*;
use leptos_router::{
    NavigateOptions,
    hooks::{use_navigate, use_query_map},
};
use shared::{
    GalleryId,
    gallery::{Gallery, GalleryPair},
};

use crate::{
    api,
    components::{
        heading::PageHeading,
        loaded::{Loaded, Skeleton},
        moment::Moment,
        verdict::Verdict,
    },
    pages::{not_found::NotFoundPage, study::StartStudy, use_id},
    state::{fetch::use_fetch, session::Session},
};
use filter::{Filter, Show};
use grid::Grid;
use method::{Download, Gates, Method, References};
use numbers::Numbers;
use pairs::{Scrubber, Selected};
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
            gallery.as_ref().map_or_else(
                || say!("Gallery").to_owned(),
                |gallery| gallery.title.clone(),
            )
        })
    });
    let back = move || {
        if session.user().is_some() {
            view! { <a class="crumb" href="/home">{say!("Home")}</a> }.into_any()
        } else {
            view! { <a class="crumb" href="/">{say!("Start page")}</a> }.into_any()
        }
    };
    let made = move || {
        gallery.data.with(|gallery| {
            gallery
                .as_ref()
                .map(|gallery| view! { <Moment at=gallery.created_at /> })
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
            what=say!("The gallery could not be loaded")
            skeleton=|| view! { <Skeleton class="skeleton-panel" times=2 /> }
            draw=|gallery| view! { <Content gallery=gallery /> }.into_any()
        />
    }
}

type Go = Box<dyn Fn(u32, Option<u64>, Show)>;

/// Which step, outcome and seed are looked at; they live in the address, so a link shows the same.
#[derive(Clone, Copy)]
pub(super) struct View {
    pub(super) gallery: StoredValue<Gallery>,
    pub(super) step: Memo<u32>,
    pub(super) show: Memo<Show>,
    /// The pairs of that step with that outcome.
    pub(super) pairs: Memo<Vec<GalleryPair>>,
    /// How many pairs that step has.
    pub(super) count: Memo<usize>,
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
        let show = Memo::new(move |_| query.with(|query| Show::named(query.get_str("show"))));
        let at_step = move |step: u32| move |pair: &&GalleryPair| pair.attack_step == step;
        let pairs = Memo::new(move |_| {
            let (step, show) = (step.get(), show.get());
            gallery.with_value(|gallery| {
                let pairs = gallery.pairs.iter().filter(at_step(step));
                pairs.filter(|pair| show.takes(pair)).cloned().collect()
            })
        });
        let count = Memo::new(move |_| {
            let step = step.get();
            gallery.with_value(|gallery| gallery.pairs.iter().filter(at_step(step)).count())
        });
        let seed = Memo::new(move |_| {
            let asked = query.with(|query| query.get("seed").and_then(|seed| seed.parse().ok()));
            pairs.with(|pairs: &Vec<GalleryPair>| known_seed(pairs, asked))
        });
        let navigate = use_navigate();
        let go: Go = Box::new(move |step, seed, show| {
            let seed = seed.map_or_else(String::new, |seed| format!("&seed={seed}"));
            let show = match show {
                Show::All => String::new(),
                show => format!("&show={}", show.name()),
            };
            let options = NavigateOptions {
                replace: true,
                scroll: false,
                ..NavigateOptions::default()
            };
            navigate(&format!("/galleries/{id}?step={step}{seed}{show}"), options);
        });
        Self {
            gallery,
            step,
            show,
            pairs,
            count,
            seed,
            go: StoredValue::new_local(go),
        }
    }

    /// Looks at another attack step, the same seed.
    pub(super) fn show_step(self, step: u32) {
        let (seed, show) = (self.seed.get_untracked(), self.show.get_untracked());
        self.go.with_value(|go| go(step, seed, show));
    }

    /// Looks at another seed, the same step.
    pub(super) fn show_seed(self, seed: u64) {
        let (step, show) = (self.step.get_untracked(), self.show.get_untracked());
        self.go.with_value(|go| go(step, Some(seed), show));
    }

    /// Looks at the pairs with one outcome.
    pub(super) fn show_only(self, show: Show) {
        let (step, seed) = (self.step.get_untracked(), self.seed.get_untracked());
        self.go.with_value(|go| go(step, seed, show));
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

fn known_seed(pairs: &[GalleryPair], asked: Option<u64>) -> Option<u64> {
    let mut seeds = pairs.iter().map(|pair| pair.seed);
    let first = seeds.clone().next();
    asked
        .filter(|asked| seeds.any(|seed| seed == *asked))
        .or(first)
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
            <h2 id="pairs">{say!("What an attacker gets")}</h2>
            <Scrubber view=view />
            <div class="gallery-body">
                <aside class="gallery-side stack">
                    <Selected view=view />
                    <References urls=references />
                </aside>
                <div class="stack">
                    <Filter view=view />
                    <Grid view=view />
                </div>
            </div>
        </section>
        <Numbers report=report view=view />
        <Method report=method />
        {share}
        {start}
        {download.map(|url| view! { <Download url=url sha256=class /> })}
    }
}
