//! From results of cells to the report of a matrix.
//!
//! Owns the headline, families, atlas, controls and verdict. Refuses to leave out a cell: what failed, what showed
//! nothing and what was not run are all in the report.

use std::collections::BTreeSet;

use shared::{
    attack::{Family, IdentifierMode},
    evaluation::{Estimate, Grade},
    matrix::{
        AtlasCell, Audit, Cell, CellResult, Cost, Counts, FamilyResult, HeadlineResult, Innocent,
        MatrixReport, Plan, Role,
    },
};

use super::{
    record::rounded,
    summary::{by_unit, complement, mean_of_units, point, share, successes, unit},
};
use crate::statistics::{holm, mean, sign_flip};

mod breaking;
mod gates;
mod words;

/// Puts results together; those of other plans are left out, and a kept cell without a result is not tested.
///
/// `results` may come in any order. `planned` is what the plan said it would take.
pub fn merge(plan: &Plan, results: &[CellResult], audit: Audit, planned: Cost) -> MatrixReport {
    let found = |number: u32| results.iter().find(|result| result.cell.number == number);
    let mut cells: Vec<CellResult> = Vec::new();
    let mut not_tested = Vec::new();
    for cell in &plan.cells {
        match found(cell.number).filter(|result| result.key == plan.key(cell)) {
            Some(result) => cells.push(result.clone()),
            None => not_tested.push(cell.clone()),
        }
    }
    let role = |result: &&CellResult| plan.subject(&result.cell).role;
    let tests: Vec<&CellResult> = cells
        .iter()
        .filter(|result| role(result) == Role::Protected)
        .collect();
    let controls: Vec<&CellResult> = cells
        .iter()
        .filter(|result| role(result) != Role::Protected)
        .collect();
    let mut counts = Counts::default();
    for result in &tests {
        counts.count(result.grade);
    }
    let missing = not_tested
        .iter()
        .filter(|cell| plan.subject(cell).role == Role::Protected)
        .count();
    counts.not_tested = u32::try_from(missing).unwrap_or(u32::MAX);
    let headline = headline(plan, &tests);
    let innocent = innocent(plan, &controls);
    let (gates, grade) = gates::gates(&gates::Evidence {
        headline: &headline,
        innocent: &innocent,
        audit: &audit,
        trained_identifier: trained_identifier(plan, &tests),
        face_identity: face_identity(plan, &tests),
    });
    MatrixReport {
        tier: plan.tier,
        verdict: words::verdict(plan, &headline, counts)
            + &words::lowered(headline.grade, grade, &gates),
        grade,
        subjects: plan.subjects.clone(),
        settings: plan.settings.clone(),
        inputs: plan.inputs.clone(),
        planned,
        counts,
        families: families(plan, &tests),
        atlas: atlas(plan, &tests),
        breaking_points: breaking::points(plan, &tests),
        limits: words::limits(plan, &headline, counts),
        headline,
        innocent,
        audit,
        gates,
        cells,
        not_tested,
    }
}

/// Whether the attack works on the clean model: where it does not, a protected model that resists shows nothing.
fn is_evidence(result: &CellResult) -> bool {
    result.grade != Grade::NoEvidence
}

fn headline(plan: &Plan, tests: &[&CellResult]) -> HeadlineResult {
    let cells: Vec<&CellResult> = tests
        .iter()
        .copied()
        .filter(|result| plan.is_headline(&result.cell))
        .collect();
    let planned = plan.cells.iter().find(|cell| plan.is_headline(cell));
    let steps = planned
        .map(|cell| cell.recipe.checkpoints.clone())
        .unwrap_or_default();
    let last = cells.iter().filter(|result| is_evidence(result));
    let last = last.filter_map(|result| {
        let step = plan.headline.attack_step;
        let found = result.at(step)?;
        Some((*result, found.protected))
    });
    let last: Vec<_> = last.collect();
    let units = |results: &mut dyn Iterator<Item = &&CellResult>| {
        count(results.map(|r| unit(r)).collect::<BTreeSet<_>>().len())
    };
    HeadlineResult {
        headline: plan.headline.clone(),
        cells: cells.iter().map(|result| result.cell.number).collect(),
        units: units(&mut cells.iter()),
        competent: units(&mut cells.iter().filter(|result| is_evidence(result))),
        points: steps
            .iter()
            .filter_map(|step| point(&cells, *step))
            .collect(),
        psr_weak: share(last.iter().map(|(result, arm)| (*result, arm.hit_rate))).map(complement),
        psr: share(last.iter().map(|(result, arm)| (*result, arm.psr))),
        grade: worst(&cells),
    }
}

