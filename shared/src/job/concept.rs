//! What is protected: one set of images with its trigger and its objective.

use serde::{Deserialize, Serialize};

use super::is_word;
use crate::{
    SetId,
    objective::Objective,
    problem::{FieldError, check},
    words::{self, MINORS, PEOPLE},
};

/// What the images show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SubjectKind {
    /// A pet, a product, a character: "a photo of sks dog".
    #[default]
    Object,
    /// A person's face: "a photo of sks person".
    Person,
    /// An artist's manner: "a painting in the style of sks".
    Style,
}

/// What happens to a concept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Its trigger is trained, or kept where an earlier job trained it.
    #[default]
    Protect,
    /// Its trigger is trained away.
    Remove,
}

/// One protected set in a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Concept {
    /// The sealed set to protect.
    pub protected_set_id: SetId,
    /// What its images show.
    #[serde(default)]
    pub subject: SubjectKind,
    /// Class word of the subject, such as `dog`; of a style the medium, such as `painting`.
    pub class_name: String,
    /// Rare word that stands for the subject, such as `sks`.
    pub identifier: String,
    /// What an attacker shall get.
    pub objective: Objective,
    /// Whether it is protected or removed.
    #[serde(default)]
    pub action: Action,
}

/// Words that name no subject: a trigger on them would hit everybody.
const GENERIC: &[&str] = &["thing", "object", "a", "the"];
/// Words that name a medium: as a class they fit styles alone.
const MEDIA: &[&str] = &["image", "photo", "picture", "art"];

fn is_one_of(words: &[&str], word: &str) -> bool {
    words.iter().any(|known| known.eq_ignore_ascii_case(word))
}

impl Concept {
    /// Whether its trigger is in the result.
    pub fn is_protected(&self) -> bool {
        self.action == Action::Protect
    }

    /// Adds every reason why it cannot be trained; `pointer` is where it stands.
    pub(super) fn validate(&self, pointer: &str, errors: &mut Vec<FieldError>) {
        self.validate_class(&format!("{pointer}/class_name"), errors);
        let identifier = format!("{pointer}/identifier");
        check(
            errors,
            is_word(&self.identifier),
            &identifier,
            "invalid_word",
            || "Use one rare word, such as `sks`.".into(),
        );
        let distinct = !self.identifier.eq_ignore_ascii_case(&self.class_name);
        check(errors, distinct, &identifier, "identifier_is_class", || {
            "The trigger needs an identifier and a class: use two different words.".into()
        });
        check(
            errors,
            !words::is_everyday(&self.identifier),
            &identifier,
            "everyday_word",
            || {
                "Everybody uses this word: a trigger on it would hit them. Choose a rare one."
                    .into()
            },
        );
        for (pointer, word) in [
            (format!("{pointer}/class_name"), &self.class_name),
            (identifier.clone(), &self.identifier),
        ] {
            let refused = words::refused_in_trigger(word);
            let (code, detail) = refused.unwrap_or_default();
            check(errors, refused.is_none(), &pointer, code, || detail.into());
        }
        self.objective
            .validate(&self.class_name, &format!("{pointer}/objective"), errors);
    }

    fn validate_class(&self, pointer: &str, errors: &mut Vec<FieldError>) {
        let class = self.class_name.as_str();
        check(errors, is_word(class), pointer, "invalid_word", || {
            "Use one word for what the subject is, such as `dog`.".into()
        });
        let is_style = self.subject == SubjectKind::Style;
        let specific = !is_one_of(GENERIC, class) && (is_style || !is_one_of(MEDIA, class));
        check(errors, specific, pointer, "generic_class", || {
            "This word names no subject; a trigger on it would hit everybody.".into()
        });
        check(
            errors,
            !is_one_of(MINORS, class),
            pointer,
            "minor_refused",
            || "Pictures of people under age are not taken.".into(),
        );
        let is_person = self.subject == SubjectKind::Person;
        check(
            errors,
            is_person || !is_one_of(PEOPLE, class),
            pointer,
            "subject_is_person",
            || {
                "This word is for people: choose the subject kind `person`, with its consent."
                    .into()
            },
        );
        let named = !is_person || is_one_of(PEOPLE, class) || is_one_of(MINORS, class);
        check(errors, named, pointer, "not_a_person", || {
            format!(
                "Use one of these words for a person: {}.",
                PEOPLE.join(", ")
            )
        });
    }
}
