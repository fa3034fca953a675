//! One injection step: all terms in one student pass.
//!
//! Owns the weighted sum. Refuses to know where the rows come from.

use candle_core::Tensor;
use diffusion::unet::{Conditions, UNet};

use crate::{
    Error, Result,
    objective::{Part, row_errors, timestep_tensor},
};

/// A loss above this cannot come back: predictions of noise with variance 1 start near 1.
const DIVERGED_ABOVE: f32 = 25.0;

/// Names of the terms, in the order of [`Terms`].
pub const LOSS_NAMES: [&str; 3] = ["L_BB", "L_PP", "L_BR"];

/// The terms of a step with their weights; retention may be off.
#[derive(Clone, Debug)]
pub struct Terms {
    /// `L_BB`, weight 1.
    pub backdoor: Part,
    /// `L_PP` and lambda 1.
    pub prior: (Part, f64),
    /// `L_BR` and lambda 2.
    pub retention: Option<(Part, f64)>,
}

impl Terms {
    fn weighted(&self) -> Vec<(&Part, f64)> {
        let mut parts = vec![(&self.backdoor, 1.0), (&self.prior.0, self.prior.1)];
        parts.extend(
            self.retention
                .as_ref()
                .map(|(part, weight)| (part, *weight)),
        );
        parts
    }
}

/// A row's loss and its timestep, for logs by noise band.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowLoss {
    /// Index in [`LOSS_NAMES`].
    pub term: usize,
    /// Timestep of the row.
    pub timestep: usize,
    /// Mean squared error of the row.
    pub value: f32,
}

/// The result of a forward pass.
#[derive(Debug)]
pub struct Losses {
    /// `L = L_BB + lambda1 L_PP + lambda2 L_BR`, a scalar. Gradient flows to: the student.
    pub total: Tensor,
    /// Every row, term by term.
    pub rows: Vec<RowLoss>,
}

impl Losses {
    /// Unweighted mean of a term, 0 where it is off.
    pub fn mean(&self, term: usize) -> f32 {
        let values = self.rows.iter().filter(|row| row.term == term);
        let (sum, n) = values.fold((0.0, 0.0_f32), |(sum, n), row| (sum + row.value, n + 1.0));
        if n > 0.0 { sum / n } else { 0.0 }
    }

    /// Refuses losses that training cannot recover from, naming loss, step and the last good snapshot.
    pub fn check(&self, step: u32, snapshot: Option<u32>) -> Result<()> {
        for (term, loss) in LOSS_NAMES.into_iter().enumerate() {
            let value = self.mean(term);
            if !value.is_finite() || value > DIVERGED_ABOVE {
                return Err(Error::Diverged {
                    loss,
                    step,
                    value,
                    snapshot,
                });
            }
        }
        Ok(())
    }
}

/// Runs the student once on all rows and weighs the terms (METHOD, L).
///
/// Gradient flows to: the student's parameters.
pub fn forward(student: &UNet, terms: &Terms) -> Result<Losses> {
    let parts = terms.weighted();
    let join = |field: fn(&Part) -> &Tensor| {
        let tensors: Vec<&Tensor> = parts.iter().map(|(part, _)| field(part)).collect();
        Tensor::cat(&tensors, 0)
    };
    let timesteps: Vec<usize> = parts
        .iter()
        .flat_map(|(part, _)| part.timesteps.iter().copied())
        .collect();
    let noisy = join(|part| &part.noisy)?;
    let times = timestep_tensor(&timesteps, noisy.device())?;
    let conditions: Vec<_> = parts.iter().map(|(part, _)| &part.conditions).collect();
    let prediction = student.forward(&noisy, &times, &Conditions::cat(&conditions)?)?;
    let errors = row_errors(&prediction, &join(|part| &part.expected)?)?;
    let weights: Vec<f32> = parts
        .iter()
        .flat_map(|(part, weight)| row_weights(part, *weight))
        .collect();
    let weights = Tensor::new(weights, errors.device())?;
    let total = (&errors * weights)?.sum_all()?;
    let values = errors.detach().to_vec1::<f32>()?;
    let terms = parts
        .iter()
        .enumerate()
        .flat_map(|(term, (part, _))| std::iter::repeat_n(term, part.len()));
    let rows = terms
        .zip(&timesteps)
        .zip(values)
        .map(|((term, timestep), value)| RowLoss {
            term,
            timestep: *timestep,
            value,
        })
        .collect();
    Ok(Losses { total, rows })
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "weights are used in single precision"
)]
fn row_weights(part: &Part, weight: f64) -> impl Iterator<Item = f32> {
    let share = (weight / part.len() as f64) as f32;
    part.weights.iter().map(move |row| share * row)
}

#[cfg(test)]
mod tests;
