//! The language that is shown, and changing it in place: nothing is loaded anew but the texts.
//!
//! Pages are drawn anew inside [`spoken`]; what they [`keep`](super::kept::keep) stays. The last choice counts, and
//! one whose texts cannot be fetched changes nothing.

use leptos::{
    prelude::*,
    task::{spawn_local, tick},
};
use shared::language::Language;
use web_sys::Element;

use crate::{
    language,
    state::{browser::Scene, kept},
};

/// The language of this window; provided by the application's root.
#[derive(Clone, Copy)]
pub(crate) struct Speech {
    language: RwSignal<Language>,
    shown: RwSignal<bool>,
    /// The language whose texts are on their way.
    coming: RwSignal<Option<Language>>,
    /// The language whose texts did not come.
    missing: RwSignal<Option<Language>>,
}

impl Speech {
    pub(crate) fn provide() {
        provide_context(Self {
            language: RwSignal::new(language::language()),
            shown: RwSignal::new(true),
            coming: RwSignal::new(None),
            missing: RwSignal::new(None),
        });
    }

    pub(crate) fn expect() -> Self {
        expect_context()
    }

    /// The language that is shown.
    pub(crate) fn language(self) -> Language {
        self.language.get()
    }

    /// The language that was chosen and is not here yet.
    pub(crate) fn coming(self) -> Option<Language> {
        self.coming.get()
    }

    /// The language that was chosen and could not be fetched.
    pub(crate) fn missing(self) -> Option<Language> {
        self.missing.get()
    }

    /// Shows everything in this language, once its texts are here; the control that was used stays where it is.
    pub(crate) fn choose(self, chosen: Language, control: Option<Element>) {
        if self.coming.get_untracked() == Some(chosen) {
            return;
        }
        self.missing.set(None);
        if chosen == self.language.get_untracked() {
            // Somebody changed their mind while the other texts were on their way.
            self.coming.set(None);
            language::choose(chosen);
            return;
        }
        self.coming.set(Some(chosen));
        spawn_local(async move {
            let learned = language::learn(chosen).await;
            if self.coming.get_untracked() != Some(chosen) {
                return;
            }
            self.coming.set(None);
            if learned {
                self.change(chosen, control.as_ref()).await;
            } else {
                self.missing.set(Some(chosen));
            }
        });
    }

    async fn change(self, chosen: Language, control: Option<&Element>) {
        let scene = Scene::of(control);
        kept::hold();
        self.shown.set(false);
        // Every view is taken away before the first one comes back, all before anything is painted.
        tick().await;
        kept::release();
        language::speak(chosen);
        language::choose(chosen);
        self.language.set(chosen);
        self.shown.set(true);
        request_animation_frame(move || {
            scene.restore();
            kept::drop_rest();
        });
    }
}

/// A view that is drawn anew in another language.
pub(crate) fn spoken<V: IntoView>(draw: impl Fn() -> V + Send + 'static) -> impl IntoView {
    let speech = Speech::expect();
    move || speech.shown.get().then(|| draw().into_any())
}
