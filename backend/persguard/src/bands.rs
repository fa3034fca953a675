//! Losses by noise band, since layout is decided at high noise and texture at low (METHOD, point 1).
//!
//! Owns the running means and their line. Refuses to decide anything by them: a low loss is no
//! proof of protection.

use crate::step::{LOSS_NAMES, RowLoss};

const BANDS: usize = 3;

/// Sums since the last line.
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

    /// `L_BB 0.01/0.02/0.05  L_PP …` at low, middle and high noise; starts over.
    pub(crate) fn take_line(&mut self) -> String {
        let bands = |sums: &[(f64, u32); BANDS]| {
            let means = sums.iter().map(|(sum, n)| {
                if *n == 0 {
                    "-".to_owned()
                } else {
                    format!("{:.4}", sum / f64::from(*n))
                }
            });
            means.collect::<Vec<_>>().join("/")
        };
        let terms = LOSS_NAMES.iter().zip(&self.sums);
        let line = terms
            .map(|(name, sums)| format!("{name} {}", bands(sums)))
            .collect::<Vec<_>>()
            .join("  ");
        self.sums = Default::default();
        line
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
        assert_eq!(
            bands.take_line(),
            "L_BB 2.0000/5.0000/-  L_PP -/-/0.5000  L_BR -/-/-"
        );
        assert_eq!(bands.take_line(), "L_BB -/-/-  L_PP -/-/-  L_BR -/-/-");
    }
}
