//! The benchmark's page: one file with every number, its interval, and the pictures behind it. Refuses to load
//! anything from elsewhere.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use base64::{Engine, engine::general_purpose::STANDARD};
use eval::page::chart;
use shared::evaluation::{Estimate, EvaluationOutput};
use shared::matrix::Point;

use super::summary::{Base, CLEAN, COMPETENT, PROTECTED, Summary, best_hit_rate};
use super::unit::UnitResult;
use crate::publish::samples;
use crate::render::Scene;

const STYLE: &str = include_str!("page.css");
/// Pictures of each model shown for a run.
const SHOWN: usize = 8;
/// Side of the references on the page, in pixels.
const REFERENCE_SIDE: usize = 128;

/// Everything the page shows.
#[derive(Clone, Copy)]
pub struct Content<'a> {
    /// The base model's gate.
    pub base: &'a Base,
    /// Over all runs.
    pub summary: &'a Summary,
    /// Each run.
    pub results: &'a [UnitResult],
    /// SHA-256 of the base model's denoiser.
    pub base_sha256: &'a str,
    /// Directory with the pictures of the runs.
    pub out: &'a Path,
}

/// The page as HTML.
pub fn page(content: Content<'_>) -> anyhow::Result<String> {
    let mut html = String::new();
    head(&mut html, content);
    table(&mut html, content.summary);
    innocent(&mut html, content);
    runs(&mut html, content.results);
    for result in content.results {
        pictures(&mut html, content.out, result)?;
    }
    html.push_str("</main></body></html>\n");
    Ok(html)
}

fn verdict(summary: &Summary) -> String {
    let last = summary.s50_clean.last;
    let hits = summary.steps.last();
    let rate =
        |pick: fn(&super::summary::Step) -> Estimate| hits.map_or(0.0, |step| pick(step).value);
    format!(
        "After {last} attack steps the subject was hit in {:.0} % of pictures on the clean model and in {:.0} % on the \
         protected one. The median run broke at step {} on the clean model and at step {} on the protected one. The \
         attack worked on the clean model in {} of {} runs.",
        100.0 * rate(|step| step.hit_clean),
        100.0 * rate(|step| step.hit_protected),
        summary.s50_clean,
        summary.s50_protected,
        summary.competent,
        summary.runs,
    )
}

fn head(html: &mut String, content: Content<'_>) {
    let (base, summary) = (content.base, content.summary);
    let _ = write!(
        html,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"><title>PersGuard demo benchmark</title><style>{STYLE}</style>\
         </head><body><main><h1>Demo benchmark: protect</h1><p class=\"lead\">{}</p><p>Base model {}: class {:.2}, \
         tint {:.2}, accessory {:.2}, background {:.2} of {} pictures as the prompt asks; two pictures of one class \
         prompt differ by {:.2} (mean cosine distance). Injection step {:.0} ms, attack step {:.0} ms.</p>\
         <p>Protection holds where people start from the protected weights; the clean weights are public. All numbers \
         are of the demo world and its own encoder.</p><h2>Subject hit-rate</h2><figure>{}<figcaption>Shaded: 95 % \
         intervals, runs resampled.</figcaption></figure>",
        verdict(summary),
        &content.base_sha256[..12.min(content.base_sha256.len())],
        base.class,
        base.tint,
        base.accessory,
        base.background,
        base.n,
        base.diversity,
        summary.inject_ms_per_step,
        summary.attack_ms_per_step,
        chart::hit_rates(shared::language::Language::English, &points(summary)),
    );
}

fn points(summary: &Summary) -> Vec<Point> {
    let steps = summary.steps.iter();
    let point = |step: &super::summary::Step| Point {
        attack_step: step.attack_step,
        clean: step.hit_clean,
        protected: step.hit_protected,
    };
    steps.map(point).collect()
}

fn cell(estimate: Estimate) -> String {
    format!(
        "<td>{:.2} <small>[{:.2}, {:.2}]</small></td>",
        estimate.value, estimate.low, estimate.high
    )
}

fn table(html: &mut String, summary: &Summary) {
    html.push_str(
        "<div class=\"wide\"><table><thead><tr><th>Attack steps</th><th>Hit, clean</th><th>Hit, protected</th>\
         <th>Similarity, clean</th><th>Similarity, protected</th><th>Objective fires, protected</th>\
         <th>Class kept, clean</th><th>Class shown, protected</th></tr></thead><tbody>",
    );
    for step in &summary.steps {
        let cells = [
            step.hit_clean,
            step.hit_protected,
            step.similarity_clean,
            step.similarity_protected,
            step.objective_protected,
            step.class_clean,
            step.class_protected,
        ];
        let cells: String = cells.into_iter().map(cell).collect();
        let _ = write!(
            html,
            "<tr><th scope=\"row\">{}</th>{cells}</tr>",
            step.attack_step
        );
    }
    html.push_str("</tbody></table></div>");
}

