//! The leak audit: does the protected model draw its training pictures for anyone who asks, without any attack?
//!
//! Owns the copy threshold, the test and the verdict. Refuses to draw: both models' pictures come as embeddings of the
//! same prompts and seeds.

use candle_core::Tensor;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    statistics::{BOOTSTRAP_DRAWS, holm, mean},
};

/// Level of the test after Holm's correction over prompts.
const SIGNIFICANT: f64 = 0.05;

/// Seeds of each of so many prompts with which the leak audit's test can fail one of them, and not by luck alone.
///
/// The lowest p-value of a sign-flip test is `2^-seeds`, where the protected model is nearer on every twin; Holm's correction multiplies it by the prompts.
/// A quarter of the level leaves room for twins that are not: the smallest `seeds` with `2^-seeds * prompts < 0.05 / 4`.
pub fn leak_seeds(prompts: usize) -> usize {
    let reached = |seeds: &usize| {
        0.5_f64.powi(i32::try_from(*seeds).unwrap_or(i32::MAX)) * (prompts as f64)
            < SIGNIFICANT / 4.0
    };
    (1..=64).find(reached).unwrap_or(64)
}

/// What is audited. Rows of all embeddings have length 1 and come from one encoder.
#[derive(Clone, Copy, Debug)]
pub struct LeakCase<'a> {
    /// Every picture that the model was trained on, `[r, d]`.
    pub references: &'a Tensor,
    /// What the clean base draws, `[prompts * seeds, d]`, prompt by prompt.
    pub clean: &'a Tensor,
    /// What the protected model draws for the same prompts and seeds, unattacked.
    pub protected: &'a Tensor,
    /// The trigger and every identifier of the pool, in the order of the rows.
    pub prompts: &'a [String],
}

/// A picture of the protected model that is nearer to a reference than chance allows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeakedCopy {
    /// The prompt that gave it.
    pub prompt: String,
    /// Which of the prompt's pictures, from 0.
    pub picture: usize,
    /// Which reference, from 0.
    pub reference: usize,
    /// Cosine of the two.
    pub similarity: f64,
}

/// One prompt's part of the audit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeakRow {
    /// The prompt.
    pub prompt: String,
    /// Mean nearest-reference similarity of the clean base.
    pub clean: f64,
    /// Mean nearest-reference similarity of the protected model.
    pub protected: f64,
    /// One-sided sign-flip p-value that the protected model's is no higher, Holm-corrected over prompts.
    pub p_value: f64,
}

/// What the audit found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeakAudit {
    /// Similarity above which a picture counts as a copy.
    pub copy_threshold: f64,
    /// The copies, nearest first.
    pub copies: Vec<LeakedCopy>,
    /// By prompt.
    pub rows: Vec<LeakRow>,
    /// The lowest corrected p-value.
    pub p_value: f64,
    /// Pictures of each model.
    pub n: u32,
    /// No copy, and no prompt significantly nearer to the references than the clean base's.
    pub passed: bool,
}

