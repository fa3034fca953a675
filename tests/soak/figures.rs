//! What is counted while traffic goes on.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Errors that are told word by word, at once.
const TOLD: u64 = 20;

/// Kinds of traffic; each has to come at least once.
pub(crate) const KINDS: [&str; 7] = [
    "reads",
    "visits",
    "uploads",
    "jobs",
    "cancellations",
    "sign_ins",
    "refusals",
];

/// Counts of everybody.
#[derive(Default)]
pub(crate) struct Figures(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    by_kind: BTreeMap<&'static str, u64>,
    milliseconds: Vec<f32>,
    errors: u64,
}

impl Figures {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One thing of this kind was done.
    pub(crate) fn done(&self, kind: &'static str) {
        *self.counts().by_kind.entry(kind).or_default() += 1;
    }

    /// A read was answered in this time.
    pub(crate) fn answered(&self, time: Duration) {
        self.counts().milliseconds.push(time.as_secs_f32() * 1e3);
        self.done("reads");
    }

    /// Something went wrong.
    pub(crate) fn failed(&self, what: &str, error: &anyhow::Error) {
        let errors = &mut self.counts().errors;
        *errors += 1;
        if *errors <= TOLD {
            println!("error: {what}: {error:#}");
        }
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.counts().errors > 0
    }

    pub(crate) fn all_kinds(&self) -> bool {
        let counts = self.counts();
        KINDS.iter().all(|kind| counts.by_kind.contains_key(kind))
    }

    /// Everything in the form of the last line.
    pub(crate) fn say(&self) -> String {
        let mut counts = self.counts();
        let mut words: Vec<String> = KINDS
            .iter()
            .map(|kind| format!("{kind}={}", counts.by_kind.get(kind).unwrap_or(&0)))
            .collect();
        counts.milliseconds.sort_by(f32::total_cmp);
        let at = counts.milliseconds.len() * 99 / 100;
        let p99 = counts.milliseconds.get(at).copied().unwrap_or(f32::NAN);
        words.push(format!("read_p99_ms={p99:.1}"));
        words.push(format!("errors={}", counts.errors));
        words.join(" ")
    }
}

/// The server's memory over time, in megabytes.
#[derive(Default)]
pub(crate) struct Memory(Vec<f64>);

impl Memory {
    pub(crate) fn add(&mut self, megabytes: f64) {
        self.0.push(megabytes);
    }

    pub(crate) fn last(&self) -> f64 {
        self.0.last().copied().unwrap_or(f64::NAN)
    }

    /// The median of the last quarter less that of the second.
    pub(crate) fn growth(&self) -> f64 {
        let quarter = |number: usize| {
            let length = self.0.len();
            let part = &self.0[length * number / 4..length * (number + 1) / 4];
            let mut part = part.to_vec();
            part.sort_by(f64::total_cmp);
            part.get(part.len() / 2).copied().unwrap_or(f64::NAN)
        };
        quarter(3) - quarter(1)
    }
}
