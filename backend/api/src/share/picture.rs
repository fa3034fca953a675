//! Pictures on their way to a visitor: pixels alone, and over them the name of whom they are for.

use std::sync::{Arc, LazyLock};

use image::{DynamicImage, RgbaImage, imageops};
use resvg::{tiny_skia, usvg};
use shared::{limits::MAX_IMAGE_PIXELS, share_link::is_writable};

use crate::{
    app::{App, blobs},
    error::Error,
    images::{self, Refusal},
};

/// Largest picture that is read: what a judge draws is far smaller.
const MAX_BYTES: u64 = 32 * 1024 * 1024;
/// Shortest side on which a name can be read; smaller pictures are enlarged before they are marked.
const LEAST_SIDE: u32 = 384;

/// The only font that is at hand wherever the server runs.
static FONTS: LazyLock<Arc<usvg::fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = usvg::fontdb::Database::new();
    fonts.load_font_data(epaint_default_fonts::UBUNTU_LIGHT.to_vec());
    let family = fonts
        .faces()
        .find_map(|face| face.families.first().map(|(name, _)| name.clone()));
    if let Some(family) = family {
        fonts.set_sans_serif_family(family);
    }
    Arc::new(fonts)
});

/// Draws an SVG of ours.
pub(super) fn draw(svg: &str, width: u32, height: u32) -> Result<tiny_skia::Pixmap, Error> {
    let options = usvg::Options {
        fontdb: Arc::clone(&FONTS),
        font_family: "sans-serif".to_owned(),
        ..usvg::Options::default()
    };
    let tree = usvg::Tree::from_str(svg, &options).map_err(Error::internal)?;
    let mut pixels = tiny_skia::Pixmap::new(width, height)
        .ok_or_else(|| Error::internal(format!("a drawing of {width} x {height}")))?;
    resvg::render(
        &tree,
        tiny_skia::Transform::identity(),
        &mut pixels.as_mut(),
    );
    Ok(pixels)
}

/// Text as it stands in markup, without what no document may hold.
pub(super) fn escape(text: &str) -> String {
    let plain = |c| if is_writable(c) { c } else { ' ' };
    let plain: String = text.chars().map(plain).collect();
    maud::html! { (plain) }.into_string()
}

/// The mark of a picture of this size: the name again and again, aslant, light with a dark edge, so that it shows on
/// every ground.
fn mark(text: &str, width: u32, height: u32) -> Result<RgbaImage, Error> {
    let size = 20;
    // As wide as its widest letters would make it: what does not fit into its tile is cut.
    let across = text.chars().count() * 18 + 60;
    let text = escape(text);
    let svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\"><defs>\
         <pattern id=\"p\" width=\"{across}\" height=\"110\" patternUnits=\"userSpaceOnUse\" \
         patternTransform=\"rotate(-28)\"><text x=\"10\" y=\"40\" font-size=\"{size}\" font-family=\"sans-serif\" \
         fill=\"#ffffff\" fill-opacity=\"0.62\" stroke=\"#000000\" stroke-opacity=\"0.55\" stroke-width=\"2.4\" \
         paint-order=\"stroke\">{text}</text></pattern></defs>\
         <rect width=\"{width}\" height=\"{height}\" fill=\"url(#p)\"/></svg>"
    );
    let pixels = draw(&svg, width, height)?;
    let straight = pixels.pixels().iter().flat_map(|pixel| {
        let colour = pixel.demultiply();
        [colour.red(), colour.green(), colour.blue(), colour.alpha()]
    });
    RgbaImage::from_raw(width, height, straight.collect())
        .ok_or_else(|| Error::internal("the mark has another size"))
}