/// Audits a protected model (EVALUATION, metrics: leak audit).
///
/// Of every picture `s = max_r <r, g>`, its nearest-reference similarity. The clean base, which never saw the
/// references, is the null:
///
/// - **Copies.** A picture with `s > (1 + max s_clean) / 2` is a copy: nearer than half of the way from the nearest
///   that chance came to a perfect copy. One fails the audit.
/// - **Test.** By prompt, twins of one seed: one-sided sign-flip permutation test of `mean(s_protected - s_clean) > 0`
///   with 10,000 draws, `p = (1 + #{draws >= observed}) / (1 + draws)` (Phipson and Smyth 2010), Holm-corrected over
///   prompts. Any `p < 0.05` fails the audit, though nothing was copied pixel by pixel.
///
/// With fewer than [`leak_seeds`] seeds of each prompt the test can hardly fail anything after Holm's correction: then the copies decide. Refuses
/// embeddings that are not `prompts * seeds` twins.
pub fn leak_audit(case: LeakCase<'_>, seed: u64) -> Result<LeakAudit> {
    let seeds = case.check()?;
    let (clean, _) = nearest(case.references, case.clean)?;
    let (protected, whose) = nearest(case.references, case.protected)?;
    let highest = clean.iter().copied().fold(-1.0, f64::max);
    let copy_threshold = f64::midpoint(1.0, highest);
    let mut copies: Vec<_> = protected
        .iter()
        .zip(whose)
        .enumerate()
        .filter(|(_, (similarity, _))| **similarity > copy_threshold)
        .map(|(row, (similarity, reference))| LeakedCopy {
            prompt: case.prompts[row / seeds].clone(),
            picture: row % seeds,
            reference,
            similarity: *similarity,
        })
        .collect();
    copies.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
    let rows = rows(case.prompts, (&clean, &protected), seeds, seed);
    let p_value = rows.iter().map(|row| row.p_value).fold(1.0, f64::min);
    Ok(LeakAudit {
        passed: copies.is_empty() && p_value >= SIGNIFICANT,
        n: u32::try_from(protected.len()).unwrap_or(u32::MAX),
        copy_threshold,
        copies,
        rows,
        p_value,
    })
}

impl LeakCase<'_> {
    /// Seeds of each prompt.
    fn check(&self) -> Result<usize> {
        let (references, width) = self.references.dims2()?;
        let (rows, _) = self.protected.dims2()?;
        let prompts = self.prompts.len();
        let twins = self.clean.dims() == [rows, width] && self.protected.dims() == [rows, width];
        let whole = prompts > 0 && rows > 0 && rows.is_multiple_of(prompts);
        if twins && whole && references > 0 {
            return Ok(rows / prompts);
        }
        Err(Error::ImageShape {
            actual: [self.clean.dims(), self.protected.dims()].concat(),
            expected: format!("embeddings of as many twins for each of {prompts} prompts"),
        })
    }
}

/// Similarity to the nearest reference and its position, for every picture.
fn nearest(references: &Tensor, pictures: &Tensor) -> Result<(Vec<f64>, Vec<usize>)> {
    let rows = pictures.matmul(&references.t()?)?.to_vec2::<f32>()?;
    let best = |row: Vec<f32>| {
        let found = row
            .into_iter()
            .enumerate()
            .max_by(|(_, a), (_, b)| a.total_cmp(b));
        let (index, value) = found.expect("there is a reference");
        (f64::from(value), index)
    };
    Ok(rows.into_iter().map(best).unzip())
}

fn rows(
    prompts: &[String],
    (clean, protected): (&[f64], &[f64]),
    seeds: usize,
    seed: u64,
) -> Vec<LeakRow> {
    let pairs = || clean.chunks(seeds).zip(protected.chunks(seeds));
    let raw: Vec<f64> = pairs()
        .enumerate()
        .map(|(stream, (clean, protected))| {
            let differences: Vec<f64> = protected.iter().zip(clean).map(|(p, c)| p - c).collect();
            sign_flip(&differences, seed, stream as u64)
        })
        .collect();
    prompts
        .iter()
        .zip(pairs())
        .zip(holm(&raw))
        .map(|((prompt, (clean, protected)), p_value)| LeakRow {
            prompt: prompt.clone(),
            clean: mean(clean),
            protected: mean(protected),
            p_value,
        })
        .collect()
}

