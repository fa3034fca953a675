//! The top of the page: verdict, the attack that decides, its curve and pictures.

use std::fmt::Write;

use shared::matrix::{MatrixReport, Role};

use super::{
    Content, badge, chart,
    pictures::Album,
    text::{escape, percent, rate, share},
};

pub(super) fn write(html: &mut String, content: &Content<'_>, album: &mut Album) {
    let report = content.report;
    let date = content.issued_at.rfc3339();
    let _ = write!(
        html,
        "<header><p class=\"eyebrow\">PersGuard evaluation \u{b7} {} tier \u{b7} <time datetime=\"{date}\">{}</time></p>\
         <h1>{}</h1><p id=\"verdict\" class=\"grade\">{}</p><p class=\"lead\">{}</p>",
        report.tier.as_str(),
        date.get(..10).unwrap_or(&date),
        escape(content.title),
        badge(report.grade),
        escape(&report.verdict),
    );
    tiles(html, report);
    html.push_str("</header>");
    headline(html, content, album);
}

/// Four numbers that everybody asks for.
fn tiles(html: &mut String, report: &MatrixReport) {
    let counts = report.counts;
    let last = report.headline.points.last();
    let rates = last.map_or_else(
        || "not run".to_owned(),
        |last| {
            format!(
                "{} \u{2192} {}",
                percent(last.clean.value),
                percent(last.protected.value)
            )
        },
    );
    let passed = report
        .gates
        .iter()
        .filter(|gate| gate.status == shared::matrix::GateStatus::Passed)
        .count();
    let tiles = [
        (
            format!("{} of {}", counts.resisted, counts.competent),
            "competent tests resisted".to_owned(),
        ),
        (
            rates,
            "headline: subject hit-rate, clean \u{2192} protected".to_owned(),
        ),
        (
            format!("{} of {}", counts.competent, counts.tested),
            "attacks worked on the unprotected model; only these count".to_owned(),
        ),
        (
            format!("{passed} of {}", report.gates.len()),
            "gates passed".to_owned(),
        ),
    ];
    html.push_str("<dl class=\"tiles\">");
    for (number, label) in tiles {
        let _ = write!(html, "<div><dt>{label}</dt><dd>{number}</dd></div>");
    }
    html.push_str("</dl>");
}

fn headline(html: &mut String, content: &Content<'_>, album: &mut Album) {
    let report = content.report;
    let result = &report.headline;
    let _ = write!(
        html,
        "<section aria-labelledby=\"headline\"><h2 id=\"headline\">The attack that decides</h2><p>Fixed before any run: \
         DreamBooth on the U-Net (recipe {}), learning rate {}, {} steps, an identifier that injection never saw. {} of {} \
         units of subject and seed gave evidence.</p>",
        escape(&result.headline.recipe),
        rate(result.headline.learning_rate),
        result.headline.attack_step,
        result.competent,
        result.units,
    );
    if result.points.is_empty() {
        html.push_str(
            "<p class=\"note hatched\">Not tested: the budget ended before it.</p></section>",
        );
        return;
    }
    let _ = write!(
        html,
        "<div class=\"beside\"><figure>{}<figcaption>Share of pictures that show the subject, by attack steps. Dashed with \
         circles: the clean model. Solid with squares: the protected one. Shaded: 95 % intervals.</figcaption></figure>",
        chart::hit_rates(&result.points)
    );
    html.push_str(
        "<div class=\"wide\" tabindex=\"0\" role=\"group\" aria-label=\"Table\"><table><caption>The same in numbers</caption><thead><tr><th scope=\"col\">Steps</th>\
         <th scope=\"col\">Clean</th><th scope=\"col\">Protected</th></tr></thead><tbody>",
    );
    for point in &result.points {
        let _ = write!(
            html,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td></tr>",
            point.attack_step,
            share(Some(point.clean)),
            share(Some(point.protected)),
        );
    }
    let _ = write!(
        html,
        "</tbody></table><p class=\"note\">At {} steps the protected model drew no subject in {} of pictures, and no \
         subject with the objective fired in {}.</p></div></div>",
        result.headline.attack_step,
        share(result.psr_weak),
        share(result.psr),
    );
    pictures(html, content, album);
    html.push_str("</section>");
}

/// References, then both models of the first headline cell at every checkpoint.
fn pictures(html: &mut String, content: &Content<'_>, album: &mut Album) {
    let report = content.report;
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
        album.row(
            html,
            "Protected pictures",
            &(content.references)(result.cell.subject),
        );
    }
    for checkpoint in &result.checkpoints {
        let step = checkpoint.attack_step;
        for arm in ["clean", "protected"] {
            let files = super::cells::files(content, result, arm, step);
            album.row(html, &format!("{arm}, {step} steps"), &files);
        }
    }
    html.push_str("</div>");
}
