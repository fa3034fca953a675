//! Notices: anyone may complain about what this server holds, and both sides are heard (DSA, articles 16 and 17).

use serde::{Deserialize, Serialize};

use crate::{
    NoticeId, Timestamp,
    problem::{FieldError, check},
};

/// Longest explanation, in characters.
pub const MAX_EXPLANATION_CHARACTERS: usize = 5000;
/// Hours within which a notice shall be looked at.
pub const TRIAGE_HOURS: i64 = 24;

/// What a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum NoticeCategory {
    /// The protected images are somebody else's work.
    NotTheirWork,
    /// The images show whoever complains.
    DepictsMe,
    /// A model was harmed.
    ModelHarmed,
    /// The content is against the law.
    IllegalContent,
    /// Intimate images without consent.
    IntimateImages,
}

/// A complaint; needs no account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(example = json!({
    "category": "depicts_me", "object": "gal_0198c0de0198c0de0198c0de0198c0de",
    "explanation": "The pictures in this gallery show me; I consented to nothing.",
    "name": "Ada Example", "email": "ada@example.org", "good_faith": true, "signature": "Ada Example"})))]
#[serde(deny_unknown_fields)]
pub struct CreateNotice {
    /// What it is about.
    pub category: NoticeCategory,
    /// The gallery or protect job, by its id or address.
    #[cfg_attr(
        feature = "openapi",
        schema(min_length = 1, max_length = 500, pattern = "\\S")
    )]
    pub object: String,
    /// Why, with what proves it.
    #[cfg_attr(
        feature = "openapi",
        schema(
            min_length = 20,
            max_length = 5000,
            pattern = "\\S[\\s\\S]{18,4998}\\S"
        )
    )]
    pub explanation: String,
    /// Who complains.
    #[cfg_attr(
        feature = "openapi",
        schema(min_length = 2, max_length = 100, pattern = "\\S[\\s\\S]*\\S")
    )]
    pub name: String,
    /// Where answers go.
    #[cfg_attr(
        feature = "openapi",
        schema(pattern = "^[A-Za-z0-9_%+-]{1,60}@[a-z0-9-]{1,60}\\.[a-z]{2,20}$")
    )]
    pub email: String,
    /// The statement is believed to be true and complete.
    pub good_faith: bool,
    /// The name again, as a signature.
    #[cfg_attr(
        feature = "openapi",
        schema(min_length = 2, max_length = 100, pattern = "\\S[\\s\\S]*\\S")
    )]
    pub signature: String,
}

impl CreateNotice {
    /// The id that `object` names, alone or at the end of an address.
    pub fn object_id(&self) -> &str {
        let path = self.object.trim().trim_end_matches('/');
        let path = path.split(['?', '#']).next().unwrap_or_default();
        path.rsplit('/').next().unwrap_or_default()
    }

    /// Every reason why this notice is incomplete.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let mut length = |pointer: &str, text: &str, least: usize, most: usize| {
            let fits = (least..=most).contains(&text.trim().chars().count());
            check(&mut errors, fits, pointer, "invalid_length", || {
                format!("Use {least} to {most} characters.")
            });
        };
        length("#/object", &self.object, 1, 500);
        length(
            "#/explanation",
            &self.explanation,
            20,
            MAX_EXPLANATION_CHARACTERS,
        );
        length("#/name", &self.name, 2, 100);
        length("#/email", &self.email, 3, 254);
        length("#/signature", &self.signature, 2, 100);
        let email = self.email.contains('@') && !self.email.contains(char::is_whitespace);
        check(&mut errors, email, "#/email", "invalid_email", || {
            "Give an e-mail address such as name@example.org.".into()
        });
        check(
            &mut errors,
            self.good_faith,
            "#/good_faith",
            "not_confirmed",
            || "Confirm that this is true and complete to your knowledge.".into(),
        );
        errors
    }
}

/// How a notice stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum NoticeStatus {
    /// Nobody has decided.
    Received,
    /// The object is suspended; its evidence is kept.
    Suspended,
    /// Nothing was done, for a stated reason.
    Dismissed,
    /// The object is back.
    Restored,
}

/// Proof of a notice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NoticeReceipt {
    /// Identifies the notice.
    pub id: NoticeId,
    /// Goes into the header `Notice-Receipt` to look at the notice, or to appeal; shown once.
    pub receipt: String,
    /// By when it shall be looked at.
    pub due_at: Timestamp,
    /// When it arrived.
    pub created_at: Timestamp,
}

/// A notice as those whom it concerns see it; who complained is told to nobody but the administrators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Notice {
    /// Identifies the notice.
    pub id: NoticeId,
    /// What it is about.
    pub category: NoticeCategory,
    /// The object's id.
    pub object: String,
    /// Why.
    pub explanation: String,
    /// How it stands.
    pub status: NoticeStatus,
    /// The reasons for the latest decision.
    pub statement: Option<String>,
    /// What the object's owner answered.
    pub counter_notice: Option<String>,
    /// Why somebody disagrees with the decision; another administrator decides then.
    pub appeal: Option<String>,
    /// By when it shall be looked at.
    pub due_at: Timestamp,
    /// When it arrived.
    pub created_at: Timestamp,
    /// When it was decided last.
    pub decided_at: Option<Timestamp>,
}