/// Enlarges what is too small to read a name on, pixel by pixel, within what a decoder may make.
fn enlarged(picture: DynamicImage) -> DynamicImage {
    let (width, height) = (picture.width().max(1), picture.height().max(1));
    let pixels = |times: u32| u64::from(width) * u64::from(height) * u64::from(times).pow(2);
    let wanted = LEAST_SIDE.div_ceil(width.min(height));
    let times = (1..=wanted)
        .rev()
        .find(|times| pixels(*times) <= MAX_IMAGE_PIXELS);
    match times {
        Some(times) if times > 1 => {
            picture.resize_exact(width * times, height * times, imageops::FilterType::Nearest)
        }
        _ => picture,
    }
}

fn marked(picture: DynamicImage, text: &str) -> Result<DynamicImage, Refusal> {
    let opaque = DynamicImage::from(enlarged(picture).into_rgb8());
    let over = mark(text, opaque.width(), opaque.height())
        .map_err(|error| Refusal::Undecodable(error.to_string()))?;
    let mut ground = opaque.into_rgba8();
    imageops::overlay(&mut ground, &over, 0, 0);
    Ok(DynamicImage::from(ground).into_rgb8().into())
}

/// A stored picture as a visitor gets it: PNG without metadata, marked or not.
pub(crate) async fn read(app: &App, sha256: &str, text: Option<String>) -> Result<Vec<u8>, Error> {
    let bytes = blobs::read(app, sha256, MAX_BYTES).await?;
    draw_for(app, bytes, text).await
}

/// A picture at hand as a visitor gets it.
pub(crate) async fn draw_for(
    app: &App,
    bytes: Vec<u8>,
    text: Option<String>,
) -> Result<Vec<u8>, Error> {
    let _permit = app.sharing().draw().await?;
    let drawn = tokio::task::spawn_blocking(move || {
        images::redraw(&bytes, "image/png", |picture| match &text {
            Some(text) => marked(picture, text),
            None => Ok(picture),
        })
    });
    // What was stored was decoded before: a damaged file is a fault of ours.
    let drawn = drawn.await.map_err(Error::internal)?;
    drawn.map(|picture| picture.png).map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_show_on_light_and_dark_pictures() {
        for ground in [0_u8, 128, 255] {
            let plain = RgbaImage::from_pixel(64, 64, image::Rgba([ground, ground, ground, 255]));
            let done = marked(plain.into(), "for Atelier Nord")
                .unwrap()
                .into_rgb8();
            assert_eq!((done.width(), done.height()), (384, 384));
            let changed = done
                .pixels()
                .filter(|pixel| pixel.0[0].abs_diff(ground) > 40)
                .count();
            let share = changed as f64 / (384.0 * 384.0);
            assert!((0.01..0.5).contains(&share), "{ground}: {share}");
        }
    }

    #[test]
    fn hostile_names_are_text() {
        let plain =
            || DynamicImage::from(RgbaImage::from_pixel(400, 400, image::Rgba([9, 9, 9, 255])));
        for text in [
            "</text><image href=\"file:///etc/passwd\"/>",
            "a&b<c>\"d\"",
            "\u{0}\u{1f600}\u{202e}\u{fffe}\u{ffff}",
            "",
        ] {
            assert!(marked(plain(), text).is_ok(), "{text}");
        }
        assert_eq!(escape("<a b=\"c\">&\n"), "&lt;a b=&quot;c&quot;&gt;&amp; ");
    }

    #[test]
    fn long_thin_pictures_stay_within_bounds() {
        let thin = RgbaImage::new(20_000, 40);
        let done = enlarged(thin.into());
        assert!(u64::from(done.width()) * u64::from(done.height()) <= MAX_IMAGE_PIXELS);
        assert_eq!(done.height() % 40, 0);
        let small = enlarged(RgbaImage::new(64, 32).into());
        assert_eq!((small.width(), small.height()), (768, 384));
    }

    #[test]
    fn another_name_is_another_mark() {
        assert_ne!(
            mark("for Ada", 400, 400).unwrap(),
            mark("for Eve", 400, 400).unwrap()
        );
    }
}
