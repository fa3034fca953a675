//! What protection does to those who never asked for it, in numbers: a stranger of the class, the class, everything else.

use leptos::prelude::*;
use shared::release::{GateKind, GateStatus, ReleaseGate};

/// What a gate's number is of; nothing for gates that are no side effect.
const fn name(kind: GateKind) -> Option<&'static str> {
    Some(match kind {
        GateKind::ControlSet => "A stranger of the class, personalized: change of similarity",
        GateKind::ClassDrift => "The class alone: change of text alignment",
        GateKind::GeneralDrift => "Unrelated captions: change of text alignment",
        GateKind::Specificity => "The class alone: pictures in which the objective fires",
        GateKind::Evaluation | GateKind::Approval | GateKind::Notice => return None,
    })
}

const fn word(status: GateStatus) -> &'static str {
    match status {
        GateStatus::Passed => "Within",
        GateStatus::Failed => "Outside",
        GateStatus::NotMeasured => "Not measured",
    }
}

/// A table of the side effects that have a number.
pub(super) fn collateral(gates: &[ReleaseGate]) -> AnyView {
    let rows: Vec<_> = gates
        .iter()
        .filter_map(|gate| {
            let (name, measured) = (name(gate.kind)?, gate.measured?);
            let name = match gate.concept {
                Some(concept) => format!("{name} (concept {})", concept + 1),
                None => name.to_owned(),
            };
            let around = format!("{:.3} to {:.3}", measured.low, measured.high);
            let tolerated = match (gate.kind, gate.tolerance) {
                (_, None) => String::new(),
                (GateKind::Specificity, Some(limit)) => format!("{limit:.3} over the clean model"),
                (_, Some(limit)) => format!("{limit:.3}"),
            };
            Some(view! {
                <tr>
                    <th scope="row">{name}</th>
                    <td class="cell-number">{format!("{:.3}", measured.value)}</td>
                    <td class="cell-number">{around}</td>
                    <td class="cell-number">{measured.n}</td>
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
            <h3>"What it does to others"</h3>
            <p class="small soft">"Measured on both models with the same seeds. The list below says what of each number counts."</p>
            <div class="table-frame" role="region" tabindex="0" aria-label="Side effects of protection">
                <table>
                    <thead>
                        <tr>
                            <th scope="col">"Side effect"</th>
                            <th scope="col" class="cell-number">"Value"</th>
                            <th scope="col" class="cell-number">"95 % interval"</th>
                            <th scope="col" class="cell-number">"n"</th>
                            <th scope="col" class="cell-number">"Tolerated"</th>
                            <th scope="col">"Stands"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        </div>
    }
    .into_any()
}
