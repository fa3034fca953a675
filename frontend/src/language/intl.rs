//! Dates and numbers as the browser writes them (ECMA-402): in the reader's language, at the reader's place.
//!
//! A native build has no browser: it answers `None`, and what `shared` writes for pages of the server stands in.

use std::{cell::RefCell, collections::HashMap};

use js_sys::{
    Array, Date, Function,
    Intl::{
        DateTimeFormat, DateTimeFormatOptions, DateTimeStyle, NumberFormat, NumberFormatOptions,
        RelativeTimeFormat, RelativeTimeFormatNumeric, RelativeTimeFormatOptions, SignDisplay,
    },
};
use shared::{Timestamp, language::Language};
use wasm_bindgen::JsValue;

const BROWSER: bool = cfg!(target_arch = "wasm32");
/// Most digits behind the mark that every browser writes.
const MOST_DIGITS: u8 = 20;

/// What makes a number out of digits: by language, digits behind the mark, and whether a plus is shown.
type Numbers = HashMap<(Language, u8, bool), Function>;

// Making one takes far longer than using it.
thread_local! {
    static MOMENTS: RefCell<HashMap<Language, Function>> = RefCell::default();
    static NUMBERS: RefCell<Numbers> = RefCell::default();
}

/// The time on the reader's clock: `26 Nov 2026, 11:35`.
pub(super) fn moment(language: Language, at: Timestamp) -> Option<String> {
    if !BROWSER {
        return None;
    }
    let format = MOMENTS.with_borrow_mut(|known| {
        let format = known.entry(language).or_insert_with(|| moments(language));
        format.clone()
    });
    written(&format, &(at.milliseconds() as f64).into())
}

/// How long ago something was: `3 minutes ago`, `now`. A day later the date says more.
pub(super) fn ago(language: Language, at: Timestamp) -> Option<String> {
    if !BROWSER {
        return None;
    }
    let (value, unit) = elapsed((Date::now() - at.milliseconds() as f64) / 1000.0)?;
    let options = RelativeTimeFormatOptions::new();
    options.set_numeric(RelativeTimeFormatNumeric::Auto);
    let format = RelativeTimeFormat::new(&list(language.tag()), &options);
    Some(format.format(-value, unit).into())
}

/// What Rust writes (`+1234.50`), as readers of the language do. The place does not matter here: the server's own
/// sentences hold numbers, too, and one page writes all of them alike.
pub(super) fn number(language: Language, text: &str) -> Option<String> {
    if !BROWSER {
        return None;
    }
    let (digits, plus) = shape(text)?;
    let format = NUMBERS.with_borrow_mut(|known| {
        let format = known
            .entry((language, digits, plus))
            .or_insert_with(|| numbers(language, digits, plus));
        format.clone()
    });
    written(&format, &text.into())
}

fn moments(language: Language) -> Function {
    let options = DateTimeFormatOptions::new();
    options.set_date_style(DateTimeStyle::Medium);
    options.set_time_style(DateTimeStyle::Short);
    DateTimeFormat::new(&list(&place(language, &asked())), &options).format()
}

fn numbers(language: Language, digits: u8, plus: bool) -> Function {
    let options = NumberFormatOptions::new();
    options.set_minimum_fraction_digits(digits);
    options.set_maximum_fraction_digits(digits);
    if plus {
        options.set_sign_display(SignDisplay::Always);
    }
    NumberFormat::new(&list(language.tag()), &options).format()
}

fn list(tag: &str) -> Array {
    Array::of1(&tag.into())
}

fn written(format: &Function, value: &JsValue) -> Option<String> {
    format.call1(&JsValue::NULL, value).ok()?.as_string()
}

/// The languages of the browser, the liked ones first.
fn asked() -> Vec<String> {
    let languages = web_sys::window().map(|window| window.navigator().languages());
    let languages = languages.unwrap_or_default();
    languages.iter().filter_map(|tag| tag.as_string()).collect()
}

/// The language with the place that the browser names for it: dates of `de-AT` differ from those of `de-DE`.
/// The rest of a tag is left out: a wrong one makes the browser throw.
fn place(language: Language, asked: &[String]) -> String {
    let own = asked
        .iter()
        .find(|tag| Language::named(tag) == Some(language));
    let place = own.and_then(|tag| {
        let mut parts = tag.split('-').skip(1);
        parts.find(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_alphabetic()))
    });
    match place {
        Some(place) => format!("{}-{place}", language.tag()),
        None => language.tag().to_owned(),
    }
}

/// Digits behind the mark, and whether a plus leads; nothing for what is more than digits.
fn shape(text: &str) -> Option<(u8, bool)> {
    let plain = |byte: u8| byte.is_ascii_digit() || b"+-.".contains(&byte);
    if !text.bytes().all(plain) {
        return None;
    }
    let digits = text.split_once('.').map_or(0, |(_, part)| part.len());
    let digits = u8::try_from(digits).ok()?;
    (digits <= MOST_DIGITS).then_some((digits, text.starts_with('+')))
}

/// Whole units that have passed. Clocks differ: what has not come yet is now.
fn elapsed(seconds: f64) -> Option<(f64, &'static str)> {
    const UNITS: [(f64, f64, &str); 3] = [
        (60.0, 1.0, "second"),
        (3_600.0, 60.0, "minute"),
        (86_400.0, 3_600.0, "hour"),
    ];
    let unit = UNITS.into_iter().find(|(end, ..)| seconds < *end);
    unit.map(|(_, length, name)| ((seconds.max(0.0) / length).floor(), name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(tags: &[&str], language: Language) -> String {
        let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
        place(language, &tags)
    }

    #[test]
    fn dates_are_those_of_the_readers_place() {
        assert_eq!(asking(&["de-AT", "de", "en-US"], Language::German), "de-AT");
        assert_eq!(asking(&["de-AT", "en-GB"], Language::English), "en-GB");
        assert_eq!(asking(&["de-Latn-CH"], Language::German), "de-CH");
        assert_eq!(asking(&["fr-FR"], Language::German), "de");
        assert_eq!(asking(&["en-US@posix"], Language::English), "en");
        assert_eq!(asking(&["en", "en-GB"], Language::English), "en");
        assert_eq!(asking(&[], Language::English), "en");
    }

    #[test]
    fn numbers_keep_their_digits_and_sign() {
        assert_eq!(shape("1234"), Some((0, false)));
        assert_eq!(shape("-0.50"), Some((2, false)));
        assert_eq!(shape("+0.125"), Some((3, true)));
        for apart in ["NaN", "inf", "1e-5", "0.000000000000000000001"] {
            assert_eq!(shape(apart), None, "{apart}");
        }
    }

    #[test]
    fn times_that_passed_are_in_whole_units() {
        assert_eq!(elapsed(-5.0), Some((0.0, "second")));
        assert_eq!(elapsed(59.9), Some((59.0, "second")));
        assert_eq!(elapsed(60.0), Some((1.0, "minute")));
        assert_eq!(elapsed(7_199.0), Some((1.0, "hour")));
        assert_eq!(elapsed(86_400.0), None);
    }
}
