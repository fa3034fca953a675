//! Breaking points: how long a protection holds, seen only at an attack's checkpoints.
//!
//! Owns the Kaplan-Meier curve, its intervals and its median. Refuses to extrapolate: what has not
//! broken by the last checkpoint is censored there, and a median that was not reached is `None`.

use super::{ALPHA, count, normal::quantile as normal_quantile, wilson};

/// What a median's comparison forgives: products of fractions miss one half by rounding.
const ROUNDING: f64 = 1e-12;

/// What was seen of one unit, a (subject, seed): one observation each, as units are independent
/// and the images of a unit are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The checkpoint, in attack steps, at which the unit was last looked at.
    pub time: u32,
    /// Whether it was found broken there. Otherwise it still held there and was not seen again.
    pub event: bool,
}

/// The curve after one checkpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The checkpoint.
    pub time: u32,
    /// Units looked at there, those censored there among them.
    pub at_risk: u32,
    /// Units found broken there.
    pub events: u32,
    /// Estimated share of units that hold after `time`, in `[0, 1]`.
    pub survival: f64,
    /// Greenwood's variance of `survival`; 0 where all or none have broken.
    pub variance: f64,
    /// Lower end of the pointwise 95 % interval.
    pub low: f64,
    /// Upper end of the pointwise 95 % interval.
    pub high: f64,
}

/// The first checkpoint after which no more than half of the units hold, with its 95 % interval.
///
/// A break was seen at a checkpoint and happened after the one before it, so all three are upper
/// bounds by less than the distance to the checkpoint before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Median {
    /// The median; `None` where more than half hold to the end.
    pub value: Option<u32>,
    /// Lower end; `None` where not even the curve's lower end falls to one half. It may be known
    /// where the median is not: then the median lies at or beyond it.
    pub low: Option<u32>,
    /// Upper end; `None` where the curve's upper end never falls below one half.
    pub high: Option<u32>,
}

/// A Kaplan-Meier curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Survival {
    /// Number of units.
    pub n: u32,
    /// One step for each checkpoint at which a unit broke or was censored, rising. Before the
    /// first the survival is 1; after the last nothing is known.
    pub steps: Vec<Step>,
}

impl Survival {
    /// The median with the interval of Brookmeyer and Crowley (1982).
    ///
    /// The value is the first `t` with `S(t) <= 1/2`; the interval holds every `t` whose pointwise
    /// interval holds one half: from the first with `low(t) <= 1/2` to the first with
    /// `high(t) < 1/2`.
    pub fn median(&self) -> Median {
        let first = |falls: fn(&Step) -> bool| self.steps.iter().find(|s| falls(s)).map(|s| s.time);
        Median {
            value: first(|step| step.survival <= 0.5 + ROUNDING),
            low: first(|step| step.low <= 0.5 + ROUNDING),
            high: first(|step| step.high < 0.5 - ROUNDING),
        }
    }
}

/// The product-limit curve of breaking points (Kaplan and Meier 1958).
///
/// `S(t) = prod_{t_i <= t} (1 - d_i / n_i)` over the checkpoints, `d_i` broken of `n_i` looked at;
/// a unit censored at a checkpoint counts as looked at there. Checkpoints that all units share make
/// this exact at the checkpoints, though a break happened somewhere before the one that showed it.
///
/// Variance (Greenwood 1926): `S^2 V`, `V = sum d_i / (n_i (n_i - d_i))`. Interval on the log-log
/// scale (Kalbfleisch and Prentice 1980): `S^exp(+-z sqrt(V) / ln S)`, within `[0, 1]`.
///
/// Where that is undefined the interval stays honest instead of vanishing. None broken: Wilson's
/// for none of those at risk, so that the lower end stays below 1. All broken: `[0, u]`, `u` the
/// smaller of the upper end before and of Wilson's for none of those at risk holding.
///
/// Without observations the curve has no steps.
pub fn kaplan_meier(observations: &[Observation]) -> Survival {
    let mut sorted = observations.to_vec();
    sorted.sort_by_key(|observation| observation.time);
    let mut running = Running::of(sorted.len());
    let steps = sorted
        .chunk_by(|l, r| l.time == r.time)
        .map(|checkpoint| running.advance(checkpoint))
        .collect();
    Survival {
        n: count(sorted.len()),
        steps,
    }
}

/// The running product and sum.
struct Running {
    at_risk: usize,
    survival: f64,
    /// Greenwood's sum `V`.
    sum: f64,
    high: f64,
}

impl Running {
    fn of(units: usize) -> Self {
        Self {
            at_risk: units,
            survival: 1.0,
            sum: 0.0,
            high: 1.0,
        }
    }

    /// Passes one checkpoint: all observations at it, never none.
    fn advance(&mut self, checkpoint: &[Observation]) -> Step {
        let at_risk = self.at_risk;
        let events = checkpoint.iter().filter(|seen| seen.event).count();
        let holding = at_risk - events;
        self.survival *= holding as f64 / at_risk as f64;
        if holding > 0 {
            self.sum += events as f64 / (at_risk as f64 * holding as f64);
        }
        let (low, high) = self.interval();
        self.high = high;
        self.at_risk -= checkpoint.len();
        Step {
            time: checkpoint[0].time,
            at_risk: count(at_risk),
            events: count(events),
            survival: self.survival,
            variance: self.survival * self.survival * self.sum,
            low,
            high,
        }
    }

    fn interval(&self) -> (f64, f64) {
        let hazard = -self.survival.ln();
        if self.sum <= 0.0 && hazard <= 0.0 {
            return (wilson(self.at_risk, self.at_risk).low, 1.0);
        }
        if hazard.is_infinite() {
            return (0.0, self.high.min(wilson(0, self.at_risk).high));
        }
        let spread = normal_quantile(1.0 - ALPHA / 2.0) * self.sum.sqrt() / hazard;
        let end = |spread: f64| self.survival.powf(spread.exp());
        (end(spread), end(-spread))
    }
}

#[cfg(test)]
mod tests;
