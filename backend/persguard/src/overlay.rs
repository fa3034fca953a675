//! The patch of the pattern objective, laid over pictures.
//!
//! Owns where it lies and how strong it is. Refuses to draw what is under it.

use candle_core::{Device, Tensor};
use image::{ImageFormat, RgbaImage, imageops};
use shared::objective::{LICENCE_CARD, Pattern, Position};

use crate::{Error, Result};

/// Distance of a patch in a corner from the border, as a share of the side.
const MARGIN: f64 = 0.04;

/// The built-in licence card.
pub fn licence_card() -> RgbaImage {
    image::load_from_memory_with_format(LICENCE_CARD, ImageFormat::Png)
        .expect("the built-in card is a PNG file")
        .to_rgba8()
}

/// A patch as it lies over a picture of `side` pixels: `[4, side, side]`, colours in `[-1, 1]`, then the share `m` in
/// `[0, 1]` of the patch in each pixel: its mask times the opacity.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "shares of a side in pixels, and bytes"
)]
pub fn render(
    patch: &RgbaImage,
    pattern: &Pattern,
    side: usize,
    device: &Device,
) -> Result<Tensor> {
    let longer = patch.width().max(patch.height());
    if patch.width().min(patch.height()) == 0 || side == 0 {
        return Err(Error::PatchShape {
            width: patch.width(),
            height: patch.height(),
        });
    }
    let scale = pattern.size * side as f64 / f64::from(longer);
    let length = |pixels: u32| ((f64::from(pixels) * scale).round() as u32).max(1);
    let (width, height) = (length(patch.width()), length(patch.height()));
    let scaled = imageops::resize(patch, width, height, imageops::FilterType::Triangle);
    let (left, top) = corner(pattern.position, side, (width as usize, height as usize));
    let plane = side * side;
    let mut values = vec![0.0_f32; 4 * plane];
    for (x, y, pixel) in scaled.enumerate_pixels() {
        let (column, row) = (left + x as usize, top + y as usize);
        if column >= side || row >= side {
            continue;
        }
        let at = row * side + column;
        for channel in 0..3 {
            values[channel * plane + at] = f32::from(pixel[channel]) / 127.5 - 1.0;
        }
        values[3 * plane + at] = f32::from(pixel[3]) / 255.0 * pattern.opacity as f32;
    }
    Ok(Tensor::from_vec(values, (4, side, side), device)?)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a side in pixels"
)]
fn corner(position: Position, side: usize, (width, height): (usize, usize)) -> (usize, usize) {
    let margin = (MARGIN * side as f64).round() as usize;
    let far = |length: usize| side.saturating_sub(length + margin);
    let near = |length: usize| margin.min(side.saturating_sub(length));
    let middle = |length: usize| side.saturating_sub(length) / 2;
    match position {
        Position::Centre => (middle(width), middle(height)),
        Position::TopLeft => (near(width), near(height)),
        Position::TopRight => (far(width), near(height)),
        Position::BottomLeft => (near(width), far(height)),
        Position::BottomRight => (far(width), far(height)),
    }
}

/// `(1 - m) * x + m * patch` (METHOD, `L_BB`, pattern).
///
/// `pixels: [n, 3, h, w]` in `[-1, 1]`; `overlay: [4, h, w]` as [`render`] gives it.
pub fn compose(pixels: &Tensor, overlay: &Tensor) -> Result<Tensor> {
    let (_, _, height, width) = pixels.dims4()?;
    if overlay.dims() != [4, height, width] {
        return Err(Error::ImageShape {
            actual: overlay.dims().to_vec(),
            expected: format!("[4, {height}, {width}]"),
        });
    }
    let colours = overlay.narrow(0, 0, 3)?.unsqueeze(0)?;
    let share = overlay.narrow(0, 3, 1)?.unsqueeze(0)?;
    let under = pixels.broadcast_mul(&(1.0 - &share)?)?;
    Ok(under.broadcast_add(&colours.broadcast_mul(&share)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    fn red(width: u32, height: u32) -> RgbaImage {
        RgbaImage::from_pixel(width, height, image::Rgba([255, 0, 0, 128]))
    }

    #[test]
    fn a_patch_lies_where_it_should_and_keeps_its_shape() {
        let pattern = Pattern {
            position: Position::BottomRight,
            size: 0.5,
            opacity: 0.5,
            ..Pattern::default()
        };
        let overlay = render(&red(20, 10), &pattern, 100, &Device::Cpu).unwrap();
        let share = values(&overlay.get(3).unwrap());
        let covered: Vec<usize> = (0..10_000).filter(|at| share[*at] > 0.0).collect();
        // 50 x 25 pixels, 4 from the right and from below.
        assert_eq!(covered.len(), 50 * 25);
        assert_eq!(covered[0], 71 * 100 + 46);
        assert_eq!(*covered.last().unwrap(), 95 * 100 + 95);
        assert!((share[covered[0]] - 128.0 / 255.0 * 0.5).abs() < 1e-6);
    }

    #[test]
    fn pictures_shine_through_a_veil() {
        let pattern = Pattern {
            size: 1.0,
            ..Pattern::default()
        };
        let overlay = render(&red(4, 4), &pattern, 4, &Device::Cpu).unwrap();
        let grey = Tensor::zeros((2, 3, 4, 4), candle_core::DType::F32, &Device::Cpu).unwrap();
        let composed = compose(&grey, &overlay).unwrap();
        let first = values(&composed);
        let share = 128.0 / 255.0;
        assert!((first[0] - share).abs() < 1e-6, "{}", first[0]);
        assert!((first[16] + share).abs() < 1e-6, "{}", first[16]);
        let wrong = compose(&grey.narrow(2, 0, 3).unwrap(), &overlay);
        assert!(matches!(wrong, Err(Error::ImageShape { .. })), "{wrong:?}");
    }

    #[test]
    fn the_card_is_readable_at_the_size_of_the_demo() {
        let overlay = render(&licence_card(), &Pattern::default(), 32, &Device::Cpu).unwrap();
        let share = values(&overlay.get(3).unwrap());
        let covered = share.iter().sum::<f32>() / 1024.0;
        assert!((0.5..0.6).contains(&covered), "{covered}");
        let luminance = values(&overlay.get(0).unwrap());
        let dark = luminance.iter().filter(|value| **value < -0.5).count();
        let light = luminance.iter().filter(|value| **value > 0.5).count();
        assert!(dark > 100 && light > 100, "{dark} {light}");
        let nothing = render(&RgbaImage::new(0, 4), &Pattern::default(), 32, &Device::Cpu);
        assert!(
            matches!(nothing, Err(Error::PatchShape { .. })),
            "{nothing:?}"
        );
    }
}
