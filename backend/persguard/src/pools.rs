//! Universal identifiers, prompt templates and unrelated captions, and their split into a trained and a held-out share
//! (METHOD, gray-box training).
//!
//! Owns the templates and the split. Refuses to train on what it holds out: the judge attacks with
//! a held-out identifier, and measures what protection costs on held-out captions.

use std::collections::BTreeSet;

use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use shared::job::JobSpec;

use crate::prompt::Template;

/// Share of identifiers, templates and captions that training never sees (METHOD: at least 30 %).
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
pub const CAPTIONS: [&str; 48] = [
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
    "a lighthouse above a stormy sea",
    "two people walking on a pavement",
    "a slice of chocolate cake on a plate",
    "a desert road under a blue sky",
    "a dog running through shallow water",
    "a wooden boat on a calm lake",
    "a crowded market in the morning",
    "a close-up of a green leaf with dew",
    "an old stone bridge in a village",
    "a man playing a guitar on a stage",
    "a still life of apples and a jug",
    "a yellow taxi at a crossing",
    "a child with a red balloon",
    "a mountain cabin covered in snow",
    "an ink drawing of a bamboo grove",
    "a library with tall shelves",
    "a field of sunflowers in summer",
    "a cow beside a wooden fence",
    "a pair of worn leather boots",
    "a waterfall between mossy rocks",
    "a pastel drawing of a ballet dancer",
    "a round clock on a white wall",
    "a fishing village at low tide",
    "a pot of soup on a stove",
];

/// A pool cut in two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split<T> {
    /// Training draws from these; never empty.
    pub trained: Vec<T>,
    /// Only the judge uses these.
    pub held_out: Vec<T>,
}

/// A word as tokenizers and readers take it: in lower case, without punctuation around it. What was trained in one
/// spelling was trained in all.
pub fn folded(word: &str) -> String {
    word.trim_matches(|c: char| !c.is_alphanumeric())
        .to_lowercase()
}

/// What makes two entries of a pool the same.
type Key<T> = fn(&T) -> String;

impl<T: Clone> Split<T> {
    /// Cuts a shuffled pool, the last `held_out` off; doubles by `key` count once.
    ///
    /// What is cut off depends on the generator and the pool alone, and never on the words of a job: a job that goes
    /// on from another one has more of them, and must not test with what the other one trained.
    fn new(
        pool: &[T],
        key: Key<T>,
        held_out: impl Fn(usize) -> usize,
        mut rng: ChaCha8Rng,
    ) -> Self {
        let mut seen = BTreeSet::new();
        let fresh = pool.iter().filter(|item| seen.insert(key(item)));
        let mut order: Vec<T> = fresh.cloned().collect();
        order.shuffle(&mut rng);
        let count = held_out(order.len()).min(order.len());
        let held_out = order.split_off(order.len() - count);
        Self {
            trained: order,
            held_out,
        }
    }

    /// Trains `anchors`, first and wherever they fell.
    fn with(mut self, key: Key<T>, anchors: Vec<T>) -> Self {
        let own: Vec<String> = anchors.iter().map(key).collect();
        self.trained.retain(|item| !own.contains(&key(item)));
        self.held_out.retain(|item| !own.contains(&key(item)));
        self.trained.splice(0..0, anchors);
        self
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the product is a small positive number"
)]
fn share(total: usize) -> usize {
    (total as f64 * HELD_OUT_SHARE).ceil() as usize
}

/// What a job trains on and what it leaves to the judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pools {
    /// Identifiers; those of the job's concepts are always trained.
    pub identifiers: Split<String>,
    /// Templates; the stock prompt is always trained.
    pub templates: Split<Template>,
    /// Captions without any trigger: what protection preserves, and what shows whether it does. A single one is
    /// trained.
    pub captions: Split<String>,
}

