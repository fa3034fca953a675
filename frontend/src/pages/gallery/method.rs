//! How it was measured, on what, and the protected model to take away.

use leptos::prelude::*;
use shared::evaluation::EvaluationReport;

use crate::{
    components::icon::{Glyph, Icon},
    text,
};

#[component]
pub(super) fn References(urls: Vec<String>) -> impl IntoView {
    (!urls.is_empty()).then(|| {
        let pictures = urls
            .into_iter()
            .enumerate()
            .map(|(index, url)| {
                view! { <img src=url width="64" height="64" loading="lazy" alt=format!("Protected image {}", index + 1) /> }
            })
            .collect_view();
        view! {
            <div class="stack-tight" data-test="references">
                <h3>"The protected images"</h3>
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
    let yes_no = |yes| if yes { "yes" } else { "no" };
    let facts = [
        ("Attack", family(&attack.family)),
        ("Steps", attack.steps.to_string()),
        ("Learning rate", attack.learning_rate.to_string()),
        (
            "Prior preservation",
            yes_no(attack.prior_preservation).to_owned(),
        ),
        ("Attacker's identifier", attack.identifier),
        (
            "Never seen in training",
            yes_no(attack.identifier_held_out).to_owned(),
        ),
        ("Prompt", attack.prompt),
        (
            "Images the attacker has",
            attack.instance_images.to_string(),
        ),
        ("Seed", attack.seed.to_string()),
        ("Encoder", report.encoder),
    ]
    .map(|(name, value)| view! { <div><dt>{name}</dt><dd>{value}</dd></div> });
    let hashes = [("Clean U-Net", report.clean_sha256), ("Protected U-Net", report.protected_sha256)].map(
        |(name, hash)| view! { <div><dt>{name}" (SHA-256)"</dt><dd title=hash.clone()><code>{text::short_hash(&hash)}"…"</code></dd></div> },
    );
    view! {
        <section class="card" aria-labelledby="method" data-test="method">
            <h2 id="method">"Method"</h2>
            <dl class="facts">{facts.collect_view()} {hashes.collect_view()}</dl>
        </section>
    }
}

#[component]
pub(super) fn Download(url: String, sha256: String) -> impl IntoView {
    let short = text::short_hash(&sha256);
    view! {
        <section class="card" aria-labelledby="download">
            <h2 id="download">"The protected U-Net"</h2>
            <p>
                "Safetensors with diffusers' tensor names: it replaces the U-Net of this base model. It carries a disclosed trigger; say so when you pass it on. A model that is out cannot be called back."
            </p>
            <div class="row">
                <a class="button button-primary" href=url download="" rel="external" data-test="download">
                    <Icon glyph=Glyph::Download />
                    "Download safetensors"
                </a>
                <span class="small soft">"SHA-256 " <code title=sha256>{short}"…"</code></span>
            </div>
        </section>
    }
}
