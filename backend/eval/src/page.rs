//! The report as one HTML file: works from a disk without any network, prints well, reads well aloud and in grey.
//!
//! Owns markup, style and figures. Refuses scripts, links to elsewhere, meaning by colour alone, more bytes of
//! pictures than its limit, and texts that no catalogue knows: it is drawn once for each language.

use std::fmt::Write;

use shared::{
    Timestamp,
    evaluation::Grade,
    language::Language,
    matrix::{CellResult, MatrixReport},
    say,
};

use crate::matrix::AttentionPicture;

pub mod chart;

mod atlas;
mod breaking;
mod cells;
mod facts;
mod families;
mod gates;
mod lead;
mod markup;
mod pictures;
mod removal;
mod text;

#[cfg(test)]
mod tests;

pub use pictures::LIMIT_BYTES;

use pictures::Album;
use text::escape;

const STYLE: &str = include_str!("page/style.css");

/// Finds a picture of a cell by its name, such as `clean/200/00.png`.
pub type FindPicture<'a> = &'a dyn Fn(&CellResult, &str) -> Option<Vec<u8>>;

/// Everything the page shows.
#[derive(Clone, Copy)]
pub struct Content<'a> {
    /// What its reader reads.
    pub language: Language,
    /// The numbers.
    pub report: &'a MatrixReport,
    /// What is judged, for people, in English.
    pub title: &'a str,
    /// When.
    pub issued_at: Timestamp,
    /// File name of the certificate beside the page, if there is one.
    pub certificate: Option<&'a str>,
    /// Ways around that are known.
    pub known_bypasses: &'a [String],
    /// Pictures of the cells.
    pub picture: FindPicture<'a>,
    /// References of a subject, by its position; none where the page must not show them.
    pub references: &'a dyn Fn(u32) -> Vec<Vec<u8>>,
    /// Where the trigger's words look, of both models.
    pub attention: &'a [AttentionPicture],
}

/// The page.
pub fn page(content: &Content<'_>) -> String {
    let language = content.language;
    let mut album = Album::new(language);
    let mut body = String::new();
    lead::write(&mut body, content, &mut album);
    atlas::write(&mut body, language, content.report);
    breaking::write(&mut body, language, content.report);
    families::write(&mut body, language, content.report);
    gates::write(&mut body, language, content.report);
    removal::write(&mut body, content, &mut album);
    cells::write(&mut body, content, &mut album);
    facts::write(&mut body, content);
    let mut html = String::new();
    let title = escape(&language.reply(content.title));
    let skip = say!(language, "Skip to the verdict");
    let (tag, direction) = (language.tag(), language.direction());
    let _ = write!(
        html,
        "<!doctype html>\n<html lang=\"{tag}\" dir=\"{direction}\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"><link rel=\"icon\" href=\"data:,\"><meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\"><title>{title}</title><style>{STYLE}\
         </style></head><body><a class=\"skip\" href=\"#verdict\">{skip}</a><main>{body}</main></body></html>\n"
    );
    html
}

/// A grade as people read it, with a mark that needs no colour.
fn grade_words(language: Language, grade: Grade) -> (&'static str, &'static str) {
    match grade {
        Grade::Resisted => ("\u{25a0}", say!(language, "Resisted")),
        Grade::Weakened => ("\u{25e7}", say!(language, "Weakened")),
        Grade::NotResisted => ("\u{25a1}", say!(language, "Not resisted")),
        Grade::NoEvidence => ("\u{2013}", say!(language, "No evidence")),
    }
}

fn badge(language: Language, grade: Grade) -> String {
    let (mark, words) = grade_words(language, grade);
    format!(
        "<span class=\"badge {}\"><span aria-hidden=\"true\">{mark}</span> {words}</span>",
        grade.as_str()
    )
}
