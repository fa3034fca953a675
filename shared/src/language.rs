//! The languages people read this product in: how each is named and written, and how its numbers and dates look.
//!
//! Texts lie in catalogues keyed by their English: what a catalogue lacks stays English. Refuses to know any text.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::Timestamp;

mod told;

/// The cookie that remembers a choice, read by the dashboard and by pages that the server draws.
pub const COOKIE: &str = "persguard_language";

/// A language that everything people see is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Language {
    /// What every text is written in first.
    #[default]
    English,
    /// The second one.
    German,
}

impl Language {
    /// In the order in which they are offered.
    pub const ALL: [Self; 2] = [Self::English, Self::German];

    /// BCP 47, as `lang` and `Accept-Language` name it.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }

    /// As its readers call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::German => "Deutsch",
        }
    }

    /// Where its lines begin, as `dir` names it.
    pub const fn direction(self) -> &'static str {
        match self {
            Self::English | Self::German => "ltr",
        }
    }

    /// The JSON of its texts; English stands in the code.
    pub const fn catalogue(self) -> Option<&'static str> {
        match self {
            Self::English => None,
            Self::German => Some(include_str!("../assets/languages/de.json")),
        }
    }

    /// The language of a tag, whatever its region: `de-AT` is German.
    pub fn named(tag: &str) -> Option<Self> {
        let primary = tag.trim().split('-').next()?;
        Self::ALL
            .into_iter()
            .find(|language| primary.eq_ignore_ascii_case(language.tag()))
    }

    /// The best of an `Accept-Language` (RFC 9110, 12.5.4); English unless another one is asked for.
    pub fn accepted(header: &str) -> Self {
        let mut best = (Self::default(), 0.0_f32);
        for range in header.split(',') {
            let mut parts = range.split(';');
            let language = parts.next().and_then(Self::named);
            let weight = parts.next().map_or(Some(1.0), |weight| {
                weight.trim().strip_prefix("q=")?.trim().parse().ok()
            });
            if let (Some(language), Some(weight)) = (language, weight)
                && weight > best.1
            {
                best = (language, weight);
            }
        }
        best.0
    }

    const fn decimal_mark(self) -> char {
        match self {
            Self::English => '.',
            Self::German => ',',
        }
    }

    const fn group_mark(self) -> char {
        match self {
            Self::English => ',',
            Self::German => '.',
        }
    }

    /// A whole number in groups of three: `12,345`, `12.345`.
    pub fn number(self, value: u64) -> String {
        self.grouped(&value.to_string())
    }

    /// So many digits behind the mark: `0.61`, `0,61`.
    pub fn decimal(self, value: f64, digits: usize) -> String {
        self.written(&format!("{value:.digits$}"))
    }

    /// The same with its sign, whichever it is: `+0.61`, `-0.10`.
    pub fn signed(self, value: f64, digits: usize) -> String {
        self.written(&format!("{value:+.digits$}"))
    }

    /// What Rust writes, as this language does; powers of ten stay as they are.
    pub fn written(self, number: &str) -> String {
        let (sign, digits) = number
            .find(|each: char| each.is_ascii_digit())
            .map_or((number, ""), |start| number.split_at(start));
        match digits.split_once('.') {
            Some((whole, part)) => {
                format!("{sign}{}{}{part}", self.grouped(whole), self.decimal_mark())
            }
            None => format!("{sign}{}", self.grouped(digits)),
        }
    }

    /// A number as a field shows it: with this language's mark, and nothing between its digits.
    pub fn typed(self, value: f64) -> String {
        self.marked(&value.to_string())
    }

    /// A number as programs write it, with this language's mark.
    pub fn marked(self, number: &str) -> String {
        number.replace('.', &self.decimal_mark().to_string())
    }

    /// What somebody typed, as programs read numbers.
    pub fn plain(self, text: &str) -> String {
        text.trim().replace(self.decimal_mark(), ".")
    }

    /// A whole number that somebody typed, with or without this language's marks between groups of three. `None` for
    /// everything else: `1.500` is fifteen hundred to a German and no whole number to an Englishman.
    pub fn whole_number(self, text: &str) -> Option<u64> {
        let mut groups = text.trim().split(self.group_mark());
        let mut digits = groups.next()?.to_owned();
        let first = digits.len();
        for group in groups {
            if group.len() != 3 || !(1..=3).contains(&first) {
                return None;
            }
            digits.push_str(group);
        }
        // `parse` would take a sign.
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|_| plain)
    }

    fn grouped(self, digits: &str) -> String {
        if digits.len() < 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return digits.to_owned();
        }
        let mut text = String::with_capacity(digits.len() + digits.len() / 3);
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                text.push(self.group_mark());
            }
            text.push(digit);
        }
        text
    }

    /// `26 Nov 2026, 10:35 UTC`, `26. Nov. 2026, 10:35 UTC`: for whoever's clock is not known.
    pub fn moment(self, at: Timestamp) -> String {
        let text = at.rfc3339();
        let part = |range| text.get(range).unwrap_or_default();
        let month = part(5..7).parse::<usize>().unwrap_or(1);
        let month = self.months().get(month.saturating_sub(1)).copied();
        let month = month.unwrap_or_default();
        let (day, year) = (part(8..10).trim_start_matches('0'), part(0..4));
        let day = match self {
            Self::English => format!("{day} {month} {year}"),
            Self::German => format!("{day}. {month} {year}"),
        };
        format!("{day}, {} UTC", part(11..16))
    }

    const fn months(self) -> [&'static str; 12] {
        match self {
            Self::English => [
                "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
            ],
            Self::German => [
                "Jan.", "Feb.", "März", "Apr.", "Mai", "Juni", "Juli", "Aug.", "Sept.", "Okt.",
                "Nov.", "Dez.",
            ],
        }
    }

    /// Which form of a word goes with a number (CLDR, cardinal).
    pub const fn form(self, count: u64) -> Form {
        match self {
            Self::English | Self::German => {
                if count == 1 {
                    Form::One
                } else {
                    Form::Other
                }
            }
        }
    }
}

