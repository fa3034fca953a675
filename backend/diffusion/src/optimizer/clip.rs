//! Clipping gradients by their global norm.

use candle_core::backprop::GradStore;

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
    for (_, variable) in parameters.iter() {
        if let Some(gradient) = gradients.get(variable) {
            let gradient = gradient.contiguous()?;
            total += Reading::new(&gradient)?
                .iter()
                .map(|g| f64::from(*g).powi(2))
                .sum::<f64>();
        }
    }
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
