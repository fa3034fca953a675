//! The four faces of remote data: skeleton, content, error, and old content beside an error.

use leptos::prelude::*;

use crate::{components::notice::ErrorNotice, state::fetch::Fetch};

#[component]
pub(crate) fn Loaded<T, F>(
    fetch: Fetch<T>,
    /// What did not happen when it fails.
    what: &'static str,
    #[prop(into)] skeleton: ViewFn,
    /// Draws the data; runs again when it changes.
    draw: F,
) -> impl IntoView
where
    T: Clone + Send + Sync + 'static,
    F: Fn(T) -> AnyView + Send + Sync + 'static,
{
    let retry = Callback::new(move |()| fetch.reload());
    let problem = move || {
        fetch
            .error
            .get()
            .map(|error| view! { <ErrorNotice error=error what=what retry=retry /> })
    };
    let body = move || match fetch.data.get() {
        Some(data) => draw(data),
        None if fetch.error.with(Option::is_some) => ().into_any(),
        None => view! { <div aria-busy="true">{skeleton.run()}</div> }.into_any(),
    };
    view! {
        {problem}
        {body}
    }
}

/// Rounded grey boxes of the size of what will come.
#[component]
pub(crate) fn Skeleton(class: &'static str, #[prop(default = 1)] times: usize) -> impl IntoView {
    (0..times)
        .map(|_| view! { <div class=format!("skeleton {class}")></div> })
        .collect_view()
}