/// A category of plurals that our languages tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `1 image`.
    One,
    /// `0 images`, `2 images`.
    Other,
}

/// What stands for an English text.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Translation {
    /// A text.
    Text(String),
    /// A text that goes with a number.
    Forms {
        /// Beside one.
        one: String,
        /// Beside every other number.
        other: String,
    },
}

/// The texts of one language.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// By their English; what goes with a number by the English of its plural.
    #[serde(default)]
    pub texts: BTreeMap<String, Translation>,
    /// Sentences that the API answers in English, with placeholders for what differs, and what is shown for each.
    #[serde(default)]
    pub answers: Vec<(String, String)>,
}

impl Catalogue {
    /// Reads a catalogue's JSON.
    pub fn parse(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }

    /// What stands for a text.
    pub fn text(&self, english: &str) -> Option<&str> {
        match self.texts.get(english)? {
            Translation::Text(text) => Some(text),
            Translation::Forms { other, .. } => Some(other),
        }
    }

    /// What stands for a text that goes with a number.
    pub fn form(&self, english: &str, form: Form) -> Option<&str> {
        match self.texts.get(english)? {
            Translation::Text(text) => Some(text),
            Translation::Forms { one, other } => Some(match form {
                Form::One => one,
                Form::Other => other,
            }),
        }
    }

    /// What is shown for sentences of the API, if each of them is known.
    pub fn answer(&self, language: Language, english: &str) -> Option<String> {
        if let Some(known) = self.sentence(language, english) {
            return Some(known);
        }
        english.match_indices(". ").find_map(|(end, _)| {
            let (first, rest) = (&english[..=end], &english[end + 2..]);
            let first = self.sentence(language, first)?;
            Some(format!("{first} {}", self.answer(language, rest)?))
        })
    }

    fn sentence(&self, language: Language, english: &str) -> Option<String> {
        if let Some(known) = self.text(english) {
            return Some(known.to_owned());
        }
        self.answers.iter().find_map(|(template, shown)| {
            let values: Vec<(&str, String)> = read(template, english)?
                .into_iter()
                .map(|(name, value)| (name, self.value(language, value)))
                .collect();
            Some(fill(shown, &values))
        })
    }

    fn value(&self, language: Language, english: &str) -> String {
        if is_number(english) {
            return language.written(english);
        }
        let known = self.sentence(language, english);
        let known = known.or_else(|| self.list(language, english));
        known.unwrap_or_else(|| english.to_owned())
    }

    /// Several values, if each of them is known.
    fn list(&self, language: Language, english: &str) -> Option<String> {
        let values = english.split(", ");
        let values = values.map(|value| self.sentence(language, value));
        let values: Option<Vec<String>> = values.collect();
        Some(values?.join(", "))
    }
}

