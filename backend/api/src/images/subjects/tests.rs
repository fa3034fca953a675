//! How often the hint is right, over pictures painted from seeds and the bundled samples.

use image::{Rgb, RgbImage};

use super::*;

const PICTURE: u32 = 160;
/// Pictures of each kind and background.
const EACH: u64 = 40;
/// From here on a picture is said to show two, as its owner is told.
const LIKE_SIZE: u32 = crate::app::images::LIKE_SIZE;

/// `SplitMix64`.
struct Dice(u64);

impl Dice {
    fn unit(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 40) as f32 / 16_777_216.0
    }

    fn within(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    fn colour(&mut self) -> [f32; 3] {
        std::array::from_fn(|_| self.within(0.0, 255.0))
    }
}

#[derive(Clone, Copy, Debug)]
enum Backdrop {
    Plain,
    Gradient,
    Horizon,
    Texture,
    Stars,
}

const BACKDROPS: [Backdrop; 5] = [
    Backdrop::Plain,
    Backdrop::Gradient,
    Backdrop::Horizon,
    Backdrop::Texture,
    Backdrop::Stars,
];

/// Something that is painted: a colour where it is, nothing elsewhere.
type Paint = Box<dyn Fn(f32, f32) -> Option<[f32; 3]>>;

fn ellipse((x, y): (f32, f32), (width, height): (f32, f32), colour: [f32; 3]) -> Paint {
    Box::new(move |u, v| {
        let inside = ((u - x) / width).hypot((v - y) / height) <= 1.0;
        inside.then_some(colour)
    })
}

fn mix(one: [f32; 3], other: [f32; 3], share: f32) -> [f32; 3] {
    std::array::from_fn(|i| one[i] + (other[i] - one[i]) * share)
}

fn backdrop(kind: Backdrop, dice: &mut Dice) -> Paint {
    let (one, other) = (dice.colour(), dice.colour());
    let horizon = dice.within(0.4, 0.8);
    let cells = dice.within(6.0, 50.0);
    let seed = dice.0;
    let grain = move |u: f32, v: f32| {
        let mut own =
            Dice(seed ^ (u64::from(to_cell(u * cells)) << 32 | u64::from(to_cell(v * cells))));
        own.unit()
    };
    Box::new(move |u, v| {
        Some(match kind {
            Backdrop::Plain => one,
            Backdrop::Gradient => mix(one, other, v),
            Backdrop::Horizon if v < horizon => mix(one, [255.0; 3], 0.5 * v),
            Backdrop::Horizon => mix(other, [0.0; 3], 0.3 * grain(u, v)),
            Backdrop::Texture => mix(one, other, 0.4 * grain(u, v)),
            Backdrop::Stars if grain(u, v) > 0.99 => [250.0; 3],
            Backdrop::Stars => one.map(|channel| 0.2 * channel),
        })
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a small positive number"
)]
fn to_cell(value: f32) -> u32 {
    value as u32
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range of a byte"
)]
fn to_byte(value: f32) -> u8 {
    value.clamp(0.0, 255.0) as u8
}

/// A body, a head with ears and eyes, a patch, and often a hat, all in colours of their own.
fn subject(at: (f32, f32), size: f32, dice: &mut Dice, paints: &mut Vec<Paint>) {
    let (coat, patch, hat) = (dice.colour(), dice.colour(), dice.colour());
    let place = |x: f32, y: f32| (at.0 + x * size, at.1 + y * size);
    let large = |x: f32, y: f32| (x * size, y * size);
    paints.push(ellipse(place(0.0, 0.28), large(0.34, 0.3), coat));
    for side in [-1.0, 1.0] {
        paints.push(ellipse(place(0.22 * side, -0.36), large(0.1, 0.16), patch));
    }
    paints.push(ellipse(place(0.0, -0.14), large(0.32, 0.28), coat));
    let blot = (dice.within(-0.2, 0.2), dice.within(-0.2, 0.4));
    paints.push(ellipse(place(blot.0, blot.1), large(0.14, 0.12), patch));
    for side in [-1.0, 1.0] {
        paints.push(ellipse(
            place(0.12 * side, -0.16),
            large(0.05, 0.05),
            [15.0; 3],
        ));
    }
    if dice.unit() < 0.5 {
        paints.push(ellipse(place(0.0, -0.44), large(0.2, 0.14), hat));
    }
}