/// PSR-weak of the headline's attack with the concept's own identifier.
fn trained_identifier(plan: &Plan, tests: &[&CellResult]) -> Option<f64> {
    let own = |result: &&&CellResult| {
        let cell = Cell {
            identifier: plan.headline.identifier,
            ..result.cell.clone()
        };
        result.cell.identifier == IdentifierMode::Same
            && plan.is_headline(&cell)
            && is_evidence(result)
    };
    let last = tests.iter().filter(own).filter_map(|result| {
        let step = plan.headline.attack_step;
        let found = result.at(step)?;
        Some((*result, found.protected.hit_rate))
    });
    Some(complement(share(last.collect::<Vec<_>>())?).value)
}

/// Share of the headline's pictures, at its step, that show the protected person's face.
fn face_identity(plan: &Plan, tests: &[&CellResult]) -> Option<Estimate> {
    let step = plan.headline.attack_step;
    let headline = tests
        .iter()
        .filter(|result| plan.is_headline(&result.cell) && is_evidence(result));
    let faces = headline.filter_map(|result| {
        let found = result
            .faces
            .iter()
            .find(|faces| faces.attack_step == step)?;
        Some((*result, found.protected.identity_hit_rate))
    });
    share(faces.collect::<Vec<_>>())
}

/// The worst grade: one seed on which the attack worked is enough. `NoEvidence` only where no cell has any.
fn worst(cells: &[&CellResult]) -> Grade {
    let order = [Grade::NotResisted, Grade::Weakened, Grade::Resisted];
    let is_there = |grade: &Grade| cells.iter().any(|result| result.grade == *grade);
    order
        .into_iter()
        .find(is_there)
        .unwrap_or(Grade::NoEvidence)
}

fn families(plan: &Plan, tests: &[&CellResult]) -> Vec<FamilyResult> {
    let mut results: Vec<FamilyResult> = planned_families(plan)
        .into_iter()
        .map(|family| {
            let own = |cell: &shared::matrix::Cell| cell.recipe.family == family;
            let cells: Vec<&CellResult> = tests
                .iter()
                .copied()
                .filter(|result| own(&result.cell))
                .collect();
            let planned = plan
                .cells
                .iter()
                .filter(|cell| own(cell) && plan.subject(cell).role == Role::Protected);
            one_family(family, &cells, planned.count())
        })
        .collect();
    let adjusted = holm(
        &results
            .iter()
            .map(|result| result.p_value)
            .collect::<Vec<_>>(),
    );
    for (result, p) in results.iter_mut().zip(adjusted) {
        result.p_holm = shared::canonical::nine_decimals(p);
    }
    results
}

fn one_family(family: Family, cells: &[&CellResult], planned: usize) -> FamilyResult {
    let mut counts = Counts::default();
    for result in cells {
        counts.count(result.grade);
    }
    counts.not_tested = count(planned.saturating_sub(cells.len()));
    let evidence: Vec<&CellResult> = cells
        .iter()
        .copied()
        .filter(|result| result.grade != Grade::NoEvidence)
        .collect();
    let best = |result: &CellResult| {
        Some((
            result.at(result.clean_best)?.clean.hit_rate,
            result.at(result.protected_best)?.protected.hit_rate,
        ))
    };
    let pairs: Vec<_> = evidence
        .iter()
        .filter_map(|result| Some((*result, best(result)?)))
        .collect();
    let differences = by_unit(
        pairs
            .iter()
            .map(|(result, (clean, protected))| (*result, clean.value - protected.value)),
    );
    let means: Vec<f64> = differences.values().map(|values| mean(values)).collect();
    FamilyResult {
        family: family.slug(),
        title: family.title(),
        counts,
        units: count(differences.len()),
        clean: share(pairs.iter().map(|(result, (clean, _))| (*result, *clean))),
        protected: share(
            pairs
                .iter()
                .map(|(result, (_, protected))| (*result, *protected)),
        ),
        difference: mean_of_units(&differences),
        p_value: shared::canonical::nine_decimals(sign_flip(&means, 1)),
        p_holm: 1.0,
    }
}

