//! A forgotten password: the letter is asked for, its link sets a new one.

use leptos::{ev::SubmitEvent, prelude::*};
use shared::{
    auth::{ConfirmPasswordReset, CreatePasswordReset},
    limits,
};

use super::NoToken;
use crate::{
    api::accounts::{confirm_password_reset, create_password_reset},
    components::{
        button::SubmitButton,
        field::TextField,
        heading::PageHeading,
        notice::{ErrorNotice, Notice, Tone},
    },
    state::{form::FormState, kept::keep, letter::LetterToken, session::Session},
};

#[component]
pub(crate) fn ForgotPasswordPage() -> impl IntoView {
    let form = FormState::kept("forgot-password");
    let email = keep("email", || RwSignal::new(String::new()));
    let sent_to = keep("sent-to", || RwSignal::new(None::<String>));
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let address = email.get_untracked().trim().to_owned();
        let body = CreatePasswordReset {
            email: address.clone(),
        };
        form.submit(
            body.validate(),
            async move { create_password_reset(&body).await },
            move |()| sent_to.set(Some(address)),
        );
    };
    view! {
        <div class="narrow stack-loose">
            <div class="page-head">
                <PageHeading title=say!("Forgot your password?") />
                <p class="soft">{say!("A letter with a link lets you set a new one. The link works once, for an hour.")}</p>
            </div>
            {move || match sent_to.get() {
                Some(address) => view! {
                    <div role="status" data-test="reset-sent">
                        <Notice tone=Tone::Good title=say!("Look at your letters")>
                            <p>{weave!("If {address} has an account here, a link is on its way. Nobody is told whether it has.", address = view! { <strong>{address}</strong> })}</p>
                        </Notice>
                    </div>
                }.into_any(),
                None => view! {
                    <form class="card" novalidate=true on:submit=submit>
                        {move || form.error.get().map(|error| view! { <ErrorNotice error=error /> })}
                        <TextField label=say!("E-mail address") pointer="#/email" kind="email" input_mode="email" value=email error=form.field("#/email") autocomplete="email" test="email" />
                        <SubmitButton label=say!("Send me the link") busy_label=say!("Sending…") busy=form.busy test="submit" />
                    </form>
                }.into_any(),
            }}
            <p><a href="/sign-in">{say!("Back to signing in")}</a></p>
        </div>
    }
}

#[component]
pub(crate) fn ResetPasswordPage() -> impl IntoView {
    let token = LetterToken::take();
    let session = Session::expect();
    let form = FormState::kept("reset-password");
    let password = keep("password", || RwSignal::new(String::new()));
    let done = keep("password-set", || RwSignal::new(false));
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let body = ConfirmPasswordReset {
            token: token.value(),
            password: password.get_untracked(),
        };
        let errors = body.validate();
        form.submit(
            errors,
            async move { confirm_password_reset(&body).await },
            move |()| {
                token.forget();
                done.set(true);
                // Every session ended, this browser's too.
                session.leave();
            },
        );
    };
    let hint = say!(
        "At least {fewest} characters.",
        fewest = limits::MIN_PASSWORD_CHARACTERS
    );
    let asked = move || {
        view! {
            <form class="card" novalidate=true on:submit=submit>
                {move || form.error.get().map(|error| view! { <ErrorNotice error=error /> })}
                <TextField label=say!("New password") pointer="#/password" kind="password" value=password error=form.field("#/password") autocomplete="new-password" hint=hint.clone() test="password" />
                <SubmitButton label=say!("Set the password") busy_label=say!("Setting…") busy=form.busy test="submit" />
            </form>
        }
    };
    view! {
        <div class="narrow stack-loose">
            <div class="page-head">
                <PageHeading title=say!("Set a new password") />
                <p class="soft">{say!("Every browser and program that is signed in will have to sign in again.")}</p>
            </div>
            {move || match (done.get(), token.get()) {
                (true, _) => view! {
                    <div role="status" data-test="password-set">
                        <Notice tone=Tone::Good title=say!("Your new password is set")>
                            <p><a href="/sign-in" data-test="to-sign-in">{say!("Sign in with it")}</a></p>
                        </Notice>
                    </div>
                }.into_any(),
                (false, None) => view! { <NoToken /> }.into_any(),
                (false, Some(_)) => asked().into_any(),
            }}
        </div>
    }
}
