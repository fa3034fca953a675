//! How a picture looks, made once: a thumbnail, a blurred placeholder, and numbers that tell blurred pictures, twins and
//! pictures of two.

use std::io::Cursor;

use image::{DynamicImage, GrayImage, codecs::jpeg::JpegEncoder, imageops::FilterType};
use serde::{Deserialize, Serialize};

use super::{Refusal, fit, subjects, undecodable};

/// Longest side of a thumbnail.
const THUMBNAIL_SIDE: u32 = 256;
const JPEG_QUALITY: u8 = 82;
/// Sides of what a placeholder is made of, and its components.
const PLACEHOLDER_SIDE: u32 = 32;
const COMPONENTS: (u32, u32) = (4, 3);

/// What is kept beside a picture.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// JPEG on white, at most 256 pixels a side.
    #[serde(skip)]
    pub thumbnail: Vec<u8>,
    /// `BlurHash` of 4 by 3 components.
    pub blur_hash: String,
    /// Which of 8 by 8 places are brighter than their right neighbour (difference hash), row by row from the highest
    /// bit: 64 bits of which twins differ in few.
    pub difference_hash: u64,
    /// Variance of the Laplacian of the grey picture at thumbnail size, in squared steps of brightness: low where
    /// edges are soft.
    pub sharpness: u32,
    /// How large the second of two subjects beside each other is, in percent of the first; 0 where no two were found.
    pub second_subject: u32,
}

impl Look {
    pub(super) fn of(picture: &DynamicImage) -> Result<Self, Refusal> {
        let small = on_white(&fit(picture.clone(), THUMBNAIL_SIDE));
        let grey = small.to_luma8();
        Ok(Self {
            thumbnail: jpeg(&small)?,
            blur_hash: blur_hash(&small)?,
            difference_hash: difference_hash(&small),
            sharpness: sharpness(&grey),
            second_subject: subjects::second_subject(&small),
        })
    }
}

/// In how many places two pictures differ.
pub(crate) const fn distance(one: u64, other: u64) -> u32 {
    (one ^ other).count_ones()
}

/// JPEG knows no transparency.
fn on_white(picture: &DynamicImage) -> DynamicImage {
    if !picture.color().has_alpha() {
        return picture.to_rgb8().into();
    }
    let mut rgba = picture.to_rgba8();
    for pixel in rgba.pixels_mut() {
        let [red, green, blue, alpha] = pixel.0.map(u32::from);
        let over = |colour: u32| ((colour * alpha + 255 * (255 - alpha)) / 255).to_le_bytes()[0];
        pixel.0 = [over(red), over(green), over(blue), 255];
    }
    DynamicImage::from(rgba).into_rgb8().into()
}

fn jpeg(picture: &DynamicImage) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Cursor::new(Vec::new());
    let encoder = JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY);
    picture
        .write_with_encoder(encoder)
        .map_err(|error| undecodable(&error))?;
    Ok(bytes.into_inner())
}

fn blur_hash(picture: &DynamicImage) -> Result<String, Refusal> {
    let tiny = picture
        .resize_exact(PLACEHOLDER_SIDE, PLACEHOLDER_SIDE, FilterType::Triangle)
        .to_rgba8();
    let (across, down) = COMPONENTS;
    blurhash::encode(across, down, tiny.width(), tiny.height(), &tiny)
        .map_err(|error| Refusal::Undecodable(error.to_string()))
}

fn difference_hash(picture: &DynamicImage) -> u64 {
    let grid = picture.resize_exact(9, 8, FilterType::Triangle).to_luma8();
    let brighter = |x, y| grid.get_pixel(x, y).0[0] > grid.get_pixel(x + 1, y).0[0];
    (0..64).fold(0, |bits, place| {
        bits << 1 | u64::from(brighter(place % 8, place / 8))
    })
}

fn sharpness(grey: &GrayImage) -> u32 {
    let (width, height) = grey.dimensions();
    let at = |x, y| f64::from(grey.get_pixel(x, y).0[0]);
    let (mut sum, mut squares, mut count) = (0.0, 0.0, 0.0);
    for y in 1..height.saturating_sub(1) {
        for x in 1..width.saturating_sub(1) {
            let value = at(x - 1, y) + at(x + 1, y) + at(x, y - 1) + at(x, y + 1) - 4.0 * at(x, y);
            sum += value;
            squares += value * value;
            count += 1.0;
        }
    }
    if count == 0.0 {
        return 0;
    }
    let mean = sum / count;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most 1020 squared"
    )]
    let variance = (squares / count - mean * mean).max(0.0).round() as u32;
    variance
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    fn scene(seed: u32) -> DynamicImage {
        image::RgbImage::from_fn(200, 150, |x, y| {
            let place = (x / 17) * 64 + y / 13 + seed * 4096;
            let [_, red, green, blue] = place.wrapping_mul(0x9e37_79b1).to_be_bytes();
            Rgb([red, green, blue])
        })
        .into()
    }

    #[test]
    fn twins_are_near_and_strangers_far() {
        let one = Look::of(&scene(1)).unwrap();
        let paler = Look::of(&scene(1).brighten(20).resize(120, 90, FilterType::Triangle)).unwrap();
        let other = Look::of(&scene(5)).unwrap();
        assert!(distance(one.difference_hash, paler.difference_hash) <= 4);
        assert!(distance(one.difference_hash, other.difference_hash) > 16);
    }

    #[test]
    fn blur_is_measured() {
        let sharp = Look::of(&scene(2)).unwrap().sharpness;
        let soft = Look::of(&scene(2).blur(5.0)).unwrap().sharpness;
        assert!(sharp > 1000 && soft < 40, "{sharp} {soft}");
        let flat = image::RgbImage::from_pixel(64, 64, Rgb([9, 9, 9]));
        assert_eq!(Look::of(&flat.into()).unwrap().sharpness, 0);
    }

    #[test]
    fn thumbnail_is_small_and_on_white() {
        let clear = image::RgbaImage::new(600, 300);
        let look = Look::of(&clear.into()).unwrap();
        let seen = image::load_from_memory(&look.thumbnail).unwrap().to_rgb8();
        assert_eq!(seen.dimensions(), (256, 128));
        assert_eq!(seen.get_pixel(5, 5).0, [255; 3]);
        assert_eq!(look.blur_hash.len(), 4 + 2 * 12);
    }
}
