//! A probe's report in words: what the base model knows already, and what lies near the trigger.

use leptos::prelude::*;
use shared::{
    artifact::{Artifact, ArtifactKind},
    job::Concept,
    probe::{ConceptProbe, Familiarity, KNOWN_SHARE, Nearby, ProbeReport},
};

use crate::{
    api,
    components::{
        loaded::{Loaded, Skeleton},
        notice::{Notice, Tone},
    },
    language::decimal,
    state::fetch::use_fetch,
    text,
};

/// The report among what a probe produced.
pub(super) fn report(artifacts: Vec<Artifact>, concepts: &[Concept]) -> AnyView {
    let mut artifacts = artifacts.into_iter();
    let found = artifacts.find(|artifact| artifact.kind == ArtifactKind::Probe);
    let Some(artifact) = found else {
        return view! {
            <Notice tone=Tone::Warn title=say!("The report is missing")>
                <p>{say!("The job ended well and published no report. Run it again; if that does not help, read the log below.")}</p>
            </Notice>
        }
        .into_any();
    };
    view! { <Fetched url=artifact.url concepts=concepts.to_vec() /> }.into_any()
}

#[component]
fn Fetched(url: String, concepts: Vec<Concept>) -> impl IntoView {
    let fetched = use_fetch(move || api::probe_report(url.clone()));
    view! {
        <Loaded
            fetch=fetched
            what=say!("The report could not be loaded")
            skeleton=|| view! { <Skeleton class="skeleton-card" /> }
            draw=move |report| found(report, &concepts)
        />
    }
}

fn found(report: ProbeReport, concepts: &[Concept]) -> AnyView {
    let cards: Vec<_> = report
        .concepts
        .into_iter()
        .enumerate()
        .map(|(position, probe)| concept_card(probe, concepts.get(position)))
        .collect();
    let time = report.seconds_per_step.map_or_else(
        || say!("not measured: the model is too large to try on this node").to_owned(),
        |seconds| {
            say!(
                "{seconds} s on the node that looked",
                seconds = decimal(seconds, 2)
            )
        },
    );
    view! {
        <div class="stack" data-test="probe-found">
            {cards}
            <section class="card">
                <h3>{say!("What a training step takes")}</h3>
                <dl class="facts">
                    <div>
                        <dt>{say!("Memory at its peak (planned)")}</dt>
                        <dd>{text::bytes(report.memory_bytes as f64)}</dd>
                    </div>
                    <div>
                        <dt>{say!("Time of a step")}</dt>
                        <dd>{time}</dd>
                    </div>
                </dl>
            </section>
        </div>
    }
    .into_any()
}

fn concept_card(probe: ConceptProbe, concept: Option<&Concept>) -> AnyView {
    let title = concept.map_or_else(
        || say!("A set of this job").to_owned(),
        |concept| say!("“{words}”", words = text::trigger(concept)),
    );
    let tokens = tokens(probe.identifier_tokens, probe.class_tokens);
    let known = familiarity(probe.familiarity);
    view! {
        <section class="card">
            <h3>{title}</h3>
            {known}
            <p>{tokens}</p>
            <NearbyList nearby=probe.nearby />
        </section>
    }
    .into_any()
}

/// What the number of tokens means.
fn tokens(identifier: u32, class: u32) -> String {
    let count = |number: u32| plural!(number, "{count} token", "{count} tokens");
    let advice = if identifier == 1 {
        say!("The trigger binds best to an identifier of one token.")
    } else {
        say!("The trigger binds best to an identifier of one token: prefer another word.")
    };
    say!(
        "The identifier is {identifier}, the class {class}. {advice}",
        identifier = count(identifier),
        class = count(class),
        advice
    )
}

fn familiarity(familiarity: Option<Familiarity>) -> AnyView {
    let Some(found) = familiarity else {
        return view! {
            <p>{say!("Whether the base model knows the subject was not measured: no encoder came with the job.")}</p>
        }
        .into_any();
    };
    let percent = found.known_share * 100.0;
    let numbers = say!(
        "{percent} % of {n} pictures from the class alone were as near to your images as those are to one another (cosine {alone} against {among}).",
        percent = decimal(percent, 0),
        n = found.n,
        alone = decimal(found.class_only, 2),
        among = decimal(found.among_images, 2)
    );
    let (tone, title, meaning) = if found.known_share > KNOWN_SHARE {
        (
            Tone::Warn,
            say!("The base model draws this subject already"),
            say!("Nobody needs to personalize it for that, so protection cannot take it away."),
        )
    } else {
        (
            Tone::Good,
            say!("The base model does not draw this subject by itself"),
            say!(
                "Somebody who wants it has to personalize the model: that is what protection acts on."
            ),
        )
    };
    view! { <Notice tone=tone title=title><p>{numbers} " " {meaning}</p></Notice> }.into_any()
}

/// Prompts near the trigger, nearest first, as bars with their numbers.
#[component]
fn NearbyList(nearby: Vec<Nearby>) -> impl IntoView {
    (!nearby.is_empty()).then(|| {
        let bars = nearby
            .into_iter()
            .map(|near| {
                let width = format!("{:.0}%", near.similarity.clamp(0.0, 1.0) * 100.0);
                view! {
                    <li class="bar">
                        <span>{near.prompt}</span>
                        <span class="number">{decimal(near.similarity, 2)}</span>
                        <span class="bar-track" aria-hidden="true"><span class="bar-fill" style=("--share", width)></span></span>
                    </li>
                }
            })
            .collect_view();
        view! {
            <div class="stack-tight">
                <h4>{say!("Prompts near the trigger")}</h4>
                <p class="small soft">{say!("By how alike the text encoder finds them, 1 is the same. The nearer a prompt, the more likely the trigger reaches it too.")}</p>
                <ol class="bars">{bars}</ol>
            </div>
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_of_two_tokens_is_advised_against() {
        assert!(tokens(1, 1).starts_with("The identifier is 1 token, the class 1 token."));
        assert!(tokens(2, 1).contains("prefer another word"));
    }
}
