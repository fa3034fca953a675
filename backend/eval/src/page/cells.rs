//! Every test: a table of all, then a card with real pictures for each, the clean twin beside the protected one.

use std::fmt::Write;

use shared::{
    attack::{IdentifierMode, ImageMode, TemplateMode},
    matrix::{Cell, CellResult, MatrixReport, Role},
};

use super::{
    Content, badge,
    pictures::Album,
    text::{escape, p_value, percent, rate, share, value},
};
use crate::matrix::SAVED;

pub(super) fn write(html: &mut String, content: &Content<'_>, album: &mut Album) {
    let report = content.report;
    table(html, report);
    html.push_str(
        "<section aria-labelledby=\"samples\"><h2 id=\"samples\">Behind the tests</h2><p>The first pictures that each model \
         drew, at the checkpoint that the attacker keeps; same prompt and same noise above and below.</p>\
         <div class=\"cards\">",
    );
    for result in &report.cells {
        card(html, content, result, album);
    }
    html.push_str("</div>");
    album.close(html);
    html.push_str("</section>");
    not_tested(html, report);
}

/// The kept pictures of an arm at a step.
pub(super) fn files(
    content: &Content<'_>,
    result: &CellResult,
    arm: &str,
    step: u32,
) -> Vec<Vec<u8>> {
    (0..SAVED)
        .map_while(|index| (content.picture)(result, &format!("{arm}/{step}/{index:02}.png")))
        .collect()
}

fn who(report: &MatrixReport, cell: &Cell) -> String {
    report.subject(cell).map_or_else(String::new, |subject| {
        let role = match subject.role {
            Role::Protected => "",
            Role::SameClass | Role::OtherClass => " (control)",
        };
        format!("{}{role}", escape(&subject.name))
    })
}

/// The grade; a control has none, because nobody should resist its owner.
fn outcome(report: &MatrixReport, result: &CellResult) -> String {
    match report.subject(&result.cell).map(|subject| subject.role) {
        Some(Role::Protected) | None => badge(result.grade),
        Some(Role::SameClass | Role::OtherClass) => {
            "<span class=\"badge control\">Control</span>".to_owned()
        }
    }
}

/// What differs from the stock attack, in words.
fn conditions(cell: &Cell) -> String {
    let identifier = match cell.identifier {
        IdentifierMode::Same => "own identifier",
        IdentifierMode::Pool => "trained identifier",
        IdentifierMode::HeldOut => "held-out identifier",
        IdentifierMode::Natural => "natural name",
    };
    let mut parts = vec![format!(
        "{identifier} \u{201c}{}\u{201d}",
        escape(&cell.word)
    )];
    match cell.recipe.template {
        TemplateMode::Train => {}
        TemplateMode::HeldOut => parts.push("held-out template".into()),
        TemplateMode::Caption => parts.push("full captions".into()),
    }
    match cell.recipe.images {
        ImageMode::Seen => {}
        ImageMode::HalfUnseen => parts.push("half of the images unseen".into()),
        ImageMode::OneAmongOthers => parts.push("one image among others".into()),
    }
    if cell.recipe.has_prior() && !cell.recipe.prior_preservation {
        parts.push("no prior preservation".into());
    }
    if !cell.recipe.is_plain() {
        parts.push(format!("adaptive: {}", escape(&cell.recipe.name)));
    }
    parts.join(", ")
}

