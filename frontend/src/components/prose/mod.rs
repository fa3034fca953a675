//! The API's sentences: what stands between backticks is code, and what is not known in the reader's language says so.

use leptos::prelude::*;

use crate::language::known;

/// Text with its code spans.
pub(crate) fn prose(english: &str) -> AnyView {
    let Some(text) = known(english) else {
        return view! { <span lang="en">{spans(english)}</span> }.into_any();
    };
    spans(&text).into_any()
}

fn spans(text: &str) -> impl IntoView + use<> {
    text.split('`')
        .enumerate()
        .map(|(index, part)| {
            let part = part.to_owned();
            if index % 2 == 1 {
                view! { <code>{part}</code> }.into_any()
            } else {
                part.into_any()
            }
        })
        .collect_view()
}
