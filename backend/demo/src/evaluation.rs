//! The evaluation that ships with the embedded model, as `cargo xtask bench eval --tier standard` left it.

/// A report with what proves it.
#[derive(Clone, Copy, Debug)]
pub struct Evaluation {
    /// One HTML page with its pictures inside.
    pub report: &'static str,
    /// The same page in other languages, by their tags; its pictures are numbers in the first: see [`with_pictures`].
    pub translations: &'static [(&'static str, &'static str)],
    /// The signed certificate.
    pub certificate: &'static [u8],
    /// The public keys that it is verified with.
    pub keys: &'static [u8],
}

/// The standard tier of attacks on the demo's subject, protected by the demo's setting.
#[inline(never)]
pub fn evaluation() -> Evaluation {
    Evaluation {
        report: include_str!("../evaluation/report.html"),
        translations: &[("de", include_str!("../evaluation/report.de.html"))],
        certificate: include_bytes!("../evaluation/certificate.json"),
        keys: include_bytes!("../evaluation/keys.json"),
    }
}

const PICTURE: &str = "data:image/png;base64,";
const NUMBER: &str = "picture:";

fn pictures(page: &str) -> impl Iterator<Item = &str> {
    let mut places = page.split("src=\"");
    places.next();
    let values = places.filter_map(|rest| rest.split('"').next());
    values.filter(|value| value.starts_with(PICTURE))
}

/// A page whose pictures are numbers in `whole`, a page that has them all. One that is not there stays as it is.
pub fn without_pictures(page: &str, whole: &str) -> String {
    let known: Vec<&str> = pictures(whole).collect();
    replaced(page, PICTURE, |value| {
        let number = known.iter().position(|known| *known == value)?;
        Some(format!("{NUMBER}{number}"))
    })
}

/// The page again, with its pictures. A number that `whole` does not have stays as it is.
pub fn with_pictures(page: &str, whole: &str) -> String {
    let known: Vec<&str> = pictures(whole).collect();
    replaced(page, NUMBER, |value| {
        let number: usize = value.strip_prefix(NUMBER)?.parse().ok()?;
        known.get(number).map(|known| (*known).to_owned())
    })
}

/// The page with other sources of pictures, where there is one.
fn replaced(page: &str, begin: &str, other: impl Fn(&str) -> Option<String>) -> String {
    let mut parts = page.split("src=\"");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str("src=\"");
        let (value, rest) = part.split_at(part.find('"').unwrap_or(part.len()));
        let found = value.starts_with(begin).then(|| other(value)).flatten();
        text.push_str(found.as_deref().unwrap_or(value));
        text.push_str(rest);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_come_back_where_they_were() {
        let whole = "<img src=\"data:image/png;base64,AA\"><img src=\"data:image/png;base64,BB\">";
        let page = "<img alt=\"B\" src=\"data:image/png;base64,BB\">\
            <img src=\"data:image/png;base64,CC\"><script src=\"other\">";
        let short = without_pictures(page, whole);
        let expected = "<img alt=\"B\" src=\"picture:1\">\
            <img src=\"data:image/png;base64,CC\"><script src=\"other\">";
        assert_eq!(short, expected);
        assert_eq!(with_pictures(&short, whole), page);
        assert_eq!(
            with_pictures("src=\"picture:2\"", whole),
            "src=\"picture:2\""
        );
    }

    #[test]
    fn every_picture_of_a_translation_is_one_of_the_report() {
        let Evaluation {
            report,
            translations,
            ..
        } = evaluation();
        for (tag, page) in translations {
            let whole = with_pictures(page, report);
            assert_eq!(pictures(&whole).count(), pictures(report).count(), "{tag}");
            assert!(!whole.contains(NUMBER), "{tag}");
        }
    }
}