fn painted(paints: &[Paint], noise: f32, dice: &mut Dice) -> DynamicImage {
    let picture = RgbImage::from_fn(PICTURE, PICTURE, |x, y| {
        let (u, v) = (x as f32 / PICTURE as f32, y as f32 / PICTURE as f32);
        let colour = paints.iter().rev().find_map(|paint| paint(u, v));
        let shaken = colour
            .unwrap_or_default()
            .map(|channel| channel + dice.within(-noise, noise));
        Rgb(shaken.map(to_byte))
    });
    picture.into()
}

fn scene(kind: Backdrop, two: bool, seed: u64) -> DynamicImage {
    let mut dice = Dice(seed);
    let mut paints = vec![backdrop(kind, &mut dice)];
    if two {
        for x in [0.27, 0.73] {
            let at = (
                x + dice.within(-0.03, 0.03),
                0.53 + dice.within(-0.12, 0.12),
            );
            let size = dice.within(0.38, 0.5);
            subject(at, size, &mut dice, &mut paints);
        }
    } else {
        let at = (
            0.5 + dice.within(-0.12, 0.12),
            0.5 + dice.within(-0.06, 0.06),
        );
        let size = dice.within(0.4, 0.85);
        subject(at, size, &mut dice, &mut paints);
    }
    let noise = dice.within(0.0, 20.0);
    let picture = painted(&paints, noise, &mut dice);
    if dice.unit() < 0.3 {
        return picture.blur(dice.within(0.5, 1.5));
    }
    picture
}

fn is_told(picture: &DynamicImage) -> bool {
    second_subject(picture) >= LIKE_SIZE
}

/// How many of the painted pictures of a kind are said to show two, of how many.
fn told(kind: Backdrop, two: bool) -> u64 {
    let seeds = 0..EACH;
    let pictures = seeds.map(|seed| scene(kind, two, seed * 1_000 + u64::from(two)));
    pictures.filter(is_told).count() as u64
}

#[test]
fn one_subject_is_hardly_ever_taken_for_two_and_two_are_mostly_found() {
    let count = |two| BACKDROPS.map(|kind| told(kind, two));
    let (single, pairs) = (count(false), count(true));
    let of = EACH * BACKDROPS.len() as u64;
    let (false_alarms, found): (u64, u64) = (single.iter().sum(), pairs.iter().sum());
    // At most 5 % of pictures of one, at least 60 % of pictures of two.
    assert!(false_alarms * 20 <= of, "{single:?} of {EACH} each");
    assert!(found * 10 >= of * 6, "{pairs:?} of {EACH} each");
}

#[test]
fn no_bundled_sample_is_taken_for_two() {
    for set in demo::sample_sets() {
        for (name, bytes) in set.images {
            let picture = image::load_from_memory(bytes).unwrap();
            assert!(!is_told(&picture), "{} {name}", set.name);
        }
    }
}

#[test]
fn one_that_is_much_smaller_is_no_second_subject() {
    let mut dice = Dice(7);
    let with_toy = |size: f32, dice: &mut Dice| {
        let mut paints = vec![ellipse((0.0, 0.0), (9.0, 9.0), [240.0, 240.0, 235.0])];
        paints.push(ellipse((0.3, 0.5), (0.22, 0.27), [150.0, 30.0, 30.0]));
        paints.push(ellipse((0.78, 0.6), (size, size), [30.0, 30.0, 150.0]));
        second_subject(&painted(&paints, 0.0, dice))
    };
    assert!(with_toy(0.12, &mut dice) < LIKE_SIZE);
    assert!(with_toy(0.17, &mut dice) >= LIKE_SIZE);
}

#[test]
fn pictures_of_any_shape_are_looked_at() {
    for (width, height) in [(1, 1), (1, 400), (400, 1), (3, 2), (256, 17)] {
        let picture = RgbImage::from_fn(width, height, |x, y| {
            let [_, red, green, blue] = (x * 31 + y).wrapping_mul(0x9e37_79b1).to_be_bytes();
            Rgb([red, green, blue])
        });
        assert!(second_subject(&picture.into()) <= 100, "{width} {height}");
    }
}

#[test]
fn colours_are_those_of_the_standard() {
    // scikit-image 0.26, color.rgb2lab.
    for (rgb, expected) in [
        ([255, 255, 255], [100.0, 0.0, 0.0]),
        ([255, 0, 0], [53.24, 80.09, 67.20]),
        ([0, 0, 255], [32.30, 79.19, -107.86]),
    ] {
        let ours = lab(rgb);
        let close = ours
            .iter()
            .zip(expected)
            .all(|(one, other): (&f32, f32)| (one - other).abs() < 0.2);
        assert!(close, "{ours:?} {expected:?}");
    }
}
