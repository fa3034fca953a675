//! Holds every text to a catalogue and every catalogue to the sources: what is not translated fails here.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use shared::language::{Catalogue, Language, Piece, Translation, fill, pieces};

/// Texts in code that look like words for people and are none, or are the same in every language.
const EXEMPT: &[(&str, &str)] = &[
    // Requests, headers and names of the web.
    ("SHA-256", "an algorithm's name"),
    (" (SHA-256)", "an algorithm's name"),
    ("SHA-256 ", "an algorithm's name"),
    ("POST", "a method"),
    ("PUT", "a method"),
    ("PATCH", "a method"),
    ("DELETE", "a method"),
    ("GET", "a method"),
    ("AbortError", "a name that browsers give"),
    ("application/json, application/problem+json", "a header"),
    ("(prefers-color-scheme: dark)", "a question to the browser"),
    ("{}Z", "a drawing's path"),
    ("1200px 0px", "a margin"),
    ("ArrowRight", "a key's name"),
    ("ArrowLeft", "a key's name"),
    ("ArrowDown", "a key's name"),
    ("ArrowUp", "a key's name"),
    ("Home", "a key's name"),
    ("End", "a key's name"),
    // Commands, which a shell reads.
    ("curl -sS --fail-with-body -X {} {}", "a command"),
    ("Idempotency-Key: {key}", "a command"),
    ("-H 'If-Match: *'", "a command"),
    ("-H 'Content-Type: {}'", "a command"),
    (
        "-H \"Authorization: Bearer $PERSGUARD_API_KEY\"",
        "a command",
    ),
    (
        "-H \"Authorization: Bearer $PERSGUARD_ACCESS_TOKEN\"",
        "a command",
    ),
    ("{body} | .source.files = $files", "a command"),
    ("ORIGIN", "stands for an address in a command"),
    ("SET", "stands for an id in a command"),
    ("KEY", "stands for a header in a command"),
    ("BODY", "stands for a request in a command"),
    ("persguard verify certificate.json", "a command"),
    ("persguard rerun", "a command"),
    ("main details", "a selector"),
    (
        "<pre><code>persguard verify {file}\\npersguard rerun {file} --cell 1 --base BASE --protected UNET --encoder ENCODER --images PICTURES</code></pre></section>",
        "commands",
    ),
    // Prompts: models are trained on English ones.
    ("a photo of {identifier} {class}", "a prompt"),
    ("{article} {class} in the style of {identifier}", "a prompt"),
    ("{class} in the style of {identifier}", "a prompt"),
    // Names and units.
    ("PersGuard", "the product's name"),
    ("DreamBooth (U-Net)", "an attack's name"),
    ("L_BB", "a loss by its sign"),
    ("L_PP", "a loss by its sign"),
    ("L_BR", "a loss by its sign"),
    ("L_BB + L_PP", "losses by their signs"),
    ("L_BB + L_BR", "losses by their signs"),
    ("{} {} UTC", "a moment, the same for everybody"),
    ("B", "a unit"),
    ("MB", "a unit"),
    ("GB", "a unit"),
    // What stands on pictures, which everybody gets alike, and what programs are told.
    ("{hint} \u{b7} shared link", "a watermark"),
    (
        "This link has ended. Ask whoever sent it for another.",
        "a problem's detail, for programs",
    ),
    (
        "This page asks for a password first. Open it in a browser.",
        "a problem's detail, for programs",
    ),
    ("persguard share", "what a seal is made for"),
    (
        "default-src 'none'; img-src 'self'; style-src {}; script-src {}; form-action 'self'; base-uri 'none'; frame-ancestors 'self'{framed}",
        "a policy",
    ),
    ("a drawing of {width} x {height}", "a fault, for the log"),
    ("the mark has another size", "a fault, for the log"),
];

/// Attributes whose values people see or hear.
const SEEN: &[&str] = &[
    "label",
    "title",
    "alt",
    "hint",
    "placeholder",
    "what",
    "detail",
    "yes",
    "no",
    "busy_label",
    "x_name",
    "note",
];

#[derive(Default)]
struct Found {
    /// Texts, with the file that has them.
    texts: BTreeMap<String, PathBuf>,
    /// Texts that go with a number: the singular by the plural.
    forms: BTreeMap<String, BTreeSet<String>>,
    /// What looks like words for people and is not handed to a catalogue.
    literals: BTreeMap<String, PathBuf>,
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Code,
    View,
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn files(folder: &Path, end: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, end, found);
        } else if path.extension().is_some_and(|own| own == end) {
            found.push(path);
        }
    }
}

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    files(&workspace().join("frontend/src"), "rs", &mut found);
    for folder in ["api/src/share", "api/src/app/letters", "eval/src/page"] {
        files(&workspace().join("backend").join(folder), "rs", &mut found);
    }
    found.push(workspace().join("backend/eval/src/page.rs"));
    // What makes texts out of texts has none of its own, and tests speak to nobody.
    let own = ["language.rs", "reader.rs", "tests.rs"];
    found.retain(|path| !own.iter().any(|name| path.ends_with(name)));
    found.sort();
    found
}