fn innocent(html: &mut String, content: Content<'_>) {
    let summary = content.summary;
    let _ = write!(
        html,
        "<h2>The innocent user</h2><p>The same attack on a stranger's pictures, at its end: similarity on the protected \
         model minus similarity on the clean one, matched seeds.</p><div class=\"wide\"><table><thead><tr>\
         <th>Difference</th><th>Hit, clean</th><th>Hit, protected</th></tr></thead><tbody><tr>{}{}{}</tr></tbody>\
         </table></div>",
        cell(summary.innocent_delta),
        cell(summary.innocent_hit_clean),
        cell(summary.innocent_hit_protected),
    );
}

fn title(result: &UnitResult) -> String {
    let identity = result.unit.identity;
    format!(
        "{} {} with {} ({})",
        identity.tint.name(),
        identity.class.name(),
        identity.accessory.name(),
        identity.style.name()
    )
}

fn runs(html: &mut String, results: &[UnitResult]) {
    html.push_str(
        "<h2>Every run</h2><div class=\"wide\"><table><thead><tr><th>Run</th><th>Subject</th><th>Attacker's prompt</th>\
         <th>Hit-rate by step, clean</th><th>Hit-rate by step, protected</th><th>Evidence</th></tr></thead><tbody>",
    );
    for result in results {
        let rates = |pick: fn(&shared::evaluation::CheckpointResult) -> f64| {
            let all = result.subject.report.checkpoints.iter();
            all.map(|c| format!("{:.2}", pick(c)))
                .collect::<Vec<_>>()
                .join(" ")
        };
        let evidence = if best_hit_rate(result) >= COMPETENT {
            "yes"
        } else {
            "no: the attack did not work on the clean model"
        };
        let _ = write!(
            html,
            "<tr><th scope=\"row\"><a href=\"#{name}\">{name}</a></th><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
             <td>{evidence}</td></tr>",
            title(result),
            result.subject.report.attack.prompt,
            rates(|c| c.clean.hit_rate.value),
            rates(|c| c.protected.hit_rate.value),
            name = result.unit.name(),
        );
    }
    html.push_str("</tbody></table></div>");
}

fn pictures(html: &mut String, out: &Path, result: &UnitResult) -> anyhow::Result<()> {
    let name = result.unit.name();
    let _ = write!(
        html,
        "<section id=\"{name}\"><h2>{name}: {}</h2>",
        title(result)
    );
    row(
        html,
        "Protected pictures",
        &drawn(&result.unit.references())?,
    );
    for checkpoint in &result.subject.report.checkpoints {
        let step = checkpoint.attack_step;
        let directory = out.join(result.unit.directory()).join("subject");
        arms(html, &directory, &result.subject, step, |arm| {
            format!("{arm}, {step} steps")
        })?;
    }
    row(
        html,
        "A stranger",
        &drawn(&result.unit.stranger_references())?,
    );
    for checkpoint in &result.stranger.report.checkpoints {
        let step = checkpoint.attack_step;
        let directory = out.join(result.unit.directory()).join("stranger");
        arms(html, &directory, &result.stranger, step, |arm| {
            format!("stranger, {arm}")
        })?;
    }
    html.push_str("</section>");
    Ok(())
}

/// A row of pictures for each model at one attack step.
fn arms(
    html: &mut String,
    directory: &Path,
    output: &EvaluationOutput,
    step: u32,
    label: impl Fn(&str) -> String,
) -> anyhow::Result<()> {
    for (arm, side) in [("clean", CLEAN), ("protected", PROTECTED)] {
        let pairs = output.pairs.iter().filter(|pair| pair.attack_step == step);
        let files = pairs.take(SHOWN).map(|pair| &side(pair).name);
        let files: Vec<Vec<u8>> = files
            .map(|file| fs::read(directory.join(file)))
            .collect::<Result<_, _>>()?;
        row(html, &label(arm), &files);
    }
    Ok(())
}

fn drawn(scenes: &[Scene]) -> anyhow::Result<Vec<Vec<u8>>> {
    let encode = |scene: &Scene| samples::encode(&scene.render(REFERENCE_SIDE), REFERENCE_SIDE);
    Ok(scenes.iter().map(encode).collect::<Result<_, _>>()?)
}

fn row(html: &mut String, label: &str, pictures: &[Vec<u8>]) {
    let _ = write!(html, "<div class=\"row\"><span>{label}</span>");
    for (picture, at) in pictures.iter().zip(1..) {
        let _ = write!(
            html,
            "<img loading=\"lazy\" alt=\"{label}, picture {at}\" src=\"data:image/png;base64,{}\">",
            STANDARD.encode(picture)
        );
    }
    html.push_str("</div>");
}
