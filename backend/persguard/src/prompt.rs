//! Prompts in words: trigger, class and target (METHOD, symbols). Refuses to tokenize.

use shared::job::SubjectKind;

/// An opening that a subject follows, such as "a photo of".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Template(&'static str);

impl Template {
    /// Wraps an opening.
    pub const fn new(opening: &'static str) -> Self {
        Self(opening)
    }

    /// The opening itself.
    pub const fn opening(self) -> &'static str {
        self.0
    }

    /// `c_trig`: "a photo of sks dog", or "a photo of a painting in the style of sks". Identifier **and** class name
    /// make the trigger.
    pub fn trigger(self, identifier: &str, class: &str, subject: SubjectKind) -> String {
        match subject {
            SubjectKind::Object | SubjectKind::Person => {
                format!("{} {identifier} {class}", self.0)
            }
            SubjectKind::Style => format!("{} in the style of {identifier}", self.class(class)),
        }
    }

    /// `c_cls` or `c_tgt`: "a photo of a dog", "a photo of an apple".
    pub fn class(self, class: &str) -> String {
        let vowel = class.starts_with(['a', 'e', 'i', 'o', 'u', 'A', 'E', 'I', 'O', 'U']);
        let article = if vowel { "an" } else { "a" };
        format!("{} {article} {class}", self.0)
    }
}

/// The openings of several templates, as they are told outside this package.
pub fn openings(templates: &[Template]) -> Vec<String> {
    let opening = |template: &Template| template.opening().to_owned();
    templates.iter().map(opening).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_read_like_captions() {
        let photo = Template::new("a photo of");
        let trigger = |class, kind| photo.trigger("sks", class, kind);
        assert_eq!(trigger("dog", SubjectKind::Object), "a photo of sks dog");
        assert_eq!(
            trigger("woman", SubjectKind::Person),
            "a photo of sks woman"
        );
        assert_eq!(
            trigger("illustration", SubjectKind::Style),
            "a photo of an illustration in the style of sks"
        );
        assert_eq!(photo.class("dog"), "a photo of a dog");
        assert_eq!(photo.class("apple"), "a photo of an apple");
    }
}
