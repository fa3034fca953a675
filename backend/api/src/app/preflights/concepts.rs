//! What each concept owes: rights, pictures, a class that the model draws, a vetted target, a token.

use shared::{
    limits::MIN_IMAGES,
    objective::Objective,
    preflight::{CheckStatus, PreflightCheck},
    protected_set::SetStatus,
};

use super::{Subject, contains};

pub(super) const RIGHTS: &str = "rights_declared";
pub(super) const IMAGES: &str = "enough_images";
const SET: &str = "protected_set_id";

impl Subject<'_> {
    /// Everything but the identifier, which a probe knows better.
    pub(super) fn checks(&self) -> Vec<PreflightCheck> {
        let mut checks = vec![self.rights(), self.images(), self.class()];
        checks.extend(self.target());
        checks
    }

    fn rights(&self) -> PreflightCheck {
        let (status, detail) = if self.set.status == SetStatus::Sealed {
            (
                CheckStatus::Pass,
                "You declared your rights in these images; the set is sealed.",
            )
        } else {
            (
                CheckStatus::Fail,
                "Declare your rights in these images first; that seals the set.",
            )
        };
        self.check(RIGHTS, status, "Rights", detail.into(), SET)
    }

    fn images(&self) -> PreflightCheck {
        let count = self.set.images.len();
        let status = if count < MIN_IMAGES {
            CheckStatus::Fail
        } else {
            CheckStatus::Pass
        };
        let detail = format!("The set holds {count} images; at least {MIN_IMAGES} are needed.");
        self.check(IMAGES, status, "Images", detail, SET)
    }

    fn class(&self) -> PreflightCheck {
        let class = &self.concept.class_name;
        let (status, detail) = if self.model.classes.is_empty() {
            (
                CheckStatus::Warn,
                "Nobody recorded which classes this model draws well.".into(),
            )
        } else if contains(&self.model.classes, class) {
            (
                CheckStatus::Pass,
                format!("The model draws the class `{class}`."),
            )
        } else {
            let known = self.model.classes.join(", ");
            (
                CheckStatus::Warn,
                format!("The model may not draw `{class}` well. It knows: {known}."),
            )
        };
        self.check("class_known", status, "Class", detail, "class_name")
    }

    /// Only the target objective draws something else, and only what was vetted.
    fn target(&self) -> Option<PreflightCheck> {
        let Objective::Target { target_class } = &self.concept.objective else {
            return None;
        };
        let (status, detail) = if contains(&self.model.targets, target_class) {
            (
                CheckStatus::Pass,
                format!("`{target_class}` is on the list of vetted targets."),
            )
        } else {
            let targets = self.model.targets.join(", ");
            (
                CheckStatus::Fail,
                format!("Choose a vetted target: {targets}."),
            )
        };
        let field = "objective/target_class";
        Some(self.check("target_vetted", status, "Target", detail, field))
    }

    /// A guess from the model's list, as long as no probe counted the tokens.
    pub(super) fn identifier(&self) -> PreflightCheck {
        let word = &self.concept.identifier;
        let known = &self.model.identifiers;
        let (status, detail) = if contains(known, word) {
            (
                CheckStatus::Pass,
                format!("`{word}` is one token of this model."),
            )
        } else {
            let detail = format!(
                "`{word}` may not be a single token of this model, which weakens the trigger."
            );
            let some: Vec<&str> = known.iter().take(5).map(String::as_str).collect();
            let examples = match some.as_slice() {
                [] => String::new(),
                some => format!(" Single tokens are, for example: {}.", some.join(", ")),
            };
            (CheckStatus::Warn, detail + &examples)
        };
        self.check(
            "identifier_token",
            status,
            "Identifier",
            detail,
            "identifier",
        )
    }
}