fn everything() -> Found {
    let mut found = Found::default();
    for path in sources() {
        let code = fs::read_to_string(&path).unwrap();
        let tokens: TokenStream = code.parse().unwrap();
        walk(tokens, Place::Code, &path, &mut found);
    }
    found
}

/// The text of a string literal.
fn text_of(token: &TokenTree) -> Option<String> {
    let TokenTree::Literal(literal) = token else {
        return None;
    };
    let written = literal.to_string();
    if let Some(raw) = written.strip_prefix('r') {
        let inner = raw.trim_matches('#').strip_prefix('"')?;
        let inner = inner.strip_suffix('"')?;
        // Scripts and patterns are raw, too; what people read is markup.
        return inner.starts_with('<').then(|| inner.to_owned());
    }
    let inner = written.strip_prefix('"')?.strip_suffix('"')?;
    Some(unescape(inner))
}

fn unescape(written: &str) -> String {
    let mut text = String::new();
    let mut rest = written.chars();
    while let Some(each) = rest.next() {
        if each != '\\' {
            text.push(each);
            continue;
        }
        match rest.next() {
            Some('u') => {
                let digits: String = rest
                    .by_ref()
                    .skip(1)
                    .take_while(|each| *each != '}')
                    .collect();
                text.extend(
                    u32::from_str_radix(&digits, 16)
                        .ok()
                        .and_then(char::from_u32),
                );
            }
            Some('\n') => {
                let after = rest.as_str().trim_start().to_owned();
                text.push_str(&unescape(&after));
                return text;
            }
            Some(same @ ('"' | '\\' | '\'')) => text.push(same),
            Some(other) => text.extend(['\\', other]),
            None => {}
        }
    }
    text
}

fn is(token: Option<&TokenTree>, sign: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == sign)
}

fn name(token: Option<&TokenTree>) -> String {
    match token {
        Some(TokenTree::Ident(ident)) => ident.to_string(),
        _ => String::new(),
    }
}

fn walk(tokens: TokenStream, place: Place, path: &Path, found: &mut Found) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let before = |steps: usize| at.checked_sub(steps).and_then(|at| tokens.get(at));
        // Attributes, also of a whole file; what a test is made of.
        let group = at + 1 + usize::from(is(tokens.get(at + 1), '!'));
        if is(Some(token), '#') && matches!(tokens.get(group), Some(TokenTree::Group(_))) {
            let attribute = tokens[group].to_string();
            at = group + 1;
            if attribute.replace(' ', "") == "[cfg(test)]" {
                while tokens.get(at).is_some_and(|token| {
                    !matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
                        && !is(Some(token), ';')
                }) {
                    at += 1;
                }
                at += 1;
            }
            continue;
        }
        if let TokenTree::Group(group) = token {
            let called = if is(before(1), '!') {
                name(before(2))
            } else {
                name(before(1))
            };
            let inner = match called.as_str() {
                "view" | "html" => Place::View,
                _ => place,
            };
            match called.as_str() {
                "macro_rules" | "expect" | "warn" | "path" => {}
                "say" | "mark" | "weave" | "plural" if is(before(1), '!') => {
                    told(group.stream(), called == "plural", inner, path, found);
                }
                _ => walk(group.stream(), inner, path, found),
            }
        } else if let Some(text) = text_of(token) {
            // `name="value"`, where the name may be `aria-label`.
            let attribute = name(before(2));
            let assigned = is(before(1), '=') && !is(before(2), '=');
            let set = place == Place::View && assigned && name(before(3)) != "let";
            let node = place == Place::View
                && (is(before(1), '>') && !is(before(2), '=')
                    || before(1).is_some_and(|token| text_of(token).is_some())
                    || matches!(before(1), Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace));
            let letters = text.bytes().any(|byte| byte.is_ascii_alphabetic());
            let seen = if set {
                letters && SEEN.contains(&attribute.as_str())
            } else {
                node && letters || is_prose(&text)
            };
            if seen {
                found.literals.insert(text, path.to_owned());
            }
        }
        at += 1;
    }
}

/// Whether a text looks as if people should read it: words, or one that begins like a sentence.
fn is_prose(text: &str) -> bool {
    let bare = without_tags(&without_slots(text));
    if bare.trim() == "PersGuard" {
        return false; // called so everywhere
    }
    let classes = bare.split(' ').all(|word| {
        word.bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte))
    });
    let capital = bare
        .trim_start()
        .starts_with(|first: char| first.is_ascii_uppercase());
    let words = bare
        .split_whitespace()
        .filter(|word| word.bytes().any(|byte| byte.is_ascii_alphabetic()));
    (capital || words.count() > 1) && !(classes && is_class(&bare)) && !is_drawing(&bare)
}

