//! What protecting several concepts in one model costs each of them: the interference matrix and its page.
//! Refuses to hide a subject whose attack failed on the clean model: it is marked.

use std::fmt::Write;

use eval::metric::capacity::{Capacity, CapacityLevel, CapacityRun, capacity};
use eval::report::COMPETENT_HIT_RATE;
use serde::Serialize;
use shared::evaluation::CheckpointResult;

use super::capacity::{CHECKPOINTS, ConceptResult, ModelResult};

const STYLE: &str = include_str!("page.css");

/// What several concepts in one model cost each of them after so many attack steps.
#[derive(Clone, Debug, Serialize)]
pub struct AtStep {
    /// Steps of the attack.
    pub attack_step: u32,
    /// By number of concepts, each against itself alone.
    pub capacity: Capacity,
}

/// Every checkpoint, over all models; subjects are named by their positions.
pub fn by_step(models: &[ModelResult]) -> Vec<AtStep> {
    let run = |model: &ModelResult, step: u32| CapacityRun {
        psr: model
            .concepts
            .iter()
            .filter_map(|concept| Some((format!("{:02}", concept.subject), psr(concept, step)?)))
            .collect(),
    };
    let at = |attack_step| {
        let runs: Vec<CapacityRun> = models.iter().map(|model| run(model, attack_step)).collect();
        AtStep {
            attack_step,
            capacity: capacity(&runs, 0),
        }
    };
    CHECKPOINTS.map(at).into()
}

fn at(concept: &ConceptResult, step: u32) -> Option<&CheckpointResult> {
    let mut checkpoints = concept.output.report.checkpoints.iter();
    checkpoints.find(|checkpoint| checkpoint.attack_step == step)
}

fn psr(concept: &ConceptResult, step: u32) -> Option<f64> {
    at(concept, step).map(|checkpoint| checkpoint.protected.psr.value)
}

/// Whether the attack worked on the clean model by its last step.
fn competent(concept: &ConceptResult) -> bool {
    let mut checkpoints = concept.output.report.checkpoints.iter();
    checkpoints.any(|checkpoint| checkpoint.clean.hit_rate.value >= COMPETENT_HIT_RATE)
}

/// The page as HTML. `names`: what each subject is, by position.
pub fn page(models: &[ModelResult], names: &[String], base_sha256: &str) -> String {
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"><title>Demo benchmark: capacity</title><style>{STYLE}</style>\
         </head><body><main><h1>Demo benchmark: capacity</h1><p class=\"lead\">Each subject is protected alone, then \
         together with others in one model of the same number of injection steps. The same attack (DreamBooth, an \
         identifier that injection never saw) follows on each. A number is the share of 16 pictures in which the \
         objective fires and the subject does not appear (PSR).</p><p>Base model {}. One seed. All numbers are of the \
         demo world and its own encoder.</p>",
        &base_sha256[..12.min(base_sha256.len())]
    );
    for step in CHECKPOINTS {
        table(&mut html, models, names, step);
    }
    losses(&mut html, &by_step(models));
    html.push_str("</main></body></html>\n");
    html
}

fn table(html: &mut String, models: &[ModelResult], names: &[String], step: u32) {
    let title = match step {
        0 => "Before any attack".to_owned(),
        step => format!("After {step} attack steps"),
    };
    let _ = write!(
        html,
        "<h2>{title}</h2><div class=\"wide\"><table><thead><tr><th scope=\"col\">Concepts</th>"
    );
    for name in names {
        let _ = write!(html, "<th scope=\"col\">{name}</th>");
    }
    html.push_str("</tr></thead><tbody>");
    let alone: Vec<&ConceptResult> = models
        .iter()
        .filter(|model| model.concepts.len() == 1)
        .flat_map(|model| &model.concepts)
        .collect();
    row(html, "alone", &alone, names.len(), step);
    for model in models.iter().filter(|model| model.concepts.len() > 1) {
        let concepts: Vec<&ConceptResult> = model.concepts.iter().collect();
        row(
            html,
            &concepts.len().to_string(),
            &concepts,
            names.len(),
            step,
        );
    }
    html.push_str("</tbody></table></div>");
}

