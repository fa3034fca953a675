//! Looking words up: every section of the handbook that holds all of them.

use super::chapter::{Chapter, Section};

/// Words that are looked at; a question has few.
const MAX_WORDS: usize = 8;
const MAX_HITS: usize = 30;
/// Letters that are shown around the first word.
const AROUND: usize = 90;

/// A section that holds the words.
pub(super) struct Hit<'a> {
    pub(super) chapter: &'a str,
    pub(super) title: &'a str,
    pub(super) url: String,
    pub(super) excerpt: String,
}

/// Sections with the words in their headings come first.
pub(super) fn find<'a>(chapters: &'a [Chapter], question: &str) -> Vec<Hit<'a>> {
    let words: Vec<String> = question
        .split_whitespace()
        .take(MAX_WORDS)
        .map(str::to_lowercase)
        .collect();
    let Some(first) = words.first() else {
        return Vec::new();
    };
    let sections = chapters.iter().flat_map(|chapter| {
        chapter
            .sections
            .iter()
            .map(move |section| (chapter, section))
    });
    let mut hits: Vec<(bool, Hit<'a>)> = sections
        .filter_map(|(chapter, section)| {
            let title = section.title.to_lowercase();
            let text = section.text.to_lowercase();
            let holds = |word: &String| title.contains(word) || text.contains(word);
            words.iter().all(holds).then(|| {
                let below = !words.iter().all(|word| title.contains(word));
                (below, hit(chapter, section, first))
            })
        })
        .collect();
    hits.sort_by_key(|(below, _)| *below);
    hits.into_iter()
        .map(|(_, hit)| hit)
        .take(MAX_HITS)
        .collect()
}

fn hit<'a>(chapter: &'a Chapter, section: &'a Section, word: &str) -> Hit<'a> {
    Hit {
        chapter: &chapter.title,
        title: &section.title,
        url: format!("{}#{}", chapter.url(), section.anchor),
        excerpt: excerpt(&section.text, word),
    }
}

/// The letters around the first place of a word.
fn excerpt(text: &str, word: &str) -> String {
    let letters: Vec<char> = text
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .collect();
    let lower: String = letters.iter().map(char::to_ascii_lowercase).collect();
    let place = lower.find(word).unwrap_or_default();
    let place = lower[..place].chars().count();
    let start = place.saturating_sub(AROUND);
    let end = (place + AROUND).min(letters.len());
    let cut = |cut: bool| if cut { "…" } else { "" };
    let middle: String = letters[start..end].iter().collect();
    format!("{}{middle}{}", cut(start > 0), cut(end < letters.len()))
}