fn is_number(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_digit())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b".+-e".contains(&byte))
}

/// What stands in a text where a template has placeholders. One whose name begins with `number` takes nothing else.
fn read<'a>(template: &'a str, text: &'a str) -> Option<Vec<(&'a str, &'a str)>> {
    let pieces: Vec<Piece<'_>> = pieces(template).collect();
    let (mut rest, mut values) = (text, Vec::new());
    for (index, piece) in pieces.iter().enumerate() {
        match *piece {
            Piece::Text(words) => rest = rest.strip_prefix(words)?,
            Piece::Slot(name) => {
                let end = match pieces.get(index + 1) {
                    Some(Piece::Text(words)) if index + 2 == pieces.len() => {
                        rest.strip_suffix(words)?.len()
                    }
                    Some(Piece::Text(words)) => rest.find(words)?,
                    Some(Piece::Slot(_)) => return None,
                    None => rest.len(),
                };
                let (value, after) = rest.split_at(end);
                if value.is_empty() || name.starts_with("number") && !is_number(value) {
                    return None;
                }
                values.push((name, value));
                rest = after;
            }
        }
    }
    rest.is_empty().then_some(values)
}

/// A text cut at its placeholders, which are names in braces.
pub fn pieces(template: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = template;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some((name, after)) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            rest = after;
            return Some(Piece::Slot(name));
        }
        let next = rest.char_indices().skip(1).find(|(_, each)| *each == '{');
        let (text, after) = rest.split_at(next.map_or(rest.len(), |(at, _)| at));
        rest = after;
        Some(Piece::Text(text))
    })
}

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Words that stay.
    Text(&'a str),
    /// The name of a placeholder.
    Slot(&'a str),
}

/// Puts values in for placeholders; one without a value stays in sight.
pub fn fill(template: &str, values: &[(&str, String)]) -> String {
    let mut text = String::with_capacity(template.len());
    for piece in pieces(template) {
        match piece {
            Piece::Text(words) => text.push_str(words),
            Piece::Slot(name) => match values.iter().find(|(known, _)| *known == name) {
                Some((_, value)) => text.push_str(value),
                None => text.extend(["{", name, "}"]),
            },
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_known_range_is_accepted() {
        let accepted = Language::accepted;
        assert_eq!(accepted("de-AT,de;q=0.9,en;q=0.8"), Language::German);
        assert_eq!(accepted("en-GB,en;q=0.9,de;q=0.8"), Language::English);
        assert_eq!(accepted("fr, de;q=0.5, en;q=0.4"), Language::German);
        assert_eq!(accepted("en;q=0.2, DE ; q=0.7"), Language::German);
        for nothing in ["", "fr", "*", "de;q=0", "de;q=x", ";;,,", "\u{e4}-de"] {
            assert_eq!(accepted(nothing), Language::English, "{nothing}");
        }
    }

    #[test]
    fn tags_name_their_language_alone() {
        for language in Language::ALL {
            assert_eq!(Language::named(language.tag()), Some(language));
        }
        assert_eq!(Language::named("de-CH"), Some(Language::German));
        assert_eq!(Language::named("den"), None);
        assert_eq!(Language::named(""), None);
    }

    #[test]
    fn numbers_look_as_their_readers_write_them() {
        assert_eq!(Language::English.number(999), "999");
        assert_eq!(Language::English.number(1_234_567), "1,234,567");
        assert_eq!(Language::German.number(12_345), "12.345");
        assert_eq!(Language::German.decimal(0.615, 1), "0,6");
        assert_eq!(Language::English.decimal(-1234.5, 2), "-1,234.50");
        assert_eq!(Language::German.signed(0.5, 2), "+0,50");
        assert_eq!(Language::German.written("1e-5"), "1e-5");
        assert_eq!(Language::German.written("NaN"), "NaN");
    }

    #[test]
    fn what_is_typed_is_read_again() {
        for language in Language::ALL {
            for value in [0.0001, 12.5, 1000.0, -3.0] {
                let typed = language.typed(value);
                assert_eq!(language.plain(&typed).parse(), Ok(value), "{typed}");
            }
        }
        assert_eq!(Language::German.typed(0.99), "0,99");
        assert_eq!(Language::German.plain(" 0.99 "), "0.99");
        assert_eq!(Language::English.plain("0,99"), "0,99");
        // Digits stay as they were typed, also those that change nothing.
        assert_eq!(Language::German.marked("0.990"), "0,990");
        assert_eq!(Language::English.marked("1e-5"), "1e-5");
    }

    #[test]
    fn whole_numbers_are_read_whole_or_not_at_all() {
        for language in Language::ALL {
            for value in [0, 7, 999, 1500, 43_200, 1_234_567] {
                let grouped = language.number(value);
                assert_eq!(language.whole_number(&grouped), Some(value), "{grouped}");
                assert_eq!(language.whole_number(&format!(" {value} ")), Some(value));
            }
            for wrong in ["", " ", "+5", "-5", "1e3", "ten", "1 500", "1.50", "1,50"] {
                assert_eq!(language.whole_number(wrong), None, "{wrong}");
            }
        }
        assert_eq!(Language::German.whole_number("1.500"), Some(1500));
        assert_eq!(Language::German.whole_number("1,500"), None);
        assert_eq!(Language::English.whole_number("1,500"), Some(1500));
        assert_eq!(Language::English.whole_number("1.500"), None);
        for odd in ["1500.000", ".500", "1.500.", "1..500"] {
            assert_eq!(Language::German.whole_number(odd), None, "{odd}");
        }
    }

    #[test]
    fn dates_are_in_their_order() {
        let at = Timestamp::from_milliseconds(1_798_761_600_123);
        assert_eq!(Language::English.moment(at), "1 Jan 2027, 00:00 UTC");
        assert_eq!(Language::German.moment(at), "1. Jan. 2027, 00:00 UTC");
    }

    #[test]
    fn placeholders_are_filled_wherever_they_stand() {
        let values = [("done", "3".to_owned()), ("total", "{done}".to_owned())];
        assert_eq!(fill("{done} of {total}", &values), "3 of {done}");
        assert_eq!(fill("{total}{done}", &values), "{done}3");
        assert_eq!(fill("\u{e4}{done}\u{e4}", &values), "\u{e4}3\u{e4}");
        assert_eq!(fill("no { brace", &values), "no { brace");
        assert_eq!(fill("{other}", &values), "{other}");
    }

    #[test]
    fn catalogues_hold_texts_and_forms() {
        let json = r#"{"texts": {"Save": "Sichern", "{count} files": {"one": "{count} Datei", "other": "{count} Dateien"}}}"#;
        let catalogue = Catalogue::parse(json).unwrap();
        assert_eq!(catalogue.text("Save"), Some("Sichern"));
        assert_eq!(catalogue.text("Load"), None);
        let form = |count| catalogue.form("{count} files", Language::German.form(count));
        assert_eq!(form(1), Some("{count} Datei"));
        assert_eq!(form(0), Some("{count} Dateien"));
    }

    #[test]
    fn answers_are_known_by_their_shape() {
        let catalogue = Catalogue {
            answers: [
                ("It resisted.", "Es hielt stand."),
                (
                    "After {number} steps {word} appeared in {hits}.",
                    "Nach {number} Schritten erschien {word} in {hits}.",
                ),
                ("{number1} of {number2}", "{number1} von {number2}"),
                ("Missed were {gates}.", "Verfehlt: {gates}."),
                ("leak", "Leck"),
            ]
            .map(|(english, german)| (english.to_owned(), german.to_owned()))
            .to_vec(),
            ..Catalogue::default()
        };
        let answer = |english| catalogue.answer(Language::German, english);
        assert_eq!(
            answer("It resisted. After 0.5 steps a dog. Yes appeared in 3 of 16.").as_deref(),
            Some("Es hielt stand. Nach 0,5 Schritten erschien a dog. Yes in 3 von 16.")
        );
        let missed = |gates: &str| {
            let sentence = format!("Missed were {gates}.");
            catalogue.answer(Language::German, &sentence)
        };
        assert_eq!(
            missed("leak, leak").as_deref(),
            Some("Verfehlt: Leck, Leck.")
        );
        assert_eq!(missed("leak, fog").as_deref(), Some("Verfehlt: leak, fog."));
        assert_eq!(answer("It resisted. Nobody knows."), None);
        assert_eq!(answer("After many steps a dog appeared in 3 of 16."), None);
        assert_eq!(answer("2 of those"), None);
        assert_eq!(answer(""), None);
    }
}