fn row(html: &mut String, name: &str, concepts: &[&ConceptResult], subjects: usize, step: u32) {
    let _ = write!(html, "<tr><th scope=\"row\">{name}</th>");
    for subject in 0..subjects {
        let concept = concepts.iter().find(|concept| concept.subject == subject);
        let found = concept.and_then(|concept| Some((psr(concept, step)?, competent(concept))));
        let _ = match found {
            None => write!(html, "<td>-</td>"),
            Some((psr, competent)) => write!(
                html,
                "<td style=\"background:color-mix(in srgb, var(--protected) {:.0}%, transparent)\">{psr:.2}{}</td>",
                45.0 * psr,
                if competent {
                    ""
                } else {
                    " <small>(no evidence)</small>"
                },
            ),
        };
    }
    html.push_str("</tr>");
}

fn losses(html: &mut String, steps: &[AtStep]) {
    html.push_str(
        "<h2>Together beside alone</h2><p>PSR alone minus PSR together, mean over the model's subjects, with subjects \
         resampled; the gate allows ten concepts a loss of .05.</p><div class=\"wide\"><table><thead><tr>\
         <th scope=\"col\">Concepts</th><th scope=\"col\">Attack steps</th><th scope=\"col\">PSR</th>\
         <th scope=\"col\">Loss</th></tr></thead><tbody>",
    );
    for step in steps {
        let levels = step.capacity.levels.iter();
        for level in levels.filter(|level| level.concepts > 1) {
            let _ = write!(
                html,
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{:.2}</td><td>{}</td></tr>",
                level.concepts,
                step.attack_step,
                level.psr,
                loss(level),
            );
        }
    }
    html.push_str("</tbody></table></div>");
}

fn loss(level: &CapacityLevel) -> String {
    level.loss.map_or_else(
        || "not measured".to_owned(),
        |loss| {
            format!(
                "{:+.3} <small>[{:+.3}, {:+.3}], n = {}</small>",
                loss.value, loss.low, loss.high, loss.n
            )
        },
    )
}

#[cfg(test)]
mod tests {
    use shared::job::Injection;

    use super::*;
    use crate::bench::fixture;
    use crate::bench::rows::method;

    /// A concept whose protected model keeps `psr` at every checkpoint.
    fn concept(subject: usize, psr: f64) -> ConceptResult {
        let mut output = fixture::result(&method()[0], 0, [0.0, 0.6, 0.9]).subject;
        let template = output.report.checkpoints[0];
        output.report.checkpoints = CHECKPOINTS
            .map(|attack_step| {
                let mut checkpoint = CheckpointResult {
                    attack_step,
                    ..template
                };
                checkpoint.protected.psr.value = psr;
                checkpoint.clean.hit_rate.value = f64::from(u8::from(subject != 1));
                checkpoint
            })
            .into();
        ConceptResult { subject, output }
    }

    fn model(concepts: Vec<ConceptResult>) -> ModelResult {
        ModelResult {
            fingerprint: String::new(),
            injection: Injection::default(),
            concepts,
            inject_seconds: 1.0,
        }
    }

    fn models() -> Vec<ModelResult> {
        vec![
            model(vec![concept(0, 1.0)]),
            model(vec![concept(1, 0.5)]),
            model(vec![concept(0, 0.75), concept(1, 0.5)]),
        ]
    }

    #[test]
    fn every_subject_is_compared_with_itself_alone() {
        let steps = by_step(&models());
        assert_eq!(steps.len(), CHECKPOINTS.len());
        let level = steps[0].capacity.level(2).unwrap();
        assert!((level.psr - 0.625).abs() < 1e-12);
        let loss = level.loss.unwrap();
        assert!((loss.value - 0.125).abs() < 1e-12);
        assert_eq!(loss.n, 2);
        let alone = &steps[0].capacity.interference;
        assert_eq!(alone[0][1], Some(0.25), "the dog by the cat's company");
        assert_eq!(alone[1][0], Some(0.0));
    }

    #[test]
    fn the_page_marks_a_subject_without_evidence() {
        let names = ["a blue dog".to_owned(), "a red cat".to_owned()];
        let html = page(&models(), &names, "0123456789abcdef");
        assert!(html.contains("a red cat") && html.contains("(no evidence)"));
        assert!(!html.contains("http"), "it loads nothing");
    }
}
