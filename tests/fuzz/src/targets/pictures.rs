//! Uploaded pictures.

use std::io::Cursor;

use api::images::{self, archive::Packed};
use image::{ImageFormat, Rgba, RgbaImage};

use crate::{Target, target::choice};

pub(super) const TARGETS: &[Target] = &[
    Target::new("archive", archive, archives)
        .longest(4 << 10)
        .memory(256)
        .words(&[
            "PK\x03\x04",
            "PK\x01\x02",
            "PK\x05\x06",
            "PK\x06\x06",
            "PK\x06\x07",
        ]),
    Target::new("picture", picture, seeds)
        .longest(16 << 10)
        // As much as one decoder may take, the picture beside it, and what is made of it.
        .memory(768)
        .words(&[
            "IHDR", "IDAT", "IEND", "PLTE", "tRNS", "eXIf", "acTL", "RIFF", "WEBP", "VP8 ", "VP8L",
            "VP8X", "ANIM", "ANMF", "ALPH", "Exif\0\0", "MM\0*", "II*\0",
        ]),
];

const TYPES: [&str; 4] = ["image/png", "image/jpeg", "image/webp", "image/tiff"];

fn seeds() -> Vec<Vec<u8>> {
    let picture = RgbaImage::from_fn(40, 32, |x, y| {
        Rgba([x, y, x + y, 255 - x].map(|v| v.to_le_bytes()[0]))
    });
    let encoded = |format, picture: &image::DynamicImage| {
        let mut bytes = Cursor::new(Vec::new());
        picture
            .write_to(&mut bytes, format)
            .expect("a picture can be written");
        bytes.into_inner()
    };
    let clear = image::DynamicImage::from(picture);
    let solid = image::DynamicImage::from(clear.to_rgb8());
    let deep = image::DynamicImage::from(clear.to_rgba16());
    let jpeg = with_exif(&encoded(ImageFormat::Jpeg, &solid));
    [
        (b'A', encoded(ImageFormat::Png, &clear)),
        (b'A', encoded(ImageFormat::Png, &deep)),
        (b'B', jpeg),
        (b'C', encoded(ImageFormat::WebP, &solid)),
        (b'D', encoded(ImageFormat::Tiff, &clear)),
        (b'E', encoded(ImageFormat::Png, &clear)),
    ]
    .map(|(first, bytes)| [&[first], bytes.as_slice()].concat())
    .into()
}

/// "Turn right", and a position.
fn with_exif(jpeg: &[u8]) -> Vec<u8> {
    let mut segment = b"Exif\0\0II*\0\x08\0\0\0\x02\0".to_vec();
    segment.extend([0x12, 0x01, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0]);
    segment.extend([0x25, 0x88, 4, 0, 1, 0, 0, 0, 38, 0, 0, 0, 0, 0, 0, 0]);
    segment.extend([1, 0, 1, 0, 2, 0, 2, 0, 0, 0, b'N', 0, 0, 0, 0, 0, 0, 0]);
    let length = u16::try_from(segment.len() + 2)
        .expect("it is short")
        .to_be_bytes();
    [&jpeg[..2], &[0xFF, 0xE1], &length, &segment, &jpeg[2..]].concat()
}

/// Whatever is accepted is a small PNG of nothing but pixels.
fn picture(bytes: &[u8]) {
    let Some((choice, file)) = choice(bytes) else {
        return;
    };
    let media_type = TYPES[choice % TYPES.len()];
    let patch = choice >= TYPES.len();
    let clean = if patch {
        images::clean_patch(file, media_type)
    } else {
        images::clean(file, media_type)
    };
    let Ok(clean) = clean else {
        return;
    };
    let longest = if patch { 512 } else { images::MAX_KEPT_SIDE };
    assert!((1..=longest).contains(&clean.width) && (1..=longest).contains(&clean.height));
    assert!(clean.had_exif || !clean.had_gps);
    for chunk in [b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"iCCP"] {
        assert!(
            !chunks(&clean.png).any(|name| name == chunk),
            "metadata survive"
        );
    }
    let again = image::load_from_memory_with_format(&clean.png, ImageFormat::Png);
    let again = again.expect("what is kept can be decoded");
    assert_eq!((again.width(), again.height()), (clean.width, clean.height));
    if again.width().min(again.height()) >= 32 && !patch {
        let twice = images::clean(&clean.png, "image/png").expect("what is kept is accepted");
        let twice = image::load_from_memory(&twice.png).expect("what is kept can be decoded");
        assert_eq!(twice, again, "cleaning goes on");
    }
}

fn archives() -> Vec<Vec<u8>> {
    let stored = zip::write::SimpleFileOptions::default();
    let packed = |names: &[&str]| {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for name in names {
            writer.start_file(*name, stored).expect("a name");
            std::io::Write::write_all(&mut writer, b"\x89PNG\r\n\x1a\n").expect("memory");
        }
        writer.finish().expect("an archive").into_inner()
    };
    vec![
        packed(&["a.png"]),
        packed(&["../b/c.png", "__MACOSX/d", "e.txt"]),
    ]
}

/// What comes out is bounded, has a plain name, and begins as a picture does.
fn archive(bytes: &[u8]) {
    let mut files = 0;
    let _ = images::archive::unpack(Cursor::new(bytes), |file| {
        files += 1;
        let name = match &file {
            Packed::Picture {
                name,
                media_type,
                bytes,
            } => {
                assert_eq!(shared::upload::image_media_type(bytes), Some(*media_type));
                assert!(bytes.len() as u64 <= shared::limits::MAX_IMAGE_BYTES);
                name
            }
            Packed::LeftOut { name, reason } => {
                assert!(!reason.is_empty());
                name
            }
        };
        assert!(!name.is_empty() && !name.contains(['/', '\\']));
        true
    });
    assert!(files <= shared::limits::MAX_ARCHIVE_FILES);
}

/// Names of the chunks of a PNG.
fn chunks(png: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = &png[8..];
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let name = after.get(..4)?;
        rest = after.get(u32::from_be_bytes(*length) as usize + 8..)?;
        Some(name)
    })
}
