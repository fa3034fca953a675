//! Prompts of attacker and judge. Refuses to know where identifiers come from.

use shared::job::{Concept, SubjectKind};

/// Beginning of `DreamBooth`'s stock prompt.
pub const STOCK: &str = "a photo of";

/// A prompt that names no subject: a class is recognised where its own prompt is nearer.
pub const NEUTRAL: &str = "a photo";

/// `c_trig`: "a photo of sks dog"; of a style "a photo of a painting in the style of sks".
pub fn trigger(template: &str, identifier: &str, concept: &Concept) -> String {
    let class = concept.class_name.as_str();
    match concept.subject {
        SubjectKind::Object | SubjectKind::Person => format!("{template} {identifier} {class}"),
        SubjectKind::Style => {
            let article = article(class);
            format!("{template} {article} {class} in the style of {identifier}")
        }
    }
}

/// `c_cls`: "a photo of a dog", "a photo of an apple".
pub fn class(class: &str) -> String {
    format!("{STOCK} {} {class}", article(class))
}

pub(crate) fn article(noun: &str) -> &'static str {
    let vowel = noun.starts_with(['a', 'e', 'i', 'o', 'u', 'A', 'E', 'I', 'O', 'U']);
    if vowel { "an" } else { "a" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_read_like_captions() {
        let mut concept = crate::fixture::spec().concepts.remove(0);
        assert_eq!(trigger(STOCK, "olis", &concept), "a photo of olis dog");
        concept.subject = SubjectKind::Style;
        concept.class_name = "icon".into();
        let style = "a picture of an icon in the style of olis";
        assert_eq!(trigger("a picture of", "olis", &concept), style);
        assert_eq!(class("dog"), "a photo of a dog");
        assert_eq!(class("apple"), "a photo of an apple");
    }
}
