//! The vendored drawings: decoding, scaled-down copies, sampling. Refuses to know about scenes.

use std::sync::OnceLock;

use image::ImageFormat;

use crate::attributes::{Accessory, Class, Style};

const TILE: usize = 144;
const TILES: usize = 11;
const NOTO: &[u8] = include_bytes!("../assets/noto.webp");
const TWEMOJI: &[u8] = include_bytes!("../assets/twemoji.webp");
const FLUENT: &[u8] = include_bytes!("../assets/fluent.webp");

/// Premultiplied red, green, blue and alpha in [0, 1].
pub(crate) type Rgba = [f32; 4];

/// One drawing in falling sizes, each half of the one before.
pub(crate) struct Drawing {
    levels: Vec<(usize, Vec<Rgba>)>,
}

/// All drawings of one style.
pub(crate) struct Sheet {
    drawings: Vec<Drawing>,
}

impl Sheet {
    /// The sheet of a style, decoded on first use.
    pub(crate) fn of(style: Style) -> &'static Self {
        static SHEETS: OnceLock<[Sheet; 3]> = OnceLock::new();
        &SHEETS.get_or_init(|| [NOTO, TWEMOJI, FLUENT].map(Self::decode))[style.index()]
    }

    pub(crate) fn class(&self, class: Class) -> &Drawing {
        &self.drawings[class.index()]
    }

    pub(crate) fn accessory(&self, accessory: Accessory) -> Option<&Drawing> {
        let index = accessory.index().checked_sub(1)?;
        Some(&self.drawings[Class::ALL.len() + index])
    }

    fn decode(bytes: &[u8]) -> Self {
        let sheet = image::load_from_memory_with_format(bytes, ImageFormat::WebP)
            .expect("the vendored sheet is a valid image")
            .to_rgba8();
        let drawings = (0..TILES).map(|tile| Drawing::cut(&sheet, tile)).collect();
        Self { drawings }
    }
}

impl Drawing {
    fn cut(sheet: &image::RgbaImage, tile: usize) -> Self {
        let mut pixels = Vec::with_capacity(TILE * TILE);
        for y in 0..TILE {
            for x in 0..TILE {
                let column = u32::try_from(tile * TILE + x).expect("sheets are small");
                let row = u32::try_from(y).expect("sheets are small");
                let [r, g, b, a] = sheet.get_pixel(column, row).0.map(|v| f32::from(v) / 255.0);
                pixels.push([r * a, g * a, b * a, a]);
            }
        }
        let mut levels = vec![(TILE, pixels)];
        while let Some((side, pixels)) = levels.last().filter(|(side, _)| side % 2 == 0) {
            let smaller = halve(*side, pixels);
            levels.push((side / 2, smaller));
        }
        Self { levels }
    }

    /// The colour at `(x, y)` in [0, 1] of the tile, for a drawing shown `shown` pixels wide.
    pub(crate) fn sample(&self, x: f32, y: f32, shown: f32) -> Rgba {
        if !(0.0..1.0).contains(&x) || !(0.0..1.0).contains(&y) {
            return [0.0; 4];
        }
        let enough = |side: usize| side as f32 >= shown;
        let level = self
            .levels
            .iter()
            .rposition(|(side, _)| enough(*side))
            .unwrap_or(0);
        let (side, pixels) = &self.levels[level];
        bilinear(*side, pixels, x, y)
    }
}

fn halve(side: usize, pixels: &[Rgba]) -> Vec<Rgba> {
    let half = side / 2;
    let mut smaller = Vec::with_capacity(half * half);
    for y in 0..half {
        for x in 0..half {
            let first = 2 * y * side + 2 * x;
            let block = [first, first + 1, first + side, first + side + 1];
            smaller.push(std::array::from_fn(|channel| {
                block.iter().map(|&at| pixels[at][channel]).sum::<f32>() / 4.0
            }));
        }
    }
    smaller
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "coordinates were checked to lie inside the tile"
)]
fn bilinear(side: usize, pixels: &[Rgba], x: f32, y: f32) -> Rgba {
    let limit = (side - 1) as f32;
    let (x, y) = (
        (x * side as f32 - 0.5).clamp(0.0, limit),
        (y * side as f32 - 0.5).clamp(0.0, limit),
    );
    let (left, top) = (x as usize, y as usize);
    let (right, bottom) = ((left + 1).min(side - 1), (top + 1).min(side - 1));
    let (fx, fy) = (x - left as f32, y - top as f32);
    let mix = |row: usize, channel: usize| {
        let at = |column: usize| pixels[row * side + column][channel];
        at(left) * (1.0 - fx) + at(right) * fx
    };
    std::array::from_fn(|channel| mix(top, channel) * (1.0 - fy) + mix(bottom, channel) * fy)
}
