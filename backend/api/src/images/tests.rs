use image::{Rgb, RgbImage};

use super::*;

fn picture(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([x * 5, y * 3, x + y].map(|value| value.to_le_bytes()[0]))
    })
}

fn encoded(picture: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A JPEG whose EXIF data says "turn right" and holds a position.
fn jpeg_with_exif(picture: &RgbImage) -> Vec<u8> {
    let mut tiff = b"II*\0\x08\0\0\0".to_vec();
    tiff.extend([2, 0]);
    // Orientation (0x0112), SHORT, 1 value: 6 = rotate by 90 degrees.
    tiff.extend([0x12, 0x01, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0]);
    // GPS directory (0x8825), LONG, at offset 38.
    tiff.extend([0x25, 0x88, 4, 0, 1, 0, 0, 0, 38, 0, 0, 0]);
    tiff.extend([0, 0, 0, 0]);
    // GPSLatitudeRef (1), ASCII, "N".
    tiff.extend([1, 0, 1, 0, 2, 0, 2, 0, 0, 0, b'N', 0, 0, 0, 0, 0, 0, 0]);
    let mut segment = b"Exif\0\0".to_vec();
    segment.extend(&tiff);
    let length = u16::try_from(segment.len() + 2).unwrap().to_be_bytes();
    let plain = encoded(picture, ImageFormat::Jpeg);
    [&plain[..2], &[0xFF, 0xE1], &length, &segment, &plain[2..]].concat()
}

#[test]
fn png_keeps_its_pixels() {
    let original = picture(70, 40);
    let clean = clean(&encoded(&original, ImageFormat::Png), "image/png").unwrap();
    let again = image::load_from_memory(&clean.png).unwrap().to_rgb8();
    assert_eq!(again, original);
    assert!(!clean.had_exif && !clean.had_gps);
}

#[test]
fn tiff_is_read() {
    let original = picture(70, 40);
    let clean = clean(&encoded(&original, ImageFormat::Tiff), "image/tiff").unwrap();
    let again = image::load_from_memory(&clean.png).unwrap().to_rgb8();
    assert_eq!(again, original);
}

#[test]
fn exif_turns_the_picture_and_is_gone() {
    let clean = clean(&jpeg_with_exif(&picture(80, 40)), "image/jpeg").unwrap();
    assert_eq!((clean.width, clean.height), (40, 80));
    assert!(clean.had_exif && clean.had_gps);
    assert!(read_exif(&clean.png).is_none());
    assert!(!clean.png.windows(4).any(|window| window == b"Exif"));
}

#[test]
fn large_picture_is_shrunk() {
    let clean = clean(&encoded(&picture(1500, 300), ImageFormat::Png), "image/png").unwrap();
    assert_eq!((clean.width, clean.height), (1024, 205));
}

#[test]
fn file_that_lies_about_its_type_is_refused() {
    let png = encoded(&picture(64, 64), ImageFormat::Png);
    let error = clean(&png, "image/jpeg").unwrap_err();
    assert!(matches!(error, Refusal::WrongType { .. }), "{error}");
    let error = clean(b"#!/bin/sh\nrm -rf /", "image/png").unwrap_err();
    assert!(matches!(error, Refusal::WrongType { .. }), "{error}");
    assert!(clean(b"", "image/png").is_err());
}

#[test]
fn truncated_files_are_refused() {
    for (format, kind) in [
        (ImageFormat::Jpeg, "image/jpeg"),
        (ImageFormat::Png, "image/png"),
        (ImageFormat::Tiff, "image/tiff"),
    ] {
        let bytes = encoded(&picture(200, 200), format);
        for part in [bytes.len() / 2, bytes.len() / 4, 30] {
            let error = clean(&bytes[..part], kind).unwrap_err();
            assert!(
                matches!(error, Refusal::Undecodable(_)),
                "{kind} cut to {part}: {error}"
            );
        }
    }
}

#[test]
fn bomb_is_refused_by_its_header() {
    // A valid PNG header that announces 20000 x 20000 pixels, and hardly any data.
    let mut png = encoded(&picture(64, 64), ImageFormat::Png);
    png[16..20].copy_from_slice(&20_000u32.to_be_bytes());
    png[20..24].copy_from_slice(&20_000u32.to_be_bytes());
    let checksum = crc32(&png[12..29]).to_be_bytes();
    png[29..33].copy_from_slice(&checksum);
    let Refusal::Undecodable(detail) = clean(&png, "image/png").unwrap_err() else {
        panic!("wrong refusal");
    };
    assert!(detail.contains("20000 x 20000"), "{detail}");
}

#[test]
fn tiny_picture_is_refused() {
    let png = encoded(&picture(8, 64), ImageFormat::Png);
    assert!(matches!(
        clean(&png, "image/png"),
        Err(Refusal::Undecodable(_))
    ));
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (0u32.wrapping_sub(crc & 1)))
        })
    })
}
