//! What protection costs a model that nobody attacked: twins of one seed and prompt on the clean and the protected
//! model. Owns the measures. Refuses to draw: both sides come as pictures.

use candle_core::Tensor;

use crate::{Encoder, Error, Result, metric::fitted};

/// Drift between twins, one value each, in the order of the pictures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drift {
    /// Cosine of prompt and picture, protected minus clean, in `[-2, 2]`: below 0 the protected model follows
    /// prompts less.
    pub text_alignment: Vec<f64>,
    /// `1 - cos(clean, protected)` of the encoder, in `[0, 2]`: 0 where both drew the same.
    pub distance: Vec<f64>,
}

/// Compares pictures of the same prompts and seeds (EVALUATION, metrics: drift).
///
/// `clean`, `protected`: `[n, 3, h, w]` in `[-1, 1]`, row `i` of both drawn for `prompts[i]`.
pub fn drift(
    encoder: &Encoder,
    prompts: &[String],
    clean: &Tensor,
    protected: &Tensor,
) -> Result<Drift> {
    for pixels in [clean, protected] {
        if pixels.dim(0)? != prompts.len() || pixels.dims() != clean.dims() {
            return Err(Error::ImageShape {
                actual: pixels.dims().to_vec(),
                expected: format!("{} twins of one shape", prompts.len()),
            });
        }
    }
    let texts = encoder.embed_text(&encoder.token_ids(prompts)?)?;
    let clean = encoder.embed_images(&fitted(clean)?)?;
    let protected = encoder.embed_images(&fitted(protected)?)?;
    let cosine = |left: &Tensor, right: &Tensor| -> Result<Vec<f64>> {
        let cosines = (left * right)?.sum(1)?.to_vec1::<f32>()?;
        Ok(cosines.into_iter().map(f64::from).collect())
    };
    let (before, after) = (cosine(&texts, &clean)?, cosine(&texts, &protected)?);
    let twins = cosine(&clean, &protected)?;
    Ok(Drift {
        text_alignment: after.iter().zip(&before).map(|(a, b)| a - b).collect(),
        distance: twins.iter().map(|cosine| 1.0 - cosine).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn prompts(count: usize) -> Vec<String> {
        vec!["a photo of a dog".to_owned(); count]
    }

    #[test]
    fn pictures_that_are_no_twins_are_refused() {
        let encoder = fixture::encoder();
        let (two, three) = (fixture::pictures(2, 1), fixture::pictures(3, 1));
        for (clean, protected, count) in [(&two, &three, 2), (&three, &two, 2), (&two, &two, 3)] {
            let refused = drift(&encoder, &prompts(count), clean, protected);
            assert!(matches!(refused, Err(Error::ImageShape { .. })), "{count}");
        }
    }

    #[test]
    fn equal_twins_have_no_drift_and_the_sign_is_protected_minus_clean() {
        let encoder = fixture::encoder();
        let (left, right) = (
            fixture::pictures(3, 1),
            fixture::flat_pictures(&[-0.9, 0.4, 0.9]),
        );
        let measure = |clean, protected| drift(&encoder, &prompts(3), clean, protected);
        let none = measure(&left, &left).unwrap();
        assert_eq!(none.text_alignment, [0.0; 3]);
        assert!(none.distance.iter().all(|d| d.abs() < 1e-5), "{none:?}");
        let (there, back) = (
            measure(&left, &right).unwrap(),
            measure(&right, &left).unwrap(),
        );
        assert_eq!(there.distance, back.distance);
        assert!(there.distance.iter().all(|d| *d > 1e-4), "{there:?}");
        for (there, back) in there.text_alignment.iter().zip(&back.text_alignment) {
            assert!((there + back).abs() < 1e-9 && there.abs() > 1e-6, "{there}");
        }
    }
}
