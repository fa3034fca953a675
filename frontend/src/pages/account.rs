//! The account of whoever is signed in, and the ways into it.

use leptos::{ev::SubmitEvent, html::Dialog, prelude::*, task::spawn_local};
use leptos_router::hooks::use_query_map;
use shared::{
    auth::User,
    identity::{CreateIdentity, Identity, IdentityProvider},
    page::Page,
};

use crate::{
    api::{ApiError, identities},
    components::{
        confirm::{Confirm, open},
        field::TextField,
        heading::PageHeading,
        loaded::{Loaded, Skeleton},
        notice::{ErrorNotice, Notice, Tone},
        providers::{ProblemNotice, leave},
    },
    state::{
        fetch::{Fetch, use_fetch},
        form::FormState,
        kept::keep,
        session::Session,
    },
};

#[component]
pub(crate) fn AccountPage() -> impl IntoView {
    let session = Session::expect();
    let mine = use_fetch(identities::identities);
    let providers = use_fetch(identities::providers);
    let linked = use_query_map();
    let linked = move || linked.with(|query| query.get("linked").is_some());
    let draw = move |page: Page<Identity>| {
        let none = page.data.is_empty();
        let cards = page
            .data
            .into_iter()
            .map(|identity| view! { <IdentityCard identity=identity list=mine /> })
            .collect_view();
        let words = none
            .then(|| view! { <p class="soft">{say!("No identity of a provider is linked.")}</p> });
        view! { <div class="stack">{words}{cards}</div> }.into_any()
    };
    view! {
        <div class="narrow stack-loose">
            <PageHeading title=say!("Your account") />
            <ProblemNotice title=say!("Nothing was linked") />
            {move || linked().then(|| view! {
                <div role="status" data-test="linked">
                    <Notice tone=Tone::Good title=say!("Linked")>
                        <p>{say!("This identity signs you in from now on.")}</p>
                    </Notice>
                </div>
            })}
            {move || session.user().map(|user| view! { <Facts user=user /> })}
            {move || session.user().filter(|user| user.administrator).map(|_| view! {
                <section class="stack" aria-labelledby="server">
                    <h2 id="server">{say!("This server")}</h2>
                    <p>{say!("You are one of its administrators.")}" "<a href="/storage" data-test="to-storage">{say!("Try its storage")}</a></p>
                </section>
            })}
            <section class="stack" aria-labelledby="identities">
                <h2 id="identities">{say!("Ways in by a provider")}</h2>
                <Loaded
                    fetch=mine
                    what=say!("Your identities could not be loaded")
                    skeleton=|| view! { <Skeleton class="skeleton-line" times=2 /> }
                    draw=draw
                />
            </section>
            {move || {
                let providers = providers.data.get()?.data;
                let user = session.user()?;
                (!providers.is_empty()).then(|| view! { <LinkForm providers=providers has_password=user.has_password /> })
            }}
        </div>
    }
}

#[component]
fn Facts(user: User) -> impl IntoView {
    let fact = |name: &'static str, value: String| {
        view! {
            <div>
                <dt>{name}</dt>
                <dd>{value}</dd>
            </div>
        }
    };
    let yes_no = |yes: bool, word: &str| {
        if yes {
            word.to_owned()
        } else {
            say!("none").to_owned()
        }
    };
    view! {
        <dl class="facts">
            {fact(say!("Name"), user.name)}
            {fact(say!("E-mail address"), user.email)}
            {fact(say!("Password"), yes_no(user.has_password, say!("set")))}
            {fact(say!("Second factor"), yes_no(user.second_factor, say!("authenticator app")))}
        </dl>
    }
}

#[component]
fn IdentityCard(identity: Identity, list: Fetch<Page<Identity>>) -> impl IntoView {
    let dialog = NodeRef::<Dialog>::new();
    let error = RwSignal::new(None::<ApiError>);
    let id = identity.id;
    let remove = Callback::new(move |()| {
        spawn_local(async move {
            match identities::unlink(id).await {
                Ok(()) => list.reload(),
                Err(problem) => {
                    error.try_set(Some(problem));
                }
            }
        });
    });
    let unknown = identity.issuer;
    let name = identity.provider.map_or_else(
        || say!("{unknown} (not offered any more)", unknown),
        |it| it.name,
    );
    view! {
        <article class="card card-tight" data-test="identity">
            {move || error.get().map(|error| view! { <ErrorNotice error=error what=say!("The identity was not removed") /> })}
            <div class="row-between">
                <div>
                    <p class="strong">{name}</p>
                    <p class="small soft">{identity.email}</p>
                </div>
                <button type="button" class="button button-small" data-test="unlink" on:click=move |_| open(dialog)>{say!("Remove")}</button>
            </div>
            <Confirm
                dialog=dialog
                title=say!("Remove this identity?")
                detail=say!("It does not sign you in any more. Browsers that are signed in stay so.")
                yes=say!("Remove it")
                no=say!("Keep it")
                test="confirm-unlink"
                on_yes=remove
            />
        </article>
    }
}

/// Another way in is opened by who knows the password alone.
#[component]
fn LinkForm(providers: Vec<IdentityProvider>, has_password: bool) -> impl IntoView {
    let form = FormState::kept("link");
    let password = keep("password", || RwSignal::new(String::new()));
    let begin = Callback::new(move |provider: String| {
        let body = CreateIdentity {
            provider,
            password: password.get_untracked(),
        };
        form.submit(
            Vec::new(),
            async move { identities::begin_link(&body).await },
            |authorization| leave(&authorization),
        );
    });
    let first = providers.first().map(|provider| provider.slug.clone());
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        if let Some(slug) = first.clone() {
            begin.run(slug);
        }
    };
    let button = move |provider: IdentityProvider| {
        let mark = format!("link-{}", provider.slug);
        let slug = provider.slug;
        view! {
            <button type="button" class="button" data-test=mark on:click=move |_| begin.run(slug.clone())>
                {say!("Link {name}", name = provider.name)}
            </button>
        }
    };
    let body = if has_password {
        view! {
            <TextField label=say!("Your password") pointer="#/password" kind="password" value=password error=form.field("#/password") autocomplete="current-password" test="password" />
            <div class="row">{providers.into_iter().map(button).collect_view()}</div>
        }
        .into_any()
    } else {
        view! {
            <p data-test="no-password">
                {weave!("Your account has no password. {link} to link another identity, use an authenticator app, or delete the account.", link = view! { <a href="/forgot-password">{say!("Set one by letter")}</a> })}
            </p>
        }
        .into_any()
    };
    view! {
        <form class="card" novalidate=true on:submit=submit>
            <h2>{say!("Link an identity")}</h2>
            {move || form.error.get().map(|error| view! { <ErrorNotice error=error /> })}
            {body}
        </form>
    }
}