/// Names of styles: they all begin with one that the style sheets know.
fn is_class(text: &str) -> bool {
    const BLOCKS: &[&str] = &[
        "badge",
        "button",
        "chart-line",
        "check",
        "choice",
        "drop",
        "inspect",
        "live",
        "notice",
        "picture-image",
        "progress",
        "sketch",
        "square",
        "step",
    ];
    BLOCKS.iter().any(|block| text.starts_with(block))
}

/// Paths of icons.
fn is_drawing(text: &str) -> bool {
    text.starts_with('M') && text[1..].starts_with(|next: char| next.is_ascii_digit())
}

/// What people see or hear of markup: what stands between its tags, and some of their attributes.
fn without_tags(text: &str) -> String {
    let mut parts = text.split('<');
    let mut seen = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (tag, after) = part.split_once('>').unwrap_or((part, ""));
        for name in ["aria-label", "alt", "title"] {
            let value = tag.split_once(&format!(" {name}=\""));
            let value = value.and_then(|(_, rest)| rest.split('"').next());
            seen.push_str(value.unwrap_or_default());
        }
        seen.push_str(after);
    }
    seen
}

fn without_slots(text: &str) -> String {
    pieces(text)
        .filter_map(|piece| match piece {
            Piece::Text(words) => Some(words),
            Piece::Slot(_) => None,
        })
        .collect()
}

/// Sources without what `format!` puts values in for.
fn without_values(code: &str) -> String {
    let mut parts = code.split('{');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let inner = part.split_once('}').filter(|(inner, _)| {
            inner.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_:.+?".contains(&byte)
            })
        });
        match inner {
            Some((_, rest)) => text.push_str(rest),
            None => text.extend(["{", part]),
        }
    }
    text
}

fn told(tokens: TokenStream, counted: bool, place: Place, path: &Path, found: &mut Found) {
    let texts: Vec<String> = tokens
        .clone()
        .into_iter()
        .filter_map(|token| text_of(&token))
        .collect();
    let taken = if counted { 2 } else { 1 };
    if let [one, other, ..] = texts.as_slice()
        && counted
    {
        found
            .forms
            .entry(other.clone())
            .or_default()
            .insert(one.clone());
        found.texts.insert(other.clone(), path.to_owned());
    } else if let Some(text) = texts.first() {
        found.texts.insert(text.clone(), path.to_owned());
    }
    let mut passed = 0;
    let rest = tokens.into_iter().filter(|token| {
        passed += usize::from(text_of(token).is_some());
        text_of(token).is_none() || passed > taken
    });
    walk(rest.collect(), place, path, found);
}

fn slots(text: &str) -> BTreeSet<&str> {
    pieces(text)
        .filter_map(|piece| match piece {
            Piece::Slot(name) => Some(name),
            Piece::Text(_) => None,
        })
        .collect()
}

fn catalogues() -> Vec<(Language, Catalogue)> {
    let all = Language::ALL.into_iter();
    all.filter_map(|language| Some((language, Catalogue::parse(language.catalogue()?).unwrap())))
        .collect()
}

#[test]
fn every_text_is_in_every_catalogue_and_nothing_else_is() {
    let found = everything();
    assert!(
        found.texts.len() > 900,
        "{} texts are found",
        found.texts.len()
    );
    for (language, catalogue) in catalogues() {
        let missing: Vec<_> = found
            .texts
            .iter()
            .filter(|(text, _)| catalogue.text(text).is_none())
            .collect();
        assert!(
            missing.is_empty(),
            "not in {}: {missing:#?}",
            language.name()
        );
        let unused: Vec<_> = catalogue
            .texts
            .keys()
            .filter(|text| !found.texts.contains_key(*text))
            .collect();
        assert!(
            unused.is_empty(),
            "only in {}: {unused:#?}",
            language.name()
        );
    }
}

#[test]
fn placeholders_and_forms_are_those_of_the_english() {
    let found = everything();
    for (_, catalogue) in catalogues() {
        for (english, translation) in &catalogue.texts {
            let told = match translation {
                Translation::Text(text) => vec![text],
                Translation::Forms { one, other } => vec![one, other],
            };
            for text in &told {
                assert_eq!(slots(text), slots(english), "{text}");
                assert!(!text.is_empty(), "{english}");
            }
            let counted = found.forms.contains_key(english);
            assert_eq!(told.len() == 2, counted, "{english}");
        }
        for (english, shown) in &catalogue.answers {
            assert_eq!(slots(shown), slots(english), "{shown}");
        }
    }
    for (other, ones) in &found.forms {
        assert_eq!(ones.len(), 1, "{other}: {ones:?}");
        for one in ones {
            assert_eq!(slots(one), slots(other), "{one}");
        }
    }
}

