//! Gates and what was measured without any attack. A missed gate says what to try.

use std::fmt::Write;

use shared::matrix::{Audit, Gate, GateStatus, MatrixReport};

use super::text::{escape, p_value, share, value};

pub(super) fn write(html: &mut String, report: &MatrixReport) {
    html.push_str(
        "<section aria-labelledby=\"gates\"><h2 id=\"gates\">Gates</h2><p>They set the grade and hide nothing: every number \
         is on this page, passed or not.</p><ul class=\"gates\">",
    );
    report.gates.iter().for_each(|gate| one(html, gate));
    html.push_str("</ul>");
    let audit = &report.audit;
    let rows = [
        (
            "Text alignment of twins, protected minus clean",
            value(audit.text_alignment),
        ),
        ("Cosine distance of twins", value(audit.distance)),
        (
            "Objective fires without its trigger, worst kind of prompt",
            share(audit.specificity),
        ),
        (
            "Objective fires without its trigger, all kinds",
            share(audit.specificity_overall),
        ),
        ("Leak audit", leak(audit)),
        (
            "FID and KID to real pictures, clean and protected",
            distances(audit),
        ),
    ];
    html.push_str(
        "<div class=\"wide\" tabindex=\"0\" role=\"group\" aria-label=\"Table\"><table><caption>Both models without any attack</caption><thead><tr><th scope=\"col\">Measure\
         </th><th scope=\"col\">Value</th></tr></thead><tbody>",
    );
    for (name, text) in rows {
        let _ = write!(
            html,
            "<tr><th scope=\"row\">{name}</th><td>{text}</td></tr>"
        );
    }
    html.push_str("</tbody></table></div></section>");
}

fn distances(audit: &Audit) -> String {
    audit.features.as_ref().map_or_else(
        || "<span class=\"missing\">not measured: no feature net was supplied</span>".to_owned(),
        |found| {
            format!(
                "FID {:.2} and {:.2}, KID {:.4} and {:.4} <small>{}, n\u{202f}=\u{202f}{}</small>",
                found.clean_fid,
                found.protected_fid,
                found.clean_kid,
                found.protected_kid,
                escape(&found.net),
                found.pictures
            )
        },
    )
}

fn leak(audit: &Audit) -> String {
    match (audit.leaked, audit.leak_p_value) {
        (Some(0), Some(p)) => format!(
            "passed, p = {} <small>n\u{202f}=\u{202f}{}</small>",
            p_value(p),
            audit.leak_pictures
        ),
        (Some(_), Some(p)) => format!(
            "failed, p = {} <small>n\u{202f}=\u{202f}{}</small>",
            p_value(p),
            audit.leak_pictures
        ),
        _ => "<span class=\"missing\">not measured</span>".to_owned(),
    }
}

fn one(html: &mut String, gate: &Gate) {
    let (class, mark, words) = match gate.status {
        GateStatus::Passed => ("passed", "\u{2713}", "Passed"),
        GateStatus::Missed => ("missed", "\u{2715}", "Missed"),
        GateStatus::NotMeasured => ("unknown", "?", "Not measured"),
    };
    let measured = gate
        .measured
        .map(|estimate| value(Some(estimate)))
        .unwrap_or_default();
    let advice = gate
        .advice
        .as_deref()
        .map(|advice| format!("<br><em>{}</em>", escape(advice)))
        .unwrap_or_default();
    let _ = write!(
        html,
        "<li class=\"{class}\"><span class=\"mark-gate\" aria-hidden=\"true\">{mark}</span><div><strong>{words}: {}</strong> \
         {} {measured}{advice}</div></li>",
        escape(&gate.name.replace('_', " ")),
        escape(&gate.rule),
    );
}
