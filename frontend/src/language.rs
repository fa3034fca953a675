//! The reader's language: every text of the dashboard goes through here.
//!
//! English stands in the code and is what a catalogue is keyed by; other catalogues are files that are fetched by
//! whoever reads them. `say!` is a text, `plural!` one that goes with a number, `weave!` one with markup in it, and
//! `mark!` one that a constant holds until `say` is told it.

mod intl;

use std::{cell::Cell, sync::OnceLock};

use leptos::prelude::*;
use shared::{
    Timestamp,
    language::{Catalogue, Language, Piece, pieces},
};
use wasm_bindgen::JsCast;
use web_sys::HtmlDocument;

use crate::api;

/// A text in the reader's language; with values it is a `String`: `say!("{done} of {total}", done, total = page.total)`.
macro_rules! say {
    ($english:literal) => {
        $crate::language::say($english)
    };
    ($english:literal, $($name:ident $(= $value:expr)?),+ $(,)?) => {
        ::shared::language::fill($crate::language::say($english), &[$($crate::language::value!($name $(= $value)?)),+])
    };
}

/// A text that goes with a number: `plural!(images.len(), "{count} image", "{count} images")`.
macro_rules! plural {
    ($count:expr, $one:literal, $other:literal $(, $name:ident $(= $value:expr)?)* $(,)?) => {{
        let count = $crate::language::whole($count);
        ::shared::language::fill(
            $crate::language::say_counted(count, $one, $other),
            &[("count", $crate::language::Spoken::spoken(&count)) $(, $crate::language::value!($name $(= $value)?))*],
        )
    }};
}

/// A text whose placeholders are views: `weave!("Signed in as {email}.", email = view! { <b>{email}</b> })`.
macro_rules! weave {
    ($english:literal, $($name:ident = $view:expr),+ $(,)?) => {
        $crate::language::woven($crate::language::say($english), vec![$((stringify!($name), $view.into_any())),+])
    };
}

/// A text that waits for `say` in a constant.
macro_rules! mark {
    ($english:literal) => {
        $english
    };
}

macro_rules! value {
    ($name:ident) => {
        (stringify!($name), $crate::language::Spoken::spoken(&$name))
    };
    ($name:ident = $value:expr) => {
        (stringify!($name), $crate::language::Spoken::spoken(&$value))
    };
}
pub(crate) use value;

/// The texts of every language that somebody read in this window; English needs none.
static CATALOGUES: [OnceLock<Catalogue>; Language::ALL.len()] =
    [const { OnceLock::new() }; Language::ALL.len()];

thread_local! {
    static READER: Cell<Language> = const { Cell::new(Language::English) };
    /// The language that was shown before.
    static BEFORE: Cell<Language> = const { Cell::new(Language::English) };
}

/// The language that everything is shown in.
pub(crate) fn language() -> Language {
    READER.get()
}

fn catalogue() -> Option<&'static Catalogue> {
    CATALOGUES[language() as usize].get()
}

/// The language that the page was asked for in: what `boot.js` found.
pub(crate) fn wanted() -> Language {
    document()
        .and_then(|document| document.document_element())
        .and_then(|root| Language::named(&root.get_attribute("lang")?))
        .unwrap_or_default()
}

/// Fetches the texts of a language, unless they are here; whether it can be shown now.
pub(crate) async fn learn(language: Language) -> bool {
    let texts = &CATALOGUES[language as usize];
    if language == Language::English || texts.get().is_some() {
        return true;
    }
    match api::catalogue(language).await {
        Some(catalogue) => {
            texts.get_or_init(|| catalogue);
            true
        }
        None => false,
    }
}

/// Shows everything that is drawn from now on in a language that was learned.
pub(crate) fn speak(language: Language) {
    BEFORE.set(READER.replace(language));
    if let Some(root) = document().and_then(|document| document.document_element()) {
        let _ = root.set_attribute("lang", language.tag());
        let _ = root.set_attribute("dir", language.direction());
    }
}

/// Remembers a choice for a year, for the pages that the server draws, too.
pub(crate) fn choose(language: Language) {
    let Some(document) = document().and_then(|document| document.dyn_into::<HtmlDocument>().ok())
    else {
        return;
    };
    let (name, tag) = (shared::language::COOKIE, language.tag());
    let _ = document.set_cookie(&format!(
        "{name}={tag}; Path=/; Max-Age=31536000; SameSite=Lax"
    ));
}

