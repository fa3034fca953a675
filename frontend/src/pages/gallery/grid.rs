//! Every pair at one attack step in a grid that draws what is near the window alone: ten thousand pictures scroll like
//! ten. One pair takes the tabulator; the arrow keys go to its neighbours.

use leptos::{ev::KeyboardEvent, html::Div, prelude::*};
use shared::gallery::{GalleryImage, GalleryPair};
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use web_sys::{
    Element, HtmlElement, IntersectionObserver, IntersectionObserverEntry, IntersectionObserverInit,
};

use super::View;
use crate::{language::decimal, state::browser::focus};

/// Pairs that come and go together: whole rows with any number of columns that there is room for.
const BLOCK: usize = 60;
/// How far outside of the window a block is drawn already.
const MARGIN: &str = "1200px 0px";
/// Of a block that was never drawn, until one is measured.
const FIRST_GUESS: f64 = 3_000.0;

#[component]
pub(super) fn Grid(view: View) -> impl IntoView {
    let node = NodeRef::<Div>::new();
    // The pair that the keyboard is going to: its block is drawn wherever it lies.
    let wanted = RwSignal::new(None::<usize>);
    let height = RwSignal::new(FIRST_GUESS);
    let keys = move |event: KeyboardEvent| {
        let (Some(grid), Some(here)) = (node.get_untracked(), focused()) else {
            return;
        };
        let count = view.pairs.with_untracked(Vec::len);
        if let Some(there) = neighbour(&event.key(), here, count, &|| columns(&grid)) {
            event.prevent_default();
            wanted.set(Some(there));
            request_animation_frame(move || focus(&element_id(there)));
        }
    };
    let blocks = move || {
        view.pairs.with(|pairs| {
            pairs
                .chunks(BLOCK)
                .enumerate()
                .map(|(number, pairs)| {
                    let first = number * BLOCK;
                    view! { <Block view=view pairs=pairs.to_vec() first=first wanted=wanted height=height /> }
                })
                .collect_view()
        })
    };
    let none = move || {
        view.pairs.with(Vec::is_empty).then(
            || view! { <p class="soft" data-test="pairs-none">{say!("No pair here has this outcome.")}</p> },
        )
    };
    view! {
        <div class="pair-blocks" node_ref=node role="group" aria-label=say!("Pairs; arrow keys go from one to the next") data-test="pairs" on:keydown=keys>
            {blocks}
            {none}
        </div>
    }
}

fn element_id(index: usize) -> String {
    format!("pair-{index}")
}

/// Number of the pair that has the keyboard.
fn focused() -> Option<usize> {
    let element = web_sys::window()?.document()?.active_element()?;
    element.id().strip_prefix("pair-")?.parse().ok()
}

/// How many pairs stand beside each other.
fn columns(grid: &Element) -> usize {
    let block = grid.query_selector(".pairs").ok().flatten();
    let style = block.and_then(|block| {
        web_sys::window()?
            .get_computed_style(&block)
            .ok()
            .flatten()?
            .get_property_value("grid-template-columns")
            .ok()
    });
    style.map_or(1, |tracks| tracks.split(' ').count()).max(1)
}

/// Where a key leads from a pair, if it leads anywhere.
fn neighbour(key: &str, here: usize, count: usize, columns: &dyn Fn() -> usize) -> Option<usize> {
    let there = match key {
        "ArrowRight" => here.checked_add(1),
        "ArrowLeft" => here.checked_sub(1),
        "ArrowDown" => here.checked_add(columns()),
        "ArrowUp" => here.checked_sub(columns()),
        "Home" => Some(0),
        "End" => count.checked_sub(1),
        _ => None,
    };
    there.filter(|there| *there < count)
}

