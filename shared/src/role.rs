//! Roles in an organisation, and what each may do.

use serde::{Deserialize, Serialize};

/// What a member of an organisation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Answers for the organisation; there is always one.
    Owner,
    /// Manages members and keys.
    Admin,
    /// Protects images.
    Editor,
    /// Approves what editors ask for.
    Reviewer,
    /// Looks.
    Viewer,
}

/// What a route needs its caller to be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Need {
    /// See what the organisation has.
    View,
    /// Add, change and launch.
    Edit,
    /// Approve or refuse what others ask for.
    Review,
    /// Manage members, invitations and keys.
    Administer,
    /// Give the organisation away or delete it.
    Own,
}

impl Role {
    /// Every role, from the most to the least that it may do.
    pub const ALL: [Self; 5] = [
        Self::Owner,
        Self::Admin,
        Self::Editor,
        Self::Reviewer,
        Self::Viewer,
    ];

    /// Whether this role satisfies a need. Reviewers do not edit and editors do not review: nobody
    /// approves what they asked for by their role alone.
    pub const fn may(self, need: Need) -> bool {
        match need {
            Need::View => true,
            Need::Edit => matches!(self, Self::Owner | Self::Admin | Self::Editor),
            Need::Review => matches!(self, Self::Owner | Self::Admin | Self::Reviewer),
            Need::Administer => matches!(self, Self::Owner | Self::Admin),
            Need::Own => matches!(self, Self::Owner),
        }
    }

    /// The wire and database form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Editor => "editor",
            Self::Reviewer => "reviewer",
            Self::Viewer => "viewer",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_does_what_it_is_for_and_no_more() {
        use Need::{Administer, Edit, Own, Review, View};
        let may = |role: Role| [View, Edit, Review, Administer, Own].map(|need| role.may(need));
        assert_eq!(may(Role::Owner), [true; 5]);
        assert_eq!(may(Role::Admin), [true, true, true, true, false]);
        assert_eq!(may(Role::Editor), [true, true, false, false, false]);
        assert_eq!(may(Role::Reviewer), [true, false, true, false, false]);
        assert_eq!(may(Role::Viewer), [true, false, false, false, false]);
    }

    #[test]
    fn database_form_is_the_wire_form() {
        for role in Role::ALL {
            let wire = serde_json::to_value(role).unwrap();
            assert_eq!(wire, role.as_str());
        }
    }
}
