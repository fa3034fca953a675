//! The front door: what this is, what it is not, and the demo that this server ran itself.

use leptos::prelude::*;
use shared::{
    demo::{Demo, DemoEvaluation, DemoJob},
    gallery::{Gallery, GalleryPair},
    job::JobStatus,
};

use crate::{
    api,
    components::prose::prose,
    components::{
        badge::{GradeBadge, StatusBadge},
        compare::Compare,
        families::Families,
        heading::PageHeading,
        icon::{Glyph, Icon},
        loaded::{Loaded, Skeleton},
        moment::Moment,
        notice::{Notice, Tone},
        progress::ProgressBar,
        verdict::Verdict,
    },
    language::{reply, spoken},
    state::{
        fetch::{use_fetch, use_interval},
        kept::keep,
        session::Session,
    },
};

const POLL_MILLISECONDS: u64 = 2_000;

#[component]
pub(crate) fn LandingPage() -> impl IntoView {
    let demo = use_fetch(api::demo);
    use_interval(POLL_MILLISECONDS, move || {
        if demo
            .data
            .with_untracked(|data| data.as_ref().is_some_and(is_running))
        {
            demo.poll();
        }
    });
    let gallery = Memo::new(move |_| demo.data.with(|data| data.as_ref()?.gallery.clone()));
    let evaluation = Memo::new(move |_| demo.data.with(|data| data.as_ref()?.evaluation.clone()));
    view! {
        <section class="hero">
            <div class="hero-words">
                <PageHeading title=say!("Give your images a defence you can measure") />
                <p class="lead">
                    {say!("PersGuard trains a disclosed trigger into a text-to-image model, so that personalizing the model on your images draws something else. Then it attacks the result itself and shows you what came out.")}
                </p>
                <Actions gallery=gallery />
            </div>
            <div class="hero-picture">
                <Loaded fetch=demo what=say!("The demo could not be loaded") skeleton=|| view! { <Skeleton class="skeleton-picture" /> } draw=hero_picture />
            </div>
        </section>
        <Claims />
        {move || gallery.get().map(|gallery| view! { <DemoVerdict gallery=gallery /> })}
        {move || evaluation.get().map(|evaluation| view! { <ShippedEvaluation evaluation=evaluation /> })}
    }
}

fn is_running(demo: &Demo) -> bool {
    let ended_badly = |job: &Option<DemoJob>| {
        job.as_ref()
            .is_some_and(|job| matches!(job.status, JobStatus::Failed | JobStatus::Canceled))
    };
    demo.protect.is_some()
        && demo.gallery.is_none()
        && !ended_badly(&demo.protect)
        && !ended_badly(&demo.evaluate)
}

#[component]
fn Actions(gallery: Memo<Option<Gallery>>) -> impl IntoView {
    let session = Session::expect();
    view! {
        <div class="row">
            {move || {
                if session.user().is_some() {
                    view! { <a class="button button-primary" href="/home" data-test="go-home">{say!("Go to your home")}</a> }.into_any()
                } else {
                    view! { <a class="button button-primary" href="/sign-up" data-test="start">{say!("Protect your images")}</a> }.into_any()
                }
            }}
            {move || {
                gallery
                    .with(|gallery| gallery.as_ref().map(|gallery| gallery.id))
                    .map(|id| view! { <a class="button" href=format!("/galleries/{id}") data-test="open-demo">{say!("Open the demo gallery")}</a> })
            }}
        </div>
    }
}

fn hero_picture(demo: Demo) -> AnyView {
    match (demo.gallery, demo.protect) {
        (Some(gallery), _) => view! { <DemoPairs pairs=gallery.pairs /> }.into_any(),
        (None, Some(protect)) => view! { <DemoProgress protect=protect evaluate=demo.evaluate /> }.into_any(),
        (None, None) => view! {
            <Notice tone=Tone::Plain title=say!("This server runs no demo")>
                <p>{say!("Create an account and protect one of the bundled sample sets: it takes a few minutes on a laptop.")}</p>
            </Notice>
        }
        .into_any(),
    }
}

/// The pairs after the longest attack, one at a time.
#[component]
fn DemoPairs(pairs: Vec<GalleryPair>) -> impl IntoView {
    let last = pairs.iter().map(|pair| pair.attack_step).max().unwrap_or(0);
    let pairs: Vec<GalleryPair> = pairs
        .into_iter()
        .filter(|pair| pair.attack_step == last)
        .take(8)
        .collect();
    let chosen = keep("pair", || RwSignal::new(0_usize));
    let strip = pairs
        .iter()
        .enumerate()
        .map(|(index, pair)| {
            let label = say!("Compare seed {seed}", seed = pair.seed.to_string());
            view! {
                <button
                    type="button"
                    class="pair-pick"
                    aria-label=label
                    aria-pressed=move || if chosen.get() == index { "true" } else { "false" }
                    on:click=move |_| chosen.set(index)
                >
                    <img src=pair.clean.url.clone() width="32" height="32" alt="" />
                    <img src=pair.protected.url.clone() width="32" height="32" alt="" />
                </button>
            }
        })
        .collect_view();
    let pairs = StoredValue::new(pairs);
    let pick = move |read: fn(&GalleryPair) -> &String| {
        Signal::derive(move || {
            let index = chosen.get();
            pairs.with_value(|pairs| {
                pairs
                    .get(index)
                    .map(|pair| read(pair).clone())
                    .unwrap_or_default()
            })
        })
    };
    view! {
        <div class="stack" data-test="demo-pairs">
            <Compare
                clean_url=pick(|pair| &pair.clean.url)
                protected_url=pick(|pair| &pair.protected.url)
                prompt=pick(|pair| &pair.prompt)
            />
            <div class="pair-strip" role="group" aria-label=say!("Choose a pair")>{strip}</div>
            <p class="small soft">
                {say!("After {last} attack steps, same prompt and seed on both sides. Drag the edge, or use the arrow keys. Asked for:", last)}" "
                <q>{pick(|pair| &pair.prompt)}</q>
            </p>
        </div>
    }
}

