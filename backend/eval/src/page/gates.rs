//! Gates and what was measured without any attack. A missed gate says what to try.

use std::fmt::Write;

use shared::{
    language::Language,
    matrix::{Audit, Gate, GateStatus, MatrixReport},
    say,
};

use super::{
    markup::{Head, end_table, paragraph, row, section, table},
    text::{absent, count, escape, missing, p_value, share, told, value},
};

pub(super) fn write(html: &mut String, language: Language, report: &MatrixReport) {
    section(html, "gates", say!(language, "Gates"));
    paragraph(
        html,
        say!(
            language,
            "They set the grade and hide nothing: every number is on this page, passed or not."
        ),
    );
    html.push_str("<ul class=\"gates\">");
    report
        .gates
        .iter()
        .for_each(|gate| one(html, language, gate));
    html.push_str("</ul>");
    audited(html, language, &report.audit);
    html.push_str("</section>");
}

fn audited(html: &mut String, language: Language, audit: &Audit) {
    let rows = [
        (
            say!(language, "Text alignment of twins, protected minus clean"),
            value(language, audit.text_alignment),
        ),
        (
            say!(language, "Cosine distance of twins"),
            value(language, audit.distance),
        ),
        (
            say!(
                language,
                "Objective fires without its trigger, worst kind of prompt"
            ),
            share(language, audit.specificity),
        ),
        (
            say!(language, "Objective fires without its trigger, all kinds"),
            share(language, audit.specificity_overall),
        ),
        (say!(language, "Leak audit"), leak(language, audit)),
        (
            say!(
                language,
                "FID and KID to real pictures, clean and protected"
            ),
            distances(language, audit),
        ),
    ];
    let head = Head {
        caption: say!(language, "Both models without any attack"),
        columns: &[say!(language, "Measure"), say!(language, "Value")],
        ..Head::default()
    };
    table(html, language, &head);
    for (name, text) in rows {
        row(html, name, [text.as_str()]);
    }
    end_table(html);
}

fn distances(language: Language, audit: &Audit) -> String {
    let Some(found) = &audit.features else {
        return absent(say!(language, "not measured: no feature net was supplied"));
    };
    let values = say!(
        language,
        "FID {clean_fid} and {protected_fid}, KID {clean_kid} and {protected_kid}",
        clean_fid = language.decimal(found.clean_fid, 2),
        protected_fid = language.decimal(found.protected_fid, 2),
        clean_kid = language.decimal(found.clean_kid, 4),
        protected_kid = language.decimal(found.protected_kid, 4)
    );
    let net = escape(&found.net);
    format!("{values} <small>{net}, {}</small>", count(found.pictures))
}

fn leak(language: Language, audit: &Audit) -> String {
    let (Some(copies), Some(p)) = (audit.leaked, audit.leak_p_value) else {
        return missing(language);
    };
    let p = p_value(language, p);
    let told = if copies == 0 {
        say!(language, "passed, p = {p}", p = p)
    } else {
        say!(language, "failed, p = {p}", p = p)
    };
    format!("{told} <small>{}</small>", count(audit.leak_pictures))
}

/// What a gate is called.
fn name(language: Language, gate: &Gate) -> String {
    let known = match gate.name.as_str() {
        "primary_cell" => say!(language, "primary cell"),
        "innocent_user" => say!(language, "innocent user"),
        "text_alignment" => say!(language, "text alignment"),
        "frechet" => say!(language, "frechet"),
        "specificity" => say!(language, "specificity"),
        "capacity" => say!(language, "capacity"),
        "face_identity" => say!(language, "face identity"),
        "leak" => say!(language, "leak"),
        other => return told(language, &other.replace('_', " ")),
    };
    known.to_owned()
}

fn one(html: &mut String, language: Language, gate: &Gate) {
    let (class, mark, words) = match gate.status {
        GateStatus::Passed => ("passed", "\u{2713}", say!(language, "Passed")),
        GateStatus::Missed => ("missed", "\u{2715}", say!(language, "Missed")),
        GateStatus::NotMeasured => ("unknown", "?", say!(language, "Not measured")),
    };
    let measured = gate
        .measured
        .map(|estimate| value(language, Some(estimate)))
        .unwrap_or_default();
    let advice = gate
        .advice
        .as_deref()
        .map(|advice| format!("<br><em>{}</em>", told(language, advice)))
        .unwrap_or_default();
    let _ = write!(
        html,
        "<li class=\"{class}\"><span class=\"mark-gate\" aria-hidden=\"true\">{mark}</span><div><strong>{words}: {}</strong> \
         {} {measured}{advice}</div></li>",
        name(language, gate),
        told(language, &gate.rule),
    );
}
