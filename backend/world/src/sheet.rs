//! Contact sheets: many small pictures in one PNG. Refuses to judge them.

use std::path::Path;

use image::{ImageError, RgbImage, imageops::FilterType};

/// Writes RGB pictures of `side` pixels as a grid with `columns`, each enlarged `zoom` times.
pub fn write(
    path: &Path,
    pictures: &[Vec<u8>],
    side: usize,
    columns: usize,
    zoom: u32,
) -> Result<(), ImageError> {
    let side = u32::try_from(side).expect("pictures are small");
    let columns = u32::try_from(columns).expect("sheets are small");
    let count = u32::try_from(pictures.len()).expect("sheets are small");
    let cell = side * zoom + 2;
    let mut sheet = RgbImage::new(cell * columns, cell * count.div_ceil(columns));
    for (picture, at) in pictures.iter().zip(0..) {
        let small = RgbImage::from_raw(side, side, picture.clone())
            .expect("a picture has side * side * 3 bytes");
        let large = image::imageops::resize(&small, side * zoom, side * zoom, FilterType::Nearest);
        let (x, y) = (at % columns * cell, at / columns * cell);
        image::imageops::replace(&mut sheet, &large, x.into(), y.into());
    }
    sheet.save(path)
}
