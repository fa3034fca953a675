//! What a finished study found: the verdict, families side by side, the gates with their advice, what it does not show.

use leptos::prelude::*;
use shared::matrix::{Gate, GateStatus, MatrixReport};

use crate::components::{
    badge::{GateBadge, GradeBadge},
    families::Families,
};

#[component]
pub(super) fn Findings(report: MatrixReport, limits: Vec<String>) -> impl IntoView {
    view! {
        <section class="verdict" aria-label="Verdict" data-test="study-verdict">
            <div class="row"><GradeBadge grade=report.grade /></div>
            <p class="verdict-sentence">{report.verdict.clone()}</p>
            <p>{report.counts.sentence()}</p>
            <div class="stack-tight">
                <h2 class="small">"What this does not show"</h2>
                <ul class="limits small">{limits.into_iter().map(|limit| view! { <li>{limit}</li> }).collect_view()}</ul>
            </div>
        </section>
        <Families families=report.families />
        <Gates gates=report.gates />
    }
}

#[component]
fn Gates(gates: Vec<Gate>) -> impl IntoView {
    let rows = gates
        .into_iter()
        .map(|gate| {
            let measured = gate.measured.map(|estimate| {
                format!("Measured: {:.3} (95 % {:.3} to {:.3}, n = {}).", estimate.value, estimate.low, estimate.high, estimate.n)
            });
            let advice = gate.advice.filter(|_| gate.status == GateStatus::Missed);
            view! {
                <li class="card card-tight">
                    <div class="row-between">
                        <h3>{gate.rule}</h3>
                        <GateBadge status=gate.status />
                    </div>
                    <p class="small">{measured.unwrap_or_else(|| "Nothing was measured that could tell.".to_owned())}</p>
                    {advice.map(|advice| view! { <p class="small"><span class="strong">"To try: "</span>{advice}</p> })}
                </li>
            }
        })
        .collect_view();
    view! {
        <section class="stack" aria-labelledby="gates">
            <h2 id="gates">"Gates"</h2>
            <ul class="stack-tight" data-test="gates">{rows}</ul>
        </section>
    }
}
