//! A value that a view waits for: keeps the last good answer while it is asked for again, in another language, too.

use std::rc::Rc;

use leptos::{leptos_dom::helpers::set_interval_with_handle, prelude::*, task::spawn_local};
use serde::de::DeserializeOwned;
use web_sys::AbortController;

use crate::{
    api::{Answer, ApiError, Endpoint, decode, get},
    state::kept::keep,
};

/// What a view knows of a remote value.
pub(crate) struct Fetch<T: Send + Sync + 'static> {
    /// The last good answer.
    pub(crate) data: RwSignal<Option<T>>,
    /// Why the last request failed, if it did.
    pub(crate) error: RwSignal<Option<ApiError>>,
    trigger: RwSignal<u32>,
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
}

/// Fetches now and whenever the endpoint's inputs change; stops when the view is gone.
pub(crate) fn use_fetch<T>(endpoint: impl Fn() -> Endpoint<T> + 'static) -> Fetch<T>
where
    T: DeserializeOwned + Clone + PartialEq + Send + Sync + 'static,
{
    let fetch = keep(&untrack(&endpoint).into_path(), || Fetch {
        data: RwSignal::new(None),
        error: RwSignal::new(None),
        trigger: RwSignal::new(0),
    });
    let settle =
        move |answer: Result<Answer, ApiError>| match answer.and_then(|answer| decode(&answer)) {
            Ok(value) => {
                fetch.error.try_set(None);
                let same = fetch
                    .data
                    .try_with_untracked(|data| data.as_ref() == Some(&value));
                if same == Some(false) {
                    fetch.data.try_set(Some(value));
                }
            }
            Err(ApiError::Aborted) => {}
            Err(error) => {
                fetch.error.try_set(Some(error));
            }
        };
    let path = move || endpoint().into_path();
    drive(fetch.trigger, Box::new(path), Rc::new(settle));
    fetch
}

type Settle = Rc<dyn Fn(Result<Answer, ApiError>)>;

/// Asks whenever the trigger or the path changes; one at a time, none for a view that is gone. Knows no types, so
/// that the module holds it once.
fn drive(trigger: RwSignal<u32>, path: Box<dyn Fn() -> String>, settle: Settle) {
    let running = StoredValue::new_local(None::<AbortController>);
    let stop = move || {
        running.try_update_value(|running| {
            if let Some(controller) = running.take() {
                controller.abort();
            }
        });
    };
    Effect::new(move || {
        trigger.track();
        let path = path();
        stop();
        let controller = AbortController::new().ok();
        let signal = controller.as_ref().map(AbortController::signal);
        running.set_value(controller);
        let settle = settle.clone();
        spawn_local(async move { settle(get(&path, signal.as_ref()).await) });
    });
    on_cleanup(stop);
}

/// Calls back on an interval for as long as the view lives.
pub(crate) fn use_interval(milliseconds: u64, action: impl Fn() + 'static) {
    let period = std::time::Duration::from_millis(milliseconds);
    if let Ok(handle) = set_interval_with_handle(action, period) {
        on_cleanup(move || handle.clear());
    }
}
