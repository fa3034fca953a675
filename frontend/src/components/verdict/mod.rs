//! The judge's verdict with its numbers, each with n, interval and baseline, and what it does not show.

use leptos::prelude::*;
use shared::evaluation::{CheckpointResult, Estimate, EvaluationReport};

use crate::{components::badge::GradeBadge, components::prose::prose, language::decimal};

#[component]
pub(crate) fn Verdict(report: EvaluationReport) -> impl IntoView {
    let limits = report.limits;
    let verdict = report.verdict;
    let headline = report.checkpoints.last().copied();
    let baseline = report
        .checkpoints
        .iter()
        .find(|checkpoint| checkpoint.attack_step == 0)
        .copied();
    view! {
        <section class="verdict" aria-label=say!("Verdict") data-test="verdict">
            <div class="row">
                <GradeBadge grade=report.grade />
            </div>
            <p class="verdict-sentence" data-test="verdict-sentence">{prose(&verdict)}</p>
            {headline.map(|headline| view! { <Figures headline=headline baseline=baseline /> })}
            <div class="stack-tight">
                <h2 class="small">{say!("What this does not show")}</h2>
                <ul class="limits small">
                    {limits.into_iter().map(|limit| view! { <li>{prose(&limit)}</li> }).collect_view()}
                </ul>
            </div>
        </section>
    }
}

#[component]
fn Figures(headline: CheckpointResult, baseline: Option<CheckpointResult>) -> impl IntoView {
    let step = headline.attack_step;
    let before = |estimate: fn(&CheckpointResult) -> Estimate| {
        baseline.as_ref().map(|baseline| {
            say!(
                "Before any attack: {value}",
                value = decimal(estimate(baseline).value, 2)
            )
        })
    };
    let clean = headline.clean;
    let protected = headline.protected;
    view! {
        <div class="figures">
            <Figure
                name=say!("Similarity without protection, {step} steps", step)
                class="figure-value clean-ink"
                value=decimal(clean.similarity.value, 2)
                note=interval(clean.similarity)
                baseline=before(|checkpoint| checkpoint.clean.similarity)
                test="clean-similarity"
            />
            <Figure
                name=say!("Similarity with protection, {step} steps", step)
                class="figure-value guarded-ink"
                value=decimal(protected.similarity.value, 2)
                note=interval(protected.similarity)
                baseline=before(|checkpoint| checkpoint.protected.similarity)
                test="protected-similarity"
            />
            <Figure
                name=say!("Images that show the subject")
                class="figure-value"
                value=format!("{} → {}", hits(clean.hit_rate), hits(protected.hit_rate))
                note=say!("Without → with protection, same seeds").to_owned()
                baseline=baseline.map(|checkpoint| say!("Before any attack: {value}", value = hits(checkpoint.clean.hit_rate)))
                test="hits"
            />
        </div>
    }
}

#[component]
fn Figure(
    #[prop(into)] name: String,
    class: &'static str,
    value: String,
    note: String,
    baseline: Option<String>,
    test: &'static str,
) -> impl IntoView {
    view! {
        <div class="figure">
            <p class="small strong">{name}</p>
            <p class=class data-test=test>{value}</p>
            <p class="small soft">{note}</p>
            {baseline.map(|baseline| view! { <p class="small soft">{baseline}</p> })}
        </div>
    }
}

/// `95 % interval 0.61 to 0.72, n = 16`.
pub(crate) fn interval(estimate: Estimate) -> String {
    say!(
        "95 % interval {low} to {high}, n = {n}",
        low = decimal(estimate.low, 2),
        high = decimal(estimate.high, 2),
        n = estimate.n
    )
}

/// A rate as a count that stays on one line: `14 of 16`.
pub(crate) fn hits(rate: Estimate) -> String {
    let hits = decimal(rate.value * f64::from(rate.n), 0);
    say!("{hits}\u{a0}of\u{a0}{n}", hits, n = rate.n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_read_as_counts() {
        let rate = Estimate {
            value: 0.875,
            low: 0.6,
            high: 0.97,
            n: 16,
        };
        assert_eq!(hits(rate), "14\u{a0}of\u{a0}16");
        assert_eq!(interval(rate), "95 % interval 0.60 to 0.97, n = 16");
    }
}
