//! Starts a set: a name, or one of the bundled samples.

use leptos::{ev::SubmitEvent, prelude::*};
use leptos_router::{NavigateOptions, hooks::use_navigate};
use shared::{limits, protected_set::CreateProtectedSet};

use crate::{
    api,
    components::{
        as_curl::AsCurl,
        button::SubmitButton,
        field::TextField,
        heading::PageHeading,
        loaded::{Loaded, Skeleton},
        notice::ErrorNotice,
        sample_sets::SampleSets,
    },
    state::{fetch::use_fetch, form::FormState, kept::keep},
};

#[component]
pub(crate) fn NewSetPage() -> impl IntoView {
    let demo = use_fetch(api::demo);
    view! {
        <div class="page-head">
            <PageHeading title=say!("New image set") />
            <p class="lead">
                {say!("One subject, {fewest} to {most} images: yours, or ones you may act for.", fewest = limits::MIN_IMAGES, most = limits::MAX_IMAGES)}
            </p>
        </div>
        <div class="columns">
            <NameForm />
        </div>
        <section class="stack">
            <h2>{say!("Or start with a sample")}</h2>
            <p class="soft">{say!("Drawn for this demo world, free to use.")}</p>
            <Loaded
                fetch=demo
                what=say!("The sample sets could not be loaded")
                skeleton=|| view! { <div class="cards"><Skeleton class="skeleton-card" times=3 /></div> }
                draw=|demo| view! { <SampleSets samples=demo.sample_sets /> }.into_any()
            />
        </section>
    }
}

#[component]
fn NameForm() -> impl IntoView {
    let form = FormState::kept("new-set");
    let name = keep("new-set-name", || RwSignal::new(String::new()));
    let navigate = use_navigate();
    let body = move || CreateProtectedSet {
        name: name.get().trim().to_owned(),
    };
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let body = untrack(body);
        let errors = body.validate();
        let navigate = navigate.clone();
        form.submit(
            errors,
            async move { api::create_set(&body).await },
            move |set| navigate(&format!("/sets/{}", set.id), NavigateOptions::default()),
        );
    };
    view! {
        <form class="card" novalidate=true on:submit=submit>
            {move || form.error.get().map(|error| view! { <ErrorNotice error=error what=say!("The set could not be created") /> })}
            <TextField
                label=say!("What do you call this set?")
                pointer="#/name"
                value=name
                error=form.field("#/name")
                hint=say!("Only you see this name until you publish a gallery.")
                test="set-name"
            />
            <SubmitButton label=say!("Create and add images") busy_label=say!("Creating…") busy=form.busy test="create-set" />
            <AsCurl commands=Signal::derive(move || api::create_set(&body()).curl()) test="curl-create-set" />
        </form>
    }
}
