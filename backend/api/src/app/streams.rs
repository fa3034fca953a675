//! Event streams that are open: so many for each caller, so that nobody takes every connection.
//!
//! A place is given back when its stream is dropped, however that ends.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::error::Error;

/// Streams that one caller follows at once: more than an account has jobs that wait or run.
pub(crate) const MAX_STREAMS: usize = 32;

/// Open streams by caller.
#[derive(Clone, Default)]
pub(crate) struct Streams(Arc<Mutex<HashMap<String, usize>>>);

/// A stream's place among those of its caller.
pub(crate) struct Place {
    streams: Streams,
    caller: String,
}

impl Streams {
    fn open(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more stream of a caller.
    pub(crate) fn enter(&self, caller: String) -> Result<Place, Error> {
        let mut open = self.open();
        let count = open.entry(caller.clone()).or_default();
        if *count >= MAX_STREAMS {
            return Err(Error::TooManyStreams);
        }
        *count += 1;
        Ok(Place {
            streams: self.clone(),
            caller,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.streams.open();
        if let Some(count) = open.get_mut(&self.caller) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_by_caller_and_given_back() {
        let streams = Streams::default();
        let enter = |caller: &str| streams.enter(caller.to_owned());
        let mut places: Vec<Place> = (0..MAX_STREAMS).map(|_| enter("ada").unwrap()).collect();
        assert!(matches!(enter("ada"), Err(Error::TooManyStreams)));
        assert!(enter("bob").is_ok(), "others have their own");
        places.pop();
        let again = enter("ada").unwrap();
        assert!(enter("ada").is_err());
        drop((places, again));
        assert!(streams.open().is_empty(), "nobody is remembered");
    }
}
