//! Pictures between files and tensors: drawn ones as PNG files at the model's own resolution, references as the model
//! sees them. Refuses to scale or retouch what was drawn: what the judge saw is what people see.

use std::io::Cursor;

use candle_core::{DType, Device, Tensor};
use image::{ImageFormat, ImageReader, Limits, RgbImage, imageops::FilterType};

use crate::{Error, Result};

/// Longest side of a reference that is decoded.
const LONGEST_SIDE: u32 = 20_000;

/// References as the model sees them, scaled and cropped around their centres: `[n, 3, side, side]` in `[-1, 1]`.
///
/// `files`: whole PNG, JPEG or WebP files. The same files give the same bits.
pub fn references(files: &[Vec<u8>], side: usize) -> Result<Tensor> {
    let pixels = u32::try_from(side).unwrap_or(u32::MAX);
    let pictures: Vec<RgbImage> = files
        .iter()
        .enumerate()
        .map(|(number, file)| {
            square(file, pixels).map_err(|source| Error::Reference { number, source })
        })
        .collect::<Result<_>>()?;
    stack(&pictures, side)
}

/// Pictures of `side` x `side` pixels as `[n, 3, side, side]` in `[-1, 1]`.
pub fn stack(pictures: &[RgbImage], side: usize) -> Result<Tensor> {
    let mut values = Vec::new();
    for picture in pictures {
        for channel in 0..3 {
            let plane = picture
                .pixels()
                .map(|pixel| f32::from(pixel[channel]) / 127.5 - 1.0);
            values.extend(plane);
        }
    }
    Ok(Tensor::from_vec(
        values,
        (pictures.len(), 3, side, side),
        &Device::Cpu,
    )?)
}

/// A whole PNG, JPEG or WebP file, scaled and cropped around its centre.
pub fn square(file: &[u8], side: u32) -> Result<RgbImage, image::ImageError> {
    let mut reader = ImageReader::new(Cursor::new(file)).with_guessed_format()?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(LONGEST_SIDE);
    limits.max_image_height = Some(LONGEST_SIDE);
    reader.limits(limits);
    Ok(reader
        .decode()?
        .resize_to_fill(side, side, FilterType::CatmullRom)
        .to_rgb8())
}

/// Whose pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arm {
    /// The clean base model.
    Clean,
    /// The protected model.
    Protected,
}

impl Arm {
    /// Directory of its pictures.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Protected => "protected",
        }
    }
}

/// `clean/200/00.png`.
pub fn image_name(arm: Arm, attack_step: u32, index: usize) -> String {
    format!("{}/{attack_step}/{index:02}.png", arm.as_str())
}

/// Encodes pixels `[n, 3, h, w]` in `[-1, 1]` as PNG files.
pub fn png_files(pixels: &Tensor) -> Result<Vec<Vec<u8>>> {
    let (n, _, height, width) = pixels.dims4()?;
    let bytes = ((pixels.clamp(-1.0, 1.0)? + 1.0)? * 127.5)?
        .round()?
        .to_dtype(DType::U8)?
        .permute((0, 2, 3, 1))?;
    let side = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    (0..n)
        .map(|index| {
            let raw = bytes.get(index)?.flatten_all()?.to_vec1::<u8>()?;
            let picture = RgbImage::from_raw(side(width), side(height), raw)
                .expect("the buffer holds three bytes a pixel");
            let mut file = Cursor::new(Vec::new());
            picture
                .write_to(&mut file, ImageFormat::Png)
                .map_err(Error::Png)?;
            Ok(file.into_inner())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn references_are_cropped_around_their_centre() {
        let wide = RgbImage::from_fn(90, 30, |x, _| {
            image::Rgb(if (30..60).contains(&x) {
                [255, 0, 0]
            } else {
                [0, 0, 255]
            })
        });
        let mut file = Cursor::new(Vec::new());
        wide.write_to(&mut file, ImageFormat::Png).unwrap();
        let pixels = references(&[file.into_inner()], 10).unwrap();
        assert_eq!(pixels.dims(), [1, 3, 10, 10]);
        let values = pixels.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!(
            values[..100].iter().all(|red| *red > 0.6)
                && values[200..].iter().all(|blue| *blue < -0.6)
        );
    }

    #[test]
    fn what_is_no_picture_is_named_by_its_number() {
        let mut good = Cursor::new(Vec::new());
        RgbImage::new(4, 4)
            .write_to(&mut good, ImageFormat::Png)
            .unwrap();
        let good = good.into_inner();
        for bad in [&b"not an image"[..], &[], &good[..20]] {
            let refused = references(&[good.clone(), bad.to_vec()], 8);
            assert!(
                matches!(refused, Err(Error::Reference { number: 1, .. })),
                "{refused:?}"
            );
        }
    }

    #[test]
    fn pictures_survive_the_file_pixel_by_pixel() {
        let values: Vec<f32> = (0..24).map(|v| v as f32 / 23.0 * 2.4 - 1.2).collect();
        let pixels = Tensor::from_vec(values.clone(), (1, 3, 2, 4), &Device::Cpu).unwrap();
        let files = png_files(&pixels).unwrap();
        let picture = image::load_from_memory(&files[0]).unwrap().to_rgb8();
        assert_eq!(picture.dimensions(), (4, 2));
        let expected = |v: f32| ((v.clamp(-1.0, 1.0) + 1.0) * 127.5).round();
        let found = f32::from(picture.get_pixel(1, 1)[2]);
        assert!((found - expected(values[21])).abs() < 0.5, "{found}");
        assert_eq!(picture.get_pixel(0, 0)[0], 0);
        assert_eq!(picture.get_pixel(3, 1)[2], 255);
    }
}