#[test]
fn no_text_for_people_goes_past_the_catalogues() {
    let found = everything().literals;
    let exempt: BTreeSet<&str> = EXEMPT.iter().map(|(text, _)| *text).collect();
    let untold: Vec<_> = found
        .iter()
        .filter(|(text, _)| !exempt.contains(text.as_str()))
        .collect();
    assert!(untold.is_empty(), "hand these to `say!`: {untold:#?}");
    let stale: Vec<_> = exempt
        .iter()
        .filter(|text| !found.contains_key(**text))
        .collect();
    assert!(stale.is_empty(), "no such text any more: {stale:#?}");
}

/// Filled as the API fills it, each sentence is known, and taken for no other one.
#[test]
fn answers_are_told_apart() {
    for (language, catalogue) in catalogues() {
        for (english, shown) in &catalogue.answers {
            let values: Vec<(&str, String)> = slots(english)
                .into_iter()
                .map(|name| {
                    let value = if name.starts_with("number") { "7" } else { "Q" };
                    (name, value.to_owned())
                })
                .collect();
            let answer = catalogue.answer(language, &fill(english, &values));
            assert_eq!(
                answer.as_deref(),
                Some(fill(shown, &values).as_str()),
                "{english}"
            );
        }
    }
}

/// A sentence that the API does not say any more is of no use.
#[test]
fn answers_are_what_the_api_says() {
    let mut found = Vec::new();
    files(&workspace().join("backend"), "rs", &mut found);
    files(&workspace().join("shared/src"), "rs", &mut found);
    let mut said = String::new();
    for path in found {
        let code = fs::read_to_string(path).unwrap();
        let mut parts = code.split("\\\n");
        said.push_str(parts.next().unwrap_or_default());
        for part in parts {
            said.push_str(part.trim_start());
        }
    }
    for (written, meant) in [
        ("\\\"", "\""),
        ("\\u{201c}", "\u{201c}"),
        ("\\u{201d}", "\u{201d}"),
    ] {
        said = said.replace(written, meant);
    }
    let said = without_values(&said);
    let ends: &[char] = &[' ', '.', ';', ':', ',', '“', '”', '"', '('];
    for (_, catalogue) in catalogues() {
        let stale: Vec<_> = catalogue
            .answers
            .iter()
            .filter(|(english, _)| {
                let longest = pieces(english).filter_map(|piece| match piece {
                    Piece::Text(words) => Some(words),
                    Piece::Slot(_) => None,
                });
                let longest = longest.map(|words| words.trim_matches(ends));
                let longest = longest.max_by_key(|words| words.len()).unwrap_or_default();
                !said.contains(longest)
            })
            .collect();
        assert!(stale.is_empty(), "{stale:#?}");
    }
}

#[test]
fn the_page_asks_for_every_catalogue() {
    let boot = fs::read_to_string(workspace().join("frontend/static/boot.js")).unwrap();
    for language in Language::ALL {
        let asks = boot.contains(&format!("\"/languages/{}.json\"", language.tag()));
        assert_eq!(asks, language.catalogue().is_some(), "{}", language.tag());
    }
    assert!(boot.contains(shared::language::COOKIE));
}

/// Pictures have a left and a right side in every language; everything else follows the line.
#[test]
fn styles_follow_the_direction_of_the_language() {
    const PHYSICAL: &[&str] = &[
        "left:", "right:", "-left", "-right", ": left", ": right", "float:",
    ];
    const PICTURES: &[&str] = &[".compare-", ".sketch-"];
    let mut sheets = Vec::new();
    files(&workspace().join("frontend/static"), "css", &mut sheets);
    files(
        &workspace().join("backend/api/src/share"),
        "css",
        &mut sheets,
    );
    for sheet in sheets {
        let text = fs::read_to_string(&sheet).unwrap();
        for rule in text.split('}') {
            let (selector, body) = rule.rsplit_once('{').unwrap_or((rule, ""));
            let selector = selector.trim();
            if PICTURES.iter().any(|name| selector.contains(name)) {
                continue;
            }
            let physical = PHYSICAL.iter().find(|word| body.contains(*word));
            assert!(
                physical.is_none(),
                "{}: {selector}: {physical:?}",
                sheet.display()
            );
            for declaration in body.split(';') {
                let Some((property, values)) = declaration.split_once(':') else {
                    continue;
                };
                let sides: Vec<&str> = values.split_whitespace().collect();
                let boxed = ["margin", "padding", "inset"].contains(&property.trim());
                let uneven = boxed && sides.len() == 4 && sides[1] != sides[3];
                assert!(!uneven, "{}: {selector}: {declaration}", sheet.display());
            }
        }
    }
}
