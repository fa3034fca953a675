//! Whether generated pictures show a face, and whose: FDFR, ISM and identity hit-rate.
//!
//! Owns the three numbers (Van Le et al., arXiv 2303.15433, section 5.1, for the first two). Refuses to find faces:
//! [`crate::net::face`] does.

pub use shared::matrix::FaceMetrics;

use crate::statistics::{bootstrap_mean, wilson};

/// Euclidean distance of two descriptors below which they are one person, as dlib's network was trained and `face-api`
/// decides.
pub const SAME_PERSON: f64 = 0.6;

/// Measures faces (EVALUATION, metrics: faces).
///
/// `references`: descriptors of the protected person. `pictures`: for each generated picture the descriptors of its
/// faces, the surest first; ISM takes the surest, the hit-rate any. `None` without references or with descriptors of
/// different lengths.
pub fn face_metrics(
    references: &[Vec<f32>],
    pictures: &[Vec<Vec<f32>>],
    seed: u64,
) -> Option<FaceMetrics> {
    let length = references.first()?.len();
    let all = references.iter().chain(pictures.iter().flatten());
    if length == 0 || all.into_iter().any(|descriptor| descriptor.len() != length) {
        return None;
    }
    let mean: Vec<f64> = (0..length)
        .map(|index| {
            let sum: f64 = references.iter().map(|row| f64::from(row[index])).sum();
            sum / references.len() as f64
        })
        .collect();
    let scores: Vec<f64> = pictures
        .iter()
        .filter_map(|faces| faces.first())
        .map(|face| cosine(face, &mean))
        .collect();
    let hit = |faces: &&Vec<Vec<f32>>| {
        let near = |face: &Vec<f32>| references.iter().any(|r| distance(face, r) < SAME_PERSON);
        faces.iter().any(near)
    };
    Some(FaceMetrics {
        detection_failure_rate: wilson(pictures.len() - scores.len(), pictures.len()),
        identity_score: (!scores.is_empty()).then(|| bootstrap_mean(&scores, seed)),
        identity_hit_rate: wilson(pictures.iter().filter(hit).count(), pictures.len()),
    })
}

fn cosine(face: &[f32], mean: &[f64]) -> f64 {
    let product: f64 = face.iter().zip(mean).map(|(a, b)| f64::from(*a) * b).sum();
    let length = face
        .iter()
        .map(|a| f64::from(*a).powi(2))
        .sum::<f64>()
        .sqrt();
    let other = mean.iter().map(|b| b * b).sum::<f64>().sqrt();
    product / (length * other).max(f64::MIN_POSITIVE)
}

/// Euclidean distance of two descriptors.
pub fn distance(left: &[f32], right: &[f32]) -> f64 {
    let squares = left
        .iter()
        .zip(right)
        .map(|(a, b)| f64::from(a - b).powi(2));
    squares.sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_without_a_face_count_against_two_rates_and_not_the_score() {
        let references = vec![vec![1.0_f32, 0.0], vec![1.0, 0.2]];
        let pictures = vec![
            vec![vec![1.0, 0.1]],
            vec![],
            vec![vec![0.0, 1.0], vec![1.0, 0.0]],
            vec![vec![-1.0, 0.0]],
        ];
        let found = face_metrics(&references, &pictures, 1).unwrap();
        assert_eq!(found.detection_failure_rate, wilson(1, 4));
        assert_eq!(found.identity_hit_rate, wilson(2, 4));
        // The mean reference is (1, .1): cosines 1, .1 / sqrt(1.01) and -1 / sqrt(1.01).
        let expected = (1.0 - 0.9 / 1.01_f64.sqrt()) / 3.0;
        let score = found.identity_score.unwrap();
        assert!(
            (score.value - expected).abs() < 1e-6 && score.n == 3,
            "{score:?}"
        );
    }

    #[test]
    fn nothing_to_compare_gives_nothing() {
        let one = vec![vec![1.0_f32]];
        assert_eq!(face_metrics(&[], std::slice::from_ref(&one), 1), None);
        assert_eq!(face_metrics(&one, &[vec![vec![1.0, 2.0]]], 1), None);
        let empty = face_metrics(&one, &[vec![], vec![]], 1).unwrap();
        assert_eq!((empty.identity_score, empty.identity_hit_rate.n), (None, 2));
    }
}
