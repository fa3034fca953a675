//! Organisations: whose things are, who belongs to them, and how one gets in.

use serde::{Deserialize, Serialize};

use crate::{
    InvitationId, OrganisationId, Timestamp, UserId,
    auth::is_plausible_email,
    limits,
    problem::{FieldError, check},
    role::Role,
};

/// Refuses a name that is empty or too long, or that could not stand in the subject of a letter.
pub(crate) fn check_name(errors: &mut Vec<FieldError>, name: &str) {
    let length = name.trim().chars().count();
    let range = 1..=limits::MAX_NAME_CHARACTERS;
    check(
        errors,
        range.contains(&length),
        "#/name",
        "invalid_length",
        || format!("Use 1 to {} characters.", range.end()),
    );
    check(
        errors,
        !name.trim().chars().any(char::is_control),
        "#/name",
        "invalid_character",
        || "Use no line breaks and no control characters.".into(),
    );
}

/// Founds an organisation; the founder owns it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({ "name": "Studio Example" })))]
#[serde(deny_unknown_fields)]
pub struct CreateOrganisation {
    /// What its members call it.
    #[cfg_attr(
        feature = "openapi",
        schema(min_length = 1, max_length = 100, pattern = "\\S")
    )]
    pub name: String,
}

impl CreateOrganisation {
    /// Every reason why this organisation cannot be founded.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        check_name(&mut errors, &self.name);
        errors
    }
}

/// Changes an organisation; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({ "name": "Studio Example" })))]
#[serde(deny_unknown_fields)]
pub struct UpdateOrganisation {
    /// What its members call it.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::patching::present"
    )]
    #[cfg_attr(feature = "openapi", schema(value_type = String, required = false,
        min_length = 1, max_length = 100, pattern = "\\S"))]
    pub name: Option<String>,
}

impl UpdateOrganisation {
    /// Every reason why this change is refused.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if let Some(name) = &self.name {
            check_name(&mut errors, name);
        }
        errors
    }
}

/// An organisation as one of its members sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Organisation {
    /// Identifies the organisation.
    pub id: OrganisationId,
    /// What its members call it.
    pub name: String,
    /// Whether it is one person's own: nobody else can join it and it ends with the account.
    pub personal: bool,
    /// What the caller is in it.
    pub role: Role,
    /// When it was founded.
    pub created_at: Timestamp,
}

/// A member of an organisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Member {
    /// The person.
    pub user_id: UserId,
    /// Their address.
    pub email: String,
    /// What they are called.
    pub name: String,
    /// What they are in this organisation.
    pub role: Role,
    /// When they joined.
    pub created_at: Timestamp,
}

/// Gives a member another role. Ownership is transferred, not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({ "role": "reviewer" })))]
#[serde(deny_unknown_fields)]
pub struct UpdateMember {
    /// The role from now on.
    pub role: AssignedRole,
}

/// A role that an administrator can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AssignedRole {
    /// Manages members and keys.
    Admin,
    /// Protects images.
    Editor,
    /// Approves what editors ask for.
    Reviewer,
    /// Looks.
    Viewer,
}

impl From<AssignedRole> for Role {
    fn from(role: AssignedRole) -> Self {
        match role {
            AssignedRole::Admin => Self::Admin,
            AssignedRole::Editor => Self::Editor,
            AssignedRole::Reviewer => Self::Reviewer,
            AssignedRole::Viewer => Self::Viewer,
        }
    }
}

/// Makes another member the owner; the owner until now becomes an administrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({ "user_id": "usr_0198c0de000070008000000000000001" })))]
#[serde(deny_unknown_fields)]
pub struct TransferOwnership {
    /// The member who shall own it.
    pub user_id: UserId,
}

/// Invites somebody by e-mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({ "email": "grace@example.org", "role": "editor" })))]
#[serde(deny_unknown_fields)]
pub struct CreateInvitation {
    /// Where the invitation goes; only the account with this address can accept it.
    #[cfg_attr(
        feature = "openapi",
        schema(pattern = "^[A-Za-z0-9_%+-]{1,60}@[a-z0-9-]{1,60}\\.[a-z]{2,20}$")
    )]
    pub email: String,
    /// What they will be.
    pub role: AssignedRole,
}

impl CreateInvitation {
    /// Every reason why this invitation is refused.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let plausible = is_plausible_email(&self.email);
        check(&mut errors, plausible, "#/email", "invalid_email", || {
            "Give an e-mail address such as name@example.org.".into()
        });
        errors
    }
}

/// An invitation that waits for its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Invitation {
    /// Identifies the invitation.
    pub id: InvitationId,
    /// Where it went.
    pub email: String,
    /// What they will be.
    pub role: Role,
    /// When it was sent.
    pub created_at: Timestamp,
    /// Until when it can be accepted.
    pub expires_at: Timestamp,
}

/// Accepts an invitation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({ "token": "the-text-after-token-in-the-link" })))]
#[serde(deny_unknown_fields)]
pub struct AcceptInvitation {
    /// The token of the link in the letter.
    pub token: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_short_line() {
        let codes = |name: &str| -> Vec<String> {
            let mut errors = Vec::new();
            check_name(&mut errors, name);
            errors.into_iter().map(|error| error.code).collect()
        };
        let none: [&str; 0] = [];
        assert_eq!(codes("Studio Zoë"), none);
        assert_eq!(codes(" Studio\n"), none, "what is around it is cut off");
        assert_eq!(codes(" "), ["invalid_length"]);
        assert_eq!(codes(&"x".repeat(101)), ["invalid_length"]);
        for name in ["a\nb", "a\r\nBcc: b", "a\tb", "a\u{7f}b", "a\u{85}b"] {
            assert_eq!(codes(name), ["invalid_character"], "{name:?}");
        }
    }
}
