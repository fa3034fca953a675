//! What sections are made of: headings, tables that scroll on small screens, rows. Texts come escaped.

use std::fmt::Write;

use shared::{language::Language, say};

/// Begins a section with its heading, which leads to it.
pub(super) fn section(html: &mut String, id: &str, title: &str) {
    let _ = write!(
        html,
        "<section aria-labelledby=\"{id}\"><h2 id=\"{id}\">{title}</h2>"
    );
}

/// A paragraph.
pub(super) fn paragraph(html: &mut String, text: &str) {
    let _ = write!(html, "<p>{text}</p>");
}

/// A paragraph of less weight.
pub(super) fn note(html: &mut String, text: &str) {
    let _ = write!(html, "<p class=\"note\">{text}</p>");
}

/// What stands before a table's rows.
#[derive(Default)]
pub(super) struct Head<'a> {
    /// Class of its style.
    pub(super) class: &'a str,
    pub(super) caption: &'a str,
    pub(super) columns: &'a [&'a str],
}

/// Begins a table.
pub(super) fn table(html: &mut String, language: Language, head: &Head<'_>) {
    let _ = write!(
        html,
        "<div class=\"wide\" tabindex=\"0\" role=\"group\" aria-label=\"{}\"><table",
        say!(language, "Table")
    );
    if !head.class.is_empty() {
        let _ = write!(html, " class=\"{}\"", head.class);
    }
    html.push('>');
    if !head.caption.is_empty() {
        let _ = write!(html, "<caption>{}</caption>", head.caption);
    }
    html.push_str("<thead><tr>");
    for column in head.columns {
        let _ = write!(html, "<th scope=\"col\">{column}</th>");
    }
    html.push_str("</tr></thead><tbody>");
}

/// A row: its name, then its cells.
pub(super) fn row<'a>(html: &mut String, name: &str, cells: impl IntoIterator<Item = &'a str>) {
    let _ = write!(html, "<tr><th scope=\"row\">{name}</th>");
    for cell in cells {
        let _ = write!(html, "<td>{cell}</td>");
    }
    html.push_str("</tr>");
}

/// Ends a table.
pub(super) fn end_table(html: &mut String) {
    html.push_str("</tbody></table></div>");
}
