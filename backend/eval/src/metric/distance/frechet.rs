//! The Fréchet distance of two normal distributions fitted to features.

use candle_core::Tensor;
use nalgebra::{DMatrix, DVector};

use super::rows;
use crate::Result;

/// FID (Heusel et al., arXiv 1706.08500): `|m1 - m2|^2 + Tr(S1 + S2 - 2 (S1 S2)^(1/2))`.
///
/// `left: [n, d]`, `right: [m, d]`, features of one net in any finite range; means and unbiased covariances (divisor
/// `n - 1`) in `f64`. At least 0. The estimate is biased upwards by little data: compare only equal `n`.
///
/// `Tr (S1 S2)^(1/2)` is the sum of the singular values of `X1 X2^T / sqrt((n - 1)(m - 1))` over centred rows, or, where
/// that matrix would be larger than `d x d`, of the square roots of the eigenvalues of `S1^(1/2) S2 S1^(1/2)`, which
/// is symmetric. Neither needs the general square root, whose imaginary parts other implementations cut off, nor an
/// offset on the diagonal where `n < d`.
pub fn frechet_distance(left: &Tensor, right: &Tensor) -> Result<f64> {
    let left = Fitted::new(rows(left, None)?);
    let right = Fitted::new(rows(right, Some(left.mean.len()))?);
    let smaller = left.centred.nrows().min(right.centred.nrows());
    let root = if smaller <= left.mean.len() {
        trace_by_rows(&left.centred, &right.centred)
    } else {
        trace_by_columns(&left.covariance(), &right.covariance())
    };
    let means = (&left.mean - &right.mean).norm_squared();
    // Rounding may leave a little less than nothing between equal sets.
    Ok((means + left.centred.norm_squared() + right.centred.norm_squared() - 2.0 * root).max(0.0))
}

/// Mean, and rows less the mean over `sqrt(n - 1)`: the covariance is `centred^T centred`.
struct Fitted {
    mean: DVector<f64>,
    centred: DMatrix<f64>,
}

impl Fitted {
    fn new(mut rows: DMatrix<f64>) -> Self {
        let mean = rows.row_mean();
        let scale = 1.0 / ((rows.nrows() - 1) as f64).sqrt();
        for mut row in rows.row_iter_mut() {
            row -= &mean;
            row *= scale;
        }
        Self {
            mean: mean.transpose(),
            centred: rows,
        }
    }

    fn covariance(&self) -> DMatrix<f64> {
        self.centred.tr_mul(&self.centred)
    }
}

/// `Tr (S1 S2)^(1/2)` as the nuclear norm of `X1 X2^T`.
fn trace_by_rows(left: &DMatrix<f64>, right: &DMatrix<f64>) -> f64 {
    let cross = left * right.transpose();
    cross.singular_values().sum()
}

fn trace_by_columns(left: &DMatrix<f64>, right: &DMatrix<f64>) -> f64 {
    let root = square_root(left);
    let product = &root * right * &root;
    roots(&product.symmetric_eigenvalues()).sum()
}

/// The symmetric square root of a positive semi-definite matrix.
fn square_root(matrix: &DMatrix<f64>) -> DMatrix<f64> {
    let eigen = matrix.clone().symmetric_eigen();
    let scaled = &eigen.eigenvectors * DMatrix::from_diagonal(&roots(&eigen.eigenvalues));
    scaled * eigen.eigenvectors.transpose()
}

/// Square roots; what rounding left below 0 counts as 0.
fn roots(values: &DVector<f64>) -> DVector<f64> {
    values.map(|value| value.max(0.0).sqrt())
}
