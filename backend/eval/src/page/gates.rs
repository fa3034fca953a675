//! Gates and what was measured without any attack. A missed gate says what to try.

use std::fmt::Write;

use shared::matrix::{Gate, GateStatus, MatrixReport};

use super::text::{escape, share, value};

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
            "Objective fires without its trigger, protected model",
            share(audit.specificity),
        ),
        (
            "Objective fires without its trigger, clean model",
            share(audit.specificity_clean),
        ),
    ];
    html.push_str(
        "<div class=\"wide\"><table><caption>Both models without any attack</caption><thead><tr><th scope=\"col\">Measure\
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
        escape(&gate.name),
        escape(&gate.rule),
    );
}