/// Families on protected subjects in the order of the plan.
fn planned_families(plan: &Plan) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    for cell in &plan.cells {
        if !families.contains(&cell.recipe.family) {
            families.push(cell.recipe.family);
        }
    }
    families
}

fn atlas(plan: &Plan, tests: &[&CellResult]) -> Vec<AtlasCell> {
    let mut squares = Vec::new();
    for family in planned_families(plan) {
        let planned = plan
            .cells
            .iter()
            .filter(|cell| cell.recipe.family == family);
        let mut rates: Vec<f64> = planned.clone().map(|cell| cell.learning_rate).collect();
        rates.sort_by(f64::total_cmp);
        rates.dedup();
        let steps: BTreeSet<u32> = planned
            .flat_map(|cell| cell.recipe.checkpoints.clone())
            .collect();
        for learning_rate in rates {
            let own = |result: &&&CellResult| {
                let cell = &result.cell;
                cell.recipe.family == family
                    && cell.learning_rate.to_bits() == learning_rate.to_bits()
            };
            let cells: Vec<&CellResult> = tests.iter().filter(own).copied().collect();
            squares.extend(steps.iter().map(|&attack_step| {
                AtlasCell {
                    family: family.slug(),
                    learning_rate,
                    attack_step,
                    hit_rates: point(&cells, attack_step),
                    cells: cells.iter().map(|result| result.cell.number).collect(),
                    competent: count(
                        cells
                            .iter()
                            .filter(|result| result.grade != Grade::NoEvidence)
                            .count(),
                    ),
                }
            }));
        }
    }
    squares
}

fn innocent(plan: &Plan, controls: &[&CellResult]) -> Innocent {
    let of = |role: Option<Role>| {
        let cells = controls
            .iter()
            .filter(|result| role.is_none_or(|role| plan.subject(&result.cell).role == role));
        let last = cells
            .filter_map(|result| Some((*result, result.checkpoints.last()?.similarity_difference)));
        let last: Vec<_> = last.collect();
        match &last[..] {
            // One unit has no interval over units; its own, over pictures, is all there is.
            [(_, single)] => Some(rounded(*single)),
            _ => mean_of_units(&by_unit(
                last.iter()
                    .map(|(result, difference)| (*result, difference.value)),
            )),
        }
    };
    let rate = |pick: fn(&shared::evaluation::CheckpointResult) -> shared::evaluation::Estimate| {
        let last = controls
            .iter()
            .filter_map(|result| Some((*result, pick(result.checkpoints.last()?))));
        share(last.collect::<Vec<_>>())
    };
    Innocent {
        units: count(
            controls
                .iter()
                .map(|result| unit(result))
                .collect::<BTreeSet<_>>()
                .len(),
        ),
        difference: of(None),
        same_class: of(Some(Role::SameClass)),
        other_class: of(Some(Role::OtherClass)),
        clean: rate(|last| last.clean.hit_rate),
        protected: rate(|last| last.protected.hit_rate),
    }
}

/// Pictures with the subject at the headline's step: of the clean and of the protected model, and of how many.
fn hits(headline: &HeadlineResult) -> Option<(f64, f64, u32)> {
    let last = headline.points.last()?;
    Some((
        successes(last.clean),
        successes(last.protected),
        last.clean.n,
    ))
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
