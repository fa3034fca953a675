//! A value that a view waits for: keeps the last good answer while it is asked for again, in another language, too.

use std::{cell::Cell, rc::Rc, time::Duration};

use leptos::{
    leptos_dom::helpers::{set_interval_with_handle, set_timeout_with_handle},
    prelude::*,
    task::spawn_local,
};
use serde::de::DeserializeOwned;
use web_sys::AbortController;

use crate::{
    api::{Answer, ApiError, Endpoint, decode, get},
    state::kept::keep,
};

/// Longest wait for an answer: a line that went dead says nothing by itself.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a view knows of a remote value.
pub(crate) struct Fetch<T: Send + Sync + 'static> {
    /// The last good answer.
    pub(crate) data: RwSignal<Option<T>>,
    /// Why the last request failed, if it did.
    pub(crate) error: RwSignal<Option<ApiError>>,
    /// The [`mark`] under which the last good answer was asked for.
    pub(crate) since: RwSignal<u32>,
    trigger: RwSignal<u32>,
    /// Whether a request is under way.
    busy: RwSignal<bool>,
}

impl<T: Send + Sync + 'static> Clone for Fetch<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Send + Sync + 'static> Copy for Fetch<T> {}

impl<T: Send + Sync + 'static> Fetch<T> {
    /// Asks again; the view keeps what it shows meanwhile.
    pub(crate) fn reload(self) {
        self.trigger.try_update(|count| *count += 1);
    }

    /// Asks again unless an answer is awaited: a server that is slower than an interval is heard out.
    pub(crate) fn poll(self) {
        if self.busy.try_get_untracked() == Some(false) {
            self.reload();
        }
    }
}

/// A number that is higher than all before: whether something came before a request or after it.
pub(crate) fn mark() -> u32 {
    thread_local! {
        static LAST: Cell<u32> = const { Cell::new(0) };
    }
    LAST.set(LAST.get() + 1);
    LAST.get()
}

