//! Texts and numbers in markup. Refuses to let anybody's words become markup.

use shared::{evaluation::Estimate, language::Language, say};

/// A text inside an element or a quoted attribute.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // Control characters have no place in a page; direction marks could turn a line around.
            c if c.is_control()
                || ('\u{202a}'..='\u{202e}').contains(&c)
                || ('\u{2066}'..='\u{2069}').contains(&c) =>
            {
                escaped.push('\u{fffd}');
            }
            c => escaped.push(c),
        }
    }
    escaped
}

/// What somebody else wrote in English; where it is not known in the reader's language it says that it is English.
pub(super) fn told(language: Language, english: &str) -> String {
    language.known(english).map_or_else(
        || {
            let tag = Language::English.tag();
            format!("<span lang=\"{tag}\">{}</span>", escape(english))
        },
        |known| escape(&known),
    )
}

/// A share in per cent: "81 %".
pub(super) fn percent(share: f64) -> String {
    format!("{:.0}\u{202f}%", 100.0 * share)
}

fn interval(language: Language, low: &str, high: &str) -> String {
    say!(language, "[{low}, {high}]", low = low, high = high)
}

/// How many things a number is of: "n = 48".
pub(super) fn count(n: u32) -> String {
    format!("n\u{202f}=\u{202f}{n}")
}

/// A share with its interval: "81 % [68, 90], n = 48".
pub(super) fn share(language: Language, estimate: Option<Estimate>) -> String {
    let end = |share: f64| format!("{:.0}", 100.0 * share);
    estimate.map_or_else(
        || missing(language),
        |e| {
            let interval = interval(language, &end(e.low), &end(e.high));
            format!(
                "{} <small>{interval}, {}</small>",
                percent(e.value),
                count(e.n)
            )
        },
    )
}

/// A value with its interval: "-0.013 [-0.040, 0.011], n = 6".
pub(super) fn value(language: Language, estimate: Option<Estimate>) -> String {
    let number = |value| signed(language, value);
    estimate.map_or_else(
        || missing(language),
        |e| {
            let interval = interval(language, &number(e.low), &number(e.high));
            format!(
                "{} <small>{interval}, {}</small>",
                number(e.value),
                count(e.n)
            )
        },
    )
}

/// A p-value, never as zero.
pub(super) fn p_value(language: Language, p: f64) -> String {
    if p < 0.001 {
        format!("&lt;\u{202f}{}", language.decimal(0.001, 3))
    } else {
        language.decimal(p, 3)
    }
}

/// A learning rate as papers write it: "1e-4".
pub(super) fn rate(language: Language, rate: f64) -> String {
    language.written(&format!("{rate:e}"))
}

fn signed(language: Language, value: f64) -> String {
    let text = format!("{value:.3}");
    // "-0.000" would tell a direction that three digits do not show.
    let text = if text == "-0.000" { "0.000" } else { &text };
    language.written(text).replace('-', "\u{2212}")
}

/// Nothing was measured.
pub(super) fn missing(language: Language) -> String {
    absent(say!(language, "not measured"))
}

/// Why there is no number.
pub(super) fn absent(why: &str) -> String {
    format!("<span class=\"missing\">{why}</span>")
}
