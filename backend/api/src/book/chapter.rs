//! One chapter: its Markdown as HTML, with an anchor at every heading and links to other chapters.

use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

use super::FIRST;

/// A chapter that can be shown.
pub(super) struct Chapter {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) html: String,
    pub(super) sections: Vec<Section>,
}

/// What stands below a heading.
pub(super) struct Section {
    pub(super) title: String,
    pub(super) anchor: String,
    pub(super) text: String,
}

impl Chapter {
    pub(super) fn new(name: &str, title: &str, markdown: &str) -> Self {
        let mut events: Vec<Event<'_>> = Parser::new_ext(markdown, Options::ENABLE_TABLES)
            // Chapters are text: HTML in them, such as a mark for a test, is left out.
            .filter(|event| !matches!(event, Event::Html(_) | Event::InlineHtml(_)))
            .collect();
        let sections = sections(&mut events);
        for event in &mut events {
            if let Event::Start(Tag::Link { dest_url, .. }) = event {
                *dest_url = CowStr::from(address(dest_url));
            }
        }
        let mut text = String::new();
        html::push_html(&mut text, events.into_iter());
        Self {
            name: name.to_owned(),
            title: title.to_owned(),
            html: text,
            sections,
        }
    }

    pub(super) fn url(&self) -> String {
        url(&self.name)
    }
}

fn url(name: &str) -> String {
    if name == FIRST {
        "/docs".to_owned()
    } else {
        format!("/docs/{name}")
    }
}

/// Title and name of every chapter, as the summary lists them.
pub(super) fn listed(summary: &str) -> impl Iterator<Item = (&str, &str)> {
    summary.lines().filter_map(|line| {
        let (_, rest) = line.split_once('[')?;
        let (title, rest) = rest.split_once("](")?;
        let (file, _) = rest.split_once(')')?;
        Some((title, file.strip_suffix(".md")?))
    })
}

/// Where a link of a chapter leads here: `concepts.md#limits` is another page.
pub(super) fn address(link: &str) -> String {
    let (file, anchor) = match link.split_once('#') {
        Some((file, anchor)) => (file, format!("#{anchor}")),
        None => (link, String::new()),
    };
    match file.strip_suffix(".md") {
        Some(name) if !name.contains('/') => url(name) + &anchor,
        _ => link.to_owned(),
    }
}

/// Gives headings their anchors; collects what stands below each.
fn sections(events: &mut [Event<'_>]) -> Vec<Section> {
    let mut found: Vec<Section> = Vec::new();
    let mut heading = None;
    for position in 0..events.len() {
        match &events[position] {
            Event::Start(Tag::Heading { level, .. }) if *level <= HeadingLevel::H3 => {
                heading = Some(position);
                found.push(Section {
                    title: String::new(),
                    anchor: String::new(),
                    text: String::new(),
                });
            }
            Event::End(TagEnd::Heading(_)) => {
                if let (Some(start), Some(section)) = (heading.take(), found.last_mut()) {
                    section.anchor = anchor(&section.title);
                    if let Event::Start(Tag::Heading { id, .. }) = &mut events[start] {
                        *id = Some(CowStr::from(section.anchor.clone()));
                    }
                }
            }
            Event::Text(text) | Event::Code(text) => {
                if let Some(section) = found.last_mut() {
                    let into = match heading {
                        Some(_) => &mut section.title,
                        None => &mut section.text,
                    };
                    into.push_str(text);
                }
            }
            Event::SoftBreak | Event::HardBreak | Event::End(_) => {
                if let (None, Some(section)) = (heading, found.last_mut()) {
                    section.text.push(' ');
                }
            }
            _ => {}
        }
    }
    found
}

/// `What stops it?` is `what-stops-it`, as mdBook has it.
fn anchor(title: &str) -> String {
    let kept = title.chars().filter_map(|letter| match letter {
        ' ' => Some('-'),
        letter if letter.is_alphanumeric() || "-_".contains(letter) => {
            Some(letter.to_ascii_lowercase())
        }
        _ => None,
    });
    kept.collect()
}

/// The targets of a chapter's links, as they are written.
#[cfg(test)]
pub(super) fn links(markdown: &str) -> Vec<String> {
    Parser::new_ext(markdown, Options::ENABLE_TABLES)
        .filter_map(|event| match event {
            Event::Start(Tag::Link { dest_url, .. }) => Some(dest_url.into_string()),
            _ => None,
        })
        .collect()
}
