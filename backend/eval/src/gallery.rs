//! The pictures of a gallery as PNG files at the model's own resolution. Refuses to scale or
//! retouch: what the judge saw is what people see.

use std::io::Cursor;

use candle_core::{DType, Tensor};
use image::{ImageFormat, RgbImage};

use crate::{Error, Result};

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
