//! Which pairs are looked at: all, or those with one outcome. The choice lives in the address.

use leptos::prelude::*;
use shared::gallery::GalleryPair;

use super::View;
use crate::language::say;

/// An outcome to look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::pages) enum Show {
    #[default]
    All,
    /// The subject in spite of protection.
    Through,
    /// The subject without protection alone.
    Stopped,
}

impl Show {
    const ALL: [(Self, &'static str); 3] = [
        (Self::All, mark!("Every pair")),
        (Self::Through, mark!("Subject in spite of protection")),
        (Self::Stopped, mark!("Subject without protection alone")),
    ];

    /// Its name in the address.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Through => "through",
            Self::Stopped => "stopped",
        }
    }

    pub(super) fn named(name: Option<&str>) -> Self {
        let mut all = Self::ALL.into_iter().map(|(show, _)| show);
        all.find(|show| Some(show.name()) == name)
            .unwrap_or_default()
    }

    pub(super) const fn takes(self, pair: &GalleryPair) -> bool {
        match self {
            Self::All => true,
            Self::Through => pair.protected.hit,
            Self::Stopped => pair.clean.hit && !pair.protected.hit,
        }
    }
}

#[component]
pub(super) fn Filter(view: View) -> impl IntoView {
    let choices = Show::ALL
        .map(|(show, words)| {
            let pressed = move || (view.show.get() == show).to_string();
            let mark = format!("show-{}", show.name());
            view! { <button type="button" aria-pressed=pressed data-test=mark on:click=move |_| view.show_only(show)>{say(words)}</button> }
        })
        .collect_view();
    let words = move || {
        let shown = view.pairs.with(Vec::len);
        let all = view.count.get();
        if shown == all {
            plural!(shown, "{count} pair", "{count} pairs")
        } else {
            plural!(
                all,
                "{shown} of {count} pair",
                "{shown} of {count} pairs",
                shown
            )
        }
    };
    view! {
        <div class="row-between">
            <div class="segments" role="group" aria-label=say!("Which pairs")>{choices}</div>
            <p class="small soft number" role="status" data-test="pair-count">{words}</p>
        </div>
    }
}

#[cfg(test)]
mod tests {
    use shared::gallery::GalleryImage;

    use super::*;

    fn pair(clean: bool, protected: bool) -> GalleryPair {
        let image = |hit| GalleryImage {
            url: String::new(),
            similarity: 0.5,
            hit,
        };
        GalleryPair {
            attack_step: 1,
            seed: 1,
            prompt: String::new(),
            clean: image(clean),
            protected: image(protected),
        }
    }

    #[test]
    fn each_choice_takes_its_outcome() {
        let taken = |show: Show| {
            [(true, true), (true, false), (false, true), (false, false)]
                .map(|(clean, protected)| show.takes(&pair(clean, protected)))
        };
        assert_eq!(taken(Show::All), [true; 4]);
        assert_eq!(taken(Show::Through), [true, false, true, false]);
        assert_eq!(taken(Show::Stopped), [false, true, false, false]);
    }

    #[test]
    fn names_in_addresses_are_read_back() {
        for (show, _) in Show::ALL {
            assert_eq!(Show::named(Some(show.name())), show);
        }
        assert_eq!(Show::named(Some("else")), Show::All);
        assert_eq!(Show::named(None), Show::All);
    }
}
