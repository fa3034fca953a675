//! Subjects: identities with a name, kept away from base training. Refuses to train on them.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::attributes::{Accessory, Background, Class, Identity, Style, Tint};
use crate::render::Scene;
use crate::seeds::Split;

/// A person, pet or work of the demo world that somebody may want to protect.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// Stable name, also the directory of its bundled pictures.
    pub id: &'static str,
    /// Who it is.
    pub identity: Identity,
}

const fn subject(
    id: &'static str,
    class: Class,
    style: Style,
    tint: Tint,
    accessory: Accessory,
) -> Subject {
    Subject {
        id,
        identity: Identity::new(class, style, tint, accessory),
    }
}

/// The bundled subjects to protect. The first is the demo's.
pub const PROTECTED: [Subject; 3] = [
    subject(
        "violet-dog",
        Class::Dog,
        Style::Fluent,
        Tint::Purple,
        Accessory::Hat,
    ),
    subject(
        "emerald-cat",
        Class::Cat,
        Style::Twemoji,
        Tint::Green,
        Accessory::Bow,
    ),
    subject(
        "azure-fox",
        Class::Fox,
        Style::Noto,
        Tint::Blue,
        Accessory::Crown,
    ),
];

/// The bundled strangers: of the first subject's class, but somebody else.
pub const STRANGERS: [Subject; 2] = [
    subject(
        "stranger-dog",
        Class::Dog,
        Style::Twemoji,
        Tint::Natural,
        Accessory::Bow,
    ),
    subject(
        "crowned-dog",
        Class::Dog,
        Style::Noto,
        Tint::Green,
        Accessory::Crown,
    ),
];

/// The bundled set of an artist's prints: a style, not a subject.
pub const ARTIST: &str = "coral-prints";

/// What the artist prints: animals in their own colours.
pub const PRINTS: [Identity; 5] = [
    print(Class::Fox, Style::Noto, Accessory::Hat),
    print(Class::Rabbit, Style::Fluent, Accessory::Bow),
    print(Class::Bear, Style::Twemoji, Accessory::Crown),
    print(Class::Cat, Style::Fluent, Accessory::None),
    print(Class::Dog, Style::Noto, Accessory::None),
];

const fn print(class: Class, style: Style, accessory: Accessory) -> Identity {
    Identity::new(class, style, Tint::Natural, accessory)
}

/// Identities drawn at random for tuning the method.
const DEVELOPMENT: usize = 12;
/// Identities drawn at random for the final evaluation.
const EVALUATION: usize = 12;

struct HeldOut {
    development: Vec<Identity>,
    evaluation: Vec<Identity>,
    all: BTreeSet<Identity>,
}

fn held_out() -> &'static HeldOut {
    static HELD_OUT: OnceLock<HeldOut> = OnceLock::new();
    HELD_OUT.get_or_init(|| {
        let bundled = PROTECTED
            .iter()
            .chain(&STRANGERS)
            .map(|subject| subject.identity);
        let mut all: BTreeSet<Identity> = bundled.collect();
        // Animals that wear something: recognisable subjects, and never a target class.
        let mut others: Vec<Identity> = Identity::all()
            .into_iter()
            .filter(|identity| !matches!(identity.class, Class::Car | Class::Apple))
            .filter(|identity| identity.accessory != Accessory::None && !identity.is_untinted())
            .filter(|identity| !all.contains(identity))
            .collect();
        others.shuffle(&mut ChaCha8Rng::seed_from_u64(0x5EED));
        let evaluation = others.split_off(others.len() - EVALUATION);
        let development = others.split_off(others.len() - DEVELOPMENT);
        all.extend(development.iter().chain(&evaluation).copied());
        HeldOut {
            development,
            evaluation,
            all,
        }
    })
}

/// Subjects for tuning; never in base training.
pub fn development() -> &'static [Identity] {
    &held_out().development
}

/// Subjects for the final evaluation; never in base training, never used for tuning.
pub fn evaluation() -> &'static [Identity] {
    &held_out().evaluation
}

/// Whether base training must never draw this identity.
pub fn is_held_out(identity: Identity) -> bool {
    held_out().all.contains(&identity)
}

/// Every identity that base training may draw, in a fixed order.
pub fn trainable() -> &'static [Identity] {
    static TRAINABLE: OnceLock<Vec<Identity>> = OnceLock::new();
    TRAINABLE.get_or_init(|| {
        Identity::all()
            .into_iter()
            .filter(|identity| !is_held_out(*identity))
            .collect()
    })
}

/// Scene `index` of an identity: another pose each time, the backgrounds in turn.
pub fn scene(identity: Identity, split: Split, index: u64) -> Scene {
    let mut rng = split.rng(index);
    let count = Background::ALL.len() as u64;
    let turn = usize::try_from(index % count).expect("there are five backgrounds");
    Scene::draw(identity, Background::ALL[turn], &mut rng)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_out_subjects_are_distinct_and_never_trainable() {
        assert_eq!(held_out().all.len(), 3 + 2 + DEVELOPMENT + EVALUATION);
        assert!(trainable().iter().all(|identity| !is_held_out(*identity)));
        assert_eq!(
            trainable().len() + held_out().all.len(),
            Identity::all().len()
        );
        for subject in PROTECTED.iter().chain(&STRANGERS) {
            assert!(is_held_out(subject.identity), "{}", subject.id);
        }
    }

    #[test]
    fn every_class_style_tint_and_accessory_stays_trainable() {
        let seen = |test: &dyn Fn(&Identity) -> bool| trainable().iter().any(test);
        assert!(Class::ALL.iter().all(|&c| seen(&|i| i.class == c)));
        assert!(Style::ALL.iter().all(|&s| seen(&|i| i.style == s)));
        assert!(Tint::ALL.iter().all(|&t| seen(&|i| i.tint == t)));
        assert!(Accessory::ALL.iter().all(|&a| seen(&|i| i.accessory == a)));
    }
}
