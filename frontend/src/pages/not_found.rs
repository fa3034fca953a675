//! An address that leads nowhere, and ways on.

use leptos::prelude::*;

use crate::components::heading::PageHeading;

#[component]
pub(crate) fn NotFoundPage() -> impl IntoView {
    view! {
        <div class="stack" data-test="not-found">
            <PageHeading title=say!("Nothing is here") />
            <p class="lead">{say!("The address may be mistyped, or what it led to belongs to somebody else or was deleted.")}</p>
            <div class="row">
                <a class="button button-primary" href="/home">{say!("Go to your home")}</a>
                <a class="button" href="/">{say!("See the demo")}</a>
            </div>
        </div>
    }
}
