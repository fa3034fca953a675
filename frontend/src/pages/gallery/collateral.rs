//! What protection does to those who never asked for it, in numbers: a stranger of the class, the class, everything else.

use leptos::prelude::*;
use shared::release::{GateKind, GateStatus, ReleaseGate};

use crate::language::{decimal, spoken};

/// What a gate's number is of; nothing for gates that are no side effect.
fn name(kind: GateKind) -> Option<&'static str> {
    Some(match kind {
        GateKind::ControlSet => say!("A stranger of the class, personalized: change of similarity"),
        GateKind::ClassDrift => say!("The class alone: change of text alignment"),
        GateKind::GeneralDrift => say!("Unrelated captions: change of text alignment"),
        GateKind::Specificity => say!("The class alone: pictures in which the objective fires"),
        GateKind::Evaluation | GateKind::Approval | GateKind::Notice => return None,
    })
}

fn word(status: GateStatus) -> &'static str {
    match status {
        GateStatus::Passed => say!("Within"),
        GateStatus::Failed => say!("Outside"),
        GateStatus::NotMeasured => say!("Not measured"),
    }
}

/// A table of the side effects that have a number.
pub(super) fn collateral(gates: &[ReleaseGate]) -> AnyView {
    let rows: Vec<_> = gates
        .iter()
        .filter_map(|gate| {
            let (name, measured) = (name(gate.kind)?, gate.measured?);
            let name = match gate.concept {
                Some(concept) => say!("{name} (concept {number})", name, number = concept + 1),
                None => name.to_owned(),
            };
            let around = say!(
                "{low} to {high}",
                low = decimal(measured.low, 3),
                high = decimal(measured.high, 3)
            );
            let tolerated = match (gate.kind, gate.tolerance) {
                (_, None) => String::new(),
                (GateKind::Specificity, Some(limit)) => {
                    say!("{limit} over the clean model", limit = decimal(limit, 3))
                }
                (_, Some(limit)) => decimal(limit, 3),
            };
            Some(view! {
                <tr>
                    <th scope="row">{name}</th>
                    <td class="cell-number">{decimal(measured.value, 3)}</td>
                    <td class="cell-number">{around}</td>
                    <td class="cell-number">{spoken(&measured.n)}</td>
                    <td class="cell-number">{tolerated}</td>
                    <td>{word(gate.status)}</td>
                </tr>
            })
        })
        .collect();
    if rows.is_empty() {
        return ().into_any();
    }
    view! {
        <div class="stack-tight" data-test="collateral">
            <h3>{say!("What it does to others")}</h3>
            <p class="small soft">{say!("Measured on both models with the same seeds. The list below says what of each number counts.")}</p>
            <div class="table-frame" role="region" tabindex="0" aria-label=say!("Side effects of protection")>
                <table>
                    <thead>
                        <tr>
                            <th scope="col">{say!("Side effect")}</th>
                            <th scope="col" class="cell-number">{say!("Value")}</th>
                            <th scope="col" class="cell-number">{say!("95 % interval")}</th>
                            <th scope="col" class="cell-number">{say!("n")}</th>
                            <th scope="col" class="cell-number">{say!("Tolerated")}</th>
                            <th scope="col">{say!("Stands")}</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        </div>
    }
    .into_any()
}
