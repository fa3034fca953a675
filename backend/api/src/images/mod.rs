//! Turns an uploaded file into a clean picture: bounded, upright, without metadata.
//!
//! Refuses files that lie about their type, decompression bombs and damaged data. The answer holds
//! pixels only, in sRGB: nothing of the uploaded bytes survives. Uploads are decoded by a process of their own
//! (`child`); what is in this file runs there.

pub mod archive;
pub mod child;
mod colour;
mod look;
mod subjects;

use std::io::Cursor;

use image::{
    DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbaImage, imageops::FilterType,
};
use serde::{Deserialize, Serialize};
use shared::limits::{MAX_IMAGE_PIXELS, MAX_PATCH_SIDE, MIN_IMAGE_SIDE};

pub use look::Look;
pub(crate) use look::distance;

/// Longest side that is kept.
pub const MAX_KEPT_SIDE: u32 = 1024;
/// Memory that one decoder may take: 40 megapixels as RGBA, with room for its own buffers.
const MAX_DECODER_BYTES: u64 = 256 * 1024 * 1024;

/// Why a file is not an acceptable picture.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// Its first bytes are not those of the announced type.
    #[error("The file is {found}, but was announced as {announced}.")]
    WrongType {
        /// What it was announced as.
        announced: String,
        /// What it looks like.
        found: String,
    },
    /// It cannot be decoded within the limits.
    #[error("{0}")]
    Undecodable(String),
}

/// A picture that is safe to keep.
#[derive(Debug)]
pub struct CleanImage {
    /// PNG without any metadata.
    pub png: Vec<u8>,
    /// Width, orientation applied.
    pub width: u32,
    /// Height, orientation applied.
    pub height: u32,
    /// Whether the upload carried EXIF data.
    pub had_exif: bool,
    /// Whether that held a position.
    pub had_gps: bool,
    /// How it looks, small and in numbers; only of protected pictures.
    pub look: Look,
}

/// Decodes, turns upright, shrinks to [`MAX_KEPT_SIDE`] and encodes anew.
pub fn clean(bytes: &[u8], media_type: &str) -> Result<CleanImage, Refusal> {
    let kept = |picture| Ok(fit(picture, MAX_KEPT_SIDE));
    let (mut image, picture) = clean_with(bytes, media_type, MIN_IMAGE_SIDE, kept)?;
    image.look = Look::of(&picture)?;
    Ok(image)
}

/// Decodes within the same limits, changes, and encodes anew: what comes out holds pixels only.
pub(crate) fn redraw(
    bytes: &[u8],
    media_type: &str,
    change: impl FnOnce(DynamicImage) -> Result<DynamicImage, Refusal>,
) -> Result<CleanImage, Refusal> {
    Ok(clean_with(bytes, media_type, 1, change)?.0)
}

/// The same as [`clean`] for a patch: shrunk to [`MAX_PATCH_SIDE`], always with transparency, which is its mask.
pub fn clean_patch(bytes: &[u8], media_type: &str) -> Result<CleanImage, Refusal> {
    let mask = |picture: DynamicImage| {
        let picture = picture.into_rgba8();
        if picture.pixels().all(|pixel| pixel.0[3] == 0) {
            let detail = "The picture is transparent everywhere: nothing of it would be seen.";
            return Err(Refusal::Undecodable(detail.into()));
        }
        Ok(fit_mask(picture, MAX_PATCH_SIDE))
    };
    Ok(clean_with(bytes, media_type, MIN_IMAGE_SIDE, mask)?.0)
}

fn clean_with(
    bytes: &[u8],
    media_type: &str,
    least_side: u32,
    prepare: impl FnOnce(DynamicImage) -> Result<DynamicImage, Refusal>,
) -> Result<(CleanImage, DynamicImage), Refusal> {
    let format = sniff(bytes, media_type)?;
    if format == ImageFormat::Jpeg && !jpeg_has_end(bytes) {
        return Err(incomplete());
    }
    let exif = read_exif(bytes);
    let picture = prepare(decode(bytes, format, least_side)?)?;
    let (width, height) = (picture.width(), picture.height());
    let image = CleanImage {
        png: encode(&picture)?,
        look: Look::default(),
        width,
        height,
        had_exif: exif.is_some(),
        had_gps: exif.is_some_and(|exif| {
            exif.fields()
                .any(|field| field.tag.context() == exif::Context::Gps)
        }),
    };
    Ok((image, picture))
}

