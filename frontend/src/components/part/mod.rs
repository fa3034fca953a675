//! A page whose code is fetched when somebody goes there: the outline of a page until then.

use leptos::{prelude::*, task::spawn_local};
use wasm_split_helpers::SplitLoaderError;

use crate::{
    components::{
        heading::PageHeading,
        loaded::Skeleton,
        notice::{Notice, Tone},
    },
    parts::Draw,
    state::{browser::reload, kept::keep},
};

#[derive(Clone, Copy)]
enum Code {
    Wanted,
    Here(Draw),
    Missing,
}

/// Draws what `load` gives.
pub(crate) fn part<F>(load: impl Fn() -> F + Copy + Send + Sync + 'static) -> impl IntoView
where
    F: Future<Output = Result<Draw, SplitLoaderError>> + 'static,
{
    let code = keep("part", || RwSignal::new(Code::Wanted));
    let fetch = move || {
        spawn_local(async move {
            // Nobody waits for it any more if this page was left.
            code.try_set(load().await.map_or(Code::Missing, Code::Here));
        });
    };
    if !matches!(code.get_untracked(), Code::Here(_)) {
        fetch();
    }
    let again = move || {
        code.set(Code::Wanted);
        fetch();
    };
    move || match code.get() {
        Code::Wanted => view! { <Outline /> }.into_any(),
        Code::Here(draw) => draw(),
        Code::Missing => view! { <Missing again=Callback::new(move |()| again()) /> }.into_any(),
    }
}

/// What a page looks like before there is one.
#[component]
pub(crate) fn Outline() -> impl IntoView {
    view! {
        <div class="stack" aria-busy="true" data-test="outline">
            <Skeleton class="skeleton-line skeleton-short" />
            <Skeleton class="skeleton-panel" />
        </div>
    }
}

/// A failed load: a lost network, or a server that has another version by now.
#[component]
fn Missing(again: Callback<()>) -> impl IntoView {
    view! {
        <div class="stack" role="alert" data-test="part-missing">
            <PageHeading title=say!("This page did not load") />
            <Notice tone=Tone::Bad title=say!("Its code could not be fetched")>
                <p>{say!("The network is gone, or this server has been updated since you opened the dashboard. Nothing that is saved or running is lost. If trying again does not help, reload the page.")}</p>
                <div class="row">
                    <button type="button" class="button button-small" data-test="part-again" on:click=move |_| again.run(())>{say!("Try again")}</button>
                    <button type="button" class="button button-small" data-test="part-reload" on:click=move |_| reload()>{say!("Reload the page")}</button>
                </div>
            </Notice>
        </div>
    }
}
