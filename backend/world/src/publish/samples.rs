//! The bundled sample sets as PNG files. Refuses to overwrite anything but its own directories.

use std::fs;
use std::path::Path;

use image::{ExtendedColorType, ImageEncoder, codecs::png};

use crate::seeds::Split;
use crate::subject::{self, ARTIST, PRINTS, PROTECTED, STRANGERS, Subject};

/// Pictures in a set.
pub const PICTURES: u64 = 5;
/// Side of a bundled picture in pixels: large enough to look at, small enough to bundle.
const SIDE: usize = 256;
/// Development scenes up to here belong to the bundled sets.
const FIRST: u64 = 1 << 32;

/// Picture `number` of a bundled subject, as a scene; the numbers start at 0.
pub fn scene(subject: &Subject, number: u64) -> crate::render::Scene {
    let all = PROTECTED.iter().chain(&STRANGERS);
    let position = all
        .zip(0..)
        .find(|(other, _)| other.id == subject.id)
        .map_or(0, |(_, at)| at);
    subject::scene(
        subject.identity,
        Split::Development,
        FIRST + 10 * position + number,
    )
}

/// Print `number` of the artist's set.
pub fn print(number: usize) -> crate::render::Scene {
    let at = FIRST + 1000 + number as u64;
    subject::scene(PRINTS[number % PRINTS.len()], Split::Development, at).as_print()
}

/// Writes `DIRECTORY/SET/01.png` and so on for every bundled subject.
pub fn write(directory: &Path) -> Result<(), super::Error> {
    for subject in PROTECTED.iter().chain(&STRANGERS) {
        let set = directory.join(subject.id);
        fs::create_dir_all(&set)?;
        for number in 0..PICTURES {
            let pixels = scene(subject, number).render(SIDE);
            fs::write(
                set.join(format!("{:02}.png", number + 1)),
                encode(&pixels, SIDE)?,
            )?;
        }
    }
    let set = directory.join(ARTIST);
    fs::create_dir_all(&set)?;
    for number in 0..PRINTS.len() {
        let pixels = print(number).render(SIDE);
        fs::write(
            set.join(format!("{:02}.png", number + 1)),
            encode(&pixels, SIDE)?,
        )?;
    }
    Ok(())
}

/// A square RGB picture of `side` pixels as a PNG file.
pub fn encode(pixels: &[u8], side: usize) -> Result<Vec<u8>, super::Error> {
    let side = u32::try_from(side).expect("sample pictures are small");
    let mut bytes = Vec::new();
    png::PngEncoder::new_with_quality(
        &mut bytes,
        png::CompressionType::Best,
        png::FilterType::Adaptive,
    )
    .write_image(pixels, side, side, ExtendedColorType::Rgb8)?;
    Ok(bytes)
}
