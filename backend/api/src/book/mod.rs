//! The handbook at `/docs`: the chapters of an mdBook, inside of the program.
//!
//! Drawn here and not by mdBook, whose pages need scripts inside of themselves: this server's policy allows none. The
//! chapters are what `backend/api/book` holds, in the order of its `SUMMARY.md`.

use std::{collections::BTreeMap, sync::LazyLock};

use maud::{DOCTYPE, Markup, PreEscaped, html};

mod chapter;
mod search;

use chapter::Chapter;

use crate::style;

const STYLE: &str = include_str!("book.css");
const SUMMARY: &str = include_str!("../../book/src/SUMMARY.md");
/// The page without a name.
const FIRST: &str = "introduction";

macro_rules! sources {
    ($($name:literal,)*) => {
        &[$(($name, include_str!(concat!("../../book/src/", $name, ".md"))),)*]
    };
}

const SOURCES: &[(&str, &str)] = sources![
    "introduction",
    "quick-start",
    "concepts",
    "stable-diffusion",
    "api",
    "operations",
    "configuration",
    "architecture",
    "method",
    "evaluation",
    "faq",
];

static CHAPTERS: LazyLock<Vec<Chapter>> = LazyLock::new(|| {
    let texts: BTreeMap<&str, &str> = SOURCES.iter().copied().collect();
    let listed = chapter::listed(SUMMARY);
    listed
        .filter_map(|(title, name)| Some(Chapter::new(name, title, texts.get(name)?)))
        .collect()
});

/// What a page may do: be read, be searched, and look as its style says.
pub(crate) static POLICY: LazyLock<String> = LazyLock::new(|| {
    let style = style::source(STYLE);
    format!(
        "default-src 'none'; style-src {style}; img-src 'self'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    )
});

/// The page of a chapter; the first one without a name.
pub(crate) fn page(name: Option<&str>) -> Option<String> {
    let name = name.unwrap_or(FIRST);
    let position = CHAPTERS.iter().position(|chapter| chapter.name == name)?;
    let chapter = &CHAPTERS[position];
    let before = position.checked_sub(1).and_then(|at| CHAPTERS.get(at));
    let body = html! {
        (PreEscaped(&chapter.html))
        nav.turn aria-label="Chapters before and after" {
            @if let Some(before) = before { a rel="prev" href=(before.url()) { "← " (before.title) } }
            @if let Some(after) = CHAPTERS.get(position + 1) { a.next rel="next" href=(after.url()) { (after.title) " →" } }
        }
    };
    Some(frame(&chapter.title, Some(chapter), "", &body))
}

/// The sections that hold every word of a question.
pub(crate) fn found(question: &str) -> String {
    let hits = search::find(&CHAPTERS, question);
    let body = html! {
        h1 { "Search" }
        p role="status" {
            @match hits.len() {
                0 => { "Nothing holds all of these words." }
                1 => { "One section holds all of these words." }
                count => { (count) " sections hold all of these words." }
            }
        }
        ul {
            @for hit in &hits { li { a href=(hit.url) { (hit.chapter) ": " (hit.title) } p.soft { (hit.excerpt) } } }
        }
    };
    frame("Search", None, question, &body)
}

fn frame(title: &str, current: Option<&Chapter>, question: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " - PersGuard" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#text" { "Skip to the text" }
                header {
                    a.brand href="/" { "PersGuard" }
                    form role="search" action="/docs" {
                        label for="q" { "Search the handbook" }
                        input id="q" name="q" type="search" maxlength="100" value=(question);
                        button type="submit" { "Search" }
                    }
                }
                div.columns {
                    nav.chapters aria-label="Chapters" {
                        ol {
                            @for chapter in CHAPTERS.iter() {
                                @let here = current.is_some_and(|current| current.name == chapter.name);
                                li { a href=(chapter.url()) aria-current=[here.then_some("page")] { (chapter.title) } }
                            }
                        }
                    }
                    main id="text" tabindex="-1" { (body) }
                }
            }
        }
    };
    page.into_string()
}

#[cfg(test)]
mod tests;