fn table(html: &mut String, report: &MatrixReport) {
    html.push_str(
        "<section aria-labelledby=\"tests\"><h2 id=\"tests\">Every test</h2><div class=\"wide\" tabindex=\"0\" role=\"group\" aria-label=\"Table\"><table class=\"tests\"><thead>\
         <tr><th scope=\"col\">No.</th><th scope=\"col\">Subject</th><th scope=\"col\">Attack</th><th scope=\"col\">Rate</th>\
         <th scope=\"col\">Conditions</th><th scope=\"col\">Seed</th><th scope=\"col\">Best hit-rate, clean</th>\
         <th scope=\"col\">Best hit-rate, protected</th><th scope=\"col\">p</th><th scope=\"col\">Grade</th></tr></thead><tbody>",
    );
    for result in &report.cells {
        let cell = &result.cell;
        let (clean, protected) = best(result);
        let _ = write!(
            html,
            "<tr><th scope=\"row\"><a href=\"#cell-{0}\">{0}</a></th><td>{1}</td><td>{2}</td><td>{3}</td><td>{4}</td>\
             <td>{5}</td><td>{clean}</td><td>{protected}</td><td>{6}</td><td>{7}</td></tr>",
            cell.number,
            who(report, cell),
            escape(&cell.recipe.family.title()),
            rate(cell.learning_rate),
            conditions(cell),
            cell.seed,
            p_value(result.p_value),
            outcome(report, result),
        );
    }
    html.push_str("</tbody></table></div></section>");
}

/// Hit-rates with their steps at the checkpoints that the attacker keeps.
fn best(result: &CellResult) -> (String, String) {
    let text = |rate: Option<f64>, step: u32| {
        rate.map_or_else(String::new, |rate| {
            format!("{} <small>at {step}</small>", percent(rate))
        })
    };
    (
        text(
            result
                .at(result.clean_best)
                .map(|found| found.clean.hit_rate.value),
            result.clean_best,
        ),
        text(
            result
                .at(result.protected_best)
                .map(|found| found.protected.hit_rate.value),
            result.protected_best,
        ),
    )
}

fn card(html: &mut String, content: &Content<'_>, result: &CellResult, album: &mut Album) {
    let (report, cell) = (content.report, &result.cell);
    let number = cell.number;
    let _ = write!(
        html,
        "<article class=\"card\" id=\"cell-{number}\" aria-labelledby=\"title-{number}\"><h3 id=\"title-{number}\">{number}. \
         {} at {}</h3><p>{} \u{b7} {}, {} \u{b7} seed {}</p>",
        escape(&cell.recipe.family.title()),
        rate(cell.learning_rate),
        outcome(report, result),
        who(report, cell),
        conditions(cell),
        cell.seed,
    );
    for (arm, step) in [
        ("clean", result.clean_best),
        ("protected", result.protected_best),
    ] {
        let files = files(content, result, arm, step);
        album.row(html, &format!("{arm}, {step} steps"), &files);
    }
    faces(html, result);
    let _ = write!(
        html,
        "<p class=\"note\">{}</p></article>",
        result.cause.sentence()
    );
}

/// Faces at the last checkpoint of a person.
fn faces(html: &mut String, result: &CellResult) {
    let Some(last) = result.faces.last() else {
        return;
    };
    for (arm, found) in [("clean", last.clean), ("protected", last.protected)] {
        let _ = write!(
            html,
            "<p>Faces, {arm} after {} steps: the person in {}, no face in {}, ISM {}</p>",
            last.attack_step,
            share(Some(found.identity_hit_rate)),
            share(Some(found.detection_failure_rate)),
            value(found.identity_score),
        );
    }
}

fn not_tested(html: &mut String, report: &MatrixReport) {
    if report.not_tested.is_empty() {
        return;
    }
    let _ = write!(
        html,
        "<section aria-labelledby=\"untested\"><h2 id=\"untested\">Not tested</h2><p>{} planned cells were not run. Nothing \
         is known about them.</p><ul class=\"untested hatched\">",
        report.not_tested.len()
    );
    // A full tier has thousands; the certificate lists every one.
    for cell in report.not_tested.iter().take(400) {
        let _ = write!(
            html,
            "<li>{}. {}, {} at {}, {}, seed {}</li>",
            cell.number,
            who(report, cell),
            escape(&cell.recipe.family.title()),
            rate(cell.learning_rate),
            conditions(cell),
            cell.seed,
        );
    }
    html.push_str("</ul></section>");
}
