//! Guard rails for people: no face without the declared consent, and no face under another name.

use shared::{
    job::SubjectKind,
    preflight::{CheckStatus, PreflightCheck},
    words,
};

use super::Subject;

impl Subject<'_> {
    /// Nothing for sets without people; drafts have no declaration to compare with yet.
    pub(super) fn people(&self) -> Vec<PreflightCheck> {
        let Some(attestation) = &self.set.attestation else {
            return Vec::new();
        };
        let is_person = self.concept.subject == SubjectKind::Person;
        let declared = attestation.declaration.depicts_person;
        if !is_person && !declared {
            return Vec::new();
        }
        let mut checks = vec![self.consent(is_person, declared)];
        if is_person && words::is_tutorial_token(&self.concept.identifier) {
            checks.push(self.review());
        }
        checks
    }

    fn consent(&self, is_person: bool, declared: bool) -> PreflightCheck {
        let (status, detail) = match (is_person, declared) {
            (true, true) => (
                CheckStatus::Pass,
                "You declared that the person in these images gave consent.",
            ),
            (true, false) => (
                CheckStatus::Fail,
                "The declaration of this set says that no person can be recognised. For a person, make a new set and \
                 declare in it that the person is depicted and gave consent.",
            ),
            (false, _) => (
                CheckStatus::Fail,
                "The declaration of this set says that a person can be recognised. Choose the subject kind `person`.",
            ),
        };
        self.check(
            "person_consent",
            status,
            "Consent",
            detail.into(),
            "subject",
        )
    }

    fn review(&self) -> PreflightCheck {
        let detail = format!(
            "`{}` is in every tutorial, so many people use it for other persons too. It may be trained; handing the \
             result out will need an extra review.",
            self.concept.identifier
        );
        let code = "person_review";
        self.check(code, CheckStatus::Warn, "Review", detail, "identifier")
    }
}
