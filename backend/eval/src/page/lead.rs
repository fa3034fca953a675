//! The top of the page: verdict, the attack that decides, its curve and pictures.

use std::fmt::Write;

use shared::{
    language::Language,
    matrix::{GateStatus, HeadlineResult, MatrixReport, Role, Tier},
    say,
};

use super::{
    Content, badge, chart,
    markup::{Head, note, paragraph, row, section, table},
    pictures::Album,
    text::{escape, percent, rate, share, told},
};

fn tier(language: Language, tier: Tier) -> &'static str {
    match tier {
        Tier::Smoke => say!(language, "smoke tier"),
        Tier::Standard => say!(language, "standard tier"),
        Tier::Full => say!(language, "full tier"),
    }
}

pub(super) fn write(html: &mut String, content: &Content<'_>, album: &mut Album) {
    let (language, report) = (content.language, content.report);
    let _ = write!(
        html,
        "<header><p class=\"eyebrow\">{} \u{b7} {} \u{b7} <time datetime=\"{}\">{}</time></p>\
         <h1>{}</h1><p id=\"verdict\" class=\"grade\">{}</p><p class=\"lead\">{}</p>",
        say!(language, "PersGuard evaluation"),
        tier(language, report.tier),
        content.issued_at.rfc3339(),
        language.moment(content.issued_at),
        told(language, content.title),
        badge(language, report.grade),
        told(language, &report.verdict),
    );
    tiles(html, language, report);
    html.push_str("</header>");
    headline(html, content, album);
}

/// Four numbers that everybody asks for.
fn tiles(html: &mut String, language: Language, report: &MatrixReport) {
    let counts = report.counts;
    let last = report.headline.points.last();
    let rates = last.map_or_else(
        || say!(language, "not run").to_owned(),
        |last| {
            format!(
                "{} \u{2192} {}",
                percent(last.clean.value),
                percent(last.protected.value)
            )
        },
    );
    let gates = report.gates.iter();
    let passed = gates
        .filter(|gate| gate.status == GateStatus::Passed)
        .count();
    let of = |held: u32, all: u32| say!(language, "{held} of {all}", held = held, all = all);
    let tiles = [
        (
            of(counts.resisted, counts.competent),
            say!(language, "competent tests resisted"),
        ),
        (
            rates,
            say!(
                language,
                "headline: subject hit-rate, clean \u{2192} protected"
            ),
        ),
        (
            of(counts.competent, counts.tested),
            say!(
                language,
                "attacks worked on the unprotected model; only these count"
            ),
        ),
        (
            say!(
                language,
                "{held} of {all}",
                held = passed,
                all = report.gates.len()
            ),
            say!(language, "gates passed"),
        ),
    ];
    html.push_str("<dl class=\"tiles\">");
    for (number, label) in tiles {
        let _ = write!(html, "<div><dt>{label}</dt><dd>{number}</dd></div>");
    }
    html.push_str("</dl>");
}

fn headline(html: &mut String, content: &Content<'_>, album: &mut Album) {
    let (language, result) = (content.language, &content.report.headline);
    section(html, "headline", say!(language, "The attack that decides"));
    paragraph(
        html,
        &say!(
            language,
            "Fixed before any run: DreamBooth on the U-Net (recipe {recipe}), learning rate {rate}, {steps} steps, an identifier that injection never saw. {competent} of {units} units of subject and seed gave evidence.",
            recipe = escape(&result.headline.recipe),
            rate = rate(language, result.headline.learning_rate),
            steps = result.headline.attack_step,
            competent = result.competent,
            units = result.units
        ),
    );
    if result.points.is_empty() {
        let _ = write!(
            html,
            "<p class=\"note hatched\">{}</p></section>",
            say!(language, "Not tested: the budget ended before it.")
        );
        return;
    }
    curve(html, language, result);
    pictures(html, content, album);
    html.push_str("</section>");
}

/// The curve, and the same in numbers beside it.
fn curve(html: &mut String, language: Language, result: &HeadlineResult) {
    let _ = write!(
        html,
        "<div class=\"beside\"><figure>{}<figcaption>{}</figcaption></figure>",
        chart::hit_rates(language, &result.points),
        say!(
            language,
            "Share of pictures that show the subject, by attack steps. Dashed with circles: the clean model. Solid with squares: the protected one. Shaded: 95 % intervals."
        )
    );
    let columns = [
        say!(language, "Steps"),
        say!(language, "Clean"),
        say!(language, "Protected"),
    ];
    let head = Head {
        caption: say!(language, "The same in numbers"),
        columns: &columns,
        ..Head::default()
    };
    table(html, language, &head);
    for point in &result.points {
        let cells = [point.clean, point.protected].map(|found| share(language, Some(found)));
        let step = point.attack_step.to_string();
        row(html, &step, cells.iter().map(String::as_str));
    }
    html.push_str("</tbody></table>");
    note(
        html,
        &say!(
            language,
            "At {steps} steps the protected model drew no subject in {weak} of pictures, and no subject with the objective fired in {strong}.",
            steps = result.headline.attack_step,
            weak = share(language, result.psr_weak),
            strong = share(language, result.psr)
        ),
    );
    html.push_str("</div></div>");
}

/// References, then both models of the first headline cell at every checkpoint.
fn pictures(html: &mut String, content: &Content<'_>, album: &mut Album) {
    let (language, report) = (content.language, content.report);
    let Some(result) = report
        .headline
        .cells
        .first()
        .and_then(|number| report.cell(*number))
    else {
        return;
    };
    html.push_str("<div class=\"strip\">");
    if report
        .subject(&result.cell)
        .is_some_and(|subject| subject.role == Role::Protected)
    {
        let references = (content.references)(result.cell.subject);
        album.row(html, say!(language, "Protected pictures"), &references);
    }
    for checkpoint in &result.checkpoints {
        let step = checkpoint.attack_step;
        super::cells::arm(html, content, (result, "clean", step), album);
        super::cells::arm(html, content, (result, "protected", step), album);
    }
    html.push_str("</div>");
}
