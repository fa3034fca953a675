//! Who reads a page: the language that they chose, or the one that their browser asks for.

use axum::http::HeaderMap;
use shared::language::{COOKIE, Language};

use crate::{
    app::App,
    extract::{identity, language},
};

/// The language of whoever reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reader {
    pub(super) language: Language,
    /// Whether the address names it: then the page's own links do, too.
    pub(super) named: bool,
}

impl Reader {
    /// What the address names goes before what the browser remembers, and that before what it asks for.
    pub(crate) fn new(headers: &HeaderMap, named: Option<&str>) -> Self {
        let named = named.and_then(Language::named);
        Self {
            language: named.unwrap_or_else(|| language::of(headers)),
            named: named.is_some(),
        }
    }

    /// Remembers what the address named, for the dashboard, too: its scripts read this cookie.
    pub(crate) fn cookie(self, app: &App) -> Option<String> {
        let (tag, secure) = (self.language.tag(), identity::secure(app));
        self.named
            .then(|| format!("{COOKIE}={tag}; SameSite=Lax; Path=/; Max-Age=31536000{secure}"))
    }

    /// A text of ours.
    pub(super) fn say(self, english: &'static str) -> &'static str {
        self.language.say(english)
    }

    /// A report's sentences, where each of them is known.
    pub(super) fn known(self, english: &str) -> Option<String> {
        self.language.known(english)
    }

    /// The same, in English where it is not.
    pub(super) fn reply(self, english: &str) -> String {
        self.language.reply(english)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::header;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            let name = header::HeaderName::from_static(name);
            (name, header::HeaderValue::from_static(value))
        });
        pairs.collect()
    }

    #[test]
    fn a_choice_goes_before_what_the_browser_asks_for() {
        let german = headers(&[("accept-language", "de-DE,de;q=0.9,en;q=0.8")]);
        assert_eq!(Reader::new(&german, None).language, Language::German);
        assert_eq!(Reader::new(&german, Some("en")).language, Language::English);
        let chosen = headers(&[
            ("accept-language", "de"),
            ("cookie", "a=b; persguard_language=en"),
        ]);
        assert_eq!(Reader::new(&chosen, None).language, Language::English);
        let named = Reader::new(&chosen, Some("de"));
        assert!(named.language == Language::German && named.named);
        assert_eq!(
            Reader::new(&chosen, Some("tlh")).language,
            Language::English
        );
        assert_eq!(
            Reader::new(&HeaderMap::new(), None).language,
            Language::English
        );
    }

    #[test]
    fn reports_are_told_in_german_where_each_sentence_is_known() {
        let reader = Reader::new(&HeaderMap::new(), Some("de"));
        assert_eq!(
            reader.reply("Training the trigger"),
            "Training des Ausl\u{f6}sers"
        );
        assert_eq!(reader.known("Nobody has written this sentence."), None);
    }
}
