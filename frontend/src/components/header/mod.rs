//! The frame around every page: navigation, theme, account, footer.

use leptos::{html::Div, prelude::*, task::spawn_local};
use leptos_router::components::A;
use shared::language::Language;
use web_sys::Element;

use crate::{
    api,
    components::icon::{Glyph, Icon},
    state::{
        browser::{apply_theme, prefers_dark, recall, remember},
        draft,
        session::Session,
        speech::{Speech, spoken},
    },
};

const THEME: &str = "persguard.theme";

#[component]
pub(crate) fn Header() -> impl IntoView {
    let session = Session::expect();
    let signed_in = Memo::new(move |_| session.user().is_some());
    view! {
        <header class="site-header">
            <div class="frame">
                <A href="/" attr:class="brand" exact=true>
                    <img src="/favicon.svg" width="28" height="28" alt="" />
                    <span class="brand-name">"PersGuard"</span>
                    <span class="visually-hidden">{say!("start page")}</span>
                </A>
                <nav class="site-nav" aria-label=say!("Main")>
                    {move || {
                        signed_in
                            .get()
                            .then(|| {
                                view! {
                                    <A href="/home" attr:data-test="nav-home">{say!("Home")}</A>
                                    <A href="/jobs" attr:data-test="nav-jobs">{say!("Jobs")}</A>
                                    <A href="/models" attr:data-test="nav-models">{say!("Models")}</A>
                                }
                            })
                    }}
                </nav>
                <div class="site-tools">
                    <ThemeToggle />
                    {move || {
                        if signed_in.get() {
                            view! { <AccountMenu /> }.into_any()
                        } else {
                            view! {
                                <a class="button button-quiet" href="/sign-in" data-test="nav-sign-in">{say!("Sign in")}</a>
                            }
                                .into_any()
                        }
                    }}
                </div>
            </div>
        </header>
    }
}

#[component]
fn ThemeToggle() -> impl IntoView {
    let stored = recall(THEME);
    let dark = RwSignal::new(
        stored
            .as_deref()
            .map_or_else(prefers_dark, |theme| theme == "dark"),
    );
    let toggle = move |_| {
        dark.update(|dark| *dark = !*dark);
        let theme = if dark.get_untracked() {
            "dark"
        } else {
            "light"
        };
        // Choosing what the system wants anyway returns to following it.
        let chosen = (dark.get_untracked() != prefers_dark()).then_some(theme);
        remember(THEME, chosen);
        apply_theme(chosen);
    };
    let label = move || {
        if dark.get() {
            say!("Use light colours")
        } else {
            say!("Use dark colours")
        }
    };
    view! {
        <button type="button" class="button button-quiet button-icon" data-test="theme" aria-label=label title=label on:click=toggle>
            {move || view! { <Icon glyph=if dark.get() { Glyph::Sun } else { Glyph::Moon } /> }}
        </button>
    }
}

#[component]
fn AccountMenu() -> impl IntoView {
    let session = Session::expect();
    let name = move || session.user().map(|user| user.name);
    let email = move || session.user().map(|user| user.email);
    let failed = RwSignal::new(false);
    let menu = NodeRef::<Div>::new();
    // The page changes below an open menu.
    let close = move |_| {
        if let Some(menu) = menu.get_untracked() {
            let _ = menu.hide_popover();
        }
    };
    let sign_out = move |_| {
        spawn_local(async move {
            if api::delete_session().await.is_err() {
                failed.set(true);
                return;
            }
            session.leave();
            draft::forget("");
            // A full load also drops everything that was fetched for this account.
            if let Some(window) = web_sys::window() {
                let _ = window.location().assign("/");
            }
        });
    };
    view! {
        <button type="button" class="button button-quiet button-icon" popovertarget="account-menu" data-test="account" aria-label=say!("Account")>
            <Icon glyph=Glyph::User />
        </button>
        <div id="account-menu" class="menu" popover="auto" node_ref=menu>
            <div class="menu-head">
                <p class="strong">{name}</p>
                <p class="small soft">{email}</p>
            </div>
            <a class="menu-item" href="/account" data-test="to-account" on:click=close>{say!("Your account")}</a>
            {move || {
                let operates = session.user().is_some_and(|user| user.administrator);
                operates
                    .then(|| view! { <a class="menu-item" href="/nodes" data-test="to-nodes" on:click=close>{say!("Training nodes")}</a> })
            }}
            <a class="menu-item" href="/openapi.json" rel="external">{say!("REST API (OpenAPI)")}</a>
            <button type="button" class="menu-item" data-test="sign-out" on:click=sign_out>{say!("Sign out")}</button>
            {move || {
                failed
                    .get()
                    .then(|| view! { <p class="field-error">{say!("You are still signed in: the server did not answer. Try again.")}</p> })
            }}
        </div>
    }
}

#[component]
pub(crate) fn Footer() -> impl IntoView {
    view! {
        <footer class="site-footer">
            <div class="frame">
                {spoken(|| view! {
                    <p>{say!("PersGuard protects images in one checkpoint. What was not tested is not protected.")}</p>
                    <p>
                        <a href="/docs" rel="external">{say!("Handbook")}</a>
                        " · "
                        <a href="/openapi.json" rel="external">{say!("REST API")}</a>
                    </p>
                })}
                <LanguageSwitch />
            </div>
        </footer>
    }
}

/// Every language by its own name. It is not drawn anew with the rest, so whoever uses it stays there.
#[component]
fn LanguageSwitch() -> impl IntoView {
    let speech = Speech::expect();
    let group = NodeRef::<Div>::new();
    let buttons = Language::ALL.map(|language| {
        let choose = move |_| {
            let control = group.get_untracked().map(Element::from);
            speech.choose(language, control);
        };
        let pressed = move || (speech.language() == language).to_string();
        let busy = move || (speech.coming() == Some(language)).to_string();
        view! {
            <button
                type="button"
                lang=language.tag()
                aria-pressed=pressed
                aria-busy=busy
                data-test=format!("language-{}", language.tag())
                on:click=choose
            >
                {language.name()}
            </button>
        }
    });
    let label = move || {
        speech.language();
        say!("Language")
    };
    let missing = move || {
        speech.missing().map(|language| {
            let words = say!(
                "{language} could not be fetched, so nothing has changed. Try again.",
                language = language.name()
            );
            view! { <p class="field-error" data-test="language-missing">{words}</p> }
        })
    };
    view! {
        <div class="stack-tight">
            <div class="segments" role="group" aria-label=label node_ref=group>{buttons.collect_view()}</div>
            <div aria-live="polite">{missing}</div>
        </div>
    }
}
