//! Procedural backgrounds: a colour for every point of the picture. Refuses to know what stands before them.

use rand::Rng;

use crate::attributes::Background;

pub(crate) type Rgb = [f32; 3];

/// A background with its own colours, horizon and texture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backdrop {
    kind: Background,
    plain: Rgb,
    horizon: f32,
    light: f32,
    texture: u32,
}

/// Pale colours that no tint can be mistaken for.
const PALE: [Rgb; 6] = [
    [0.97, 0.97, 0.96],
    [0.98, 0.93, 0.80],
    [0.84, 0.85, 0.87],
    [0.97, 0.86, 0.88],
    [0.82, 0.92, 0.96],
    [0.85, 0.95, 0.87],
];

impl Backdrop {
    pub(crate) fn draw(kind: Background, rng: &mut impl Rng) -> Self {
        Self {
            kind,
            plain: PALE[rng.random_range(0..PALE.len())],
            horizon: rng.random_range(0.42..0.62),
            light: rng.random_range(0.94..1.04),
            texture: rng.random(),
        }
    }

    /// Colour at `(u, v)`, both in [0, 1], `v` downwards.
    pub(crate) fn colour(&self, u: f32, v: f32) -> Rgb {
        let colour = match self.kind {
            Background::Plain => self.plain,
            Background::Grass => self.grass(u, v),
            Background::Beach => self.beach(u, v),
            Background::Snow => self.snow(u, v),
            Background::Night => self.night(u, v),
        };
        colour.map(|channel| (channel * self.light).clamp(0.0, 1.0))
    }

    fn grass(&self, u: f32, v: f32) -> Rgb {
        let hill = self.horizon + 0.03 * (u * 5.0 + self.phase()).sin();
        let sky = mix([0.55, 0.80, 0.97], [0.83, 0.94, 0.99], v / hill);
        let depth = (v - hill) / (1.0 - hill);
        let blades = noise(u * 40.0, v * 14.0, self.texture) - 0.5;
        let ground = mix(
            [0.52, 0.76, 0.30],
            [0.30, 0.60, 0.20],
            depth + 0.35 * blades,
        );
        mix(sky, ground, edge(v - hill))
    }

    fn beach(&self, u: f32, v: f32) -> Rgb {
        let shore = self.horizon + 0.16 + 0.02 * (u * 7.0 + self.phase()).sin();
        let sky = mix([0.62, 0.86, 0.98], [0.88, 0.96, 0.99], v / self.horizon);
        let wave = noise(u * 8.0, v * 50.0, self.texture);
        let sea = mix([0.10, 0.62, 0.76], [0.36, 0.80, 0.86], wave);
        let grain = noise(u * 60.0, v * 60.0, self.texture ^ 1) - 0.5;
        let sand = mix(
            [0.95, 0.86, 0.62],
            [0.87, 0.74, 0.48],
            (v - shore) / (1.0 - shore) + 0.2 * grain,
        );
        let water = mix(sky, sea, edge(v - self.horizon));
        mix(
            mix(water, [0.98, 0.99, 0.98], edge(v - shore + 0.025)),
            sand,
            edge(v - shore),
        )
    }

    fn snow(&self, u: f32, v: f32) -> Rgb {
        let hill = self.horizon + 0.08 + 0.04 * (u * 4.0 + self.phase()).sin();
        let sky = mix([0.60, 0.68, 0.77], [0.78, 0.84, 0.89], v / hill);
        let ground = mix(
            [0.97, 0.98, 1.0],
            [0.85, 0.90, 0.96],
            (v - hill) / (1.0 - hill),
        );
        let flake = self.dots(u, v, 9.0, 0.16, 0.55);
        mix(mix(sky, ground, edge(v - hill)), [1.0, 1.0, 1.0], flake)
    }

    fn night(&self, u: f32, v: f32) -> Rgb {
        let hill = self.horizon + 0.22 + 0.03 * (u * 5.0 + self.phase()).sin();
        let sky = mix([0.04, 0.05, 0.16], [0.16, 0.17, 0.38], v / hill);
        let star = self.dots(u, v, 8.0, 0.10, 0.40);
        let moon = edge(0.08 - (u - 0.82).hypot(v - 0.16));
        let ground = mix(
            [0.07, 0.11, 0.15],
            [0.03, 0.05, 0.08],
            (v - hill) / (1.0 - hill),
        );
        let sky = mix(mix(sky, [1.0, 0.97, 0.80], star), [0.99, 0.96, 0.82], moon);
        mix(sky, ground, edge(v - hill))
    }

    /// Round dots of radius `radius` in a grid of `cells`, in a share `density` of its cells.
    fn dots(&self, u: f32, v: f32, cells: f32, radius: f32, density: f32) -> f32 {
        let (x, y) = (u * cells, v * cells);
        let (column, row) = (x.floor(), y.floor());
        let dice = |salt| hash(column, row, self.texture ^ salt);
        if dice(11) > density {
            return 0.0;
        }
        let (cx, cy) = (column + 0.25 + 0.5 * dice(12), row + 0.25 + 0.5 * dice(13));
        edge((radius - (x - cx).hypot(y - cy)) / cells)
    }

    fn phase(&self) -> f32 {
        hash(0.0, 0.0, self.texture) * std::f32::consts::TAU
    }
}

pub(crate) fn mix(from: Rgb, to: Rgb, share: f32) -> Rgb {
    let share = share.clamp(0.0, 1.0);
    std::array::from_fn(|i| from[i] + (to[i] - from[i]) * share)
}

/// 0 outside, 1 inside, with a soft border one hundredth of the picture wide.
fn edge(inside: f32) -> f32 {
    (inside * 100.0 + 0.5).clamp(0.0, 1.0)
}

/// Smooth noise in [0, 1] with unit cells.
fn noise(x: f32, y: f32, seed: u32) -> f32 {
    let (left, top) = (x.floor(), y.floor());
    let ease = |t: f32| t * t * (3.0 - 2.0 * t);
    let (fx, fy) = (ease(x - left), ease(y - top));
    let upper = hash(left, top, seed) * (1.0 - fx) + hash(left + 1.0, top, seed) * fx;
    let lower = hash(left, top + 1.0, seed) * (1.0 - fx) + hash(left + 1.0, top + 1.0, seed) * fx;
    upper * (1.0 - fy) + lower * fy
}

/// A number in [0, 1) that looks random, from a cell and a seed.
#[expect(
    clippy::cast_possible_truncation,
    reason = "cells are small whole numbers"
)]
fn hash(column: f32, row: f32, seed: u32) -> f32 {
    let column = (column as i32).cast_unsigned();
    let row = (row as i32).cast_unsigned();
    let mut bits = seed ^ column.wrapping_mul(0x9E37_79B1) ^ row.wrapping_mul(0x85EB_CA77);
    bits = (bits ^ (bits >> 15)).wrapping_mul(0x2C1B_3C6D);
    bits = (bits ^ (bits >> 12)).wrapping_mul(0x297A_2D39);
    (bits ^ (bits >> 15)) as f32 / 4_294_967_296.0
}
