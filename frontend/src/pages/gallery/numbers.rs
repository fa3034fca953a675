//! The numbers behind the verdict, as a chart and as the same table.

use leptos::prelude::*;
use shared::evaluation::{CheckpointResult, Estimate, EvaluationReport};

use super::View;
use crate::{
    components::{
        chart::{AttackChart, Measure},
        verdict::hits,
    },
    language::{decimal, reply, signed},
    state::kept::keep,
};

#[component]
pub(super) fn Numbers(report: EvaluationReport, view: View) -> impl IntoView {
    let measure = keep("measure", || RwSignal::new(Measure::Similarity));
    let measures = Measure::ALL
        .into_iter()
        .filter(|choice| choice.is_in(&report));
    let choices: Vec<_> = measures.map(|choice| {
        let pressed = move || if measure.get() == choice { "true" } else { "false" };
        view! {
            <button type="button" aria-pressed=pressed on:click=move |_| measure.set(choice)>{choice.name()}</button>
        }
    })
    .collect();
    let note = say!(
        "Similarity is the mean cosine to the protected images by the encoder “{encoder}”; above {threshold} an image counts as the subject. Never compare it across encoders. Small figures are 95 % intervals.",
        encoder = reply(&report.encoder),
        threshold = decimal(report.hit_threshold, 2)
    );
    let checkpoints = report.checkpoints.clone();
    view! {
        <section class="stack" aria-labelledby="numbers">
            <div class="row-between">
                <h2 id="numbers">{say!("By the length of the attack")}</h2>
                <div class="segments" role="group" aria-label=say!("Measure")>{choices}</div>
            </div>
            <div class="chart-and-table">
                <div class="card"><AttackChart report=report measure=measure /></div>
                <Table checkpoints=checkpoints measure=measure view=view />
            </div>
            <p class="small soft">{note}</p>
        </section>
    }
}

#[component]
fn Table(
    checkpoints: Vec<CheckpointResult>,
    measure: RwSignal<Measure>,
    view: View,
) -> impl IntoView {
    let rows = move || {
        let measure = measure.get();
        checkpoints
            .iter()
            .map(|checkpoint| row(checkpoint, measure, view))
            .collect_view()
    };
    let difference = move || {
        (measure.get() == Measure::Similarity)
            .then(|| view! { <th scope="col" class="cell-number">{say!("Difference")}</th> })
    };
    view! {
        <div class="table-frame" tabindex="0" role="region" aria-label=say!("Results by attack step")>
            <table data-test="results">
                <thead>
                    <tr>
                        <th scope="col">{say!("Steps")}</th>
                        <th scope="col" class="cell-number">{say!("Without")}</th>
                        <th scope="col" class="cell-number">{say!("With")}</th>
                        {difference}
                        <th scope="col" class="cell-number">{say!("n")}</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
}

fn row(checkpoint: &CheckpointResult, measure: Measure, view: View) -> impl IntoView + use<> {
    let step = checkpoint.attack_step;
    let similar = measure == Measure::Similarity;
    let value = |estimate: Estimate| {
        if similar {
            decimal(estimate.value, 2)
        } else {
            hits(estimate)
        }
    };
    let (clean, protected) = (
        measure.of(&checkpoint.clean),
        measure.of(&checkpoint.protected),
    );
    let difference = similar.then(|| {
        let difference = checkpoint.similarity_difference;
        view! { <Cell value=signed(difference.value, 2) interval=say!("{low} to {high}", low = signed(difference.low, 2), high = signed(difference.high, 2)) /> }
    });
    let current = move || {
        if view.step.get() == step {
            "true"
        } else {
            "false"
        }
    };
    view! {
        <tr aria-current=current>
            <th scope="row">{step}</th>
            <Cell value=value(clean) interval=ends(clean) />
            <Cell value=value(protected) interval=ends(protected) />
            {difference}
            <td class="cell-number">{clean.n}</td>
        </tr>
    }
}

fn ends(estimate: Estimate) -> String {
    say!(
        "{low} to {high}",
        low = decimal(estimate.low, 2),
        high = decimal(estimate.high, 2)
    )
}

#[component]
fn Cell(value: String, interval: String) -> impl IntoView {
    view! {
        <td class="cell-number">
            <span class="strong">{value}</span>
            <br />
            <span class="small soft">{interval}</span>
        </td>
    }
}
