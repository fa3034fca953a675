//! What a finished study found: the verdict, families side by side, the gates with their advice, what it does not show.

use leptos::prelude::*;
use shared::matrix::{Gate, GateStatus, MatrixReport};

use crate::{
    components::prose::prose,
    components::{
        badge::{GateBadge, GradeBadge},
        families::Families,
    },
    language::decimal,
};

#[component]
pub(super) fn Findings(report: MatrixReport, limits: Vec<String>) -> impl IntoView {
    view! {
        <section class="verdict" aria-label=say!("Verdict") data-test="study-verdict">
            <div class="row"><GradeBadge grade=report.grade /></div>
            <p class="verdict-sentence">{prose(&report.verdict)}</p>
            <p>{prose(&report.counts.sentence())}</p>
            <div class="stack-tight">
                <h2 class="small">{say!("What this does not show")}</h2>
                <ul class="limits small">{limits.into_iter().map(|limit| view! { <li>{prose(&limit)}</li> }).collect_view()}</ul>
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
                say!("Measured: {value} (95 % {low} to {high}, n = {n}).", value = decimal(estimate.value, 3), low = decimal(estimate.low, 3), high = decimal(estimate.high, 3), n = estimate.n)
            });
            let advice = gate.advice.filter(|_| gate.status == GateStatus::Missed);
            view! {
                <li class="card card-tight">
                    <div class="row-between">
                        <h3>{prose(&gate.rule)}</h3>
                        <GateBadge status=gate.status />
                    </div>
                    <p class="small">{measured.unwrap_or_else(|| say!("Nothing was measured that could tell.").to_owned())}</p>
                    {advice.map(|advice| view! { <p class="small"><span class="strong">{say!("To try:")}</span>" "{prose(&advice)}</p> })}
                </li>
            }
        })
        .collect_view();
    view! {
        <section class="stack" aria-labelledby="gates">
            <h2 id="gates">{say!("Gates")}</h2>
            <ul class="stack-tight" data-test="gates">{rows}</ul>
        </section>
    }
}