/// Fetches now and whenever the endpoint's inputs change; stops when the view is gone.
pub(crate) fn use_fetch<T>(endpoint: impl Fn() -> Endpoint<T> + 'static) -> Fetch<T>
where
    T: DeserializeOwned + Clone + PartialEq + Send + Sync + 'static,
{
    let fetch = keep(&untrack(&endpoint).into_path(), || Fetch {
        data: RwSignal::new(None),
        error: RwSignal::new(None),
        since: RwSignal::new(0),
        trigger: RwSignal::new(0),
        busy: RwSignal::new(false),
    });
    let settle = move |asked: u32, answer: Result<Answer, ApiError>| match answer
        .and_then(|answer| decode(&answer))
    {
        Ok(value) => {
            fetch.error.try_set(None);
            let same = fetch
                .data
                .try_with_untracked(|data| data.as_ref() == Some(&value));
            if same == Some(false) {
                fetch.data.try_set(Some(value));
            }
            fetch.since.try_set(asked);
        }
        Err(ApiError::Aborted) => {}
        Err(error) => {
            fetch.error.try_set(Some(error));
        }
    };
    let path = move || endpoint().into_path();
    drive(fetch.trigger, fetch.busy, Box::new(path), Rc::new(settle));
    fetch
}

type Settle = Rc<dyn Fn(u32, Result<Answer, ApiError>)>;

/// What is asked now: one thing at a time.
#[derive(Default)]
struct Asked {
    path: Option<String>,
    /// Counts the requests, so that one that was replaced is known by its number.
    turn: u32,
    /// Whether the same was wanted again meanwhile.
    again: bool,
}

impl Asked {
    /// The number of the request to begin; none while the same is asked, whose answer is waited for first.
    fn begin(&mut self, path: &str) -> Option<u32> {
        if self.path.as_deref() == Some(path) {
            self.again = true;
            return None;
        }
        self.path = Some(path.to_owned());
        self.turn += 1;
        self.again = false;
        Some(self.turn)
    }

    /// Whether that request is still the one that counts, and then whether another has to follow it.
    fn end(&mut self, turn: u32) -> Option<bool> {
        if self.turn != turn {
            return None;
        }
        self.path = None;
        Some(std::mem::take(&mut self.again))
    }
}

/// Asks whenever the trigger or the path changes; one at a time, none for a view that is gone. Knows no types, so
/// that the module holds it once.
fn drive(
    trigger: RwSignal<u32>,
    busy: RwSignal<bool>,
    path: Box<dyn Fn() -> String>,
    settle: Settle,
) {
    let running = StoredValue::new_local((Asked::default(), None::<AbortController>));
    let stop = move || {
        running.try_update_value(|(_, controller)| {
            if let Some(controller) = controller.take() {
                controller.abort();
            }
        });
        busy.try_set(false);
    };
    Effect::new(move || {
        trigger.track();
        let path = path();
        let begun = running.try_update_value(|(asked, _)| asked.begin(&path));
        let Some(turn) = begun.flatten() else { return };
        stop();
        let controller = AbortController::new().ok();
        let signal = controller.as_ref().map(AbortController::signal);
        running.update_value(|(_, running)| running.clone_from(&controller));
        busy.set(true);
        let settle = settle.clone();
        let since = mark();
        let late = Rc::new(Cell::new(false));
        let timer = controller.map(|controller| {
            let late = Rc::clone(&late);
            let give_up = move || {
                late.set(true);
                controller.abort();
            };
            set_timeout_with_handle(give_up, PATIENCE)
        });
        spawn_local(async move {
            let answer = get(&path, signal.as_ref()).await;
            if let Some(Ok(timer)) = timer {
                timer.clear();
            }
            let answer = if late.get() {
                Err(ApiError::Unreachable)
            } else {
                answer
            };
            let ended = running.try_update_value(|(asked, _)| asked.end(turn));
            // Another one took its place, or its view is gone.
            let Some(again) = ended.flatten() else { return };
            busy.try_set(false);
            settle(since, answer);
            if again {
                trigger.try_update(|count| *count += 1);
            }
        });
    });
    on_cleanup(stop);
}

/// Calls back on an interval for as long as the view lives.
pub(crate) fn use_interval(milliseconds: u64, action: impl Fn() + 'static) {
    let period = Duration::from_millis(milliseconds);
    if let Ok(handle) = set_interval_with_handle(action, period) {
        on_cleanup(move || handle.clear());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_under_way_is_heard_out_and_followed_by_one_more() {
        let mut asked = Asked::default();
        let first = asked.begin("/v1/jobs/1").expect("nothing is asked yet");
        assert_eq!(asked.begin("/v1/jobs/1"), None);
        assert_eq!(asked.begin("/v1/jobs/1"), None);
        assert_eq!(asked.end(first), Some(true));
        let second = asked.begin("/v1/jobs/1").expect("the first has ended");
        assert_eq!(asked.end(second), Some(false));
    }

    #[test]
    fn another_path_takes_the_place_of_the_one_before() {
        let mut asked = Asked::default();
        let first = asked.begin("/v1/jobs/1").expect("nothing is asked yet");
        assert_eq!(asked.begin("/v1/jobs/1"), None);
        let second = asked.begin("/v1/jobs/2").expect("another path");
        assert_eq!(asked.end(first), None);
        assert_eq!(asked.end(second), Some(false));
    }

    #[test]
    fn an_interval_asks_only_while_nothing_is_awaited() {
        let owner = Owner::new();
        owner.with(|| {
            let fetch = Fetch::<u8> {
                data: RwSignal::new(None),
                error: RwSignal::new(None),
                since: RwSignal::new(0),
                trigger: RwSignal::new(0),
                busy: RwSignal::new(true),
            };
            fetch.poll();
            assert_eq!(fetch.trigger.get_untracked(), 0);
            fetch.reload();
            assert_eq!(fetch.trigger.get_untracked(), 1);
            fetch.busy.set(false);
            fetch.poll();
            assert_eq!(fetch.trigger.get_untracked(), 2);
        });
    }

    #[test]
    fn marks_rise() {
        assert!(mark() < mark());
    }
}
