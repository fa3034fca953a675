use std::{collections::BTreeSet, fs, path::Path};

use super::*;

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("book/src")
}

#[test]
fn summary_lists_every_chapter_that_there_is() {
    let listed: Vec<&str> = chapter::listed(SUMMARY).map(|(_, name)| name).collect();
    let embedded: Vec<&str> = SOURCES.iter().map(|(name, _)| *name).collect();
    assert_eq!(listed, embedded);
    let files: BTreeSet<String> = fs::read_dir(folder())
        .expect("the book")
        .map(|entry| {
            entry
                .expect("a file")
                .file_name()
                .into_string()
                .expect("text")
        })
        .filter(|name| name != "SUMMARY.md")
        .collect();
    let expected: BTreeSet<String> = listed.iter().map(|name| format!("{name}.md")).collect();
    assert_eq!(files, expected);
    assert_eq!(CHAPTERS.len(), listed.len());
}

#[test]
fn every_link_inside_the_book_leads_to_a_heading() {
    let mut targets = BTreeSet::new();
    for chapter in CHAPTERS.iter() {
        targets.insert(chapter.url());
        for section in &chapter.sections {
            let fresh = targets.insert(format!("{}#{}", chapter.url(), section.anchor));
            assert!(
                fresh,
                "{}: two headings are `{}`",
                chapter.name, section.title
            );
        }
    }
    for (name, text) in SOURCES {
        for link in chapter::links(text) {
            if link.starts_with("https://") || link.starts_with("/demo/") || link == "/openapi.json"
            {
                continue;
            }
            let link = match link.strip_prefix('#') {
                Some(anchor) => chapter::address(&format!("{name}.md#{anchor}")),
                None => chapter::address(&link),
            };
            assert!(targets.contains(&link), "{name}: {link} leads nowhere");
        }
    }
}

#[test]
fn words_are_found_where_they_stand() {
    let page = found("erasure");
    assert!(page.contains("/docs/concepts#"), "{page}");
    assert!(found("xyzzy").contains("Nothing holds all of these words."));
    let asked = found("\"><script>alert(1)</script>");
    assert!(!asked.contains("<script"), "{asked}");
    assert!(found("").contains("Nothing"));
    assert!(found("İ ﬀ ß").contains("Nothing"));
}

#[test]
fn pages_hold_no_script_and_one_style() {
    for (name, _) in SOURCES {
        let page = page(Some(name)).expect("a page");
        assert!(!page.contains("<script"), "{name}");
        assert!(!page.contains("style="), "{name}: the policy allows none");
        assert_eq!(page.matches("<h1").count(), 1, "{name}");
    }
    assert!(page(Some("nowhere")).is_none());
    assert!(page(Some("SUMMARY")).is_none());
}
