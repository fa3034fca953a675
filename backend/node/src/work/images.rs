//! Protected images and patches as the model sees them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use candle_core::Tensor;
use eval::gallery;
use image::{DynamicImage, ImageError, ImageReader, Limits, RgbImage, RgbaImage};

use super::{Halt, Job, bad_input, file_failure, internal};

/// Largest patch that is decoded; the server scales patches down.
const LARGEST_PATCH: u32 = 4096;

/// Images, scaled and cropped around their centres: `[n, 3, side, side]` in `[-1, 1]`.
pub(super) fn load(job: &Job<'_>, images: &[PathBuf], side: usize) -> Result<Tensor, Halt> {
    let pixels = u32::try_from(side).map_err(|error| internal(error.to_string()))?;
    let pictures: Vec<RgbImage> = images
        .iter()
        .map(|path| square(&job.directory.join(path), pixels))
        .collect::<Result<_, _>>()?;
    gallery::stack(&pictures, side).map_err(|error| internal(error.to_string()))
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
    reader.decode().map_err(|error| unreadable(path, &error))
}

fn square(path: &Path, side: u32) -> Result<RgbImage, Halt> {
    let file = fs::read(path).map_err(|error| file_failure(path, &error))?;
    gallery::square(&file, side).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &ImageError) -> Halt {
    let name = path.file_name().unwrap_or_default().display();
    bad_input(format!("image {name}: {error}"))
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
