//! Where the time of a step goes. Refuses to influence the run.

use std::time::Instant;

/// Seconds of each step, and of its part outside the student.
#[derive(Clone, Debug, Default)]
pub(super) struct Clock {
    steps: Vec<f64>,
    outside: f64,
}

impl Clock {
    /// A step that began, had its rows drawn, had the student updated and ends now.
    pub(super) fn add(&mut self, begin: Instant, drawn: Instant, updated: Instant) {
        let end = Instant::now();
        self.steps.push((end - begin).as_secs_f64());
        self.outside += (drawn - begin).as_secs_f64() + (end - updated).as_secs_f64();
    }

    /// Median milliseconds of a step, and the share outside the student's passes and update.
    pub(super) fn summary(&self) -> (f64, f64) {
        let mut steps = self.steps.clone();
        steps.sort_by(f64::total_cmp);
        let median = steps.get(steps.len() / 2).copied().unwrap_or_default();
        let total: f64 = steps.iter().sum();
        (
            median * 1000.0,
            if total > 0.0 {
                self.outside / total
            } else {
                0.0
            },
        )
    }
}