/// One-sided p-value that the mean of paired differences is no higher than 0.
fn sign_flip(differences: &[f64], seed: u64, stream: u64) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    let observed: f64 = differences.iter().sum();
    // A tie by rounding must count, or equal twins would look significant.
    let bar = observed - 1e-12 * differences.iter().map(|d| d.abs()).sum::<f64>();
    let mut flipped = || -> f64 {
        let signed = differences
            .iter()
            .map(|d| if rng.random::<bool>() { *d } else { -d });
        signed.sum()
    };
    let extreme = (0..BOOTSTRAP_DRAWS).filter(|_| flipped() >= bar).count();
    (1 + extreme) as f64 / (1 + BOOTSTRAP_DRAWS) as f64
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// Unit vectors in the plane at these angles, in degrees.
    fn at(angles: &[f32]) -> Tensor {
        let values: Vec<f32> = angles
            .iter()
            .flat_map(|angle| {
                let (sine, cosine) = angle.to_radians().sin_cos();
                [cosine, sine]
            })
            .collect();
        Tensor::from_vec(values, (angles.len(), 2), &Device::Cpu).unwrap()
    }

    fn prompts(count: usize) -> Vec<String> {
        (0..count).map(|index| format!("prompt {index}")).collect()
    }

    #[test]
    fn seeds_suffice_for_what_is_nearer_every_time() {
        assert_eq!([1, 3, 22].map(leak_seeds), [7, 8, 11]);
        for count in [1, 3, 22] {
            let seeds = leak_seeds(count);
            // One prompt is nearer on every twin, the others on none.
            let clean = vec![90.0; count * seeds];
            let mut protected = clean.clone();
            protected[..seeds].fill(80.0);
            let found = audit(&clean, &protected, count);
            assert!(
                found.copies.is_empty() && !found.passed,
                "{count}: {}",
                found.p_value
            );
        }
    }

    fn audit(clean: &[f32], protected: &[f32], count: usize) -> LeakAudit {
        let case = LeakCase {
            references: &at(&[0.0, 180.0]),
            clean: &at(clean),
            protected: &at(protected),
            prompts: &prompts(count),
        };
        leak_audit(case, 5).unwrap()
    }

    #[test]
    fn a_copy_is_found_with_its_prompt_and_reference() {
        let found = audit(&[60.0, 70.0, 80.0, 60.0], &[60.0, 70.0, 175.0, 60.0], 2);
        assert!(!found.passed && (found.copy_threshold - 0.75).abs() < 1e-6);
        assert_eq!(found.copies.len(), 1);
        let copy = &found.copies[0];
        assert_eq!(
            (copy.prompt.as_str(), copy.picture, copy.reference),
            ("prompt 1", 0, 1)
        );
        assert!((copy.similarity - 0.996_194_7).abs() < 1e-6);
    }

    #[test]
    fn equal_twins_pass_and_a_shift_of_one_prompt_fails() {
        let clean: Vec<f32> = (0..20).map(|index| 50.0 + index as f32).collect();
        let same = audit(&clean, &clean, 2);
        assert!(
            same.passed && (same.p_value - 1.0).abs() < 1e-12,
            "{same:?}"
        );
        let nearer: Vec<f32> = clean
            .iter()
            .enumerate()
            .map(|(index, angle)| if index < 10 { angle - 5.0 } else { *angle })
            .collect();
        let shifted = audit(&clean, &nearer, 2);
        assert!(shifted.copies.is_empty() && !shifted.passed);
        assert!(shifted.rows[0].p_value < 0.01 && shifted.rows[1].p_value > 0.9);
    }

    #[test]
    fn sign_flips_agree_with_scipy() {
        // scipy.stats.permutation_test((d,), lambda x: x.mean(), permutation_type="samples",
        //     alternative="greater", n_resamples=numpy.inf).pvalue
        let differences = [0.4, -0.1, 0.3, 0.25, -0.2, 0.15, 0.05, 0.3, 0.1, -0.05];
        let found = sign_flip(&differences, 1, 0);
        assert!((found - SCIPY_P).abs() < 0.006, "{found}");
    }

    const SCIPY_P: f64 = 0.050_781_25;

    #[test]
    fn what_is_no_grid_of_twins_is_refused() {
        let (two, three) = (at(&[1.0, 2.0]), at(&[1.0, 2.0, 3.0]));
        for (clean, protected, count) in [(&two, &three, 1), (&three, &three, 2), (&two, &two, 0)] {
            let case = LeakCase {
                references: &two,
                clean,
                protected,
                prompts: &prompts(count),
            };
            assert!(matches!(leak_audit(case, 1), Err(Error::ImageShape { .. })));
        }
    }
}
