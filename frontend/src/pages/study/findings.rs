//! What a finished study found: the verdict, families side by side, the gates with their advice, what it does not show.

use leptos::prelude::*;
use shared::{
    evaluation::Estimate,
    matrix::{FamilyResult, Gate, GateStatus, MatrixReport},
};

use crate::components::badge::{GateBadge, GradeBadge};

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

fn share(estimate: Option<Estimate>) -> AnyView {
    match estimate {
        None => view! { <td class="cell-number soft">"no evidence"</td> }.into_any(),
        Some(estimate) => view! {
            <td class="cell-number">
                <span class="strong">{format!("{:.2}", estimate.value)}</span>
                <br />
                <span class="small soft">{format!("{:.2} to {:.2}, n = {}", estimate.low, estimate.high, estimate.n)}</span>
            </td>
        }
        .into_any(),
    }
}

#[component]
fn Families(families: Vec<FamilyResult>) -> impl IntoView {
    let rows = families
        .into_iter()
        .map(|family| {
            view! {
                <tr>
                    <th scope="row">{family.title}</th>
                    <td class="cell-number">{format!("{} of {}", family.counts.resisted, family.counts.competent)}</td>
                    {share(family.clean)}
                    {share(family.protected)}
                    {share(family.difference)}
                    <td class="cell-number">{format!("{:.3}", family.p_holm)}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <section class="stack" aria-labelledby="families">
            <h2 id="families">"By attack"</h2>
            <div class="table-frame" tabindex="0" role="region" aria-label="Results by attack">
                <table data-test="families">
                    <thead>
                        <tr>
                            <th scope="col">"Attack"</th>
                            <th scope="col" class="cell-number">"Resisted"</th>
                            <th scope="col" class="cell-number">"Hit-rate without"</th>
                            <th scope="col" class="cell-number">"Hit-rate with"</th>
                            <th scope="col" class="cell-number">"Difference"</th>
                            <th scope="col" class="cell-number">"p (Holm)"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
            <p class="small soft">
                "The attacker keeps the best checkpoint of each run. Small figures are 95 % intervals over runs (subjects and seeds); n counts runs in which the attack worked on the unprotected model."
            </p>
        </section>
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