fn sniff(bytes: &[u8], announced: &str) -> Result<ImageFormat, Refusal> {
    let found = image::guess_format(bytes).ok();
    let format = match announced {
        "image/png" => ImageFormat::Png,
        "image/jpeg" => ImageFormat::Jpeg,
        "image/tiff" => ImageFormat::Tiff,
        _ => ImageFormat::WebP,
    };
    if found == Some(format) {
        return Ok(format);
    }
    Err(Refusal::WrongType {
        announced: announced.into(),
        found: found.map_or("not a picture".into(), |format| {
            format.to_mime_type().into()
        }),
    })
}

fn read_exif(bytes: &[u8]) -> Option<exif::Exif> {
    exif::Reader::new()
        .read_from_container(&mut Cursor::new(bytes))
        .ok()
}

fn undecodable(error: &image::ImageError) -> Refusal {
    tracing::debug!(%error, "decoder refused an upload");
    if matches!(error, image::ImageError::Limits(_)) {
        let detail = "The picture takes too much memory to decode. Save it with 8 bits a channel.";
        return Refusal::Undecodable(detail.into());
    }
    incomplete()
}

fn incomplete() -> Refusal {
    Refusal::Undecodable(
        "The file is damaged or incomplete: it could not be decoded to the end.".into(),
    )
}

/// Whether an end marker follows the first scan. The decoder paints what is missing grey instead of
/// failing, and a thumbnail inside the EXIF data has an end marker of its own.
fn jpeg_has_end(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(2..).unwrap_or_default();
    while let [0xFF, marker, high, low, ..] = *rest {
        if marker == 0xDA {
            return rest.windows(2).any(|pair| pair == [0xFF, 0xD9]);
        }
        let skip = if marker == 0xFF {
            1
        } else {
            2 + usize::from(u16::from_be_bytes([high, low]))
        };
        rest = rest.get(skip..).unwrap_or_default();
    }
    false
}

fn decode(bytes: &[u8], format: ImageFormat, least_side: u32) -> Result<DynamicImage, Refusal> {
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_DECODER_BYTES);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|error| undecodable(&error))?;
    // Only the header has been read so far: a bomb ends here.
    check_size(decoder.dimensions(), least_side)?;
    let orientation = decoder.orientation().map_err(|error| undecodable(&error))?;
    // A profile that cannot be read is none: the picture is taken as sRGB, as browsers do.
    let profile = decoder.icc_profile().ok().flatten();
    let picture = DynamicImage::from_decoder(decoder).map_err(|error| undecodable(&error))?;
    let mut picture = colour::to_srgb(picture, profile.as_deref());
    picture.apply_orientation(orientation);
    Ok(picture)
}

fn check_size((width, height): (u32, u32), least_side: u32) -> Result<(), Refusal> {
    if u64::from(width) * u64::from(height) > MAX_IMAGE_PIXELS {
        return Err(Refusal::Undecodable(format!(
            "The picture has {width} x {height} pixels; at most {} megapixels are accepted.",
            MAX_IMAGE_PIXELS / 1_000_000
        )));
    }
    if width.min(height) < least_side {
        return Err(Refusal::Undecodable(format!(
            "The picture has {width} x {height} pixels; each side needs at least {least_side}."
        )));
    }
    Ok(())
}

fn fit(picture: DynamicImage, side: u32) -> DynamicImage {
    if picture.width().max(picture.height()) <= side {
        return picture;
    }
    picture.resize(side, side, FilterType::Triangle)
}

/// Shrinks colours weighted by their alpha: what a transparent pixel hides must not tint the edge beside it.
fn fit_mask(mut picture: RgbaImage, side: u32) -> DynamicImage {
    if picture.width().max(picture.height()) <= side {
        return picture.into();
    }
    recolour(&mut picture, |colour, alpha| colour * alpha / 255);
    let mut picture = fit(picture.into(), side).into_rgba8();
    recolour(&mut picture, |colour, alpha| {
        (colour * 255 / alpha.max(1)).min(255)
    });
    picture.into()
}

fn recolour(picture: &mut RgbaImage, change: impl Fn(u32, u32) -> u32) {
    for pixel in picture.pixels_mut() {
        let [red, green, blue, alpha] = pixel.0;
        let channel = |colour| change(u32::from(colour), u32::from(alpha)).to_le_bytes()[0];
        pixel.0 = [channel(red), channel(green), channel(blue), alpha];
    }
}

/// Eight bits a channel; transparency is kept where the picture has it.
fn encode(picture: &DynamicImage) -> Result<Vec<u8>, Refusal> {
    let picture = if picture.color().has_alpha() {
        DynamicImage::ImageRgba8(picture.to_rgba8())
    } else {
        DynamicImage::ImageRgb8(picture.to_rgb8())
    };
    let mut png = Cursor::new(Vec::new());
    picture
        .write_to(&mut png, ImageFormat::Png)
        .map_err(|error| undecodable(&error))?;
    Ok(png.into_inner())
}

#[cfg(test)]
mod tests;
