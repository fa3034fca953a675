//! Families of attacks side by side: what each got without and with protection.

use leptos::prelude::*;
use shared::{evaluation::Estimate, matrix::FamilyResult};

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
pub(crate) fn Families(families: Vec<FamilyResult>) -> impl IntoView {
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
                "The attacker keeps the best checkpoint of each run. Small figures are 95 % intervals over runs (subjects and seeds) in which the attack worked on the unprotected model; n counts their pictures, and for the difference the runs themselves."
            </p>
        </section>
    }
}
