//! A native dialog that asks before something cannot be undone.

use leptos::{html::Dialog, prelude::*};

use crate::components::as_curl::AsCurl;

#[component]
pub(crate) fn Confirm(
    dialog: NodeRef<Dialog>,
    title: &'static str,
    detail: &'static str,
    /// What happens on yes.
    yes: &'static str,
    /// What stays on no.
    no: &'static str,
    test: &'static str,
    #[prop(into)] on_yes: Callback<()>,
    /// The same for a shell.
    #[prop(optional, into)]
    commands: Option<Signal<String>>,
) -> impl IntoView {
    let close = move || {
        if let Some(dialog) = dialog.get_untracked() {
            dialog.close();
        }
    };
    let confirm = move |_| {
        close();
        on_yes.run(());
    };
    let curl = commands.map(|commands| {
        view! { <AsCurl commands=commands test=format!("curl-{test}") /> }
    });
    let title_id = format!("{test}-title");
    let labelled = title_id.clone();
    view! {
        <dialog class="dialog" node_ref=dialog aria-labelledby=labelled>
            <div class="stack">
                <h2 id=title_id>{title}</h2>
                <p>{detail}</p>
                <div class="row">
                    <button type="button" class="button button-danger" data-test=test on:click=confirm>
                        {yes}
                    </button>
                    <button type="button" class="button" on:click=move |_| close()>{no}</button>
                </div>
                {curl}
            </div>
        </dialog>
    }
}

/// Opens a dialog over the page.
pub(crate) fn open(dialog: NodeRef<Dialog>) {
    if let Some(dialog) = dialog.get_untracked() {
        let _ = dialog.show_modal();
    }
}
