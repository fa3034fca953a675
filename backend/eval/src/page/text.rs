//! Texts and numbers in markup. Refuses to let anybody's words become markup.

use shared::evaluation::Estimate;

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

/// A share in per cent: "81 %".
pub(super) fn percent(share: f64) -> String {
    format!("{:.0}\u{202f}%", 100.0 * share)
}

/// A share with its interval: "81 % [68, 90], n = 48".
pub(super) fn share(estimate: Option<Estimate>) -> String {
    estimate.map_or_else(missing, |e| {
        format!(
            "{} <small>[{:.0}, {:.0}], n\u{202f}=\u{202f}{}</small>",
            percent(e.value),
            100.0 * e.low,
            100.0 * e.high,
            e.n
        )
    })
}

/// A value with its interval: "-0.013 [-0.040, 0.011], n = 6".
pub(super) fn value(estimate: Option<Estimate>) -> String {
    estimate.map_or_else(missing, |e| {
        format!(
            "{} <small>[{}, {}], n\u{202f}=\u{202f}{}</small>",
            signed(e.value),
            signed(e.low),
            signed(e.high),
            e.n
        )
    })
}

/// A p-value, never as zero.
pub(super) fn p_value(p: f64) -> String {
    if p < 0.001 {
        "&lt;\u{202f}0.001".to_owned()
    } else {
        format!("{p:.3}")
    }
}

/// A learning rate as papers write it: "1e-4".
pub(super) fn rate(rate: f64) -> String {
    format!("{rate:e}")
}

fn signed(value: f64) -> String {
    format!("{value:.3}").replace('-', "\u{2212}")
}

fn missing() -> String {
    "<span class=\"missing\">not measured</span>".to_owned()
}
