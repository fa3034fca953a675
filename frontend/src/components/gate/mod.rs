//! Lets only people with an account through; others sign in first and come back.

use leptos::prelude::*;
use leptos_router::{
    NavigateOptions,
    hooks::{use_location, use_navigate},
};

use crate::{
    api::ApiError,
    components::{notice::ErrorNotice, part::Outline},
    state::session::{Identity, Session},
};

#[derive(Clone, PartialEq)]
enum Gate {
    Wait,
    Open,
    Shut,
    Failed(ApiError),
}

#[component]
pub(crate) fn RequireUser(children: ChildrenFn) -> impl IntoView {
    let session = Session::expect();
    session.ensure();
    let gate = Memo::new(move |_| match session.identity() {
        Identity::Unknown => Gate::Wait,
        Identity::User(_) => Gate::Open,
        Identity::Nobody => Gate::Shut,
        Identity::Failed(error) => Gate::Failed(error),
    });
    let navigate = use_navigate();
    let location = use_location();
    Effect::new(move || {
        if gate.get() == Gate::Shut {
            let next = location.pathname.get_untracked();
            let next = String::from(js_sys::encode_uri_component(&next));
            let options = NavigateOptions {
                replace: true,
                ..NavigateOptions::default()
            };
            navigate(&format!("/sign-in?next={next}"), options);
        }
    });
    let retry = Callback::new(move |()| session.ask());
    move || {
        match gate.get() {
        Gate::Open => children().into_any(),
        Gate::Wait | Gate::Shut => view! {
            <Outline />
        }
        .into_any(),
        Gate::Failed(error) => {
            view! { <ErrorNotice error=error what=say!("Your account could not be loaded") retry=retry /> }
                .into_any()
        }
    }
    }
}
