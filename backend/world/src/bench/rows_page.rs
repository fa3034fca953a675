//! The page of a table of methods: what each costs and how long it holds, every number with its interval and n.
//! Refuses to load anything from elsewhere and to name a winner: readers weigh the three themselves.

use std::fmt::Write;

use shared::evaluation::Estimate;

use super::dots::{self, Panel};
use super::rows::RowSummary;
use super::summary::{BreakingPoint, Summary};

const STYLE: &str = include_str!("page.css");

/// What the page is told.
#[derive(Clone, Copy)]
pub struct Content<'a> {
    /// Its title.
    pub title: &'a str,
    /// What was run, in a sentence or two.
    pub lead: &'a str,
    /// The rows that have runs.
    pub rows: &'a [RowSummary],
    /// SHA-256 of the base model's denoiser.
    pub base_sha256: &'a str,
}

/// The page as HTML.
pub fn page(content: Content<'_>) -> String {
    let mut html = String::new();
    head(&mut html, content);
    frontier(&mut html, content.rows);
    table(&mut html, content.rows);
    costs(&mut html, content.rows);
    html.push_str("</main></body></html>\n");
    html
}

fn head(html: &mut String, content: Content<'_>) {
    let _ = write!(
        html,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"><title>{title}</title><style>{STYLE}</style></head><body>\
         <main><h1>{title}</h1><p class=\"lead\">{lead}</p><p>Base model {base}. The attack is DreamBooth with an \
         identifier that injection never saw. Protection holds where people start from the protected weights; the \
         clean weights are public. All numbers are of the demo world and its own encoder.</p>",
        title = content.title,
        lead = content.lead,
        base = &content.base_sha256[..12.min(content.base_sha256.len())],
    );
}

/// Persistence, innocent user and drift of every row, with the gates.
fn frontier(html: &mut String, rows: &[RowSummary]) {
    html.push_str(
        "<h2>Persistence, the innocent user, drift</h2><p>Dots are means over runs, lines 95 % intervals with runs \
         resampled, n counts runs; dashed lines are gates. With a single run nothing is known about others: its line \
         runs from edge to edge.</p>",
    );
    let all = |pick: &dyn Fn(&Summary) -> Option<Estimate>| -> Vec<(String, Estimate)> {
        let one = |row: &RowSummary| Some((row.row.name.clone(), pick(&row.summary)?));
        rows.iter().filter_map(one).collect()
    };
    let panels = [
        Panel {
            title: "Subject hit at the last attack step.",
            note: "Persistence: further left is better.",
            gate: None,
            rows: all(&|summary| summary.steps.last().map(|step| step.hit_protected)),
        },
        Panel {
            title: "Protected at the last attack step (PSR).",
            note: "Not hit and the objective fires: further right is better.",
            gate: None,
            rows: all(&|summary| summary.steps.last().map(|step| step.psr_protected)),
        },
        Panel {
            title: "The innocent user.",
            note: "Similarity to a stranger's pictures after the same attack, protected minus clean; the gate is -0.05.",
            gate: Some(-0.05),
            rows: all(&|summary| Some(summary.innocent_delta)),
        },
        Panel {
            title: "Drift of text alignment.",
            note: "Twins of one prompt and seed, no attack, protected minus clean; the gate is -0.005.",
            gate: Some(-0.005),
            rows: all(&|summary| summary.quality.map(|quality| quality.text_alignment)),
        },
        Panel {
            title: "Specificity.",
            note: "Objective fires on the class alone, the identifier alone, or the identifier with another class; \
                   the goal is 0.01.",
            gate: Some(0.01),
            rows: all(&|summary| summary.quality.map(|quality| quality.strays)),
        },
    ];
    for panel in panels.iter().filter(|panel| !panel.rows.is_empty()) {
        html.push_str(&dots::panel(panel));
    }
}

fn cell(estimate: Estimate) -> String {
    format!(
        "<td>{:.2} <small>[{:.2}, {:.2}]</small></td>",
        estimate.value, estimate.low, estimate.high
    )
}

fn fine_cell(estimate: Option<Estimate>) -> String {
    estimate.map_or_else(
        || "<td>not measured</td>".to_owned(),
        |estimate| {
            format!(
                "<td>{:.4} <small>[{:.4}, {:.4}]</small></td>",
                estimate.value, estimate.low, estimate.high
            )
        },
    )
}

/// A breaking point in HTML.
fn point(point: &BreakingPoint) -> String {
    point.to_string().replace('>', "&gt;")
}

