//! The kernel distance of two sets of features.

use candle_core::Tensor;
use nalgebra::DMatrix;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::rows;
use crate::{Error, Result, statistics::mean};

/// How subsets are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelConfig {
    /// Number of subsets.
    pub subsets: usize,
    /// Pictures of each side in a subset; fewer where a side has fewer.
    pub subset_size: usize,
    /// Seed of the draw.
    pub seed: u64,
}

impl Default for KernelConfig {
    /// 100 subsets of 1000, as in torch-fidelity.
    fn default() -> Self {
        Self {
            subsets: 100,
            subset_size: 1000,
            seed: 0,
        }
    }
}

/// A kernel distance over subsets.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct KernelDistance {
    /// Mean over subsets; may fall below 0 for equal distributions, since it is unbiased.
    pub mean: f64,
    /// Standard deviation over subsets (divisor: their number).
    pub deviation: f64,
    /// Pictures of each side in a subset.
    pub subset_size: usize,
}

/// KID (Binkowski et al., arXiv 1801.01401): the mean of [`polynomial_mmd`] over random subsets without replacement.
///
/// `left: [n, d]`, `right: [m, d]`, features of one net. Refuses fewer than two pictures a side and no subsets.
pub fn kernel_distance(
    left: &Tensor,
    right: &Tensor,
    config: KernelConfig,
) -> Result<KernelDistance> {
    let left = rows(left, None)?;
    let right = rows(right, Some(left.ncols()))?;
    let subset_size = config.subset_size.min(left.nrows()).min(right.nrows());
    if config.subsets == 0 || subset_size < 2 {
        return Err(Error::ImageShape {
            actual: vec![config.subsets, subset_size],
            expected: "at least one subset of at least two pictures".to_owned(),
        });
    }
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
    let mut draw = |matrix: &DMatrix<f64>| {
        let chosen = chosen(matrix.nrows(), subset_size, &mut rng);
        matrix.select_rows(&chosen)
    };
    let values: Vec<f64> = (0..config.subsets)
        .map(|_| mmd(&draw(&left), &draw(&right)))
        .collect();
    let centre = mean(&values);
    let squares: Vec<f64> = values
        .iter()
        .map(|value| (value - centre).powi(2))
        .collect();
    Ok(KernelDistance {
        mean: centre,
        deviation: mean(&squares).sqrt(),
        subset_size,
    })
}

/// The unbiased squared maximum mean discrepancy under the kernel `k(x, y) = (x . y / d + 1)^3`:
///
/// `sum_{i != j} k(x_i, x_j) / (n (n - 1)) + sum_{i != j} k(y_i, y_j) / (m (m - 1)) - 2 sum_{i, j} k(x_i, y_j) / (n m)`.
///
/// `left: [n, d]`, `right: [m, d]`, at least two rows each.
pub fn polynomial_mmd(left: &Tensor, right: &Tensor) -> Result<f64> {
    let left = rows(left, None)?;
    let right = rows(right, Some(left.ncols()))?;
    Ok(mmd(&left, &right))
}

fn mmd(left: &DMatrix<f64>, right: &DMatrix<f64>) -> f64 {
    let within = |rows: &DMatrix<f64>| {
        let kernel = kernel(rows, rows);
        let count = rows.nrows() as f64;
        (kernel.sum() - kernel.trace()) / (count * (count - 1.0))
    };
    let across = kernel(left, right);
    within(left) + within(right) - 2.0 * across.mean()
}

fn kernel(left: &DMatrix<f64>, right: &DMatrix<f64>) -> DMatrix<f64> {
    let width = left.ncols() as f64;
    (left * right.transpose()).map(|product| (product / width + 1.0).powi(3))
}

/// `size` different indices below `count`: the start of a Fisher-Yates shuffle.
fn chosen(count: usize, size: usize, rng: &mut impl Rng) -> Vec<usize> {
    let mut all: Vec<usize> = (0..count).collect();
    for at in 0..size {
        all.swap(at, rng.random_range(at..count));
    }
    all.truncate(size);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subsets_hold_different_pictures() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..50 {
            let mut found = chosen(9, 5, &mut rng);
            found.sort_unstable();
            found.dedup();
            assert!(found.len() == 5 && found[4] < 9);
        }
        assert_eq!(chosen(3, 3, &mut rng).len(), 3);
    }
}
