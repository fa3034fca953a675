//! The removal bill: what it costs somebody to clean the protection out of the weights, and what quality is left.
//!
//! Owns the reading of a removal's course. Refuses to train and to average: clean fine-tuning and averages with the clean
//! weights are adaptive attacks ([`crate::attack`]); their course comes as points.

pub use shared::matrix::{RemovalBill, RemovalMethod, RemovalPoint};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::wilson;

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
}
