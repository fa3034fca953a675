//! Seed ranges of the demo world, fixed for good. Refuses to let two uses share a seed.

use std::ops::Range;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What a seed may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// Pictures that train the base model.
    Train,
    /// Pictures that train the metric encoder.
    Encoder,
    /// Pictures for tuning and for the gates.
    Development,
    /// Pictures for the final evaluation; nothing is ever tuned on them.
    Evaluation,
}

impl Split {
    /// Every split.
    pub const ALL: [Self; 4] = [
        Self::Train,
        Self::Encoder,
        Self::Development,
        Self::Evaluation,
    ];

    /// The seeds of this split; no two splits overlap.
    pub const fn seeds(self) -> Range<u64> {
        const SIZE: u64 = 1 << 40;
        let start = match self {
            Self::Train => 0,
            Self::Encoder => SIZE,
            Self::Development => 2 * SIZE,
            Self::Evaluation => 3 * SIZE,
        };
        start..start + SIZE
    }

    /// The generator of item `index` of this split.
    ///
    /// # Panics
    /// If the index lies outside the split.
    pub fn rng(self, index: u64) -> ChaCha8Rng {
        let seeds = self.seeds();
        let seed = seeds.start + index;
        assert!(
            seeds.contains(&seed),
            "index {index} lies outside its split"
        );
        ChaCha8Rng::seed_from_u64(seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_are_disjoint() {
        for (i, a) in Split::ALL.iter().enumerate() {
            for b in &Split::ALL[i + 1..] {
                let (a, b) = (a.seeds(), b.seeds());
                assert!(a.end <= b.start || b.end <= a.start);
            }
        }
    }

    #[test]
    #[should_panic(expected = "outside its split")]
    fn index_beyond_a_split_is_refused() {
        Split::Train.rng(1 << 40);
    }
}