/// A notice in the administrators' queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QueuedNotice {
    /// The notice.
    #[serde(flatten)]
    pub notice: Notice,
    /// Who complained.
    pub name: String,
    /// Where answers go.
    pub email: String,
    /// Suspensions of the same owner before: the repeat-infringer policy counts them.
    pub earlier_suspensions: u64,
}

/// What an administrator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum NoticeAction {
    /// Hides the object and stops its export; keeps the evidence.
    Suspend,
    /// Does nothing.
    Dismiss,
    /// Takes a suspension back.
    Restore,
}

/// A decision and its reasons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(example = json!({
    "action": "suspend", "statement": "The pictures show the complainant, who did not consent. You may appeal."})))]
#[serde(deny_unknown_fields)]
pub struct DecideNotice {
    /// What is done.
    pub action: NoticeAction,
    /// Facts, ground and scope, and how to appeal: both sides read it.
    #[cfg_attr(
        feature = "openapi",
        schema(
            min_length = 20,
            max_length = 5000,
            pattern = "\\S[\\s\\S]{18,4998}\\S"
        )
    )]
    pub statement: String,
}

/// An answer or an appeal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(example = json!({
    "statement": "I took these pictures myself; the originals are enclosed."})))]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// What is said.
    #[cfg_attr(
        feature = "openapi",
        schema(
            min_length = 20,
            max_length = 5000,
            pattern = "\\S[\\s\\S]{18,4998}\\S"
        )
    )]
    pub statement: String,
}

/// Refuses a statement that says nothing, or too much.
pub fn validate_statement(text: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let fits = (20..=MAX_EXPLANATION_CHARACTERS).contains(&text.trim().chars().count());
    check(&mut errors, fits, "#/statement", "invalid_length", || {
        format!("Use 20 to {MAX_EXPLANATION_CHARACTERS} characters.")
    });
    errors
}

/// Counts that anyone may read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Transparency {
    /// Protect jobs that ended well, by kind of objective.
    pub protections_by_objective: std::collections::BTreeMap<String, u64>,
    /// The same by kind of subject.
    pub protections_by_subject: std::collections::BTreeMap<String, u64>,
    /// Notices, by how they stand.
    pub notices_by_status: std::collections::BTreeMap<String, u64>,
    /// Signed revocations.
    pub revocations: u64,
    /// Accounts that were deleted.
    pub deletions: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(object: &str) -> CreateNotice {
        CreateNotice {
            category: NoticeCategory::DepictsMe,
            object: object.to_owned(),
            explanation: "The pictures in this gallery show me.".into(),
            name: "Ada Example".into(),
            email: "ada@example.org".into(),
            good_faith: true,
            signature: "Ada Example".into(),
        }
    }

    #[test]
    fn object_is_found_at_the_end_of_whatever_address() {
        let id = "gal_0198c0de0198c0de0198c0de0198c0de";
        let starts = [
            "",
            " ",
            "/",
            "https://guard.example/galleries/",
            "//x/../",
            "?/",
            "é/",
        ];
        let ends = ["", "/", "//", "?x=1", "/?x=/y", "#part", "?#/", " ", "\n"];
        for (start, end) in starts.iter().flat_map(|start| ends.map(|end| (start, end))) {
            let notice = notice(&format!("{start}{id}{end}"));
            let found = notice.object_id();
            assert!(!found.contains(['/', '?', '#']), "{found}");
            let plain = !start.contains('?') && !end.starts_with("/?");
            assert!(!plain || found == id, "{start}{id}{end}: {found}");
            assert_eq!(notice.validate(), Vec::new());
        }
        for nothing in ["", "/", "?", "#", "//", " \t"] {
            assert_eq!(notice(nothing).object_id(), "");
        }
    }

    #[test]
    fn every_text_of_a_notice_has_its_bounds() {
        let long = "x".repeat(MAX_EXPLANATION_CHARACTERS + 1);
        for (field, pointer) in [
            (0, "#/explanation"),
            (1, "#/name"),
            (2, "#/email"),
            (3, "#/signature"),
            (4, "#/object"),
        ] {
            for text in ["", " ", "\u{0}", "\u{202e}", &long] {
                let mut notice = notice("gal_1");
                let place = match field {
                    0 => &mut notice.explanation,
                    1 => &mut notice.name,
                    2 => &mut notice.email,
                    3 => &mut notice.signature,
                    _ => &mut notice.object,
                };
                text.clone_into(place);
                let errors = notice.validate();
                let one = |error: &FieldError| error.pointer == pointer;
                assert!(errors.iter().all(one), "{errors:?}");
                let short = text.chars().count() == 1 && !text.trim().is_empty();
                assert!(
                    !errors.is_empty() || (short && field == 4),
                    "{pointer}: {text:?}"
                );
            }
        }
    }
}
