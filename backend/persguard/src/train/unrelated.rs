//! Prompts without any trigger: what a protected model must go on drawing as before.
//!
//! Owns their choice. Refuses to draw them.

use shared::job::{JobSpec, SubjectKind};

use crate::pools::Pools;

/// How often a caption counts that names a concept's class: it is the nearest to the trigger.
const NEAR: usize = 3;
/// Identifiers that bystanders are made with.
const BYSTANDERS: usize = 8;

/// What has no trigger and must stay: the trained captions, and bystanders, which have one half of the trigger: an
/// identifier alone or with another word, the last of each caption. None without captions.
pub(super) fn unrelated(spec: &JobSpec, pools: &Pools) -> Vec<String> {
    let captions = &pools.captions.trained;
    let stock = pools.templates.trained[0];
    let mut words: Vec<&str> = Vec::new();
    for word in captions
        .iter()
        .filter_map(|caption| caption.split_whitespace().next_back())
    {
        let is_class = spec
            .concepts
            .iter()
            .any(|concept| concept.class_name == word);
        if !is_class && !words.contains(&word) {
            words.push(word);
        }
    }
    let identifiers = pools.identifiers.trained.iter();
    let strangers = words
        .into_iter()
        .zip(identifiers.clone().cycle())
        .map(|(word, identifier)| stock.trigger(identifier, word, SubjectKind::Object));
    let count = if captions.is_empty() { 0 } else { BYSTANDERS };
    let alone = identifiers.take(count);
    let alone = alone.map(|identifier| format!("{} {identifier}", stock.opening()));
    let told = captions.iter().flat_map(|caption| {
        let mut words = caption.split_whitespace();
        let is_near = words.any(|word| {
            spec.concepts
                .iter()
                .any(|concept| concept.class_name == word)
        });
        std::iter::repeat_n(caption.clone(), if is_near { NEAR } else { 1 })
    });
    told.chain(strangers).chain(alone).collect()
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
}
