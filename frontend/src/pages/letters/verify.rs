//! Confirms that an e-mail address is its account's, and asks for the letter again.

use leptos::{ev::SubmitEvent, prelude::*, task::spawn_local};
use shared::auth::ConfirmEmail;

use super::NoToken;
use crate::{
    api::{
        ApiError,
        accounts::{confirm_email, send_verification},
    },
    components::{
        button::SubmitButton,
        heading::PageHeading,
        notice::{ErrorNotice, Notice, Tone, detail},
    },
    state::{form::FormState, kept::keep, letter::LetterToken, session::Session},
};

#[component]
pub(crate) fn VerifyEmailPage() -> impl IntoView {
    let token = LetterToken::take();
    let session = Session::expect();
    let form = FormState::kept("verify");
    let done = keep("verified", || RwSignal::new(false));
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let body = ConfirmEmail {
            token: token.value(),
        };
        form.submit(
            Vec::new(),
            async move { confirm_email(&body).await },
            move |()| {
                token.forget();
                done.set(true);
                // What the account may do has changed.
                session.ask();
            },
        );
    };
    let asked = move || {
        view! {
            <form class="card" novalidate=true on:submit=submit>
                {move || form.error.get().map(|error| view! { <ErrorNotice error=error /> })}
                <p>{say!("Confirming proves that you read this address. An office that is named by it, such as a reviewer’s, counts from then on.")}</p>
                <SubmitButton label=say!("Confirm my address") busy_label=say!("Confirming…") busy=form.busy test="confirm-email" />
            </form>
        }
    };
    view! {
        <div class="narrow stack-loose">
            <PageHeading title=say!("Confirm your address") />
            {move || match (done.get(), token.get()) {
                (true, _) => view! {
                    <div role="status" data-test="email-confirmed">
                        <Notice tone=Tone::Good title=say!("Your address is confirmed")>
                            <p><a href="/home">{say!("Go to your image sets")}</a></p>
                        </Notice>
                    </div>
                }.into_any(),
                (false, None) => view! { <NoToken /> }.into_any(),
                (false, Some(_)) => asked().into_any(),
            }}
        </div>
    }
}

/// Says on the home page that the address is not confirmed yet; nothing where it is.
#[component]
pub(crate) fn UnconfirmedNotice() -> impl IntoView {
    let session = Session::expect();
    let email = Memo::new(move |_| {
        let user = session.user();
        user.filter(|user| !user.email_verified)
            .map(|user| user.email)
    });
    let state = keep("letter", || RwSignal::new(Letter::Waiting));
    let send = move |_| {
        if state.get_untracked() == Letter::Sending {
            return;
        }
        state.set(Letter::Sending);
        spawn_local(async move {
            state.try_set(match send_verification().await {
                Ok(()) => Letter::Sent,
                Err(error) => Letter::Failed(error),
            });
        });
    };
    let sent = Memo::new(move |_| state.get() == Letter::Sent);
    let failure = move || match state.get() {
        Letter::Failed(error) => Some(view! { <p role="alert">{detail(&error)}</p> }),
        Letter::Waiting | Letter::Sending | Letter::Sent => None,
    };
    let again = move || {
        if sent.get() {
            return view! { <p role="status" data-test="letter-sent">{say!("A new letter is on its way; older links no longer work.")}</p> }.into_any();
        }
        view! {
            {failure}
            <button type="button" class="button button-small" data-test="send-letter"
                disabled=move || state.get() == Letter::Sending on:click=send>
                {say!("Send the letter again")}
            </button>
        }
        .into_any()
    };
    move || {
        email.get().map(|email| {
            view! {
                <div data-test="unconfirmed">
                    <Notice tone=Tone::Info title=say!("Your e-mail address is not confirmed yet")>
                        <p>{weave!("We sent a letter to {email}. Open its link. Until then an office that is named by your address, such as a reviewer’s, does not count.", email = view! { <strong>{email}</strong> })}</p>
                        {again}
                    </Notice>
                </div>
            }
        })
    }
}

/// What became of a letter that was asked for.
#[derive(Clone, PartialEq)]
enum Letter {
    Waiting,
    Sending,
    Sent,
    Failed(ApiError),
}
