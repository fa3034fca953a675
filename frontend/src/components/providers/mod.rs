//! Ways in by identity providers: a button each, and what happened when somebody comes back without being signed in.

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use shared::identity::{Authorization, CreateAuthorization, IdentityProvider, SignInProblem};

use crate::{
    api::identities,
    components::notice::{ErrorNotice, Notice, Tone},
    components::prose::prose,
    state::{fetch::use_fetch, form::FormState, session::Session},
};

/// Leaves for a provider's page.
pub(crate) fn leave(authorization: &Authorization) {
    Session::expect_return();
    if let Some(window) = web_sys::window() {
        let _ = window.location().assign(&authorization.url);
    }
}

/// One button for each provider; nothing on a server without any.
#[component]
pub(crate) fn ProviderButtons(
    /// The page to open afterwards.
    return_to: String,
) -> impl IntoView {
    let providers = use_fetch(identities::providers);
    let form = FormState::kept("providers");
    let begin = Callback::new(move |slug: String| {
        let body = CreateAuthorization {
            return_to: Some(return_to.clone()),
        };
        form.submit(
            Vec::new(),
            async move { identities::begin(&slug, &body).await },
            |authorization| leave(&authorization),
        );
    });
    let button = move |provider: IdentityProvider| {
        let mark = format!("continue-{}", provider.slug);
        let slug = provider.slug;
        view! {
            <button type="button" class="button" data-test=mark on:click=move |_| begin.run(slug.clone())>
                {say!("Continue with {name}", name = provider.name)}
            </button>
        }
    };
    move || {
        let page = providers.data.get()?;
        let buttons = page.data.into_iter().map(button).collect_view();
        Some(view! {
            <div class="stack-tight">
                {move || form.error.get().map(|error| view! { <ErrorNotice error=error /> })}
                {buttons}
            </div>
        })
    }
}

/// Why somebody came back from a provider with nothing, as the page's address names it.
#[component]
pub(crate) fn ProblemNotice(
    /// What did not happen.
    title: &'static str,
) -> impl IntoView {
    let query = use_query_map();
    move || {
        let name = query.with(|query| query.get("problem"))?;
        let problem = SignInProblem::named(&name)?;
        Some(view! {
            <div role="alert" data-test="problem" data-problem=problem.as_str()>
                <Notice tone=Tone::Warn title=title>
                    <p>{prose(problem.detail())}</p>
                </Notice>
            </div>
        })
    }
}
