//! Protected images and patches as the model sees them.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use image::{DynamicImage, ImageReader, Limits, RgbImage, RgbaImage, imageops::FilterType};

use super::{Halt, Job, bad_input, file_failure, internal};

/// Longest side that is decoded; the server lets nothing larger in.
const LONGEST_SIDE: u32 = 20_000;

/// Largest patch that is decoded; the server scales patches down.
const LARGEST_PATCH: u32 = 4096;

/// Images, scaled and cropped around their centres: `[n, 3, side, side]` in `[-1, 1]`.
pub(super) fn load(job: &Job<'_>, images: &[PathBuf], side: usize) -> Result<Tensor, Halt> {
    let pixels = u32::try_from(side).map_err(|error| internal(error.to_string()))?;
    let mut values = Vec::new();
    for path in images {
        let picture = square(&job.directory.join(path), pixels)?;
        for channel in 0..3 {
            values.extend(
                picture
                    .pixels()
                    .map(|pixel| f32::from(pixel[channel]) / 127.5 - 1.0),
            );
        }
    }
    let shape = (images.len(), 3, side, side);
    Tensor::from_vec(values, shape, &Device::Cpu).map_err(|error| internal(error.to_string()))
}

/// An uploaded patch with its transparency.
pub(super) fn patch(job: &Job<'_>, path: &Path) -> Result<RgbaImage, Halt> {
    decode(&job.directory.join(path), LARGEST_PATCH).map(|picture| picture.to_rgba8())
}

fn decode(path: &Path, longest_side: u32) -> Result<DynamicImage, Halt> {
    let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
    let mut reader = reader.map_err(|error| file_failure(path, &error))?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(longest_side);
    limits.max_image_height = Some(longest_side);
    reader.limits(limits);
    let name = path.file_name().unwrap_or_default().display();
    reader
        .decode()
        .map_err(|error| bad_input(format!("image {name}: {error}")))
}

fn square(path: &Path, side: u32) -> Result<RgbImage, Halt> {
    let picture = decode(path, LONGEST_SIDE)?;
    Ok(picture
        .resize_to_fill(side, side, FilterType::CatmullRom)
        .to_rgb8())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_centre_is_kept_and_its_shape() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("000");
        let wide = RgbImage::from_fn(90, 30, |x, _| {
            image::Rgb(if (30..60).contains(&x) {
                [255, 0, 0]
            } else {
                [0, 0, 255]
            })
        });
        wide.save_with_format(&path, image::ImageFormat::Png)
            .unwrap();
        let Ok(picture) = square(&path, 10) else {
            panic!("it decodes");
        };
        assert_eq!(picture.dimensions(), (10, 10));
        assert!(
            picture
                .pixels()
                .all(|pixel| pixel[0] > 200 && pixel[2] < 50)
        );
    }

    #[test]
    fn what_is_no_image_is_bad_input() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("000");
        std::fs::write(&path, b"not an image").unwrap();
        let Err(Halt::Failed(failure)) = square(&path, 10) else {
            panic!("it is refused");
        };
        assert_eq!(failure.code, "bad_input");
    }
}