#[component]
fn Block(
    view: View,
    pairs: Vec<GalleryPair>,
    /// Number of its first pair.
    first: usize,
    wanted: RwSignal<Option<usize>>,
    /// Of a drawn block with all its pairs, in pixels.
    height: RwSignal<f64>,
) -> impl IntoView {
    let node = NodeRef::<Div>::new();
    let near = RwSignal::new(first == 0);
    let count = pairs.len();
    let share = count as f64 / BLOCK as f64;
    let watched = StoredValue::new_local(None::<Watch>);
    node.on_load(move |block| {
        let itself = block.clone();
        let watch = watch(&block, move |is_near| {
            let rect = itself.get_bounding_client_rect();
            if near.try_get_untracked() == Some(true) && count == BLOCK && rect.height() > 0.0 {
                height.try_set(rect.height());
            }
            // Whatever has the keyboard stays.
            let active = web_sys::window()
                .and_then(|window| window.document())
                .and_then(|document| document.active_element());
            let held = active.is_some_and(|active| itself.contains(Some(&active)));
            near.try_set(is_near || held);
        });
        watched.try_set_value(watch);
    });
    let seeds: Vec<u64> = pairs.iter().map(|pair| pair.seed).collect();
    let pairs = StoredValue::new(pairs);
    let range = first..first + count;
    let drawn = Memo::new(move |_| {
        let going = wanted.get().is_some_and(|index| range.contains(&index));
        // The chosen pair is where the tabulator enters.
        near.get() || going || view.seed.get().is_some_and(|seed| seeds.contains(&seed))
    });
    let body = move || {
        drawn.get().then(|| {
            pairs.with_value(|pairs| {
                pairs
                    .iter()
                    .zip(first..)
                    .map(|(pair, index)| view! { <Pair view=view pair=pair.clone() index=index /> })
                    .collect_view()
            })
        })
    };
    let least = move || {
        if drawn.get() {
            "0".to_owned()
        } else {
            format!("{:.0}px", height.get_untracked() * share)
        }
    };
    view! {
        <div class="pairs" node_ref=node style=("--least", least)>{body}</div>
    }
}

/// An observer with the function that it calls; both end together.
struct Watch {
    observer: IntersectionObserver,
    _told: Closure<dyn FnMut(js_sys::Array)>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.observer.disconnect();
    }
}

/// Tells whenever an element comes near the window or leaves it.
fn watch(element: &HtmlElement, mut tell: impl FnMut(bool) + 'static) -> Option<Watch> {
    let told = Closure::new(move |entries: js_sys::Array| {
        let last = entries.pop().dyn_into::<IntersectionObserverEntry>();
        if let Ok(entry) = last {
            tell(entry.is_intersecting());
        }
    });
    let options = IntersectionObserverInit::new();
    options.set_root_margin(MARGIN);
    let callback: &JsValue = told.as_ref();
    let observer =
        IntersectionObserver::new_with_options(callback.unchecked_ref(), &options).ok()?;
    observer.observe(element);
    Some(Watch {
        observer,
        _told: told,
    })
}

#[component]
fn Pair(view: View, pair: GalleryPair, index: usize) -> impl IntoView {
    let seed = pair.seed;
    let chosen = Memo::new(move |_| view.seed.get() == Some(seed));
    let pressed = move || chosen.get().to_string();
    let tab = move || if chosen.get() { "0" } else { "-1" };
    view! {
        <button type="button" id=element_id(index) class="pair" data-test="pair" aria-pressed=pressed tabindex=tab on:click=move |_| view.show_seed(seed)>
            <span class="pair-pictures">
                <img src=pair.clean.url.clone() width="96" height="96" loading="lazy" alt=alt(say!("Without protection"), &pair.clean, &pair.prompt) />
                <img src=pair.protected.url.clone() width="96" height="96" loading="lazy" alt=alt(say!("With protection"), &pair.protected, &pair.prompt) />
            </span>
            <span class="pair-words">
                <span><span class="clean-ink strong">{say!("Without")}</span><br />{score(&pair.clean)}</span>
                <span><span class="guarded-ink strong">{say!("With")}</span><br />{score(&pair.protected)}</span>
            </span>
        </button>
    }
}

fn alt(arm: &str, image: &GalleryImage, prompt: &str) -> String {
    let shows = if image.hit {
        say!("shows the subject")
    } else {
        say!("does not show the subject")
    };
    say!("{arm}: {shows}; asked for {prompt}", arm, shows, prompt)
}

fn score(image: &GalleryImage) -> String {
    let mark = if image.hit {
        say!("subject")
    } else {
        say!("not it")
    };
    format!("{} · {mark}", decimal(image.similarity, 2))
}

#[cfg(test)]
mod tests {
    use super::neighbour;

    #[test]
    fn keys_lead_to_neighbours_and_never_off_the_grid() {
        let go = |key, here| neighbour(key, here, 10, &|| 4);
        assert_eq!(go("ArrowRight", 3), Some(4));
        assert_eq!(go("ArrowLeft", 4), Some(3));
        assert_eq!(go("ArrowDown", 3), Some(7));
        assert_eq!(go("ArrowUp", 7), Some(3));
        assert_eq!((go("Home", 7), go("End", 7)), (Some(0), Some(9)));
        for (key, here) in [
            ("ArrowRight", 9),
            ("ArrowLeft", 0),
            ("ArrowDown", 7),
            ("ArrowUp", 3),
            ("Enter", 3),
        ] {
            assert_eq!(go(key, here), None, "{key} from {here}");
        }
    }
}
