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

/// Captions of everyday pictures, for models that say nothing of what they draw: what a protected model must go on
/// drawing as before.
pub const CAPTIONS: [&str; 24] = [
    "a photo of a street in the rain",
    "a bowl of fruit on a wooden table",
    "a mountain lake at sunrise",
    "a portrait of an old man with a beard",
    "a red car parked in front of a house",
    "a cat asleep on a sofa",
    "an oil painting of a harbour",
    "a woman reading in a cafe",
    "a plate of pasta with basil",
    "a city skyline at night",
    "a watercolor of wild flowers",
    "a horse in a green field",
    "a kitchen with white tiles",
    "a train crossing a bridge",
    "children playing on a beach",
    "a pencil sketch of a hand",
    "a bird on a snowy branch",
    "an abstract composition in blue and yellow",
    "a cup of coffee beside a laptop",
    "a forest path in autumn",
    "a bicycle against a brick wall",
    "a black and white photo of a staircase",
    "a cartoon robot with big eyes",
    "a vase of tulips by a window",
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
    /// Keeps `anchors` in the trained share, first, and holds out [`HELD_OUT_SHARE`] of all or more.
    fn new(anchors: Vec<T>, pool: Vec<T>, rng: &mut ChaCha8Rng) -> Self {
        let mut rest: Vec<T> = Vec::with_capacity(pool.len());
        for item in pool {
            if !anchors.contains(&item) && !rest.contains(&item) {
                rest.push(item);
            }
        }
        rest.shuffle(rng);
        let total = rest.len() + anchors.len();
        let held_out = rest.split_off(rest.len() - held_out_count(total).min(rest.len()));
        let mut trained = anchors;
        trained.append(&mut rest);
        Self { trained, held_out }
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
    /// Identifiers; those of the job's concepts are always trained.
    pub identifiers: Split<String>,
    /// Templates; the stock prompt is always trained.
    pub templates: Split<Template>,
}

impl Pools {
    /// Splits `identifiers` (each a single token of the model's vocabulary) by the job's seed.
    ///
    /// Without universal identifiers the job trains on its concepts' own identifiers and the stock prompt, and
    /// everything else is held out.
    pub fn for_job(identifiers: &[String], spec: &JobSpec) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(spec.seed ^ 0x0070_6F6F_6C73);
        let mut own: Vec<String> = Vec::new();
        for concept in &spec.concepts {
            if !own.contains(&concept.identifier) {
                own.push(concept.identifier.clone());
            }
        }
        let anchors = own.len();
        let mut pools = Self {
            identifiers: Split::new(own, identifiers.to_vec(), &mut rng),
            templates: Split::new(vec![TEMPLATES[0]], TEMPLATES.to_vec(), &mut rng),
        };
        if !spec.injection.universal_identifiers {
            let unused = pools.identifiers.trained.split_off(anchors);
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
            assert_eq!(trained[0], spec.concepts[0].identifier);
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
    fn identifiers_of_all_concepts_are_trained() {
        let mut spec = fixture::spec();
        let mut second = spec.concepts[0].clone();
        second.identifier = "word7".into();
        spec.concepts.push(second);
        let pools = Pools::for_job(&identifiers(), &spec);
        assert_eq!(pools.identifiers.trained[..2], ["sks", "word7"]);
        assert!(pools.identifiers.held_out.len() >= 12);
        spec.injection.universal_identifiers = false;
        let alone = Pools::for_job(&identifiers(), &spec).identifiers;
        assert_eq!(alone.trained, ["sks", "word7"]);
    }

    #[test]
    fn single_identifier_trains_one_prompt() {
        let mut spec = fixture::spec();
        spec.injection.universal_identifiers = false;
        let pools = Pools::for_job(&identifiers(), &spec);
        assert_eq!(
            pools.identifiers.trained,
            [spec.concepts[0].identifier.clone()]
        );
        assert_eq!(pools.identifiers.held_out.len(), 40);
        assert_eq!(pools.templates.trained, [TEMPLATES[0]]);
        let alone = Pools::for_job(&[spec.concepts[0].identifier.clone()], &spec);
        assert!(alone.identifiers.held_out.is_empty());
    }
}
