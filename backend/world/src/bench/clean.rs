//! Finished attacks on the clean model, by subject and seed: rows of a table differ in the protected model alone.
//! Refuses to keep them over a restart, because pictures of a file are rounded.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use eval::CleanArm;

use super::quality::Strays;
use crate::lock::lock;

/// Everything of one subject and seed that no row changes.
#[derive(Clone, Debug)]
pub struct Clean {
    /// The subject under attack.
    pub subject: CleanArm,
    /// The stranger under the same attack.
    pub stranger: CleanArm,
    /// Where the clean model seems to fire by itself; only where quality is measured.
    pub strays: Option<Strays>,
}

/// One place for each subject and seed.
#[derive(Debug, Default)]
pub struct CleanArms(Mutex<BTreeMap<String, Arc<Mutex<Option<Clean>>>>>);

impl CleanArms {
    /// The finished attacks under this name; the first to ask makes them, whoever asks meanwhile waits.
    pub fn get(
        &self,
        name: &str,
        make: impl FnOnce() -> anyhow::Result<Clean>,
    ) -> anyhow::Result<Clean> {
        let place = Arc::clone(lock(&self.0).entry(name.to_owned()).or_default());
        let mut place = lock(&place);
        match &*place {
            Some(clean) => Ok(clean.clone()),
            None => Ok(place.insert(make()?).clone()),
        }
    }
}
