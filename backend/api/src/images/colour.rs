//! Colours as every later step takes them: sRGB (IEC 61966-2-1), whatever profile a camera wrote.

use image::{DynamicImage, RgbaImage};
use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};

/// The picture in sRGB; as it is where the profile is absent, damaged or not one of RGB.
///
/// The decoders hand CMYK over as RGB already: their profiles no longer fit.
pub(super) fn to_srgb(picture: DynamicImage, profile: Option<&[u8]>) -> DynamicImage {
    let profile = profile.and_then(|bytes| ColorProfile::new_from_slice(bytes).ok());
    let Some(profile) = profile.filter(|profile| profile.color_space == DataColorSpace::Rgb) else {
        return picture;
    };
    if !picture.color().has_color() {
        return picture;
    }
    let rgba = picture.to_rgba8();
    match transformed(&profile, &rgba) {
        None => picture,
        Some(rgba) if picture.color().has_alpha() => rgba.into(),
        Some(rgba) => DynamicImage::from(rgba).into_rgb8().into(),
    }
}

fn transformed(profile: &ColorProfile, rgba: &RgbaImage) -> Option<RgbaImage> {
    let srgb = ColorProfile::new_srgb();
    let (layout, options) = (Layout::Rgba, TransformOptions::default());
    let transform = profile
        .create_transform_8bit(layout, &srgb, layout, options)
        .ok()?;
    let mut out = vec![0; rgba.len()];
    transform.transform(rgba, &mut out).ok()?;
    RgbaImage::from_raw(rgba.width(), rgba.height(), out)
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn wide_colours_become_those_of_srgb() {
        let picture = image::RgbImage::from_pixel(4, 4, Rgb([200, 100, 50]));
        let p3 = ColorProfile::new_display_p3().encode().unwrap();
        let seen = to_srgb(picture.clone().into(), Some(&p3)).into_rgb8();
        // Display P3 (200, 100, 50) lies outside of what sRGB's red reaches less strongly: red rises, blue falls.
        let [red, green, blue] = seen.get_pixel(0, 0).0;
        assert!(
            red > 205 && green < 100 && blue < 50,
            "{red} {green} {blue}"
        );
        let own = ColorProfile::new_srgb().encode().unwrap();
        assert_eq!(
            to_srgb(picture.clone().into(), Some(&own)).into_rgb8(),
            picture
        );
        assert_eq!(
            to_srgb(picture.clone().into(), Some(b"no profile")).into_rgb8(),
            picture
        );
        assert_eq!(to_srgb(picture.clone().into(), None).into_rgb8(), picture);
    }
}
