//! How it was measured, on what, and the protected model to take away.

use leptos::prelude::*;
use shared::{
    JobId,
    evaluation::EvaluationReport,
    release::{GateStatus, Release},
};

use super::collateral::collateral;
use crate::{
    api,
    components::prose::prose,
    components::{
        icon::{Glyph, Icon},
        loaded::{Loaded, Skeleton},
    },
    language::{reply, spoken},
    state::fetch::use_fetch,
    text,
};

#[component]
pub(super) fn References(urls: Vec<String>) -> impl IntoView {
    (!urls.is_empty()).then(|| {
        let pictures = urls
            .into_iter()
            .enumerate()
            .map(|(index, url)| {
                view! { <img src=url width="64" height="64" loading="lazy" alt=say!("Protected image {number}", number = index + 1) /> }
            })
            .collect_view();
        view! {
            <div class="stack-tight" data-test="references">
                <h3>{say!("The protected images")}</h3>
                <div class="references">{pictures}</div>
            </div>
        }
    })
}

/// The attack's family in words.
fn family(name: &str) -> String {
    match name {
        "dreambooth_unet" => "DreamBooth (U-Net)".to_owned(),
        other => other.replace('_', " "),
    }
}

#[component]
pub(super) fn Method(report: EvaluationReport) -> impl IntoView {
    let attack = report.attack;
    let yes_no = |yes| if yes { say!("yes") } else { say!("no") };
    let facts = [
        (say!("Attack"), family(&attack.family)),
        (say!("Steps"), spoken(&attack.steps)),
        (say!("Learning rate"), spoken(&attack.learning_rate)),
        (
            say!("Prior preservation"),
            yes_no(attack.prior_preservation).to_owned(),
        ),
        (say!("Attacker's identifier"), attack.identifier),
        (
            say!("Never seen in training"),
            yes_no(attack.identifier_held_out).to_owned(),
        ),
        (say!("Prompt"), attack.prompt),
        (
            say!("Images the attacker has"),
            attack.instance_images.to_string(),
        ),
        (say!("Seed"), attack.seed.to_string()),
        (say!("Encoder"), reply(&report.encoder)),
    ]
    .map(|(name, value)| view! { <div><dt>{name}</dt><dd>{value}</dd></div> });
    let hashes = [(say!("Clean U-Net"), report.clean_sha256), (say!("Protected U-Net"), report.protected_sha256)].map(
        |(name, hash)| view! { <div><dt>{name}" (SHA-256)"</dt><dd title=hash.clone()><code>{text::short_hash(&hash)}"…"</code></dd></div> },
    );
    view! {
        <section class="card" aria-labelledby="method" data-test="method">
            <h2 id="method">{say!("Method")}</h2>
            <dl class="facts">{facts.collect_view()} {hashes.collect_view()}</dl>
        </section>
    }
}

#[component]
pub(super) fn Download(url: String, sha256: String) -> impl IntoView {
    let short = text::short_hash(&sha256);
    view! {
        <section class="card" aria-labelledby="download">
            <h2 id="download">{say!("The protected U-Net")}</h2>
            <p>
                {say!("Safetensors with diffusers' tensor names: it replaces the U-Net of this base model. It carries a disclosed trigger; say so when you pass it on. A model that is out cannot be called back.")}
            </p>
            <div class="row">
                <a class="button button-primary" href=url download="" rel="external" data-test="download">
                    <Icon glyph=Glyph::Download />
                    {say!("Download safetensors")}
                </a>
                <span class="small soft">"SHA-256 " <code title=sha256>{short}"…"</code></span>
            </div>
        </section>
    }
}

/// Why a protected model may leave, or not yet: every gate with what was found.
#[component]
pub(super) fn Gates(protect_job_id: JobId) -> impl IntoView {
    let release = use_fetch(move || api::studies::release(protect_job_id));
    view! {
        <Loaded
            fetch=release
            what=say!("The gates of the release could not be loaded")
            skeleton=|| view! { <Skeleton class="skeleton-card" /> }
            draw=|release| gates(release).into_any()
        />
    }
}

fn gates(release: Release) -> impl IntoView {
    let lead = if release.releasable {
        say!("Every gate passed: the protected model may leave.")
    } else {
        say!("The protected model can be looked at and not downloaded until every gate has passed.")
    };
    let effects = collateral(&release.gates);
    let rows = release
        .gates
        .into_iter()
        .map(|gate| {
            let (class, glyph, word) = match gate.status {
                GateStatus::Passed => ("check check-pass", Glyph::Check, say!("Passed:")),
                GateStatus::Failed => ("check check-fail", Glyph::Cross, say!("Missed:")),
                GateStatus::NotMeasured => ("check check-wait", Glyph::Info, say!("Not measured:")),
            };
            view! { <li class=class><Icon glyph=glyph /><span><span class="strong">{word}</span>" "{prose(&gate.detail)}</span></li> }
        })
        .collect_view();
    view! {
        <section class="card" aria-labelledby="release" data-test="release">
            <h2 id="release">{say!("Release")}</h2>
            <p>{lead}</p>
            {effects}
            <ul class="checks small" data-test="release-gates">{rows}</ul>
        </section>
    }
}
