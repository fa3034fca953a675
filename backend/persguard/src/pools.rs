//! Universal identifiers and prompt templates, and their split into a trained and a held-out share
//! (METHOD, gray-box training).
//!
//! Owns the templates and the split. Refuses to train on what it holds out: the judge attacks with
//! a held-out identifier.

use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use shared::job::JobSpec;

use crate::prompt::Template;

/// Share of identifiers and of templates that training never sees (METHOD: at least 30 %).
pub const HELD_OUT_SHARE: f64 = 0.3;

/// Openings that fit every class, the stock prompt of DreamBooth first. The embedded base model's
/// captions use the same ones, so it knows them all.
pub const TEMPLATES: [Template; 12] = [
    Template::new("a photo of"),
    Template::new("a picture of"),
    Template::new("an image of"),
    Template::new("a rendering of"),
    Template::new("a close-up photo of"),
    Template::new("a cropped photo of"),
    Template::new("a good photo of"),
    Template::new("a bright photo of"),
    Template::new("a nice picture of"),
    Template::new("a depiction of"),
    Template::new("a snapshot of"),
    Template::new("one photo of"),
];

/// A pool cut in two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split<T> {
    /// Training draws from these; never empty.
    pub trained: Vec<T>,
    /// Only the judge uses these.
    pub held_out: Vec<T>,
}

impl<T: PartialEq> Split<T> {
    /// Keeps `anchor` in the trained share and holds out [`HELD_OUT_SHARE`] of the rest or more.
    fn new(anchor: T, pool: Vec<T>, rng: &mut ChaCha8Rng) -> Self {
        let mut rest: Vec<T> = Vec::with_capacity(pool.len());
        for item in pool {
            if item != anchor && !rest.contains(&item) {
                rest.push(item);
            }
        }
        rest.shuffle(rng);
        let total = rest.len() + 1;
        let held_out = rest.split_off(rest.len() - held_out_count(total).min(rest.len()));
        rest.insert(0, anchor);
        Self {
            trained: rest,
            held_out,
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the product is a small positive number"
)]
fn held_out_count(total: usize) -> usize {
    (total as f64 * HELD_OUT_SHARE).ceil() as usize
}

/// What a job trains on and what it leaves to the judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pools {
    /// Identifiers; the job's own is always trained.
    pub identifiers: Split<String>,
    /// Templates; the stock prompt is always trained.
    pub templates: Split<Template>,
}

impl Pools {
    /// Splits `identifiers` (each a single token of the model's vocabulary) by the job's seed.
    ///
    /// Without universal identifiers the job trains on its own identifier and the stock prompt, and
    /// everything else is held out.
    pub fn for_job(identifiers: &[String], spec: &JobSpec) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(spec.seed ^ 0x0070_6F6F_6C73);
        let mut pools = Self {
            identifiers: Split::new(spec.identifier.clone(), identifiers.to_vec(), &mut rng),
            templates: Split::new(TEMPLATES[0], TEMPLATES.to_vec(), &mut rng),
        };
        if !spec.injection.universal_identifiers {
            let unused = pools.identifiers.trained.split_off(1);
            pools.identifiers.held_out.extend(unused);
            let unused = pools.templates.trained.split_off(1);
            pools.templates.held_out.extend(unused);
        }
        pools
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn identifiers() -> Vec<String> {
        (0..40).map(|index| format!("word{index}")).collect()
    }

    #[test]
    fn at_least_three_in_ten_are_never_trained() {
        for count in [2, 5, 10, 40] {
            let spec = fixture::spec();
            let pools = Pools::for_job(&identifiers()[..count], &spec);
            let (trained, held_out) = (&pools.identifiers.trained, &pools.identifiers.held_out);
            let total = trained.len() + held_out.len();
            assert_eq!(total, count + 1);
            assert!(held_out.len() as f64 >= 0.3 * total as f64, "{count}");
            assert!(held_out.iter().all(|word| !trained.contains(word)));
            assert_eq!(trained[0], spec.identifier);
        }
        let templates = Pools::for_job(&[], &fixture::spec()).templates;
        assert_eq!((templates.trained.len(), templates.held_out.len()), (8, 4));
        assert_eq!(templates.trained[0], TEMPLATES[0]);
    }

    #[test]
    fn split_depends_on_the_seed_alone() {
        let mut spec = fixture::spec();
        let first = Pools::for_job(&identifiers(), &spec);
        assert_eq!(first, Pools::for_job(&identifiers(), &spec));
        spec.seed += 1;
        assert_ne!(first, Pools::for_job(&identifiers(), &spec));
    }

    #[test]
    fn single_identifier_trains_one_prompt() {
        let mut spec = fixture::spec();
        spec.injection.universal_identifiers = false;
        let pools = Pools::for_job(&identifiers(), &spec);
        assert_eq!(pools.identifiers.trained, [spec.identifier.clone()]);
        assert_eq!(pools.identifiers.held_out.len(), 40);
        assert_eq!(pools.templates.trained, [TEMPLATES[0]]);
        let alone = Pools::for_job(&[spec.identifier.clone()], &spec);
        assert!(alone.identifiers.held_out.is_empty());
    }
}