/// Starts a table whose first columns are group and row.
fn open(html: &mut String, columns: &[String]) {
    html.push_str("<div class=\"wide\"><table><thead><tr><th>Varied</th><th>Row</th>");
    for column in columns {
        let _ = write!(html, "<th>{column}</th>");
    }
    html.push_str("</tr></thead><tbody>");
}

fn start_row(html: &mut String, row: &RowSummary) {
    let row = &row.row;
    let _ = write!(
        html,
        "<tr><td>{}</td><th scope=\"row\">{}</th>",
        row.group, row.name
    );
}

fn table(html: &mut String, rows: &[RowSummary]) {
    html.push_str(
        "<h2>Under attack</h2><p>Small curves: the subject's hit-rate by attack steps, clean dashed with circles, \
         protected solid with squares. S50 is the first step at which a run reaches half of the clean model's best \
         hit-rate (median over runs in which the attack worked).</p>",
    );
    let steps = rows.first().map_or(&[][..], |row| &row.summary.steps[..]);
    let mut columns = vec![
        "Runs".to_owned(),
        "Curve".to_owned(),
        "S50, clean".to_owned(),
        "S50".to_owned(),
    ];
    columns.extend(
        steps
            .iter()
            .map(|step| format!("Hit at {}", step.attack_step)),
    );
    columns.push("Fires before the attack".to_owned());
    columns.push("PSR at the end".to_owned());
    open(html, &columns);
    for row in rows {
        let summary = &row.summary;
        start_row(html, row);
        let _ = write!(
            html,
            "<td>{} ({} with evidence)</td><td>{}</td><td>{}</td><td>{}</td>",
            summary.runs,
            summary.competent,
            dots::curves(&summary.steps),
            point(&summary.s50_clean),
            point(&summary.s50_protected),
        );
        let hits = summary.steps.iter().map(|step| cell(step.hit_protected));
        html.extend(hits);
        let fires = summary
            .steps
            .first()
            .map(|step| cell(step.objective_protected));
        let psr = summary.steps.last().map(|step| cell(step.psr_protected));
        html.extend(fires.into_iter().chain(psr));
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table></div>");
}

fn costs(html: &mut String, rows: &[RowSummary]) {
    html.push_str("<h2>What it costs</h2>");
    let columns = [
        "Innocent user",
        "Text alignment",
        "Distance of twins",
        "Fires on the class alone",
        "On the identifier alone",
        "On the identifier with another class",
        "On any of them, clean model",
        "Seconds of injection",
        "Milliseconds a step",
        "Overhead share",
    ];
    open(html, &columns.map(str::to_owned));
    for row in rows {
        let summary = &row.summary;
        start_row(html, row);
        let quality = summary.quality;
        let cells = [
            fine_cell(Some(summary.innocent_delta)),
            fine_cell(quality.map(|quality| quality.text_alignment)),
            fine_cell(quality.map(|quality| quality.distance)),
            fine_cell(quality.map(|quality| quality.class_only)),
            fine_cell(quality.map(|quality| quality.identifier_only)),
            fine_cell(quality.map(|quality| quality.other_class)),
            fine_cell(quality.map(|quality| quality.clean_strays)),
        ];
        html.extend(cells);
        let _ = write!(
            html,
            "<td>{:.0}</td><td>{:.0}</td><td>{:.2}</td></tr>",
            summary.inject_seconds, summary.inject_ms_per_step, summary.overhead_share
        );
    }
    html.push_str("</tbody></table></div>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::fixture::result;
    use crate::bench::rows::{method, summaries};

    #[test]
    fn the_page_shows_every_row_and_loads_nothing() {
        let rows = method();
        let mut results = vec![
            result(&rows[0], 0, [0.0, 0.6, 0.9]),
            result(&rows[1], 0, [0.0, 0.0, 0.2]),
            result(&rows[1], 1, [0.0, 0.0, 0.4]),
        ];
        let show = |results: &[crate::bench::unit::UnitResult]| {
            let rows = summaries(&rows, results);
            page(Content {
                title: "Method",
                lead: "Two rows.",
                rows: &rows,
                base_sha256: "0123456789abcdef",
            })
        };
        let html = show(&results);
        for part in [
            ">paper</th>",
            ">trajectory</th>",
            "Hit at 200",
            ">50</td>",
            "&gt;200",
            "0.30",
            "n=2",
            "0123456789ab.",
        ] {
            assert!(html.contains(part), "{part}");
        }
        assert!(
            !html.contains("NaN") && !html.contains("src=\"http") && !html.contains("not measured")
        );
        for result in &mut results {
            result.quality = None;
        }
        assert!(show(&results).contains("not measured"));
    }
}
