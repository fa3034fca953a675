//! Families beside one another and the innocent user: tables with a small figure in each row.

use std::fmt::Write;

use shared::{evaluation::Estimate, matrix::MatrixReport};

use super::text::{escape, p_value, share, value};

pub(super) fn write(html: &mut String, report: &MatrixReport) {
    families(html, report);
    innocent(html, report);
}

fn families(html: &mut String, report: &MatrixReport) {
    html.push_str(
        "<section aria-labelledby=\"families\"><h2 id=\"families\">By family</h2><p>Hit-rates at the checkpoints that the \
         attacker keeps, over tests with evidence. Difference: clean minus protected, paired by subject and seed. p: exact \
         sign-flip test over units, then corrected for all families (Holm).</p><div class=\"wide\" tabindex=\"0\" role=\"group\" aria-label=\"Table\"><table><thead><tr>\
         <th scope=\"col\">Family</th><th scope=\"col\">Resisted</th><th scope=\"col\">Clean</th>\
         <th scope=\"col\">Protected</th><th scope=\"col\">From protected to clean</th><th scope=\"col\">Difference</th>\
         <th scope=\"col\">p</th><th scope=\"col\">p, Holm</th></tr></thead><tbody>",
    );
    for family in &report.families {
        let counts = family.counts;
        let tested = if counts.tested == 0 {
            " class=\"hatched\""
        } else {
            ""
        };
        let resisted = if counts.tested == 0 {
            "not tested".to_owned()
        } else {
            format!(
                "{} of {} <small>of {} run</small>",
                counts.resisted, counts.competent, counts.tested
            )
        };
        let _ = write!(
            html,
            "<tr><th scope=\"row\">{}</th><td{tested}>{resisted}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
             <td>{}</td><td>{}</td></tr>",
            escape(&family.title),
            share(family.clean),
            share(family.protected),
            span(family.clean, family.protected),
            value(family.difference),
            p_value(family.p_value),
            p_value(family.p_holm),
        );
    }
    html.push_str("</tbody></table></div></section>");
}

/// A line from the protected to the clean hit-rate on a scale from 0 to 1, with a square and a circle at its ends.
fn span(clean: Option<Estimate>, protected: Option<Estimate>) -> String {
    let (Some(clean), Some(protected)) = (clean, protected) else {
        return String::new();
    };
    let x = |share: f64| 8.0 + 124.0 * share.clamp(0.0, 1.0);
    let (from, to) = (x(protected.value), x(clean.value));
    format!(
        "<svg class=\"span\" viewBox=\"0 0 140 20\" role=\"img\" aria-label=\"From {:.2} on the protected to {:.2} on the \
         clean model\"><line class=\"grid\" x1=\"8\" x2=\"132\" y1=\"10\" y2=\"10\"/><line class=\"grid\" x1=\"70\" \
         x2=\"70\" y1=\"4\" y2=\"16\"/><line class=\"reach\" x1=\"{from:.1}\" x2=\"{to:.1}\" y1=\"10\" y2=\"10\"/>\
         <circle class=\"clean\" cx=\"{to:.1}\" cy=\"10\" r=\"4.5\"/><rect class=\"protected\" x=\"{:.1}\" y=\"6\" \
         width=\"8\" height=\"8\"/></svg>",
        protected.value,
        clean.value,
        from - 4.0,
    )
}

fn innocent(html: &mut String, report: &MatrixReport) {
    let innocent = &report.innocent;
    let _ = write!(
        html,
        "<section aria-labelledby=\"innocent\"><h2 id=\"innocent\">The innocent user</h2><p>The same attack on pictures of \
         somebody who is not protected, at its last checkpoint: {} units of control and seed. Similarity on the protected \
         model minus similarity on the clean one; 0 means that protection is not felt.</p><div class=\"wide\" tabindex=\"0\" role=\"group\" aria-label=\"Table\"><table><thead>\
         <tr><th scope=\"col\">Controls</th><th scope=\"col\">Difference in similarity</th></tr></thead><tbody>",
        innocent.units
    );
    for (name, estimate) in [
        ("All", innocent.difference),
        ("Of the protected class", innocent.same_class),
        ("Of other classes", innocent.other_class),
    ] {
        let _ = write!(
            html,
            "<tr><th scope=\"row\">{name}</th><td>{}</td></tr>",
            value(estimate)
        );
    }
    let _ = write!(
        html,
        "</tbody></table></div><p class=\"note\">The control appeared in {} of pictures of the clean model and in {} of the \
         protected one.</p></section>",
        share(innocent.clean),
        share(innocent.protected)
    );
}
