//! Signing in by an identity provider (`OpenID` Connect), and the identities that lead to an account.

use serde::{Deserialize, Serialize};

use crate::{
    IdentityId, Timestamp,
    problem::{FieldError, check},
};

/// Longest path to come back to.
const MAX_RETURN_TO: usize = 512;

/// A provider that people may sign in by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IdentityProvider {
    /// Its name in addresses.
    pub slug: String,
    /// Its name for people.
    pub name: String,
}

/// Begins to sign in by a provider.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({ "return_to": "/jobs" })))]
#[serde(deny_unknown_fields)]
pub struct CreateAuthorization {
    /// The page to open afterwards, a path of this server; `/home` unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(pattern = "^/([A-Za-z0-9_-]{1,40}/?){0,4}$")
    )]
    pub return_to: Option<String>,
}

impl CreateAuthorization {
    /// Every reason why it cannot begin.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        check_return_to(&mut errors, self.return_to.as_deref());
        errors
    }
}

/// Begins to link an identity to the account that is asking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({ "provider": "example", "password": "correct horse battery" })))]
#[serde(deny_unknown_fields)]
pub struct CreateIdentity {
    /// The provider's slug.
    pub provider: String,
    /// The account's password: another way in is opened by its owner alone.
    pub password: String,
}

/// Where the browser goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Authorization {
    /// The provider's page; only the browser that asked comes back from it signed in.
    pub url: String,
    /// Seconds until coming back is too late.
    pub expires_in_seconds: u64,
}

/// Shows the second factor after a provider's sign-in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({ "code": "123456" })))]
#[serde(deny_unknown_fields)]
pub struct ShowSecondFactor {
    /// Six digits of the authenticator app, or a recovery code.
    pub code: String,
}

/// A way into an account by a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Identity {
    /// Identifies the link.
    pub id: IdentityId,
    /// The provider; nothing where the server does not know it any more.
    pub provider: Option<IdentityProvider>,
    /// The provider's own address.
    pub issuer: String,
    /// Who the person is there.
    pub subject: String,
    /// What the provider called the person when the link was made.
    pub email: Option<String>,
    /// When it was linked.
    pub created_at: Timestamp,
    /// When it was used last.
    pub used_at: Timestamp,
}

/// Why somebody comes back from a provider without being signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInProblem {
    /// The person or the provider said no.
    Denied,
    /// Too late, a second time, or in another browser.
    Expired,
    /// The provider's answer does not hold.
    Invalid,
    /// The provider does not answer.
    Unreachable,
    /// The provider vouches for no e-mail address.
    Unverified,
    /// Another account has the e-mail address.
    AccountExists,
    /// This server opens no accounts this way.
    NoAccount,
    /// The identity leads to another account.
    Taken,
    /// The account has as many identities as it may.
    TooMany,
    /// Too many attempts.
    RateLimited,
    /// A fault of ours.
    Internal,
}

impl SignInProblem {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Denied,
        Self::Expired,
        Self::Invalid,
        Self::Unreachable,
        Self::Unverified,
        Self::AccountExists,
        Self::NoAccount,
        Self::Taken,
        Self::TooMany,
        Self::RateLimited,
        Self::Internal,
    ];

    /// Its name in the page's address.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Invalid => "invalid",
            Self::Unreachable => "unreachable",
            Self::Unverified => "unverified",
            Self::AccountExists => "account_exists",
            Self::NoAccount => "no_account",
            Self::Taken => "taken",
            Self::TooMany => "too_many",
            Self::RateLimited => "rate_limited",
            Self::Internal => "internal",
        }
    }

    /// The problem that a page's address names.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|problem| problem.as_str() == name)
    }

    /// What happened and what to do.
    pub const fn detail(self) -> &'static str {
        match self {
            Self::Denied => "The sign-in was canceled there. Nothing has changed.",
            Self::Expired => {
                "This attempt is over: it took longer than ten minutes, was used before, or began in another browser or under another address of this server. Begin again."
            }
            Self::Invalid => {
                "The provider's answer did not pass its checks. Begin again; if it stays so, tell the server's operator."
            }
            Self::Unreachable => {
                "The provider does not answer. Try again in a minute, or sign in with your password."
            }
            Self::Unverified => {
                "The provider does not vouch for an e-mail address of yours. Confirm it there, or sign up with a password."
            }
            Self::AccountExists => {
                "An account with your e-mail address exists. Sign in to it with your password, then link the provider on the page of your account."
            }
            Self::NoAccount => {
                "No account belongs to this sign-in, and this server opens none this way. Sign up, then link the provider on the page of your account."
            }
            Self::Taken => {
                "This identity leads to another account here. Remove it there first, or use another one."
            }
            Self::TooMany => "Your account has as many identities as it may. Remove one first.",
            Self::RateLimited => "Too many attempts. Wait a minute, then begin again.",
            Self::Internal => {
                "Something went wrong on the server. Begin again; if it stays so, tell the server's operator."
            }
        }
    }
}

/// Whether a text is a path of this site, and no way to another one.
pub fn is_local_path(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    text.starts_with('/')
        && !text.starts_with("//")
        && text.len() <= MAX_RETURN_TO
        && text.bytes().all(plain)
}

fn check_return_to(errors: &mut Vec<FieldError>, path: Option<&str>) {
    let local = path.is_none_or(is_local_path);
    check(errors, local, "#/return_to", "not_local", || {
        "Give a path of this server, such as /jobs.".into()
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_site_are_local() {
        for good in ["/", "/home", "/jobs/job_1?x=y#z", "/a//b"] {
            assert!(is_local_path(good), "{good}");
        }
        let long = format!("/{}", "a".repeat(MAX_RETURN_TO));
        for bad in [
            "",
            "home",
            "//evil.example",
            "/\\evil.example",
            "/a\\b",
            "https://evil.example",
            "javascript:alert(1)",
            "/a b",
            "/a\nSet-Cookie: x",
            "/\t/evil.example",
            "/ä",
            &long,
        ] {
            assert!(!is_local_path(bad), "{bad}");
        }
    }

    #[test]
    fn every_problem_has_one_name() {
        for problem in SignInProblem::ALL {
            assert_eq!(SignInProblem::named(problem.as_str()), Some(problem));
            assert!(problem.detail().ends_with('.'));
        }
        assert_eq!(SignInProblem::named("x"), None);
    }
}
