//! What happened, what it means, what to do.

use leptos::prelude::*;
use leptos_router::hooks::use_location;
use shared::problem::ErrorCode;

use crate::{
    api::ApiError,
    components::{
        icon::{Glyph, Icon},
        prose::prose,
    },
    state::session::Session,
};

/// How serious it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Info,
    Good,
    Warn,
    Bad,
    Plain,
}

impl Tone {
    const fn class(self) -> &'static str {
        match self {
            Self::Info => "notice",
            Self::Good => "notice notice-good",
            Self::Warn => "notice notice-warn",
            Self::Bad => "notice notice-bad",
            Self::Plain => "notice notice-plain",
        }
    }

    const fn glyph(self) -> Glyph {
        match self {
            Self::Info | Self::Plain => Glyph::Info,
            Self::Good => Glyph::Check,
            Self::Warn | Self::Bad => Glyph::Warning,
        }
    }
}

#[component]
pub(crate) fn Notice(
    tone: Tone,
    #[prop(optional, into)] title: String,
    children: Children,
) -> impl IntoView {
    let heading = (!title.is_empty()).then(|| view! { <p class="notice-title">{title}</p> });
    view! {
        <div class=tone.class()>
            <Icon glyph=tone.glyph() />
            <div class="notice-body">{heading} {children()}</div>
        </div>
    }
}

/// A refused or lost request, with a way on.
#[component]
pub(crate) fn ErrorNotice(
    error: ApiError,
    /// What did not happen, such as "The image sets could not be loaded".
    #[prop(optional, into)]
    what: String,
    #[prop(optional, into)] retry: Option<Callback<()>>,
) -> impl IntoView {
    let title = if what.is_empty() { error.title() } else { what };
    let sign_in =
        (error.code() == Some(ErrorCode::Unauthenticated)).then(|| view! { <SignInAgain /> });
    let again = retry.filter(|_| sign_in.is_none()).map(|retry| {
        view! {
            <button type="button" class="button button-small" data-test="retry" on:click=move |_| retry.run(())>
                <Icon glyph=Glyph::Refresh />
                {say!("Try again")}
            </button>
        }
    });
    let request = error.request_id().map(|id| {
        view! { <p class="small soft">{say!("Request")} " " <code>{id.to_owned()}</code></p> }
    });
    view! {
        <div role="alert" data-test="error">
            <Notice tone=Tone::Bad title=title>
                {error.advice().map(|advice| view! { <p>{advice}</p> })}
                <p>{detail(&error)}</p>
                {sign_in}
                {again}
                {request}
            </Notice>
        </div>
    }
}

/// The way to a new session and back. The old one ends here, too: the sign-in page sends back whoever has one.
#[component]
pub(crate) fn SignInAgain() -> impl IntoView {
    let session = Session::expect();
    let path = use_location().pathname.get_untracked();
    let next = String::from(js_sys::encode_uri_component(&path));
    let href = format!("/sign-in?next={next}");
    // The gate of the page goes there, too, and leaves no entry in the history either.
    view! {
        <a class="button button-small" href=href prop:replace=true data-test="sign-in-again" on:click=move |_| session.leave()>{say!("Sign in again")}</a>
    }
}

/// What the API said, or what stands for an answer that did not come.
pub(crate) fn detail(error: &ApiError) -> AnyView {
    match error {
        ApiError::Refused(problem) => prose(&problem.detail),
        own => own.detail().into_any(),
    }
}
