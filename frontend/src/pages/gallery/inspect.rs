//! The chosen pair in full: with a movable edge, in turns, or as its difference; enlarged and moved, both pictures at
//! once. What is chosen stays from pair to pair.

use leptos::{ev::PointerEvent, html::Div, prelude::*};

use crate::{
    components::compare::{Compare, Edge},
    language::say,
    state::kept::keep,
};

/// How two pictures share one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Edge,
    Blink,
    Difference,
}

impl Mode {
    const ALL: [(Self, &'static str, &'static str); 3] = [
        (Self::Edge, mark!("Edge"), "mode-edge"),
        (Self::Blink, mark!("Blink"), "mode-blink"),
        (Self::Difference, mark!("Difference"), "mode-difference"),
    ];

    const fn class(self) -> &'static str {
        match self {
            Self::Edge => "inspect-stage",
            Self::Blink => "inspect-stage inspect-blink",
            Self::Difference => "inspect-stage inspect-difference",
        }
    }
}

/// Enlargements.
const ZOOMS: [u32; 4] = [1, 2, 4, 8];

#[derive(Clone, Copy)]
struct Pictures {
    clean: Signal<String>,
    protected: Signal<String>,
    prompt: Signal<String>,
}

#[component]
pub(super) fn Inspect(
    clean_url: Signal<String>,
    protected_url: Signal<String>,
    prompt: Signal<String>,
) -> impl IntoView {
    let pictures = Pictures {
        clean: clean_url,
        protected: protected_url,
        prompt,
    };
    let mode = keep("mode", || RwSignal::new(Mode::Edge));
    let zoom = keep("zoom", || RwSignal::new(ZOOMS[0]));
    let modes = Mode::ALL
        .map(|(own, words, mark)| {
            let pressed = move || (mode.get() == own).to_string();
            view! { <button type="button" aria-pressed=pressed data-test=mark on:click=move |_| mode.set(own)>{say(words)}</button> }
        })
        .collect_view();
    let zooms = ZOOMS
        .map(|own| {
            let pressed = move || (zoom.get() == own).to_string();
            let mark = format!("zoom-{own}");
            view! { <button type="button" aria-pressed=pressed data-test=mark on:click=move |_| zoom.set(own)>{format!("{own}×")}</button> }
        })
        .collect_view();
    // The edge covers the whole picture only where nothing has to be moved below it.
    let plain = Memo::new(move |_| mode.get() == Mode::Edge && zoom.get() == ZOOMS[0]);
    let stage = move || {
        if plain.get() {
            view! { <Compare clean_url=pictures.clean protected_url=pictures.protected prompt=pictures.prompt /> }
                .into_any()
        } else {
            view! { <Stage pictures=pictures mode=mode zoom=zoom /> }.into_any()
        }
    };
    view! {
        <div class="stack-tight" data-test="inspect">
            <div class="row-between">
                <div class="segments" role="group" aria-label=say!("How to compare")>{modes}</div>
                <div class="segments" role="group" aria-label=say!("Enlarged")>{zooms}</div>
            </div>
            {stage}
        </div>
    }
}

#[component]
fn Stage(pictures: Pictures, mode: RwSignal<Mode>, zoom: RwSignal<u32>) -> impl IntoView {
    let split = RwSignal::new(50_u8);
    let node = NodeRef::<Div>::new();
    // Enlarged about the middle of what is seen.
    Effect::new(move |before: Option<u32>| {
        let now = zoom.get();
        let Some(frame) = node.get() else {
            return ZOOMS[0];
        };
        let factor = f64::from(now) / f64::from(before.unwrap_or(ZOOMS[0]));
        let moved = |start: i32, length: i32| {
            let half = f64::from(length) / 2.0;
            ((f64::from(start) + half) * factor - half).round()
        };
        let (left, top) = (
            moved(frame.scroll_left(), frame.client_width()),
            moved(frame.scroll_top(), frame.client_height()),
        );
        request_animation_frame(move || frame.scroll_to_with_x_and_y(left, top));
        now
    });
    let drag = move |event: PointerEvent| {
        const MAIN_BUTTON: u16 = 1;
        let held = event.buttons() & MAIN_BUTTON != 0 && event.pointer_type() == "mouse";
        if let Some(frame) = node.get_untracked().filter(|_| held) {
            frame.scroll_by_with_x_and_y(
                -f64::from(event.movement_x()),
                -f64::from(event.movement_y()),
            );
        }
    };
    let scale = move || format!("{}%", zoom.get() * 100);
    let prompt = pictures.prompt;
    let with = Signal::derive(move || {
        say!(
            "With protection, asked for: {prompt}",
            prompt = prompt.get()
        )
    });
    let without = Signal::derive(move || {
        say!(
            "Without protection, asked for: {prompt}",
            prompt = prompt.get()
        )
    });
    let held = RwSignal::new(None::<bool>);
    view! {
        <div class="inspect-frame" node_ref=node tabindex="0" role="group" aria-label=say!("Both pictures; arrow keys move them when enlarged") data-test="inspect-frame" on:pointermove=drag>
            <div class=move || mode.get().class() class:inspect-held=move || held.get().is_some() class:inspect-under=move || held.get() == Some(false) style=("--scale", scale) style=("--split", move || format!("{}%", split.get()))>
                <img src=move || pictures.protected.get() alt=move || with.get() draggable="false" />
                <img class="inspect-over" src=move || pictures.clean.get() alt=move || without.get() draggable="false" />
            </div>
        </div>
        {move || match mode.get() {
            Mode::Edge => view! { <Edge split=split class="inspect-range" test="inspect-range" /> }.into_any(),
            Mode::Blink => view! { <Turns held=held /> }.into_any(),
            Mode::Difference => view! { <p class="small soft">{say!("Black where both pictures are the same.")}</p> }.into_any(),
        }}
    }
}

/// Shows one of the two, in place of both in turns.
#[component]
fn Turns(held: RwSignal<Option<bool>>) -> impl IntoView {
    let side = move |clean: bool, words: &'static str, mark: &'static str| {
        let pressed = move || (held.get() == Some(clean)).to_string();
        let hold = move |_| held.update(|held| *held = (*held != Some(clean)).then_some(clean));
        view! { <button type="button" class="button button-small" aria-pressed=pressed data-test=mark on:click=hold>{words}</button> }
    };
    view! {
        <div class="row" role="group" aria-label=say!("Hold one picture")>
            {side(true, say!("Hold without"), "hold-clean")} {side(false, say!("Hold with"), "hold-protected")}
        </div>
    }
}
