//! What outlives a change of language: pages are drawn anew then, and what was typed, fetched or begun in them stays.
//!
//! Owns values by name, each with the signals that it is made of, for as long as the view that asked for it lives.
//! Refuses to keep anything for a page that was left: only the drawing that follows at once takes a value over.

use std::{
    any::Any,
    cell::{Cell, RefCell},
};

use leptos::prelude::*;

struct Kept {
    number: u32,
    name: String,
    value: Box<dyn Any>,
    /// Of every signal, stream and cleanup that the value is made of.
    owner: Owner,
    /// Whether its view is gone and the next drawing may take it over.
    free: bool,
}

thread_local! {
    static KEPT: RefCell<Vec<Kept>> = const { RefCell::new(Vec::new()) };
    static CHANGING: Cell<bool> = const { Cell::new(false) };
    static NEXT: Cell<u32> = const { Cell::new(0) };
}

/// What `make` makes; after a change of language, what it made before. Several of one name and type are taken over in
/// the order in which they were made.
///
/// `make` finds no context: what it makes may outlive everything that provides one.
pub(crate) fn keep<T: Clone + 'static>(name: &str, make: impl FnOnce() -> T) -> T {
    let (number, value) = take_over(name).unwrap_or_else(|| {
        let owner = Owner::default();
        let value = owner.with(make);
        (enter(name, Box::new(value.clone()), owner), value)
    });
    on_cleanup(move || leave(number));
    value
}

fn take_over<T: Clone + 'static>(name: &str) -> Option<(u32, T)> {
    KEPT.with_borrow_mut(|all| {
        let fits = |kept: &&mut Kept| kept.free && kept.name == name && kept.value.is::<T>();
        let kept = all.iter_mut().find(fits)?;
        kept.free = false;
        Some((kept.number, kept.value.downcast_ref::<T>()?.clone()))
    })
}

fn enter(name: &str, value: Box<dyn Any>, owner: Owner) -> u32 {
    let number = NEXT.get();
    NEXT.set(number.wrapping_add(1));
    let name = name.to_owned();
    KEPT.with_borrow_mut(|all| {
        all.push(Kept {
            number,
            name,
            value,
            owner,
            free: false,
        });
    });
    number
}

/// The view is gone: for a moment, or for good.
fn leave(number: u32) {
    if CHANGING.get() {
        KEPT.with_borrow_mut(|all| {
            for kept in all.iter_mut().filter(|kept| kept.number == number) {
                kept.free = true;
            }
        });
    } else {
        end(|kept| kept.number == number);
    }
}

/// Views that go from now on come back.
pub(crate) fn hold() {
    CHANGING.set(true);
}

/// Views that go from now on are gone.
pub(crate) fn release() {
    CHANGING.set(false);
}

/// Ends what no view took over.
pub(crate) fn drop_rest() {
    end(|kept| kept.free);
}

fn end(ended: impl Fn(&Kept) -> bool) {
    let gone: Vec<Kept> =
        KEPT.with_borrow_mut(|all| all.extract_if(.., |kept| ended(kept)).collect());
    // Cleanups may come back here, so nothing is borrowed any more.
    for kept in gone {
        kept.owner.cleanup();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(start: &str) -> RwSignal<String> {
        keep("text", || RwSignal::new(start.to_owned()))
    }

    #[test]
    fn a_view_that_comes_back_finds_what_was_typed() {
        let first = Owner::new();
        let typed = first.with(|| text(""));
        typed.set("a dog".to_owned());
        hold();
        first.cleanup();
        release();
        let second = Owner::new();
        let found = second.with(|| text(""));
        assert_eq!(found.get_untracked(), "a dog");
        // A request that began before the change still reaches it.
        typed.set("two dogs".to_owned());
        assert_eq!(found.get_untracked(), "two dogs");
        drop_rest();
        assert!(!found.is_disposed());
    }

    #[test]
    fn a_page_that_was_left_keeps_nothing() {
        let first = Owner::new();
        let typed = first.with(|| text(""));
        typed.set("secret".to_owned());
        first.cleanup();
        assert!(typed.is_disposed());
        let second = Owner::new();
        assert_eq!(second.with(|| text("")).get_untracked(), "");
    }

    #[test]
    fn what_nobody_takes_over_ends() {
        let first = Owner::new();
        let (typed, ended) = (first.with(|| text("")), ArcRwSignal::new(false));
        let heard = ended.clone();
        first.with(|| keep("stream", || on_cleanup(move || heard.set(true))));
        hold();
        first.cleanup();
        release();
        assert!(!typed.is_disposed() && !ended.get_untracked());
        drop_rest();
        assert!(typed.is_disposed() && ended.get_untracked());
    }

    #[test]
    fn several_of_a_name_keep_their_order_and_their_kind() {
        let first = Owner::new();
        first.with(|| {
            let _ = (text("one"), text("two"));
            keep("text", || RwSignal::new(3_u32));
        });
        hold();
        first.cleanup();
        release();
        let second = Owner::new();
        let (number, texts) = second.with(|| {
            let number = keep("text", || RwSignal::new(0_u32));
            (number, [text(""), text(""), text("new")])
        });
        assert_eq!(number.get_untracked(), 3);
        assert_eq!(
            texts.map(|text| text.get_untracked()),
            ["one", "two", "new"]
        );
    }
}
