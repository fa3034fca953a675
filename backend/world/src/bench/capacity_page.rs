//! What protecting several concepts in one model costs each of them: the interference matrix and its page.
//! Refuses to hide a subject whose attack failed on the clean model: it is marked.

use std::fmt::Write;

use eval::report::COMPETENT_HIT_RATE;
use eval::statistics::bootstrap_mean;
use serde::Serialize;
use shared::evaluation::{CheckpointResult, Estimate};

use super::capacity::{CHECKPOINTS, ConceptResult, ModelResult};

const STYLE: &str = include_str!("page.css");

/// Several concepts in one model beside each of them alone, after the same attack.
#[derive(Clone, Debug, Serialize)]
pub struct Interference {
    /// Concepts in the model.
    pub concepts: usize,
    /// Steps of the attack.
    pub attack_step: u32,
    /// Share of pictures that are protected (PSR), subject by subject, in the order of the job.
    pub psr: Vec<f64>,
    /// The same subjects, each protected alone.
    pub psr_alone: Vec<f64>,
    /// Mean of the differences, together minus alone; subjects are resampled.
    pub change: Estimate,
}

/// Every model of several concepts at every checkpoint, with those subjects that were protected alone too.
pub fn interference(models: &[ModelResult]) -> Vec<Interference> {
    let alone = |subject: usize, step: u32| {
        let single = models.iter().filter(|model| model.concepts.len() == 1);
        let mut concepts = single.flat_map(|model| &model.concepts);
        psr(concepts.find(|concept| concept.subject == subject)?, step)
    };
    let together = models.iter().filter(|model| model.concepts.len() > 1);
    together
        .flat_map(|model| CHECKPOINTS.map(|step| (model, step)))
        .map(|(model, attack_step)| {
            let twin = |concept: &ConceptResult| {
                let alone = alone(concept.subject, attack_step)?;
                Some((psr(concept, attack_step)?, alone))
            };
            let twins: Vec<(f64, f64)> = model.concepts.iter().filter_map(twin).collect();
            let differences: Vec<f64> = twins.iter().map(|(psr, alone)| psr - alone).collect();
            let (psr, psr_alone) = twins.into_iter().unzip();
            Interference {
                concepts: model.concepts.len(),
                attack_step,
                psr,
                psr_alone,
                change: bootstrap_mean(&differences, 0),
            }
        })
        .collect()
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
    changes(&mut html, &interference(models));
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

fn changes(html: &mut String, rows: &[Interference]) {
    html.push_str(
        "<h2>Together minus alone</h2><p>Mean change of PSR over the model's subjects, with subjects resampled; the \
         gate allows ten concepts a loss of .05.</p><div class=\"wide\"><table><thead><tr><th scope=\"col\">Concepts\
         </th><th scope=\"col\">Attack steps</th><th scope=\"col\">PSR</th><th scope=\"col\">Alone</th>\
         <th scope=\"col\">Change</th></tr></thead><tbody>",
    );
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    for row in rows {
        let _ = write!(
            html,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{:.2}</td><td>{:.2}</td><td>{:+.3} <small>[{:+.3}, {:+.3}], n \
             = {}</small></td></tr>",
            row.concepts,
            row.attack_step,
            mean(&row.psr),
            mean(&row.psr_alone),
            row.change.value,
            row.change.low,
            row.change.high,
            row.change.n
        );
    }
    html.push_str("</tbody></table></div>");
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
        let rows = interference(&models());
        assert_eq!(rows.len(), CHECKPOINTS.len());
        assert_eq!(rows[0].psr_alone, [1.0, 0.5]);
        assert_eq!(rows[0].psr, [0.75, 0.5]);
        assert!((rows[0].change.value + 0.125).abs() < 1e-12);
        assert_eq!(rows[0].change.n, 2);
    }

    #[test]
    fn the_page_marks_a_subject_without_evidence() {
        let names = ["a blue dog".to_owned(), "a red cat".to_owned()];
        let html = page(&models(), &names, "0123456789abcdef");
        assert!(html.contains("a red cat") && html.contains("(no evidence)"));
        assert!(!html.contains("http"), "it loads nothing");
    }
}
