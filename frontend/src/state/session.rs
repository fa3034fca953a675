//! Who is signed in, as far as the browser knows.
//!
//! The cookie is out of reach of scripts, so a remembered hint says whether asking is worthwhile.

use leptos::{prelude::*, task::spawn_local};
use shared::{auth::User, problem::ErrorCode};

use crate::{
    api::{self, ApiError},
    state::browser::{recall, remember},
};

const HINT: &str = "persguard.signed-in";

/// What is known of the visitor.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Identity {
    /// Not asked yet, or the answer is under way.
    Unknown,
    /// Nobody is signed in.
    Nobody,
    /// This account is.
    User(User),
    /// The question failed.
    Failed(ApiError),
}

/// The session of this browser; provided by the application's root.
#[derive(Clone, Copy)]
pub(crate) struct Session {
    identity: RwSignal<Identity>,
}

impl Session {
    /// Starts with what the hint says: without one, nothing is asked on public pages.
    pub(crate) fn provide() -> Self {
        let session = Self {
            identity: RwSignal::new(Identity::Unknown),
        };
        provide_context(session);
        if recall(HINT).is_some() {
            session.ask();
        }
        session
    }

    pub(crate) fn expect() -> Self {
        expect_context()
    }

    /// What is known now.
    pub(crate) fn identity(self) -> Identity {
        self.identity.get()
    }

    /// The account, if one is signed in.
    pub(crate) fn user(self) -> Option<User> {
        match self.identity.get() {
            Identity::User(user) => Some(user),
            _ => None,
        }
    }

    /// Asks the API who this is, unless that is known.
    pub(crate) fn ensure(self) {
        if self.identity.get_untracked() == Identity::Unknown {
            self.ask();
        }
    }

    /// Asks the API who this is.
    pub(crate) fn ask(self) {
        spawn_local(async move {
            let identity = match api::me().fetch(None).await {
                Ok(user) => Identity::User(user),
                Err(error) if error.code() == Some(ErrorCode::Unauthenticated) => Identity::Nobody,
                Err(error) => Identity::Failed(error),
            };
            self.set(identity);
        });
    }

    /// Remembers a fresh sign-in.
    pub(crate) fn enter(self, user: User) {
        self.set(Identity::User(user));
    }

    /// Somebody leaves for an identity provider: whoever comes back is worth asking who they are.
    pub(crate) fn expect_return() {
        remember(HINT, Some("1"));
    }

    /// Forgets the account; the API has ended the session, or it expired. What was typed stays in its drafts.
    pub(crate) fn leave(self) {
        self.set(Identity::Nobody);
    }

    fn set(self, identity: Identity) {
        let hint = matches!(identity, Identity::User(_)).then_some("1");
        if !matches!(identity, Identity::Failed(_)) {
            remember(HINT, hint);
        }
        self.identity.set(identity);
    }
}
