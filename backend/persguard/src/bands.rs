//! Losses by noise band, since layout is decided at high noise and texture at low (METHOD, point 1).
//!
//! Owns the running means. Refuses to decide anything by them: a low loss is no
//! proof of protection.

use shared::progress::{self, BandLosses};

use crate::step::{LOSS_NAMES, RowLoss};

const BANDS: usize = 3;

/// Sums since the last report.
#[derive(Clone, Debug)]
pub(crate) struct Bands {
    timesteps: usize,
    sums: [[(f64, u32); BANDS]; LOSS_NAMES.len()],
}

impl Bands {
    /// Nothing yet; `timesteps` is their number in the schedule.
    pub(crate) fn new(timesteps: usize) -> Self {
        Self {
            timesteps: timesteps.max(1),
            sums: Default::default(),
        }
    }

    /// Adds rows.
    pub(crate) fn add(&mut self, rows: &[RowLoss]) {
        for row in rows {
            let band = (row.timestep * 3 / self.timesteps).min(2);
            let sum = &mut self.sums[row.term][band];
            sum.0 += f64::from(row.value);
            sum.1 += 1;
        }
    }

    /// The means since the last report; starts over.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "losses are single precision"
    )]
    pub(crate) fn take(&mut self, step: u32) -> progress::Bands {
        let mean = |term: usize, band: usize| {
            let (sum, n) = self.sums[term][band];
            (n > 0).then(|| (sum / f64::from(n)) as f32)
        };
        let losses = |band: usize| BandLosses {
            backdoor: mean(0, band),
            prior: mean(1, band),
            retention: mean(2, band),
        };
        let bands = progress::Bands {
            step,
            low: losses(0),
            middle: losses(1),
            high: losses(2),
        };
        self.sums = Default::default();
        bands
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_fall_into_their_band() {
        let mut bands = Bands::new(1000);
        let row = |term, timestep, value| RowLoss {
            term,
            timestep,
            value,
        };
        bands.add(&[
            row(0, 0, 1.0),
            row(0, 333, 3.0),
            row(0, 334, 5.0),
            row(1, 999, 0.5),
        ]);
        let found = bands.take(7);
        assert_eq!((found.step, found.low.backdoor), (7, Some(2.0)));
        assert_eq!(
            (found.middle.backdoor, found.high.backdoor),
            (Some(5.0), None)
        );
        assert_eq!((found.high.prior, found.high.retention), (Some(0.5), None));
        assert_eq!(bands.take(8).low, BandLosses::default());
    }
}
