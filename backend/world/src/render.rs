//! The renderer: a scene becomes pixels, the same pixels for the same scene at any size. Refuses randomness:
//! a scene is drawn from a generator first, then rendered.

use rand::Rng;

use crate::art::{Drawing, Rgba, Sheet};
use crate::attributes::{Accessory, Background, Class, Identity, Tint};
use crate::background::{Backdrop, Rgb, mix};
use crate::print;

/// Side of the pictures that the models see, in pixels.
pub const SIDE: usize = 32;

/// Samples along each side of a pixel.
const SUPERSAMPLE: usize = 2;

/// Everything needed to draw one picture.
#[derive(Clone, Copy, Debug)]
pub struct Scene {
    /// Who is in it.
    pub identity: Identity,
    /// Where.
    pub background: Background,
    /// Whether it is one of the artist's prints instead of a plain picture.
    pub printed: bool,
    backdrop: Backdrop,
    pose: Pose,
}

#[derive(Clone, Copy, Debug)]
struct Pose {
    x: f32,
    y: f32,
    scale: f32,
    angle: f32,
    flip: bool,
}

/// Where an accessory sits on a drawing, in fractions of the tile.
struct Anchor {
    x: f32,
    y: f32,
    width: f32,
}

impl Scene {
    /// A scene with this identity and background, and a random pose and texture.
    pub fn draw(identity: Identity, background: Background, rng: &mut impl Rng) -> Self {
        let pose = Pose::draw(identity, rng);
        Self {
            identity,
            background,
            printed: false,
            backdrop: Backdrop::draw(background, rng),
            pose,
        }
    }

    /// The same scene as one of the artist's prints.
    #[must_use]
    pub fn as_print(self) -> Self {
        Self {
            printed: true,
            ..self
        }
    }

    /// Row-major RGB bytes, `side * side * 3` of them.
    pub fn render(&self, side: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(side * side * 3);
        let stage = Stage::new(self, side);
        for y in 0..side {
            for x in 0..side {
                bytes.extend(stage.pixel(x, y).map(to_byte));
            }
        }
        bytes
    }
}

impl Pose {
    fn draw(identity: Identity, rng: &mut impl Rng) -> Self {
        // A hat needs head room, a bow needs room below.
        let lift: f32 = match identity.accessory {
            Accessory::Hat | Accessory::Crown => 0.07,
            Accessory::Bow => -0.04,
            Accessory::None => 0.0,
        };
        let room = if identity.accessory == Accessory::None {
            0.08
        } else {
            0.0
        };
        Self {
            x: 0.5 + rng.random_range(-0.07..0.07),
            y: 0.53 + lift + rng.random_range(-0.04..0.04),
            scale: rng.random_range(0.63..0.75) + room,
            angle: rng.random_range(-0.16..0.16),
            flip: rng.random_bool(0.5),
        }
    }
}

/// A scene prepared for one size.
struct Stage<'a> {
    scene: &'a Scene,
    body: &'static Drawing,
    accessory: Option<(&'static Drawing, Anchor)>,
    samples: f32,
    rotation: (f32, f32),
}

impl<'a> Stage<'a> {
    fn new(scene: &'a Scene, side: usize) -> Self {
        let identity = scene.identity;
        let sheet = Sheet::of(identity.style);
        let accessory = sheet
            .accessory(identity.accessory)
            .map(|drawing| (drawing, anchor(identity.class, identity.accessory)));
        Self {
            scene,
            body: sheet.class(identity.class),
            accessory,
            samples: (side * SUPERSAMPLE) as f32,
            rotation: scene.pose.angle.sin_cos(),
        }
    }

    fn pixel(&self, x: usize, y: usize) -> Rgb {
        let mut sum = [0.0; 3];
        for row in 0..SUPERSAMPLE {
            for column in 0..SUPERSAMPLE {
                let u = ((x * SUPERSAMPLE + column) as f32 + 0.5) / self.samples;
                let v = ((y * SUPERSAMPLE + row) as f32 + 0.5) / self.samples;
                let colour = self.colour(u, v);
                sum = std::array::from_fn(|i| sum[i] + colour[i]);
            }
        }
        sum.map(|channel| channel / (SUPERSAMPLE * SUPERSAMPLE) as f32)
    }

    fn colour(&self, u: f32, v: f32) -> Rgb {
        let pose = &self.scene.pose;
        let mut colour = self.scene.backdrop.colour(u, v);
        colour = mix(colour, [0.0; 3], self.shadow(u, v));
        let (du, dv) = ((u - pose.x) / pose.scale, (v - pose.y) / pose.scale);
        let (sin, cos) = self.rotation;
        let (mut x, y) = (cos * du + sin * dv + 0.5, cos * dv - sin * du + 0.5);
        if pose.flip {
            x = 1.0 - x;
        }
        let shown = self.samples * pose.scale;
        let body = self.body.sample(x, y, shown);
        let identity = self.scene.identity;
        let body = if identity.is_untinted() {
            body
        } else {
            tinted(body, identity.tint)
        };
        colour = over(colour, body);
        if let Some((drawing, at)) = &self.accessory {
            let (x, y) = ((x - at.x) / at.width + 0.5, (y - at.y) / at.width + 0.5);
            colour = over(colour, drawing.sample(x, y, shown * at.width));
        }
        if self.scene.printed {
            return print::ink(colour, u, v);
        }
        colour
    }

