//! Bootstrap over units whose images belong together.
//!
//! Owns the cluster bootstrap: a unit is one (subject, seed) and is drawn whole or not at all
//! (Davison and Hinkley 1997, section 3.8; EVALUATION, statistics). Refuses to treat the images of
//! a unit as independent, and to give an interval where fewer than two units were seen.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use shared::evaluation::Estimate;

use super::{BOOTSTRAP_DRAWS, bca, count, mean};

/// One unit: the values of its images, any finite range, in any order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cluster {
    /// One value an image. A unit without values is left out of every estimate.
    pub values: Vec<f64>,
}

/// Mean over units of the mean of each: `1/m sum_i mean(values_i)`; every unit weighs the same.
///
/// 95 % `BCa` interval over [`BOOTSTRAP_DRAWS`] draws of whole units, acceleration from leaving
/// each unit out (Efron 1987). `n` of the estimate is the number of **units** with values.
///
/// `None` where fewer than two units have values, because one unit says nothing about another and
/// an interval without width would pass every gate, or where a value is not finite. Units that
/// agree exactly do give an interval without width, which proves nothing: use [`super::wilson`] for
/// a share of units.
///
/// With few units the interval is too narrow. In 800 to 1500 simulated samples of four images a
/// unit (correlated within a unit by 0.5 for normal and 0.8 for skewed values, by 0.5 behind yes/no
/// values) its nominal 95 % held the truth in 76 to 80 % at 4 units, 86 to 91 % at 8, 90 to 95 % at
/// 16 and 92 to 95 % at 48; the bootstrap over images in 59 to 88 % at any number.
pub fn cluster_mean(clusters: &[Cluster], seed: u64) -> Option<Estimate> {
    cluster_statistic(clusters, mean, seed)
}

/// Mean over units of any `statistic` of a unit's values: `1/m sum_i statistic(values_i)`.
///
/// `statistic` never sees an empty slice. Interval, `n` and `None` as in [`cluster_mean`], also
/// where `statistic` is not finite.
pub fn cluster_statistic(
    clusters: &[Cluster],
    statistic: impl Fn(&[f64]) -> f64,
    seed: u64,
) -> Option<Estimate> {
    let terms: Vec<Term> = filled(clusters)
        .map(|values| Term::even(statistic(values)))
        .collect();
    ratio(&terms, seed)
}

/// Mean over all images of all units: `sum_i sum(values_i) / sum_i count(values_i)`.
///
/// The ratio estimator: a unit weighs as much as it has images, in the estimate and in every draw.
/// Interval and `None` as in [`cluster_mean`]; `n` is the number of **units** here too, because
/// they carry the interval.
pub fn image_mean(clusters: &[Cluster], seed: u64) -> Option<Estimate> {
    let terms: Vec<Term> = filled(clusters)
        .map(|values| Term {
            total: values.iter().sum(),
            weight: values.len() as f64,
        })
        .collect();
    ratio(&terms, seed)
}

/// Mean over units of `mean(left_i) - mean(right_i)`: two arms, paired by position.
///
/// The two arms of a unit need not have equally many images; a unit that lacks one arm is left
/// out. Interval and `None` as in [`cluster_mean`], also where the arms have different numbers of
/// units, so that nothing says which belong together. `n` is the number of **pairs** of units.
pub fn cluster_difference(left: &[Cluster], right: &[Cluster], seed: u64) -> Option<Estimate> {
    if left.len() != right.len() {
        return None;
    }
    let terms: Vec<Term> = left
        .iter()
        .zip(right)
        .filter(|(l, r)| !l.values.is_empty() && !r.values.is_empty())
        .map(|(l, r)| Term::even(mean(&l.values) - mean(&r.values)))
        .collect();
    ratio(&terms, seed)
}

fn filled(clusters: &[Cluster]) -> impl Iterator<Item = &[f64]> {
    clusters
        .iter()
        .map(|cluster| cluster.values.as_slice())
        .filter(|values| !values.is_empty())
}

/// What a unit adds to both sums of the ratio.
#[derive(Clone, Copy, Debug, Default)]
struct Term {
    total: f64,
    weight: f64,
}

impl Term {
    fn even(total: f64) -> Self {
        Self { total, weight: 1.0 }
    }

    fn ratio(self) -> f64 {
        self.total / self.weight
    }
}

fn sum(terms: impl Iterator<Item = Term>) -> Term {
    terms.fold(Term::default(), |sum, term| Term {
        total: sum.total + term.total,
        weight: sum.weight + term.weight,
    })
}

/// `sum(total) / sum(weight)` with its interval; weights are positive.
fn ratio(terms: &[Term], seed: u64) -> Option<Estimate> {
    let whole = sum(terms.iter().copied());
    if terms.len() < 2 || !whole.total.is_finite() {
        return None;
    }
    let value = whole.ratio();
    let (low, high) = bca::interval(value, draws(terms, seed), &jackknife(terms, whole));
    Some(Estimate {
        value,
        low,
        high,
        n: count(terms.len()),
    })
}

/// The ratio in every draw of as many whole units.
fn draws(terms: &[Term], seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let n = terms.len();
    (0..BOOTSTRAP_DRAWS)
        .map(|_| sum((0..n).map(|_| terms[rng.random_range(0..n)])).ratio())
        .collect()
}

/// The ratio without each unit in turn.
fn jackknife(terms: &[Term], whole: Term) -> Vec<f64> {
    terms
        .iter()
        .map(|term| (whole.total - term.total) / (whole.weight - term.weight))
        .collect()
}

#[cfg(test)]
mod tests;