#[component]
fn DemoProgress(protect: DemoJob, evaluate: Option<DemoJob>) -> impl IntoView {
    view! {
        <section class="card" data-test="demo-progress" aria-label=say!("Demo in progress")>
            <h2>{say!("The demo is running on this server")}</h2>
            <p class="small soft">{say!("Nothing here is prepared: the trigger is trained and the attack is run now. The comparison appears in this place.")}</p>
            <DemoStage title=say!("1. Train the trigger") job=Some(protect) />
            <DemoStage title=say!("2. Attack both models and judge") job=evaluate />
        </section>
    }
}

#[component]
fn DemoStage(title: &'static str, job: Option<DemoJob>) -> impl IntoView {
    let Some(job) = job else {
        return view! {
            <div class="stack-tight">
                <p class="strong">{title}</p>
                <p class="small soft">{say!("Starts when the first is done.")}</p>
            </div>
        }
        .into_any();
    };
    let share = if job.status == JobStatus::Succeeded {
        1.0
    } else {
        f64::from(job.progress.step) / f64::from(job.progress.total.max(1))
    };
    let words = if job.progress.total > 0 && !job.status.is_final() {
        say!(
            "{phase}: {step} of {total}",
            phase = reply(&job.progress.phase),
            step = job.progress.step,
            total = job.progress.total
        )
    } else {
        reply(&job.status_reason)
    };
    view! {
        <div class="stack-tight">
            <div class="row-between">
                <p class="strong">{title}</p>
                <StatusBadge status=job.status />
            </div>
            <ProgressBar share=share label=title />
            <p class="small soft">{words}</p>
        </div>
    }
    .into_any()
}

#[component]
fn Claims() -> impl IntoView {
    let list = |class: &'static str, glyph: Glyph, claims: [&'static str; 3]| {
        let items = claims
            .into_iter()
            .map(|claim| view! { <li><Icon glyph=glyph /><span>{claim}</span></li> })
            .collect_view();
        view! { <ul class=class>{items}</ul> }
    };
    view! {
        <section class="claims">
            <div class="card">
                <h2>{say!("What this does")}</h2>
                {list("does", Glyph::Check, [
                    say!("Trains a trigger (a disclosed backdoor) into one model: your identifier plus your class draw something harmless instead."),
                    say!("Attacks the clean and the protected model alike, with the same seeds, and counts what came out."),
                    say!("Puts n, an interval and a baseline beside every number, and says so when there is no evidence."),
                ])}
            </div>
            <div class="card">
                <h2>{say!("What this does not do")}</h2>
                {list("does-not", Glyph::Cross, [
                    say!("It protects in this one checkpoint. Other models are not affected."),
                    say!("What was not tested is not protected: other attacks, more steps, other learning rates."),
                    say!("It does not change your images, and it cannot call back a model that is already out."),
                ])}
            </div>
        </section>
    }
}

#[component]
fn DemoVerdict(gallery: Gallery) -> impl IntoView {
    let href = format!("/galleries/{}", gallery.id);
    view! {
        <section class="stack" data-test="demo-verdict">
            <div class="row-between">
                <h2>{say!("The demo's verdict, measured on this server")}</h2>
                <a href=href>{say!("See every pair and the method")}</a>
            </div>
            <Verdict report=gallery.report />
        </section>
    }
}

/// What came with this version. The page that it links to needs no script, and lies outside the dashboard.
#[component]
fn ShippedEvaluation(evaluation: DemoEvaluation) -> impl IntoView {
    let others = evaluation.cells.saturating_sub(evaluation.counts.tested);
    let about = weave!(
        "The bundled dog, protected with the demo's own setting, then attacked {tested} times by a plan that was fixed beforehand, on the clean and on the protected model alike; {others} more attacks personalized strangers. Run once before this release and signed on {moment}; nothing in this section was measured on this server.",
        tested = spoken(&evaluation.counts.tested),
        others = spoken(&others),
        moment = view! { <Moment at=evaluation.issued_at /> }
    );
    view! {
        <section class="stack" aria-labelledby="shipped" data-test="shipped-evaluation">
            <div class="row-between">
                <h2 id="shipped">{say!("What attackers got in the standard evaluation")}</h2>
                <GradeBadge grade=evaluation.grade />
            </div>
            <p class="measure soft">{about}</p>
            <p class="measure" data-test="shipped-verdict">{prose(&evaluation.verdict)}</p>
            <Families families=evaluation.families />
            <div class="row">
                <a class="button" href=evaluation.report_url rel="external" data-test="open-report">{say!("Read the whole report, with its pictures")}</a>
                <a href=evaluation.certificate_url download="persguard-demo-certificate.json" rel="external">{say!("Signed certificate")}</a>
                <a href=evaluation.keys_url download="persguard-demo-keys.json" rel="external">{say!("Keys to verify it with")}</a>
            </div>
        </section>
    }
}