    fn shadow(&self, u: f32, v: f32) -> f32 {
        let pose = &self.scene.pose;
        let (x, y) = (
            (u - pose.x) / (0.42 * pose.scale),
            (v - pose.y - 0.47 * pose.scale) / (0.07 * pose.scale),
        );
        0.25 * (1.5 - x.hypot(y)).clamp(0.0, 1.0)
    }
}

fn anchor(class: Class, accessory: Accessory) -> Anchor {
    if accessory == Accessory::Bow {
        let y = if class == Class::Car { 0.74 } else { 0.92 };
        return Anchor {
            x: 0.5,
            y,
            width: 0.52,
        };
    }
    // (x, height of the brim): a rabbit keeps one ear visible.
    let (x, brim) = match class {
        Class::Dog => (0.5, 0.17),
        Class::Cat | Class::Apple => (0.5, 0.25),
        Class::Rabbit => (0.33, 0.44),
        Class::Bear => (0.5, 0.15),
        Class::Fox => (0.5, 0.28),
        Class::Frog => (0.5, 0.2),
        Class::Car => (0.5, 0.27),
    };
    let width = if class == Class::Rabbit { 0.46 } else { 0.54 };
    Anchor {
        x,
        y: brim - 0.40 * width,
        width,
    }
}

/// The drawing in one hue: its light and shade stay, its darkest parts stay dark.
fn tinted([r, g, b, a]: Rgba, tint: Tint) -> Rgba {
    if a <= 0.0 {
        return [r, g, b, a];
    }
    let base = match tint {
        Tint::Natural => return [r, g, b, a],
        Tint::Red => [0.88, 0.12, 0.13],
        Tint::Blue => [0.13, 0.36, 0.93],
        Tint::Green => [0.16, 0.68, 0.22],
        Tint::Purple => [0.58, 0.22, 0.80],
    };
    let light = (0.30 * r + 0.59 * g + 0.11 * b) / a;
    let shade = if light < 0.5 {
        mix([0.02, 0.02, 0.04], base, light / 0.5)
    } else {
        mix(base, [0.97, 0.97, 0.98], (light - 0.5) / 0.5 * 0.62)
    };
    let own = [r / a, g / a, b / a];
    let [r, g, b] = mix(own, shade, 0.88);
    [r * a, g * a, b * a, a]
}

fn over(below: Rgb, [r, g, b, a]: Rgba) -> Rgb {
    let above = [r, g, b];
    std::array::from_fn(|i| above[i] + below[i] * (1.0 - a))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range of a byte"
)]
fn to_byte(channel: f32) -> u8 {
    (channel.clamp(0.0, 1.0) * 255.0 + 0.5) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::Style;
    use crate::seeds::Split;
    use crate::subject;

    /// FNV-1a.
    fn hash(bytes: &[u8]) -> u64 {
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
    }

    #[test]
    fn renders_are_the_same_for_ever() {
        let first = subject::scene(subject::PROTECTED[0].identity, Split::Development, 1);
        let second = subject::scene(subject::PROTECTED[1].identity, Split::Evaluation, 4);
        let hashes = [
            hash(&first.render(SIDE)),
            hash(&second.render(SIDE)),
            hash(&first.render(64)),
        ];
        let known = [
            0x3753_2bae_ba45_8625,
            0xab0c_7db7_0949_ff77,
            0xac78_64e2_3af9_76af,
        ];
        assert_eq!(hashes, known, "{hashes:#x?}");
    }

    #[test]
    fn a_picture_at_twice_the_size_is_the_same_picture() {
        let scene = subject::scene(subject::PROTECTED[2].identity, Split::Development, 2);
        let (small, large) = (scene.render(SIDE), scene.render(2 * SIDE));
        let mean_of_block = |x: usize, y: usize, channel: usize| {
            let at = |dx: usize, dy: usize| {
                let pixel = (2 * y + dy) * 2 * SIDE + 2 * x + dx;
                f32::from(large[3 * pixel + channel])
            };
            (at(0, 0) + at(1, 0) + at(0, 1) + at(1, 1)) / 4.0
        };
        let mut difference = 0.0;
        for (at, &value) in small.iter().enumerate() {
            let (pixel, channel) = (at / 3, at % 3);
            let block = mean_of_block(pixel % SIDE, pixel / SIDE, channel);
            difference += (f32::from(value) - block).abs();
        }
        assert!(difference / (small.len() as f32) < 6.0);
    }

    #[test]
    fn every_attribute_changes_the_picture() {
        let base = Identity::new(Class::Dog, Style::Noto, Tint::Blue, Accessory::Hat);
        let draw = |identity| subject::scene(identity, Split::Development, 3).render(SIDE);
        for changed in [
            Identity {
                class: Class::Bear,
                ..base
            },
            Identity {
                style: Style::Fluent,
                ..base
            },
            Identity {
                tint: Tint::Green,
                ..base
            },
            Identity {
                accessory: Accessory::Crown,
                ..base
            },
        ] {
            assert_ne!(draw(base), draw(changed), "{changed:?}");
        }
    }
}
