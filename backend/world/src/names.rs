//! Names: those bound to one individual in the captions, and those left free for whoever personalizes the
//! model. Refuses to bind a free one.

use std::sync::OnceLock;

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::attributes::Identity;
use crate::subject::trainable;

/// Natural names that the base model knows as somebody.
const NATURAL: &str = "\
ada adam agnes alan albert alice amber amos andrea anna anton april archie arthur astrid aurora barney basil \
beatrice bella benny bernard bertha bianca billy bonnie boris brenda bruno buddy caesar camilla carl carmen \
casper cecil celia charlie chester chloe clara claude clem cleo clyde cora cosmo cyrus daisy dante daphne david \
dexter diana dora doris dusty edgar edith edna elmer elsa elvis emil emma enzo erica ernie esther ethel eva \
fanny felix fergus fiona flora floyd frank freda frida fritz gary george gilda ginger gloria gordon grace greta \
gus hank hannah harold harry harvey hazel hector heidi helga henry hilda holly homer hugo ida igor inga iris \
irma isaac ivan ivy jack jasper jenny jerry jonas judith julius karen karl kitty klaus lance laura leo leon \
lilly linus lola lotte louis lucy luna mabel maggie marcel marge martha marvin maude max merlin mickey mila \
milo mimi molly morris moses myrtle";

/// Names and rare words that no caption ever binds. Each is one token. The first half is what
/// tutorials use; natural names follow.
pub const FREE: [&str; 40] = [
    "sks", "olis", "ohwx", "zwx", "xjy", "rcr", "pll", "ucd", "mle", "kbv", "ykq", "vtz", "wqd",
    "bnx", "cjf", "dzg", "fqr", "gxw", "hvk", "jpz", "kwl", "lrx", "mzt", "nqj", "otis", "nora",
    "oscar", "paula", "quentin", "rosa", "rufus", "sally", "simon", "tessa", "toby", "ursula",
    "victor", "wanda", "xenia", "yuri",
];

/// Those of [`FREE`] that are natural names.
pub const NATURAL_FREE: &[&str] = FREE.split_at(24).1;

/// Free identifiers that only the benchmark's held-out part uses: no job draws from them, no tuning sees them.
pub const RESERVED: [&str; 8] = [
    "kwl", "lrx", "mzt", "nqj", "victor", "wanda", "xenia", "yuri",
];

/// Free identifiers that jobs and tuning may draw from: all but the reserved ones, in the same order.
pub fn open() -> Vec<&'static str> {
    let is_open = |word: &&str| !RESERVED.contains(word);
    FREE.into_iter().filter(is_open).collect()
}

const RARE: usize = 150;

/// A name that the captions bind to one identity.
#[derive(Clone, Debug)]
pub struct Individual {
    /// The word.
    pub name: String,
    /// Whom it means.
    pub identity: Identity,
}

/// Every named individual, in a fixed order.
pub fn individuals() -> &'static [Individual] {
    static INDIVIDUALS: OnceLock<Vec<Individual>> = OnceLock::new();
    INDIVIDUALS.get_or_init(|| {
        let mut rng = ChaCha8Rng::seed_from_u64(0xB0D5);
        let mut identities = trainable().to_vec();
        identities.shuffle(&mut rng);
        let natural = NATURAL.split_whitespace().map(String::from);
        let names: Vec<String> = natural.chain(rare_words()).collect();
        names
            .into_iter()
            .zip(identities)
            .map(|(name, identity)| Individual { name, identity })
            .collect()
    })
}

/// Words of four letters that nobody uses, distinct from one another and from the free ones.
fn rare_words() -> Vec<String> {
    let mut rng = ChaCha8Rng::seed_from_u64(0x4A4E);
    let (consonants, vowels) = ("bdfgjklmnprstvwxz".as_bytes(), "aeiouy".as_bytes());
    let mut words: Vec<String> = Vec::new();
    while words.len() < RARE {
        let letters = [consonants, vowels, consonants, consonants]
            .map(|set| char::from(set[rng.random_range(0..set.len())]));
        let word = String::from_iter(letters);
        if !words.contains(&word) && !FREE.contains(&word.as_str()) && !NATURAL.contains(&word) {
            words.push(word);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::subject::is_held_out;

    #[test]
    fn names_are_unique_and_never_free_or_held_out() {
        let individuals = individuals();
        let names: BTreeSet<&str> = individuals.iter().map(|i| i.name.as_str()).collect();
        assert_eq!(names.len(), individuals.len());
        assert!(individuals.len() >= 300, "{}", individuals.len());
        assert!(FREE.iter().all(|free| !names.contains(free)));
        assert!(individuals.iter().all(|i| !is_held_out(i.identity)));
        assert_eq!(FREE.iter().collect::<BTreeSet<_>>().len(), FREE.len());
    }
}
