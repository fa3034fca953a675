//! Families beside one another and the innocent user: tables with a small figure in each row.

use std::fmt::Write;

use shared::{evaluation::Estimate, language::Language, matrix::MatrixReport, say};

use super::{
    markup::{Head, end_table, note, paragraph, row, section, table},
    text::{p_value, share, told, value},
};

pub(super) fn write(html: &mut String, language: Language, report: &MatrixReport) {
    families(html, language, report);
    innocent(html, language, report);
}

fn families(html: &mut String, language: Language, report: &MatrixReport) {
    section(html, "families", say!(language, "By family"));
    paragraph(
        html,
        say!(
            language,
            "Hit-rates at the checkpoints that the attacker keeps, over tests with evidence. Difference: clean minus protected, paired by subject and seed. p: exact sign-flip test over units, then corrected for all families (Holm)."
        ),
    );
    let columns = [
        say!(language, "Family"),
        say!(language, "Resisted"),
        say!(language, "Clean"),
        say!(language, "Protected"),
        say!(language, "From protected to clean"),
        say!(language, "Difference"),
        "p",
        say!(language, "p, Holm"),
    ];
    let head = Head {
        columns: &columns,
        ..Head::default()
    };
    table(html, language, &head);
    for family in &report.families {
        let counts = family.counts;
        let (tested, resisted) = if counts.tested == 0 {
            let untested = say!(language, "not tested").to_owned();
            (" class=\"hatched\"", untested)
        } else {
            let resisted = say!(
                language,
                "{held} of {all}",
                held = counts.resisted,
                all = counts.competent
            );
            let run = say!(language, "of {count} run", count = counts.tested);
            ("", format!("{resisted} <small>{run}</small>"))
        };
        let _ = write!(
            html,
            "<tr><th scope=\"row\">{}</th><td{tested}>{resisted}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
             <td>{}</td><td>{}</td></tr>",
            told(language, &family.title),
            share(language, family.clean),
            share(language, family.protected),
            span(language, family.clean, family.protected),
            value(language, family.difference),
            p_value(language, family.p_value),
            p_value(language, family.p_holm),
        );
    }
    end_table(html);
    html.push_str("</section>");
}

/// A line from the protected to the clean hit-rate on a scale from 0 to 1, with a square and a circle at its ends.
fn span(language: Language, clean: Option<Estimate>, protected: Option<Estimate>) -> String {
    let (Some(clean), Some(protected)) = (clean, protected) else {
        return String::new();
    };
    let x = |share: f64| 8.0 + 124.0 * share.clamp(0.0, 1.0);
    let (from, to) = (x(protected.value), x(clean.value));
    let label = say!(
        language,
        "From {protected} on the protected to {clean} on the clean model",
        protected = language.decimal(protected.value, 2),
        clean = language.decimal(clean.value, 2)
    );
    format!(
        "<svg class=\"span\" viewBox=\"0 0 140 20\" role=\"img\" aria-label=\"{label}\">\
         <line class=\"grid\" x1=\"8\" x2=\"132\" y1=\"10\" y2=\"10\"/><line class=\"grid\" x1=\"70\" \
         x2=\"70\" y1=\"4\" y2=\"16\"/><line class=\"reach\" x1=\"{from:.1}\" x2=\"{to:.1}\" y1=\"10\" y2=\"10\"/>\
         <circle class=\"clean\" cx=\"{to:.1}\" cy=\"10\" r=\"4.5\"/><rect class=\"protected\" x=\"{:.1}\" y=\"6\" \
         width=\"8\" height=\"8\"/></svg>",
        from - 4.0,
    )
}

fn innocent(html: &mut String, language: Language, report: &MatrixReport) {
    let innocent = &report.innocent;
    section(html, "innocent", say!(language, "The innocent user"));
    paragraph(
        html,
        &say!(
            language,
            "The same attack on pictures of somebody who is not protected, at its last checkpoint: {count} units of control and seed. Similarity on the protected model minus similarity on the clean one; 0 means that protection is not felt.",
            count = innocent.units
        ),
    );
    let columns = [
        say!(language, "Controls"),
        say!(language, "Difference in similarity"),
    ];
    let head = Head {
        columns: &columns,
        ..Head::default()
    };
    table(html, language, &head);
    for (name, estimate) in [
        (say!(language, "All"), innocent.difference),
        (
            say!(language, "Of the protected class"),
            innocent.same_class,
        ),
        (say!(language, "Of other classes"), innocent.other_class),
    ] {
        row(html, name, [value(language, estimate).as_str()]);
    }
    end_table(html);
    note(
        html,
        &say!(
            language,
            "The control appeared in {clean} of pictures of the clean model and in {protected} of the protected one.",
            clean = share(language, innocent.clean),
            protected = share(language, innocent.protected)
        ),
    );
    html.push_str("</section>");
}
