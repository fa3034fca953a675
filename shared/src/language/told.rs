//! Texts in a language, for programs that have every catalogue inside: servers, nodes, tools.
//!
//! Refuses to fail: what a catalogue lacks is told in English. The dashboard fetches its catalogue and has a way of its own.

use std::sync::LazyLock;

use super::{Catalogue, Language};

/// A text in a language, or in whatever speaks one; with values it is a `String`:
/// `say!(language, "{done} of {total}", done = 3, total = 9)`.
#[macro_export]
macro_rules! say {
    ($who:expr, $english:literal) => {
        $who.say($english)
    };
    ($who:expr, $english:literal, $($name:ident = $value:expr),+ $(,)?) => {
        $crate::language::fill($who.say($english), &[$((stringify!($name), $value.to_string())),+])
    };
}

static GERMAN: LazyLock<Catalogue> = LazyLock::new(|| {
    let json = Language::German.catalogue().expect("it has one");
    Catalogue::parse(json).expect("a test reads it")
});

impl Language {
    fn texts(self) -> Option<&'static Catalogue> {
        match self {
            Self::English => None,
            Self::German => Some(&GERMAN),
        }
    }

    /// A text of ours.
    pub fn say(self, english: &'static str) -> &'static str {
        let known = self.texts().and_then(|known| known.text(english));
        known.unwrap_or(english)
    }

    /// Sentences that were written in English, where each of them is known.
    pub fn known(self, english: &str) -> Option<String> {
        match self.texts() {
            Some(known) => known.answer(self, english),
            None => Some(english.to_owned()),
        }
    }

    /// The same, in English where they are not.
    pub fn reply(self, english: &str) -> String {
        self.known(english).unwrap_or_else(|| english.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_told_in_the_language_or_in_english() {
        assert_eq!(say!(Language::English, "Base model"), "Base model");
        assert_eq!(say!(Language::German, "Resisted"), "Standgehalten");
        let unknown = "Nobody has written {this}.";
        assert_eq!(Language::German.say(unknown), unknown);
        assert_eq!(Language::German.known(unknown), None);
        assert_eq!(Language::German.reply(unknown), unknown);
        assert_eq!(Language::English.known(unknown).as_deref(), Some(unknown));
    }

    #[test]
    fn values_are_put_in_as_they_are() {
        let pages = say!(
            Language::German,
            "Page {page} of {pages}",
            page = 2,
            pages = "{page}"
        );
        assert_eq!(pages, "Seite 2 von {page}");
    }
}