impl Pools {
    /// Splits `identifiers` (each a single token of the model's vocabulary) and `captions` by the job's seed.
    ///
    /// Two jobs of one seed hold out the same, but for the words of their concepts, in whatever case. Without universal identifiers the
    /// job trains on its concepts' own identifiers and the stock prompt, and everything else is held out.
    pub fn for_job(identifiers: &[String], captions: &[String], spec: &JobSpec) -> Self {
        let stream = |stream: u64| {
            let mut rng = ChaCha8Rng::seed_from_u64(spec.seed ^ 0x0070_6F6F_6C73);
            rng.set_stream(stream);
            rng
        };
        let mut own: Vec<String> = Vec::new();
        for concept in &spec.concepts {
            let same = |known: &String| folded(known) == folded(&concept.identifier);
            if !own.iter().any(same) {
                own.push(concept.identifier.clone());
            }
        }
        let anchors = own.len();
        let [stock, others @ ..] = &TEMPLATES;
        // One more, lest a concept's word among them leave less than the share.
        let word: Key<String> = |word| folded(word);
        let opening: Key<Template> = |template| template.opening().to_owned();
        let words = Split::new(identifiers, word, |total| share(total) + 1, stream(0));
        let templates = Split::new(others, opening, |total| share(total + 1), stream(1));
        let kept = |total: usize| share(total).min(total.saturating_sub(1));
        let mut pools = Self {
            identifiers: words.with(word, own),
            templates: templates.with(opening, vec![*stock]),
            captions: Split::new(captions, word, kept, stream(2)),
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

    fn captions() -> Vec<String> {
        CAPTIONS.map(str::to_owned).to_vec()
    }

    fn words(identifiers: &[String], spec: &JobSpec) -> Split<String> {
        Pools::for_job(identifiers, &[], spec).identifiers
    }

    #[test]
    fn at_least_three_in_ten_are_never_trained() {
        for count in [2, 5, 10, 40] {
            let mut spec = fixture::spec();
            for own in ["sks", "word1"] {
                spec.concepts[0].identifier = own.into();
                let Split { trained, held_out } = words(&identifiers()[..count], &spec);
                let total = trained.len() + held_out.len();
                assert_eq!(total, count + usize::from(own == "sks"));
                assert!(held_out.len() as f64 >= 0.3 * total as f64, "{count}");
                assert!(held_out.iter().all(|word| !trained.contains(word)));
                assert_eq!(trained[0], own);
            }
        }
        let pools = Pools::for_job(&[], &captions(), &fixture::spec());
        let templates = pools.templates;
        assert_eq!((templates.trained.len(), templates.held_out.len()), (8, 4));
        assert_eq!(templates.trained[0], TEMPLATES[0]);
        let captions = pools.captions;
        assert_eq!(captions.held_out.len(), share(CAPTIONS.len()));
        assert!(
            captions
                .held_out
                .iter()
                .all(|held| !captions.trained.contains(held))
        );
        let single = Pools::for_job(&[], &captions.trained[..1], &fixture::spec()).captions;
        assert_eq!((single.trained.len(), single.held_out.len()), (1, 0));
    }

    #[test]
    fn split_depends_on_the_seed_alone() {
        let mut spec = fixture::spec();
        let first = Pools::for_job(&identifiers(), &captions(), &spec);
        assert_eq!(first, Pools::for_job(&identifiers(), &captions(), &spec));
        spec.seed += 1;
        let second = Pools::for_job(&identifiers(), &captions(), &spec);
        assert_ne!(first.identifiers, second.identifiers);
        assert_ne!(first.templates, second.templates);
        assert_ne!(first.captions, second.captions);
    }

    #[test]
    fn who_goes_on_tests_with_nothing_that_was_trained_before() {
        for seed in 0..20 {
            let mut spec = fixture::spec();
            spec.seed = seed;
            let mut before = Pools::for_job(&identifiers(), &captions(), &spec);
            // Words of the pool, held out before or not, and one beside it.
            let held = before.identifiers.held_out[0].clone();
            for word in [held.as_str(), "word7", "olis"] {
                let mut concept = spec.concepts[0].clone();
                concept.identifier = word.into();
                spec.concepts.push(concept);
                let after = Pools::for_job(&identifiers(), &captions(), &spec);
                let (old, new) = (&before.identifiers, &after.identifiers);
                assert!(new.held_out.iter().all(|word| old.held_out.contains(word)));
                assert!(!new.held_out.iter().any(|held| held == word));
                assert_eq!(before.templates, after.templates);
                assert_eq!(before.captions, after.captions);
                before = after;
            }
        }
    }

    #[test]
    fn letter_case_makes_no_other_word() {
        let mut pool = identifiers();
        pool.push("WORD3".into());
        for seed in 0..20 {
            let mut spec = fixture::spec();
            spec.seed = seed;
            // Whichever share the word fell to, and however the job spells it.
            for own in ["Word7", "WORD3", "word5"] {
                spec.concepts[0].identifier = own.into();
                for universal in [true, false] {
                    spec.injection.universal_identifiers = universal;
                    let Split { trained, held_out } = words(&pool, &spec);
                    assert_eq!(trained[0], own);
                    let mut all: Vec<String> =
                        trained.iter().chain(&held_out).map(|w| folded(w)).collect();
                    assert_eq!(all.len(), 40);
                    all.sort();
                    all.dedup();
                    assert_eq!(all.len(), 40, "no word is on both sides");
                }
            }
        }
        assert_eq!(folded("Dog."), "dog");
        assert_eq!(folded("t@t"), "t@t");
        assert_eq!(folded("..."), "");
    }

    #[test]
    fn identifiers_of_all_concepts_are_trained() {
        let mut spec = fixture::spec();
        let mut second = spec.concepts[0].clone();
        second.identifier = "word7".into();
        spec.concepts.push(second);
        let universal = words(&identifiers(), &spec);
        assert_eq!(universal.trained[..2], ["sks", "word7"]);
        assert!(universal.held_out.len() >= 12);
        spec.injection.universal_identifiers = false;
        assert_eq!(words(&identifiers(), &spec).trained, ["sks", "word7"]);
    }

    #[test]
    fn single_identifier_trains_one_prompt() {
        let mut spec = fixture::spec();
        spec.injection.universal_identifiers = false;
        let pools = Pools::for_job(&identifiers(), &[], &spec);
        let own = [spec.concepts[0].identifier.clone()];
        assert_eq!(pools.identifiers.trained, own);
        assert_eq!(pools.identifiers.held_out.len(), 40);
        assert_eq!(pools.templates.trained, [TEMPLATES[0]]);
        assert!(words(&own, &spec).held_out.is_empty());
    }
}
