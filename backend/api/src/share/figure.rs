//! How often the subject shows by the length of the attack, both models, as lines with their 95 % intervals.
//!
//! One drawing for the page, where classes colour it, and for the preview, where attributes do.

use std::fmt::Write;

use shared::evaluation::{ArmResult, CheckpointResult, Estimate};

/// Where the plot lies in its drawing, in units of it.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// One of the two lines.
pub(super) struct Line {
    /// Points of the line.
    pub(super) points: String,
    /// Outline of its intervals.
    pub(super) band: String,
    /// Where each point is.
    pub(super) places: Vec<(f64, f64)>,
}

impl Frame {
    /// Place of a step: evenly spaced, since attackers double their steps.
    pub(super) fn x(self, index: usize, count: usize) -> f64 {
        let gaps = count.saturating_sub(1).max(1) as f64;
        self.left + self.width * index as f64 / gaps
    }

    /// Place of a rate, 0 below and 1 above.
    pub(super) fn y(self, rate: f64) -> f64 {
        self.top + self.height * (1.0 - rate.clamp(0.0, 1.0))
    }

    /// The line of one model.
    pub(super) fn line(
        self,
        results: &[CheckpointResult],
        arm: fn(&CheckpointResult) -> &ArmResult,
    ) -> Line {
        let count = results.len();
        let rates: Vec<Estimate> = results.iter().map(|result| arm(result).hit_rate).collect();
        let at = |value: fn(&Estimate) -> f64| -> Vec<(f64, f64)> {
            let rates = rates.iter().enumerate();
            rates
                .map(|(index, rate)| (self.x(index, count), self.y(value(rate))))
                .collect()
        };
        let places = at(|rate| rate.value);
        let mut around = at(|rate| rate.high);
        around.extend(at(|rate| rate.low).into_iter().rev());
        Line {
            points: text(&places),
            band: text(&around),
            places,
        }
    }
}

fn text(places: &[(f64, f64)]) -> String {
    let mut text = String::new();
    for (x, y) in places {
        let _ = write!(text, "{x:.1},{y:.1} ");
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_from_left_to_right_and_up_for_more() {
        let result = |step, value| {
            let rate = Estimate {
                value,
                low: value - 0.1,
                high: value + 0.1,
                n: 16,
            };
            let arm = ArmResult {
                similarity: rate,
                hit_rate: rate,
                text_alignment: rate,
                class_rate: rate,
                objective_rate: rate,
                psr: rate,
            };
            CheckpointResult {
                attack_step: step,
                clean: arm,
                protected: arm,
                similarity_difference: rate,
            }
        };
        let frame = Frame {
            left: 10.0,
            top: 0.0,
            width: 100.0,
            height: 50.0,
        };
        let line = frame.line(&[result(0, 0.0), result(100, 1.0)], |result| &result.clean);
        assert_eq!(line.points, "10.0,50.0 110.0,0.0");
        assert_eq!(
            line.band, "10.0,45.0 110.0,0.0 110.0,5.0 10.0,50.0",
            "intervals end at 0 and 1"
        );
        let alone = frame.line(&[result(0, 0.5)], |result| &result.clean);
        assert_eq!(alone.places, [(10.0, 25.0)]);
    }
}
