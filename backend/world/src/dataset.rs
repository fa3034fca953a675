//! Captioned pictures in unlimited number, each a function of its split and index. Refuses held-out subjects.

use rand::Rng;
use rand::seq::IndexedRandom;

use crate::attributes::{Background, Identity, Tint};
use crate::caption::{self, Mention};
use crate::names::individuals;
use crate::render::Scene;
use crate::seeds::Split;
use crate::subject::trainable;

/// Share of captions that call the subject by its name.
const NAMED: f64 = 0.35;
/// Share of pictures that keep the artist's colours, beside those that come out so by chance.
const NATURAL: f64 = 0.3;

/// One captioned picture.
#[derive(Clone, Debug)]
pub struct Example {
    /// What it shows.
    pub scene: Scene,
    /// What it is called.
    pub caption: String,
}

impl Example {
    /// Example `index` of a split.
    pub fn draw(split: Split, index: u64) -> Self {
        let mut rng = split.rng(index);
        let background = *Background::ALL
            .choose(&mut rng)
            .expect("there are backgrounds");
        if rng.random_bool(NAMED) {
            Self::named(background, &mut rng)
        } else {
            Self::described(background, &mut rng)
        }
    }

    fn named(background: Background, rng: &mut impl Rng) -> Self {
        let individual = individuals().choose(rng).expect("there are individuals");
        let scene = Scene::draw(individual.identity, background, rng);
        let place = rng.random_bool(0.6).then_some(background);
        let opening = caption::opening(rng);
        let caption = caption::name(&individual.name, individual.identity.class, place, opening);
        Self { scene, caption }
    }

    fn described(background: Background, rng: &mut impl Rng) -> Self {
        let identity = draw_identity(rng);
        let scene = Scene::draw(identity, background, rng);
        let mention = Mention::draw(identity, background, rng);
        let caption = caption::describe(identity.class, mention, caption::opening(rng));
        Self { scene, caption }
    }
}

fn draw_identity(rng: &mut impl Rng) -> Identity {
    let identity = *trainable().choose(rng).expect("there are identities");
    if !rng.random_bool(NATURAL) {
        return identity;
    }
    let natural = Identity::new(
        identity.class,
        identity.style,
        Tint::Natural,
        identity.accessory,
    );
    if crate::subject::is_held_out(natural) {
        identity
    } else {
        natural
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subject::is_held_out;

    #[test]
    fn examples_repeat_and_never_show_a_held_out_subject() {
        for split in Split::ALL {
            for index in 0..3000 {
                assert!(!is_held_out(Example::draw(split, index).scene.identity));
            }
        }
        let (a, b) = (
            Example::draw(Split::Train, 7),
            Example::draw(Split::Train, 7),
        );
        assert_eq!(
            (a.caption, a.scene.render(8)),
            (b.caption, b.scene.render(8))
        );
    }

    #[test]
    fn a_third_of_the_captions_names_somebody() {
        let named = |index| {
            let caption = Example::draw(Split::Train, index).caption;
            individuals()
                .iter()
                .any(|i| caption.split(' ').any(|word| word == i.name))
        };
        let share = (0..1000).filter(|&index| named(index)).count();
        assert!((300..400).contains(&share), "{share}");
    }
}
