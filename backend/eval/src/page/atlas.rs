//! The breaking-point atlas: steps by learning rate by family, both models in every square, as a table that is a figure.
//! Untested squares are hatched and say so.

use std::fmt::Write;

use shared::{
    language::Language,
    matrix::{AtlasCell, MatrixReport, Point},
    say,
};

use super::{
    markup::{Head, end_table, paragraph, section, table},
    text::{percent, rate, told},
};

pub(super) fn write(html: &mut String, language: Language, report: &MatrixReport) {
    section(html, "atlas", say!(language, "Breaking-point atlas"));
    paragraph(
        html,
        say!(
            language,
            "Share of pictures that show the subject after so many attack steps: the clean model above (\u{25cf}), the protected one below (\u{25a0}), over all identifiers and seeds of that square. A stronger colour is more; from one half on the figures are reversed. Where both are strong the protection is broken; where both are faint the attack itself failed. Each row leads to its tests."
        ),
    );
    legend(html, language);
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
        let title = title.map_or(family, |found| &found.title);
        panel(html, language, &told(language, title), &squares);
    }
    html.push_str("</div></section>");
}

fn legend(html: &mut String, language: Language) {
    let _ = write!(
        html,
        "<ul class=\"legend\" aria-hidden=\"true\"><li><i class=\"heat clean\" style=\"--f:28%\"></i>\
         <i class=\"heat clean high\" style=\"--f:92%\"></i> {}</li>\
         <li><i class=\"heat protected\" style=\"--f:28%\"></i><i class=\"heat protected high\" style=\"--f:92%\"></i> \
         {}</li><li><i class=\"hatched\"></i> {}</li></ul>",
        say!(language, "clean model, below and above one half"),
        say!(language, "protected model"),
        say!(language, "not tested"),
    );
}

fn panel(html: &mut String, language: Language, title: &str, squares: &[&AtlasCell]) {
    let mut steps: Vec<u32> = squares.iter().map(|square| square.attack_step).collect();
    steps.sort_unstable();
    steps.dedup();
    // What the eye sees of a column is its number alone.
    let spoken = |step: &u32| {
        let text = say!(
            language,
            "after {step} steps",
            step = format!("</span>{step}<span class=\"sr\">")
        );
        format!("<span class=\"sr\">{text}</span>")
    };
    let spoken: Vec<String> = steps.iter().map(spoken).collect();
    let mut columns = vec![say!(language, "Rate")];
    columns.extend(spoken.iter().map(String::as_str));
    let head = Head {
        class: "heatmap",
        caption: title,
        columns: &columns,
    };
    table(html, language, &head);
    for row in squares.chunk_by(|l, r| l.learning_rate.to_bits() == r.learning_rate.to_bits()) {
        let mut label = rate(language, row[0].learning_rate);
        if let Some(number) = row[0].cells.first() {
            label = format!("<a href=\"#cell-{number}\">{label}</a>");
        }
        let _ = write!(html, "<tr><th scope=\"row\">{label}</th>");
        for step in &steps {
            let found = row.iter().find(|square| square.attack_step == *step);
            square(html, language, found.and_then(|square| square.hit_rates));
        }
        html.push_str("</tr>");
    }
    end_table(html);
}

fn square(html: &mut String, language: Language, rates: Option<Point>) {
    let Some(rates) = rates else {
        let untested = say!(language, "not tested");
        let _ = write!(
            html,
            "<td class=\"hatched\"><span class=\"sr\">{untested}</span></td>"
        );
        return;
    };
    html.push_str("<td>");
    for (class, name, rate) in [
        ("clean", say!(language, "clean model"), rates.clean),
        (
            "protected",
            say!(language, "protected model"),
            rates.protected,
        ),
    ] {
        let high = if rate.value >= 0.5 { " high" } else { "" };
        let range = say!(
            language,
            "{name}: {low} to {high} %, n = {n}",
            name = name,
            low = format!("{:.0}", 100.0 * rate.low),
            high = format!("{:.0}", 100.0 * rate.high),
            n = rate.n
        );
        let _ = write!(
            html,
            "<span class=\"heat {class}{high}\" style=\"--f:{:.0}%\" title=\"{range}\"><span class=\"sr\">{name} </span>{}</span>",
            fill(rate.value),
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
