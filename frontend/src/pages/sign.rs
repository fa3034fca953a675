//! Sign up and sign in: e-mail, password, and back to where the visitor wanted to go.

use leptos::{ev::SubmitEvent, prelude::*, task::spawn_local};
use leptos_router::{
    NavigateOptions,
    hooks::{use_navigate, use_query_map},
};
use shared::{
    auth::{CreateSession, CreateUser},
    identity::{ShowSecondFactor, is_local_path},
    limits,
};

use crate::{
    api::{self, identities},
    components::{
        button::SubmitButton,
        field::TextField,
        heading::PageHeading,
        notice::ErrorNotice,
        providers::{ProblemNotice, ProviderButtons},
    },
    parts::preload_start,
    state::{
        form::FormState,
        kept::keep,
        session::{Identity, Session},
    },
};

/// Where to go afterwards: a path of this site, never another origin, and none of these two pages.
fn destination(next: Option<String>) -> String {
    next.filter(|next| is_local_path(next) && !next.starts_with("/sign-"))
        .unwrap_or_else(|| "/home".to_owned())
}

/// Leaves the page as soon as somebody is signed in.
fn use_departure() -> impl Fn() -> String + Copy {
    let query = use_query_map();
    let session = Session::expect();
    let navigate = use_navigate();
    let target = move || query.with_untracked(|query| destination(query.get("next")));
    // What comes next is fetched while somebody types; where that fails, it is tried again once it is needed.
    spawn_local(async { drop(preload_start().await) });
    Effect::new(move || {
        if matches!(session.identity(), Identity::User(_)) {
            let options = NavigateOptions {
                replace: true,
                ..NavigateOptions::default()
            };
            navigate(&target(), options);
        }
    });
    target
}

fn other_form(path: &str, target: &str) -> String {
    let next = String::from(js_sys::encode_uri_component(target));
    format!("{path}?next={next}")
}

fn texts() -> [RwSignal<String>; 3] {
    [(); 3].map(|()| RwSignal::new(String::new()))
}

#[component]
pub(crate) fn SignUpPage() -> impl IntoView {
    let session = Session::expect();
    let form = FormState::kept("sign-up");
    let target = use_departure();
    let [name, email, password] = keep("sign-up", texts);
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let body = CreateUser {
            email: email.get_untracked().trim().to_owned(),
            password: password.get_untracked(),
            name: name.get_untracked().trim().to_owned(),
        };
        let errors = body.validate();
        form.submit(
            errors,
            async move { api::create_user(&body).await },
            move |user| session.enter(user),
        );
    };
    let hint = say!(
        "At least {fewest} characters.",
        fewest = limits::MIN_PASSWORD_CHARACTERS
    );
    view! {
        <div class="narrow stack-loose">
            <div class="page-head">
                <PageHeading title=say!("Create your account") />
                <p class="soft">{say!("Your images stay on this server, are visible to you alone and are never used to train anything else.")}</p>
            </div>
            <form class="card" novalidate=true on:submit=submit>
                {move || form.error.get().map(|error| view! { <ErrorNotice error=error /> })}
                <TextField label=say!("Your name") pointer="#/name" value=name error=form.field("#/name") autocomplete="name" test="name" />
                <TextField label=say!("E-mail address") pointer="#/email" kind="email" input_mode="email" value=email error=form.field("#/email") autocomplete="email" test="email" />
                <TextField label=say!("Password") pointer="#/password" kind="password" value=password error=form.field("#/password") autocomplete="new-password" hint=hint test="password" />
                <SubmitButton label=say!("Create account") busy_label=say!("Creating…") busy=form.busy test="submit" />
            </form>
            <ProviderButtons return_to=target() />
            <p>{say!("Have an account?")} " " <a href=move || other_form("/sign-in", &target()) data-test="to-sign-in">{say!("Sign in")}</a></p>
        </div>
    }
}

#[component]
pub(crate) fn SignInPage() -> impl IntoView {
    let target = use_departure();
    let query = use_query_map();
    // Back from a provider, whose word is half a sign-in to an account with a second factor.
    let half = Memo::new(move |_| query.with(|query| query.get("step").as_deref() == Some("code")));
    let form = move || {
        if half.get() {
            view! { <CodeForm /> }.into_any()
        } else {
            view! {
                <PasswordForm />
                <ProviderButtons return_to=target() />
            }
            .into_any()
        }
    };
    view! {
        <div class="narrow stack-loose">
            <PageHeading title=say!("Sign in") />
            <ProblemNotice title=say!("You are not signed in") />
            {form}
            <p><a href="/forgot-password" data-test="to-forgot-password">{say!("Forgot your password?")}</a></p>
            <p>{say!("New here?")} " " <a href=move || other_form("/sign-up", &target()) data-test="to-sign-up">{say!("Create an account")}</a></p>
        </div>
    }
}

#[component]
fn CodeForm() -> impl IntoView {
    let session = Session::expect();
    let form = FormState::kept("second-factor");
    let code = keep("second-factor", || RwSignal::new(String::new()));
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let body = ShowSecondFactor {
            code: code.get_untracked().trim().to_owned(),
        };
        form.submit(
            Vec::new(),
            async move { identities::show_second_factor(&body).await },
            move |user| session.enter(user),
        );
    };
    view! {
        <form class="card" novalidate=true on:submit=submit>
            <p>{say!("Your account asks for a code beside the provider's sign-in.")}</p>
            {move || form.error.get().map(|error| view! { <ErrorNotice error=error /> })}
            <TextField label=say!("Code of your authenticator app") pointer="#/code" kind="text" value=code error=form.field("#/code") autocomplete="one-time-code" test="code" />
            <SubmitButton label=say!("Sign in") busy_label=say!("Signing in…") busy=form.busy test="submit" />
        </form>
    }
}

#[component]
fn PasswordForm() -> impl IntoView {
    let session = Session::expect();
    let form = FormState::kept("sign-in");
    let [email, password, code] = keep("sign-in", texts);
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let body = CreateSession {
            email: email.get_untracked().trim().to_owned(),
            password: password.get_untracked(),
            code: Some(code.get_untracked().trim().to_owned()).filter(|code| !code.is_empty()),
        };
        form.submit(
            Vec::new(),
            async move { api::create_session(&body).await },
            move |user| session.enter(user),
        );
    };
    view! {
        <form class="card" novalidate=true on:submit=submit>
            {move || form.error.get().map(|error| view! { <ErrorNotice error=error /> })}
            <TextField label=say!("E-mail address") pointer="#/email" kind="email" input_mode="email" value=email error=form.field("#/email") autocomplete="email" test="email" />
            <TextField label=say!("Password") pointer="#/password" kind="password" value=password error=form.field("#/password") autocomplete="current-password" test="password" />
            <TextField label=say!("Code of your authenticator app, if you use one") pointer="#/code" kind="text" value=code error=form.field("#/code") autocomplete="one-time-code" test="code" />
            <SubmitButton label=say!("Sign in") busy_label=say!("Signing in…") busy=form.busy test="submit" />
        </form>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_origin_is_no_destination() {
        for bad in [
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "home",
            "/sign-in",
        ] {
            assert_eq!(destination(Some(bad.into())), "/home");
        }
        assert_eq!(destination(Some("/jobs".into())), "/jobs");
    }
}
