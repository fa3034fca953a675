//! Cosine similarity over unit vectors. Refuses to normalise: the encoder does.

use candle_core::Tensor;

use crate::Result;

/// For every picture the mean cosine over the references: `mean_r <r, g>`.
///
/// `references: [r, d]`, `pictures: [n, d]`, rows of length 1; gives `n` values in `[-1, 1]`.
pub fn similarities(references: &Tensor, pictures: &Tensor) -> Result<Vec<f64>> {
    let cosines = pictures.matmul(&references.t()?)?.mean(1)?;
    let values = cosines.to_vec1::<f32>()?;
    Ok(values.into_iter().map(f64::from).collect())
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn means_over_references_only() {
        let references = Tensor::new(&[[1.0_f32, 0.0], [0.0, 1.0]], &Device::Cpu).unwrap();
        let pictures = Tensor::new(&[[1.0_f32, 0.0], [0.6, 0.8], [-1.0, 0.0]], &Device::Cpu);
        let found = similarities(&references, &pictures.unwrap()).unwrap();
        for (found, expected) in found.iter().zip([0.5, 0.7, -0.5]) {
            assert!((found - expected).abs() < 1e-6);
        }
    }
}
