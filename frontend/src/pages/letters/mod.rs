//! Where the links in letters lead: an address to confirm, a password to set, an invitation to accept.

mod invitation;
mod password;
mod verify;

use leptos::prelude::*;

use crate::components::notice::{Notice, Tone};

pub(crate) use invitation::AcceptInvitationPage;
pub(crate) use password::{ForgotPasswordPage, ResetPasswordPage};
pub(crate) use verify::{UnconfirmedNotice, VerifyEmailPage};

/// Somebody came without the link's own part.
#[component]
fn NoToken() -> impl IntoView {
    view! {
        <div data-test="no-token">
            <Notice tone=Tone::Warn title=say!("This address is not whole")>
                <p>{say!("Open the link in the letter itself: programs that cut long lines lose its end. Each link works once.")}</p>
            </Notice>
        </div>
    }
}