fn document() -> Option<web_sys::Document> {
    web_sys::window()?.document()
}

/// A text in the reader's language.
pub(crate) fn say(english: &'static str) -> &'static str {
    catalogue()
        .and_then(|catalogue| catalogue.text(english))
        .unwrap_or(english)
}

/// The form of a text that goes with a number.
pub(crate) fn say_counted(count: u64, one: &'static str, other: &'static str) -> &'static str {
    let form = language().form(count);
    let english = || match form {
        shared::language::Form::One => one,
        shared::language::Form::Other => other,
    };
    catalogue()
        .and_then(|catalogue| catalogue.form(other, form))
        .unwrap_or_else(english)
}

/// What is shown for sentences of the API; `None` where they are shown in their English.
pub(crate) fn known(english: &str) -> Option<String> {
    match catalogue() {
        Some(catalogue) if !english.is_empty() => catalogue.answer(language(), english),
        _ => Some(english.to_owned()),
    }
}

/// The same, as it is where it is not known.
pub(crate) fn reply(english: &str) -> String {
    known(english).unwrap_or_else(|| english.to_owned())
}

/// Puts views in.
pub(crate) fn woven(template: &'static str, mut slots: Vec<(&str, AnyView)>) -> Vec<AnyView> {
    pieces(template)
        .filter_map(|piece| match piece {
            Piece::Text(words) => Some(words.into_any()),
            Piece::Slot(name) => {
                let at = slots.iter().position(|(known, _)| *known == name)?;
                Some(slots.swap_remove(at).1)
            }
        })
        .collect()
}

/// A number of things.
pub(crate) fn whole(count: impl TryInto<u64>) -> u64 {
    count.try_into().unwrap_or(u64::MAX)
}

/// `0.61`, as the reader writes it.
pub(crate) fn decimal(value: impl Into<f64>, digits: usize) -> String {
    written(&format!("{:.digits$}", value.into()))
}

/// `+0.61`, as the reader writes it.
pub(crate) fn signed(value: impl Into<f64>, digits: usize) -> String {
    written(&format!("{:+.digits$}", value.into()))
}

fn written(number: &str) -> String {
    let language = language();
    intl::number(language, number).unwrap_or_else(|| language.written(number))
}

/// `26 Nov 2026, 11:35`: on the reader's own clock.
pub(crate) fn moment(at: Timestamp) -> String {
    let language = language();
    intl::moment(language, at).unwrap_or_else(|| language.moment(at))
}

/// `3 minutes ago`; the moment itself from a day on.
pub(crate) fn ago(at: Timestamp) -> String {
    intl::ago(language(), at).unwrap_or_else(|| moment(at))
}

/// A number as a field shows it: with the reader's mark, and nothing between its digits.
pub(crate) fn typed(value: f64) -> String {
    language().typed(value)
}

/// What somebody typed, as programs read numbers.
pub(crate) fn plain(text: &str) -> String {
    language().plain(text)
}

/// A whole number that somebody typed, if it is one.
pub(crate) fn whole_number(text: &str) -> Option<u64> {
    language().whole_number(text)
}

/// A number that was typed in the language before, as this one writes it; anything else as it is.
pub(crate) fn retyped(text: &str) -> String {
    let number = BEFORE.get().plain(text);
    if number.parse::<f64>().is_ok() {
        language().marked(&number)
    } else {
        text.to_owned()
    }
}

/// A value, as the reader writes it.
pub(crate) fn spoken(value: &impl Spoken) -> String {
    value.spoken()
}

/// A value that goes into a text.
pub(crate) trait Spoken {
    /// As its readers write it.
    fn spoken(&self) -> String;
}

impl<T: Spoken + ?Sized> Spoken for &T {
    fn spoken(&self) -> String {
        T::spoken(self)
    }
}

impl Spoken for str {
    fn spoken(&self) -> String {
        self.to_owned()
    }
}

impl Spoken for String {
    fn spoken(&self) -> String {
        self.clone()
    }
}

macro_rules! spoken_numbers {
    ($($kind:ty),+) => {
        $(impl Spoken for $kind {
            fn spoken(&self) -> String {
                written(&self.to_string())
            }
        })+
    };
}
spoken_numbers!(u8, u16, u32, u64, usize, i32, i64, f32, f64);

#[cfg(test)]
mod tests;
