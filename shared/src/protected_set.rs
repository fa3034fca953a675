//! Protected sets: a draft collects images, an attestation seals it.

use serde::{Deserialize, Serialize};

use crate::{
    SetId, Timestamp,
    image::ProtectedImage,
    limits,
    problem::{FieldError, check},
};

/// Starts a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateProtectedSet {
    /// What the owner calls it.
    #[cfg_attr(
        feature = "openapi",
        schema(min_length = 1, max_length = 100, pattern = "\\S")
    )]
    pub name: String,
}

impl CreateProtectedSet {
    /// Every reason why this set cannot be created.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let length = self.name.trim().chars().count();
        let range = 1..=limits::MAX_NAME_CHARACTERS;
        check(
            &mut errors,
            range.contains(&length),
            "#/name",
            "invalid_length",
            || format!("Use 1 to {} characters.", range.end()),
        );
        errors
    }
}

/// Why somebody may protect these images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RightsBasis {
    /// "I own the rights in these images."
    Own,
    /// "I represent the owner."
    Represent,
    /// "The depicted person gave me consent."
    Consent,
}

/// Declares the rights and seals the set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateAttestation {
    /// Why the declarant may protect these images.
    pub basis: RightsBasis,
    /// Full name of the declarant.
    pub name: String,
    /// Country whose law the declaration is made under.
    pub jurisdiction: String,
    /// In which capacity the declarant signs, such as "author" or "agency of the author".
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub capacity: String,
    /// Where the mandate of whoever represents the owner can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mandate: Option<String>,
    /// Whether a real person can be recognised.
    pub depicts_person: bool,
    /// That person agreed to biometric measures, too: nothing compares faces without it (GDPR, article 9).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub biometric_consent: bool,
    /// The declarant confirms that the declaration is true.
    pub confirmed: bool,
}

impl CreateAttestation {
    /// Every reason why this declaration is incomplete.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        for (pointer, text) in [
            ("#/name", &self.name),
            ("#/jurisdiction", &self.jurisdiction),
        ] {
            let length = text.trim().chars().count();
            let range = 2..=limits::MAX_NAME_CHARACTERS;
            check(
                &mut errors,
                range.contains(&length),
                pointer,
                "invalid_length",
                || format!("Use 2 to {} characters.", range.end()),
            );
        }
        let most = limits::MAX_NAME_CHARACTERS;
        let short = self.capacity.chars().count() <= most;
        check(&mut errors, short, "#/capacity", "invalid_length", || {
            format!("Use at most {most} characters.")
        });
        let mandate = self.mandate.as_deref().unwrap_or_default();
        let short = mandate.chars().count() <= 500;
        check(&mut errors, short, "#/mandate", "invalid_length", || {
            "Use at most 500 characters.".into()
        });
        let person = !self.biometric_consent || self.depicts_person;
        check(
            &mut errors,
            person,
            "#/biometric_consent",
            "no_person",
            || "Biometric consent is for images of a person.".into(),
        );
        check(
            &mut errors,
            self.confirmed,
            "#/confirmed",
            "not_confirmed",
            || "Confirm that the declaration is true.".into(),
        );
        let consent = !self.depicts_person || self.basis == RightsBasis::Consent;
        check(&mut errors, consent, "#/basis", "consent_required", || {
            "A recognisable person needs that person's consent: choose `consent`.".into()
        });
        errors
    }
}

/// A declaration, bound to the images that it was made for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Attestation {
    /// What was declared.
    #[serde(flatten)]
    pub declaration: CreateAttestation,
    /// When.
    pub signed_at: Timestamp,
}

/// Whether a set can still change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SetStatus {
    /// Images may come and go.
    Draft,
    /// Immutable: its images and attestation are bound by `manifest_sha256`.
    Sealed,
}

/// A set as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProtectedSet {
    /// Identifies the set.
    pub id: SetId,
    /// What the owner calls it.
    pub name: String,
    /// Whether it can still change.
    pub status: SetStatus,
    /// Its images in order of arrival.
    pub images: Vec<ProtectedImage>,
    /// The declaration, once sealed.
    pub attestation: Option<Attestation>,
    /// SHA-256 over the sorted image hashes and the declaration, once sealed.
    pub manifest_sha256: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}
