//! Every test: a table of all, then a card with real pictures for each, the clean twin beside the protected one.

use std::fmt::Write;

use shared::{
    attack::{IdentifierMode, ImageMode, TemplateMode},
    language::Language,
    matrix::{Cell, CellResult, MatrixReport, Role},
    say,
};

use super::{
    Content, badge,
    markup::{Head, end_table, note, paragraph, row, section, table},
    pictures::Album,
    text::{escape, p_value, percent, rate, share, told, value},
};
use crate::matrix::SAVED;

pub(super) fn write(html: &mut String, content: &Content<'_>, album: &mut Album) {
    let (language, report) = (content.language, content.report);
    overview(html, language, report);
    section(html, "samples", say!(language, "Behind the tests"));
    paragraph(
        html,
        say!(
            language,
            "The first pictures that each model drew, at the checkpoint that the attacker keeps; same prompt and same noise above and below."
        ),
    );
    html.push_str("<div class=\"cards\">");
    for result in &report.cells {
        card(html, content, result, album);
    }
    html.push_str("</div>");
    album.close(html);
    html.push_str("</section>");
    not_tested(html, language, report);
}

/// A row of the kept pictures of a model at a step.
pub(super) fn arm(
    html: &mut String,
    content: &Content<'_>,
    (result, arm, step): (&CellResult, &str, u32),
    album: &mut Album,
) {
    let language = content.language;
    let files: Vec<Vec<u8>> = (0..SAVED)
        .map_while(|index| (content.picture)(result, &format!("{arm}/{step}/{index:02}.png")))
        .collect();
    let label = if arm == "clean" {
        say!(language, "clean, {steps} steps", steps = step)
    } else {
        say!(language, "protected, {steps} steps", steps = step)
    };
    album.row(html, &label, &files);
}

fn who(language: Language, report: &MatrixReport, cell: &Cell) -> String {
    report.subject(cell).map_or_else(String::new, |subject| {
        let name = escape(&subject.name);
        match subject.role {
            Role::Protected => name,
            Role::SameClass | Role::OtherClass => {
                say!(language, "{name} (control)", name = name)
            }
        }
    })
}

/// The grade; a control has none, because nobody should resist its owner.
fn outcome(language: Language, report: &MatrixReport, result: &CellResult) -> String {
    match report.subject(&result.cell).map(|subject| subject.role) {
        Some(Role::Protected) | None => badge(language, result.grade),
        Some(Role::SameClass | Role::OtherClass) => {
            let control = say!(language, "Control");
            format!("<span class=\"badge control\">{control}</span>")
        }
    }
}

/// What differs from the stock attack, in words.
fn conditions(language: Language, cell: &Cell) -> String {
    let identifier = match cell.identifier {
        IdentifierMode::Same => say!(language, "own identifier"),
        IdentifierMode::Pool => say!(language, "trained identifier"),
        IdentifierMode::HeldOut => say!(language, "held-out identifier"),
        IdentifierMode::Natural => say!(language, "natural name"),
    };
    let mut parts = vec![say!(
        language,
        "{identifier} \u{201c}{word}\u{201d}",
        identifier = identifier,
        word = escape(&cell.word)
    )];
    parts.extend(match cell.recipe.template {
        TemplateMode::Train => None,
        TemplateMode::HeldOut => Some(say!(language, "held-out template").to_owned()),
        TemplateMode::Caption => Some(say!(language, "full captions").to_owned()),
    });
    parts.extend(match cell.recipe.images {
        ImageMode::Seen => None,
        ImageMode::HalfUnseen => Some(say!(language, "half of the images unseen").to_owned()),
        ImageMode::OneAmongOthers => Some(say!(language, "one image among others").to_owned()),
    });
    if cell.recipe.has_prior() && !cell.recipe.prior_preservation {
        parts.push(say!(language, "no prior preservation").to_owned());
    }
    if !cell.recipe.is_plain() {
        let recipe = escape(&cell.recipe.name);
        parts.push(say!(language, "adaptive: {recipe}", recipe = recipe));
    }
    parts.join(", ")
}

