//! Joins an organisation by the link of its letter; whoever is not signed in comes back here afterwards.

use leptos::{ev::SubmitEvent, prelude::*};
use shared::organisation::{AcceptInvitation, Organisation};

use super::NoToken;
use crate::{
    api::accounts::accept_invitation,
    components::{
        button::SubmitButton,
        heading::PageHeading,
        notice::{ErrorNotice, Notice, Tone},
    },
    state::{
        form::FormState,
        kept::keep,
        letter::LetterToken,
        session::{Identity, Session},
    },
    text,
};

#[component]
pub(crate) fn AcceptInvitationPage() -> impl IntoView {
    let token = LetterToken::take();
    let session = Session::expect();
    session.ensure();
    let joined = keep("joined", || RwSignal::new(None::<Organisation>));
    view! {
        <div class="narrow stack-loose">
            <PageHeading title=say!("Join an organisation") />
            {move || match (joined.get(), token.get(), session.identity()) {
                (Some(organisation), ..) => view! { <Joined organisation=organisation /> }.into_any(),
                (None, None, _) => view! { <NoToken /> }.into_any(),
                (None, Some(_), Identity::User(user)) => view! { <Accept token=token email=user.email joined=joined /> }.into_any(),
                (None, Some(_), Identity::Unknown) => view! { <p role="status">{say!("Looking who you are…")}</p> }.into_any(),
                (None, Some(_), Identity::Nobody) => view! { <SignInFirst /> }.into_any(),
                (None, Some(_), Identity::Failed(error)) => view! { <ErrorNotice error=error /> }.into_any(),
            }}
        </div>
    }
}

#[component]
fn SignInFirst() -> impl IntoView {
    view! {
        <div class="card" data-test="sign-in-first">
            <p>{say!("Sign in with the account that the letter went to; you come back here.")}</p>
            <div class="row">
                <a class="button button-primary" href="/sign-in?next=/accept-invitation" data-test="to-sign-in">{say!("Sign in")}</a>
                <a class="button" href="/sign-up?next=/accept-invitation" data-test="to-sign-up">{say!("Create an account")}</a>
            </div>
        </div>
    }
}

#[component]
fn Accept(
    token: LetterToken,
    email: String,
    joined: RwSignal<Option<Organisation>>,
) -> impl IntoView {
    let form = FormState::kept("invitation");
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let body = AcceptInvitation {
            token: token.value(),
        };
        form.submit(
            Vec::new(),
            async move { accept_invitation(&body).await },
            move |organisation| {
                token.forget();
                joined.set(Some(organisation));
            },
        );
    };
    view! {
        <form class="card" novalidate=true on:submit=submit>
            {move || form.error.get().map(|error| view! { <ErrorNotice error=error /> })}
            <p>{weave!("You are signed in as {email}. Its members will see your name and address, and you see the sets and jobs that your role there allows. Your own stay yours.", email = view! { <strong>{email}</strong> })}</p>
            <SubmitButton label=say!("Join") busy_label=say!("Joining…") busy=form.busy test="accept-invitation" />
        </form>
    }
}

#[component]
fn Joined(organisation: Organisation) -> impl IntoView {
    view! {
        <div role="status" data-test="joined">
            <Notice tone=Tone::Good title=say!("You joined {name}", name = organisation.name)>
                <p>{say!("Your role there: {role}.", role = text::role(organisation.role))} " " <a href="/home">{say!("Go to your image sets")}</a></p>
            </Notice>
        </div>
    }
}
