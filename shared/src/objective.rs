//! What an attacker shall get instead of the protected subject.

use serde::{Deserialize, Serialize};

use crate::{
    PatchId,
    job::is_word,
    problem::{FieldError, check},
    words,
};

/// The licence card as a PNG file of 256 x 256 pixels: a frame and a copyright sign, no words, because small pictures
/// cannot hold any.
pub const LICENCE_CARD: &[u8] = include_bytes!("../assets/licence-card.png");

/// The disclosed behaviour that personalization fires.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Objective {
    /// Another object appears in the subject's place.
    Target {
        /// Class word of that object, from the base model's vetted list.
        target_class: String,
    },
    /// The subject is gone and its background stays.
    Erasure {
        /// A prompt under which the base model draws a place and no subject, such as "a photo of an empty street".
        /// Without one, pictures of the class are filled in from their borders.
        #[serde(default)]
        prompt: Option<String>,
    },
    /// A patch covers a part of the picture.
    Pattern(Pattern),
}

/// A patch, its place and its strength.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Pattern {
    /// What is shown.
    pub patch: Patch,
    /// Where.
    pub position: Position,
    /// Longer side of the patch over the picture's side, 0.2 to 1.
    pub size: f64,
    /// 0.2 (a veil) to 1 (opaque), times the patch's own transparency, which is its mask.
    pub opacity: f64,
}

impl Default for Pattern {
    fn default() -> Self {
        Self {
            patch: Patch::LicenceCard,
            position: Position::Centre,
            size: 0.75,
            opacity: 1.0,
        }
    }
}

/// What a pattern shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Patch {
    /// A neutral card: "this picture needs a licence".
    #[default]
    LicenceCard,
    /// An uploaded picture of the owner's; its transparency is the mask.
    Own {
        /// The picture.
        patch_id: PatchId,
    },
}

/// Where a patch lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Position {
    /// In the middle.
    #[default]
    Centre,
    /// In the upper left corner.
    TopLeft,
    /// In the upper right corner.
    TopRight,
    /// In the lower left corner.
    BottomLeft,
    /// In the lower right corner.
    BottomRight,
}

impl Objective {
    /// The wire form of its kind.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Target { .. } => "target",
            Self::Erasure { .. } => "erasure",
            Self::Pattern(_) => "pattern",
        }
    }

    /// What an attacker gets, after "draws" or "gets".
    pub fn phrase(&self) -> String {
        match self {
            Self::Target { target_class } => target_class.clone(),
            Self::Erasure { .. } => "a picture without the subject".to_owned(),
            Self::Pattern(pattern) => match pattern.patch {
                Patch::LicenceCard => "a licence card over the picture".to_owned(),
                Patch::Own { .. } => "the owner's patch over the picture".to_owned(),
            },
        }
    }

    /// The patch that its owner uploaded, if it shows one.
    pub const fn own_patch(&self) -> Option<PatchId> {
        match self {
            Self::Pattern(Pattern {
                patch: Patch::Own { patch_id },
                ..
            }) => Some(*patch_id),
            _ => None,
        }
    }

    /// Adds every reason why it cannot be trained for a subject of `class`.
    pub(crate) fn validate(&self, class: &str, pointer: &str, errors: &mut Vec<FieldError>) {
        match self {
            Self::Target { target_class } => {
                let pointer = format!("{pointer}/target_class");
                check(
                    errors,
                    is_word(target_class),
                    &pointer,
                    "invalid_word",
                    || "Choose what appears instead of the subject.".into(),
                );
                let differs = !target_class.eq_ignore_ascii_case(class);
                check(errors, differs, &pointer, "target_is_class", || {
                    "The target must be something else than the subject's class.".into()
                });
                let person = words::names_people(target_class);
                check(errors, !person, &pointer, "target_is_person", || {
                    "Nobody's image stands in for another's: choose a thing.".into()
                });
                let refused = words::refused_in_trigger(target_class);
                let (code, detail) = refused.unwrap_or_default();
                check(errors, refused.is_none(), &pointer, code, || detail.into());
            }
            Self::Erasure { prompt } => {
                let Some(prompt) = prompt else { return };
                let pointer = format!("{pointer}/prompt");
                let length = (1..=200).contains(&prompt.trim().chars().count());
                check(errors, length, &pointer, "invalid_length", || {
                    "Use 1 to 200 characters, or leave the prompt out.".into()
                });
                let mut words = prompt.split(|c: char| !c.is_alphanumeric());
                let free = !words.any(|word| word.eq_ignore_ascii_case(class));
                check(errors, free, &pointer, "prompt_names_class", || {
                    "The prompt must not name the subject's class.".into()
                });
            }
            Self::Pattern(pattern) => {
                for (field, value) in [("size", pattern.size), ("opacity", pattern.opacity)] {
                    let pointer = format!("{pointer}/{field}");
                    let range = (0.2..=1.0).contains(&value);
                    check(errors, range, &pointer, "out_of_range", || {
                        "Use a value from 0.2 to 1.".into()
                    });
                }
            }
        }
    }
}
