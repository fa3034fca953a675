//! Clipping gradients by their global norm.

use candle_core::{DType, Tensor, backprop::GradStore};

use crate::{Result, ops::Reading, weights::Parameters};

/// Scales all gradients so that their joint Euclidean norm is at most `max_norm`.
///
/// Returns the norm before clipping. The sum runs in `f64` in the order of the names.
pub fn clip_gradients(
    parameters: &Parameters,
    gradients: &mut GradStore,
    max_norm: f64,
) -> Result<f64> {
    let mut total = 0.0;
    let mut elsewhere = Vec::new();
    for (_, variable) in parameters.iter() {
        if let Some(gradient) = gradients.get(variable) {
            if !gradient.device().is_cpu() {
                elsewhere.push(square_sum(gradient)?);
                continue;
            }
            let gradient = gradient.contiguous()?;
            total += Reading::new(&gradient)?
                .iter()
                .map(|g| f64::from(*g).powi(2))
                .sum::<f64>();
        }
    }
    total += read_sum(&elsewhere)?;
    let norm = total.sqrt();
    if norm > max_norm {
        // The small term is PyTorch's, so that clipped norms agree.
        let scale = max_norm / (norm + 1e-6);
        for (_, variable) in parameters.iter() {
            if let Some(gradient) = gradients.remove(variable) {
                gradients.insert(variable, gradient.affine(scale, 0.0)?);
            }
        }
    }
    Ok(norm)
}

/// Sum of squares in `f32`, a scalar that stays on the tensor's device.
fn square_sum(tensor: &Tensor) -> Result<Tensor> {
    Ok(tensor.to_dtype(DType::F32)?.sqr()?.sum_all()?)
}

/// Sum of scalars in `f64`: one read for all of them, as each read waits for the device.
fn read_sum(scalars: &[Tensor]) -> Result<f64> {
    if scalars.is_empty() {
        return Ok(0.0);
    }
    let scalars = Tensor::stack(scalars, 0)?.to_vec1::<f32>()?;
    Ok(scalars.into_iter().map(f64::from).sum())
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn squares_are_summed_over_tensors() {
        let tensor = |values: &[f32]| Tensor::new(values, &Device::Cpu).unwrap();
        let sums = [tensor(&[3.0, -4.0]), tensor(&[12.0])].map(|t| square_sum(&t).unwrap());
        assert!((read_sum(&sums).unwrap() - 169.0).abs() < 1e-4);
        assert!(read_sum(&[]).unwrap().abs() < f64::EPSILON);
    }
}
