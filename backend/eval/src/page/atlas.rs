//! The breaking-point atlas: steps by learning rate by family, both models in every square, as a table that is a figure.
//! Untested squares are hatched and say so.

use std::fmt::Write;

use shared::matrix::{AtlasCell, MatrixReport, Point};

use super::text::{escape, percent, rate};

pub(super) fn write(html: &mut String, report: &MatrixReport) {
    html.push_str(
        "<section aria-labelledby=\"atlas\"><h2 id=\"atlas\">Breaking-point atlas</h2><p>Share of pictures that show the \
         subject after so many attack steps: the clean model above (\u{25cf}), the protected one below (\u{25a0}), over all \
         identifiers and seeds of that square. A stronger colour is more; from one half on the \
         figures are reversed. Where both are strong the protection is broken; where both are faint the attack itself failed. Each row leads to its tests.</p>\
         <ul class=\"legend\" aria-hidden=\"true\"><li><i class=\"heat clean\" style=\"--f:28%\"></i>\
         <i class=\"heat clean high\" style=\"--f:92%\"></i> clean model, below and above one half</li>\
         <li><i class=\"heat protected\" style=\"--f:28%\"></i><i class=\"heat protected high\" style=\"--f:92%\"></i> \
         protected model</li><li><i class=\"hatched\"></i> not tested</li></ul>",
    );
    let mut families: Vec<&str> = Vec::new();
    for square in &report.atlas {
        if !families.contains(&square.family.as_str()) {
            families.push(&square.family);
        }
    }
    html.push_str("<div class=\"atlas\">");
    for family in families {
        let squares: Vec<&AtlasCell> = report
            .atlas
            .iter()
            .filter(|square| square.family == family)
            .collect();
        let title = report.families.iter().find(|found| found.family == family);
        panel(html, title.map_or(family, |found| &found.title), &squares);
    }
    html.push_str("</div></section>");
}

fn panel(html: &mut String, title: &str, squares: &[&AtlasCell]) {
    let mut steps: Vec<u32> = squares.iter().map(|square| square.attack_step).collect();
    steps.sort_unstable();
    steps.dedup();
    let _ = write!(
        html,
        "<div class=\"wide\" tabindex=\"0\" role=\"group\" aria-label=\"Table\"><table class=\"heatmap\"><caption>{}</caption><thead><tr><th scope=\"col\">Rate</th>",
        escape(title)
    );
    for step in &steps {
        let _ = write!(
            html,
            "<th scope=\"col\"><span class=\"sr\">after </span>{step}<span class=\"sr\"> steps</span></th>"
        );
    }
    html.push_str("</tr></thead><tbody>");
    for row in squares.chunk_by(|l, r| l.learning_rate.to_bits() == r.learning_rate.to_bits()) {
        let label = rate(row[0].learning_rate);
        match row[0].cells.first() {
            Some(number) => {
                let _ = write!(
                    html,
                    "<tr><th scope=\"row\"><a href=\"#cell-{number}\">{label}</a></th>"
                );
            }
            None => {
                let _ = write!(html, "<tr><th scope=\"row\">{label}</th>");
            }
        }
        for step in &steps {
            square(
                html,
                row.iter()
                    .find(|square| square.attack_step == *step)
                    .and_then(|square| square.hit_rates),
            );
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table></div>");
}

fn square(html: &mut String, rates: Option<Point>) {
    let Some(rates) = rates else {
        html.push_str("<td class=\"hatched\"><span class=\"sr\">not tested</span></td>");
        return;
    };
    html.push_str("<td>");
    for (class, name, rate) in [
        ("clean", "clean", rates.clean),
        ("protected", "protected", rates.protected),
    ] {
        let high = if rate.value >= 0.5 { " high" } else { "" };
        let _ = write!(
            html,
            "<span class=\"heat {class}{high}\" style=\"--f:{:.0}%\" title=\"{name}: {:.0} to {:.0} %, n = {}\">\
             <span class=\"sr\">{name} </span>{}</span>",
            fill(rate.value),
            100.0 * rate.low,
            100.0 * rate.high,
            rate.n,
            percent(rate.value),
        );
    }
    html.push_str("</td>");
}

/// Strength of the colour: a jump at one half, so that text keeps its contrast on either side.
fn fill(share: f64) -> f64 {
    if share < 0.5 {
        80.0 * share
    } else {
        80.0 + 40.0 * (share - 0.5)
    }
}