fn overview(html: &mut String, language: Language, report: &MatrixReport) {
    section(html, "tests", say!(language, "Every test"));
    let columns = [
        say!(language, "No."),
        say!(language, "Subject"),
        say!(language, "Attack"),
        say!(language, "Rate"),
        say!(language, "Conditions"),
        say!(language, "Seed"),
        say!(language, "Best hit-rate, clean"),
        say!(language, "Best hit-rate, protected"),
        "p",
        say!(language, "Grade"),
    ];
    let head = Head {
        class: "tests",
        columns: &columns,
        ..Head::default()
    };
    table(html, language, &head);
    for result in &report.cells {
        let cell = &result.cell;
        let number = format!("<a href=\"#cell-{0}\">{0}</a>", cell.number);
        let cells = [
            who(language, report, cell),
            told(language, &cell.recipe.family.title()),
            rate(language, cell.learning_rate),
            conditions(language, cell),
            cell.seed.to_string(),
            best(language, result, false),
            best(language, result, true),
            p_value(language, result.p_value),
            outcome(language, report, result),
        ];
        row(html, &number, cells.iter().map(String::as_str));
    }
    end_table(html);
    html.push_str("</section>");
}

/// The hit-rate of a model with its step, at the checkpoint that the attacker keeps.
fn best(language: Language, result: &CellResult, protected: bool) -> String {
    let step = if protected {
        result.protected_best
    } else {
        result.clean_best
    };
    let Some(found) = result.at(step) else {
        return String::new();
    };
    let model = if protected {
        &found.protected
    } else {
        &found.clean
    };
    let at = say!(language, "at {step}", step = step);
    format!("{} <small>{at}</small>", percent(model.hit_rate.value))
}

fn card(html: &mut String, content: &Content<'_>, result: &CellResult, album: &mut Album) {
    let (language, report, cell) = (content.language, content.report, &result.cell);
    let number = cell.number;
    let title = say!(
        language,
        "{number}. {attack} at {rate}",
        number = number,
        attack = told(language, &cell.recipe.family.title()),
        rate = rate(language, cell.learning_rate)
    );
    let _ = write!(
        html,
        "<article class=\"card\" id=\"cell-{number}\" aria-labelledby=\"title-{number}\"><h3 id=\"title-{number}\">{title}\
         </h3><p>{} \u{b7} {}, {} \u{b7} {}</p>",
        outcome(language, report, result),
        who(language, report, cell),
        conditions(language, cell),
        say!(language, "seed {seed}", seed = cell.seed),
    );
    arm(html, content, (result, "clean", result.clean_best), album);
    arm(
        html,
        content,
        (result, "protected", result.protected_best),
        album,
    );
    faces(html, language, result);
    note(html, &told(language, result.cause.sentence()));
    html.push_str("</article>");
}

/// Faces at the last checkpoint of a person.
fn faces(html: &mut String, language: Language, result: &CellResult) {
    let Some(last) = result.faces.last() else {
        return;
    };
    for (model, found) in [
        (say!(language, "clean model"), last.clean),
        (say!(language, "protected model"), last.protected),
    ] {
        paragraph(
            html,
            &say!(
                language,
                "Faces, {model} after {steps} steps: the person in {known}, no face in {failed}, ISM {score}",
                model = model,
                steps = last.attack_step,
                known = share(language, Some(found.identity_hit_rate)),
                failed = share(language, Some(found.detection_failure_rate)),
                score = value(language, found.identity_score)
            ),
        );
    }
}

fn not_tested(html: &mut String, language: Language, report: &MatrixReport) {
    if report.not_tested.is_empty() {
        return;
    }
    section(html, "untested", say!(language, "Not tested"));
    paragraph(
        html,
        &say!(
            language,
            "{count} planned cells were not run. Nothing is known about them.",
            count = report.not_tested.len()
        ),
    );
    html.push_str("<ul class=\"untested hatched\">");
    // A full tier has thousands; the certificate lists every one.
    for cell in report.not_tested.iter().take(400) {
        let told = say!(
            language,
            "{number}. {subject}, {attack} at {rate}, {conditions}, seed {seed}",
            number = cell.number,
            subject = who(language, report, cell),
            attack = told(language, &cell.recipe.family.title()),
            rate = rate(language, cell.learning_rate),
            conditions = conditions(language, cell),
            seed = cell.seed
        );
        let _ = write!(html, "<li>{told}</li>");
    }
    html.push_str("</ul></section>");
}
