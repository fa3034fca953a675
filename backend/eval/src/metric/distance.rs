//! Distances between two sets of pictures over a feature net: FID and KID.
//!
//! Owns both formulas. Refuses to extract features and to name the net: numbers of different nets never compare.

mod frechet;
mod kernel;

use candle_core::{DType, Tensor};
use nalgebra::DMatrix;

use crate::{Error, Result};

pub use self::{
    frechet::frechet_distance,
    kernel::{KernelConfig, KernelDistance, kernel_distance, polynomial_mmd},
};

/// Rows of features as `f64`; refuses fewer than two, other widths than `width`, and values that are no numbers.
fn rows(features: &Tensor, width: Option<usize>) -> Result<DMatrix<f64>> {
    let refuse = |expected: String| Error::ImageShape {
        actual: features.dims().to_vec(),
        expected,
    };
    let (count, found) = features
        .dims2()
        .map_err(|_| refuse("features [n, d]".to_owned()))?;
    if count < 2 || found == 0 || width.is_some_and(|width| width != found) {
        let width = width.map_or_else(|| "d".to_owned(), |width| width.to_string());
        return Err(refuse(format!("features [n, {width}] with n > 1")));
    }
    let values = features
        .to_dtype(DType::F64)?
        .flatten_all()?
        .to_vec1::<f64>()?;
    if values.iter().any(|value| !value.is_finite()) {
        return Err(refuse("features that are finite".to_owned()));
    }
    Ok(DMatrix::from_row_slice(count, found, &values))
}
