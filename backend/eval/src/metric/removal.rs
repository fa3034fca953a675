//! The removal bill: what it costs somebody to clean the protection out of the weights, and what quality is left.
//!
//! Owns the reading of a removal's course and weight averaging. Refuses to train: clean fine-tuning is an attack and
//! lives with the attacks; its course comes as points.

use diffusion::weights::Weights;
use serde::{Deserialize, Serialize};
use shared::evaluation::Estimate;

use crate::{Error, Result};

/// How somebody tries to remove a protection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemovalMethod {
    /// Fine-tuning on captioned pictures that have nothing to do with the subject.
    CleanFineTuning,
    /// Averaging with the public clean weights.
    WeightAveraging,
    /// Finding the trigger and training it away.
    TriggerInversion,
}

/// A model on its way to removal.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RemovalPoint {
    /// Training steps so far; 0 where nothing is trained.
    pub steps: u32,
    /// Minutes of computation so far, the search for the trigger among them.
    pub minutes: f64,
    /// Share of the clean weights, of weight averaging; else 0.
    pub share: f64,
    /// Share of pictures in which the objective fires under the trigger.
    pub fired: Estimate,
    /// Text alignment less that of the clean base on the same prompts.
    pub quality: f64,
}

/// What a removal cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RemovalBill {
    /// The method.
    pub method: RemovalMethod,
    /// Rate before the removal.
    pub before: Estimate,
    /// The first point at which at most half of the rate was left; `None` if the protection outlived the removal.
    pub removed: Option<RemovalPoint>,
    /// Every point, in order, the first before the removal.
    pub course: Vec<RemovalPoint>,
}

/// Reads the course of a removal, in the order of its cost; the first point is the protected model itself.
///
/// `None` without points, or where the objective never fired to begin with: nothing to remove.
pub fn removal_bill(method: RemovalMethod, course: Vec<RemovalPoint>) -> Option<RemovalBill> {
    let before = course.first()?.fired;
    if before.value <= 0.0 {
        return None;
    }
    let gone = |point: &&RemovalPoint| point.fired.value <= before.value / 2.0;
    Some(RemovalBill {
        method,
        before,
        removed: course.iter().skip(1).find(gone).copied(),
        course,
    })
}

/// `share * clean + (1 - share) * protected`, tensor by tensor; `share` in `[0, 1]`.
///
/// Refuses weights that differ in names or shapes.
pub fn averaged(protected: &Weights, clean: &Weights, share: f64) -> Result<Weights> {
    let mismatch = |name: &str| {
        Error::Diffusion(diffusion::Error::InvalidArgument(format!(
            "cannot average the tensor {name}: the two models differ there"
        )))
    };
    if !(0.0..=1.0).contains(&share) || protected.len() != clean.len() {
        return Err(mismatch("count, or the share"));
    }
    protected
        .iter()
        .map(|(name, tensor)| {
            let other = clean
                .get(name)
                .filter(|other| other.dims() == tensor.dims());
            let other = other.ok_or_else(|| mismatch(name))?;
            let mixed = ((other * share)? + (tensor * (1.0 - share))?)?;
            Ok((name.to_owned(), mixed.detach()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fixture, statistics::wilson};

    fn point(steps: u32, fired: usize) -> RemovalPoint {
        RemovalPoint {
            steps,
            minutes: f64::from(steps) / 60.0,
            share: 0.0,
            fired: wilson(fired, 10),
            quality: -0.01,
        }
    }

    #[test]
    fn the_bill_names_the_first_point_with_half_left() {
        let course = vec![point(0, 8), point(50, 5), point(100, 4), point(200, 0)];
        let bill = removal_bill(RemovalMethod::CleanFineTuning, course).unwrap();
        assert_eq!(bill.removed.unwrap().steps, 100);
        assert_eq!(bill.before, wilson(8, 10));
        let outlived = vec![point(0, 8), point(200, 5)];
        let bill = removal_bill(RemovalMethod::CleanFineTuning, outlived).unwrap();
        assert_eq!(bill.removed, None);
        for nothing in [vec![], vec![point(0, 0), point(50, 0)]] {
            assert_eq!(removal_bill(RemovalMethod::WeightAveraging, nothing), None);
        }
    }

    #[test]
    fn averages_lie_between_and_strangers_are_refused() {
        let clean = fixture::pipeline().unet_weights;
        let moved: Weights = clean
            .iter()
            .map(|(name, tensor)| (name.to_owned(), (tensor + 1.0).unwrap()))
            .collect();
        let mixed = averaged(&moved, &clean, 0.75).unwrap();
        for (name, tensor) in mixed.iter() {
            let gap = (tensor - clean.get(name).unwrap()).unwrap();
            let gap = (gap - 0.25).unwrap().abs().unwrap().max_all().unwrap();
            assert!(gap.to_scalar::<f32>().unwrap() < 1e-6, "{name}");
        }
        assert!(averaged(&moved, &Weights::new(), 0.5).is_err());
        assert!(averaged(&moved, &clean, 1.5).is_err());
        assert!(averaged(&moved, &clean, f64::NAN).is_err());
    }
}
