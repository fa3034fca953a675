//! Generated pictures that cells share: class sets of attackers, and the clean base's class-only pictures.
//!
//! Owns them in memory, each drawn once by whoever needs it first. Refuses to keep them over a restart: a file would round
//! them, and the same seeds draw them again.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use candle_core::Tensor;

use crate::{Result, gallery::Arm};

/// What a set was drawn for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Purpose {
    /// Prior preservation: drawn by the attacked model before training.
    Prior,
    /// The hit threshold: drawn by the clean base.
    Threshold,
}

/// Class word, model, purpose and seed.
type Key = (String, bool, Purpose, u64);

type Place = Arc<Mutex<Option<Tensor>>>;

/// Sets of one plan with its models; never shared between plans.
#[derive(Debug, Default)]
pub struct Sets(Mutex<BTreeMap<Key, Place>>);

impl Sets {
    /// The set; the first to ask draws it, whoever asks meanwhile waits.
    pub(super) fn get(
        &self,
        class: &str,
        arm: Arm,
        (purpose, seed): (Purpose, u64),
        draw: impl FnOnce() -> Result<Tensor>,
    ) -> Result<Tensor> {
        let key = (class.to_owned(), arm == Arm::Protected, purpose, seed);
        // A drawer that panicked left nothing half done.
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = Arc::clone(places.entry(key).or_default());
        drop(places);
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        match &*place {
            Some(set) => Ok(set.clone()),
            None => Ok(place.insert(draw()?).clone()),
        }
    }
}
