//! Prompts without any trigger: what a protected model must go on drawing as before.
//!
//! Owns their choice. Refuses to draw them.

use std::collections::BTreeSet;

use shared::job::{JobSpec, SubjectKind};

use crate::pools::{Pools, folded};

/// How often a caption counts that names a concept's class: it is the nearest to the trigger.
const NEAR: usize = 3;
/// Identifiers that bystanders are made with.
const BYSTANDERS: usize = 8;

/// What has no trigger and must stay: the trained captions, and bystanders, which have one half of the trigger: an
/// identifier alone or with another word, the last of each caption. None without captions.
///
/// Words are compared as tokenizers take them, in lower case and without punctuation: "a Dog." names the class `dog`,
/// and with an identifier it would be the trigger itself.
pub(super) fn unrelated(spec: &JobSpec, pools: &Pools) -> Vec<String> {
    let captions = &pools.captions.trained;
    let stock = pools.templates.trained[0];
    let classes = class_words(spec);
    let mut words: Vec<String> = Vec::new();
    for word in captions.iter().filter_map(|caption| last_word(caption)) {
        if !classes.contains(&word) && !words.contains(&word) {
            words.push(word);
        }
    }
    let identifiers = pools.identifiers.trained.iter();
    let strangers = words
        .into_iter()
        .zip(identifiers.clone().cycle())
        .map(|(word, identifier)| stock.trigger(identifier, &word, SubjectKind::Object));
    let count = if captions.is_empty() { 0 } else { BYSTANDERS };
    let alone = identifiers.take(count);
    let alone = alone.map(|identifier| format!("{} {identifier}", stock.opening()));
    let told = captions.iter().flat_map(|caption| {
        let mut words = caption.split_whitespace();
        let is_near = words.any(|word| classes.contains(&folded(word)));
        std::iter::repeat_n(caption.clone(), if is_near { NEAR } else { 1 })
    });
    told.chain(strangers).chain(alone).collect()
}

/// Every word of every concept's class: of "guinea pig" both, because the last one alone is near enough to it.
fn class_words(spec: &JobSpec) -> BTreeSet<String> {
    let classes = spec.concepts.iter();
    let words = classes.flat_map(|concept| concept.class_name.split_whitespace());
    words.map(folded).collect()
}

/// The last word of a caption; what is punctuation alone is none.
fn last_word(caption: &str) -> Option<String> {
    let words = caption.split_whitespace().rev().map(folded);
    words.into_iter().find(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn bystanders_have_half_of_the_trigger() {
        let spec = fixture::spec();
        let identifiers = fixture::IDENTIFIERS.map(str::to_owned);
        let mut pools = Pools::for_job(&identifiers, &[], &spec);
        assert!(unrelated(&spec, &pools).is_empty());
        let captions =
            ["a photo of a cat", "a brown dog", "a street in the rain"].map(str::to_owned);
        pools.captions.trained = captions.to_vec();
        let found = unrelated(&spec, &pools);
        let trained = &pools.identifiers.trained;
        assert_eq!(found[0], captions[0]);
        assert!(found[1..4].iter().all(|caption| *caption == captions[1]));
        assert_eq!(found[4], captions[2]);
        // No trigger among them: "dog" is the concept's own class.
        assert_eq!(found[5], format!("a photo of {} cat", trained[0]));
        assert_eq!(found[6], format!("a photo of {} rain", trained[1]));
        assert_eq!(found[7], format!("a photo of {}", trained[0]));
        assert_eq!(found.len(), 7 + trained.len());
        let held_out = &pools.identifiers.held_out;
        let leaks = |caption: &String| {
            caption
                .split(' ')
                .any(|word| held_out.iter().any(|h| h == word))
        };
        assert!(!found.iter().any(leaks));
    }

    #[test]
    fn no_bystander_is_the_trigger_in_another_spelling() {
        let identifiers = fixture::IDENTIFIERS.map(str::to_owned);
        let captions = [
            "a brown dog.",
            "a big Dog",
            "two, a DOG !",
            "a street in the Rain.",
            "a guinea pig",
        ];
        for (class, near) in [("dog", 3), ("Dog", 3), ("guinea pig", 1)] {
            let mut spec = fixture::spec();
            spec.concepts[0].class_name = class.into();
            let mut pools = Pools::for_job(&identifiers, &[], &spec);
            pools.captions.trained = captions.map(str::to_owned).to_vec();
            let found = unrelated(&spec, &pools);
            let told = captions.len() + near * (NEAR - 1);
            let strangers = &found[told..found.len() - pools.identifiers.trained.len()];
            let last: Vec<&str> = strangers
                .iter()
                .filter_map(|prompt| prompt.split(' ').next_back())
                .collect();
            let expected = if near == 1 {
                vec!["dog", "rain"]
            } else {
                vec!["rain", "pig"]
            };
            assert_eq!(last, expected, "{class}");
        }
    }
}
