//! Families of attacks side by side: what each got without and with protection.

use leptos::prelude::*;
use shared::{evaluation::Estimate, matrix::FamilyResult};

use crate::language::{decimal, reply};

fn share(estimate: Option<Estimate>) -> AnyView {
    match estimate {
        None => view! { <td class="cell-number soft">{say!("no evidence")}</td> }.into_any(),
        Some(estimate) => view! {
            <td class="cell-number">
                <span class="strong">{decimal(estimate.value, 2)}</span>
                <br />
                <span class="small soft">{say!("{low} to {high}, n = {n}", low = decimal(estimate.low, 2), high = decimal(estimate.high, 2), n = estimate.n)}</span>
            </td>
        }
        .into_any(),
    }
}

#[component]
pub(crate) fn Families(families: Vec<FamilyResult>) -> impl IntoView {
    let rows = families
        .into_iter()
        .map(|family| {
            view! {
                <tr>
                    <th scope="row">{reply(&family.title)}</th>
                    <td class="cell-number">{say!("{resisted} of {competent}", resisted = family.counts.resisted, competent = family.counts.competent)}</td>
                    {share(family.clean)}
                    {share(family.protected)}
                    {share(family.difference)}
                    <td class="cell-number">{decimal(family.p_holm, 3)}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <section class="stack" aria-labelledby="families">
            <h2 id="families">{say!("By attack")}</h2>
            <div class="table-frame" tabindex="0" role="region" aria-label=say!("Results by attack")>
                <table data-test="families">
                    <thead>
                        <tr>
                            <th scope="col">{say!("Attack")}</th>
                            <th scope="col" class="cell-number">{say!("Resisted")}</th>
                            <th scope="col" class="cell-number">{say!("Hit-rate without")}</th>
                            <th scope="col" class="cell-number">{say!("Hit-rate with")}</th>
                            <th scope="col" class="cell-number">{say!("Difference")}</th>
                            <th scope="col" class="cell-number">{say!("p (Holm)")}</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
            <p class="small soft">
                {say!("The attacker keeps the best checkpoint of each run. Small figures are 95 % intervals over runs (subjects and seeds) in which the attack worked on the unprotected model; n counts their pictures, and for the difference the runs themselves.")}
            </p>
        </section>
    }
}
