//! Pictures inside the page, as data. Refuses to grow beyond its limit: what no longer fits is said to be missing.

use std::fmt::Write;
use std::io::Cursor;

use base64::{Engine, engine::general_purpose::STANDARD};
use image::{ImageFormat, ImageReader, Limits, imageops::FilterType};

use shared::{language::Language, say};

use super::{markup::note, text::escape};

/// Most bytes of pictures in a page, as data.
pub const LIMIT_BYTES: usize = 12 * 1024 * 1024;
/// Longest side of a picture that is put in as it is; larger ones are scaled down to it.
const LONGEST_SIDE: u32 = 128;
/// Longest side that is decoded.
const LONGEST_DECODED: u32 = 8192;

/// Counts what was put in.
#[derive(Default)]
pub(super) struct Album {
    language: Language,
    spent: usize,
    left_out: usize,
}

impl Album {
    /// An empty one, for a reader of this language.
    pub(super) fn new(language: Language) -> Self {
        Self {
            language,
            ..Self::default()
        }
    }

    /// An `img` element; nothing where the picture cannot be read or does not fit any more.
    pub(super) fn image(&mut self, html: &mut String, file: &[u8], alt: &str) {
        let Some(small) = small(file) else { return };
        let data = STANDARD.encode(small);
        if self.spent + data.len() > LIMIT_BYTES {
            self.left_out += 1;
            return;
        }
        self.spent += data.len();
        let _ = write!(
            html,
            "<img loading=\"lazy\" width=\"76\" height=\"76\" alt=\"{}\" src=\"data:image/png;base64,{data}\">",
            escape(alt)
        );
    }

    /// A row of pictures under a label; nothing without any.
    pub(super) fn row(&mut self, html: &mut String, label: &str, files: &[Vec<u8>]) {
        if files.is_empty() {
            return;
        }
        let label_text = escape(label);
        let _ = write!(html, "<div class=\"row\"><span>{label_text}</span>");
        for (file, number) in files.iter().zip(1..) {
            let alt = say!(
                self.language,
                "{label}, picture {number}",
                label = label,
                number = number
            );
            self.image(html, file, &alt);
        }
        html.push_str("</div>");
    }

    /// Says what is missing.
    pub(super) fn close(&self, html: &mut String) {
        if self.left_out > 0 {
            let missing = say!(
                self.language,
                "{count} more pictures would have made this page too large; they lie beside the results.",
                count = self.left_out
            );
            note(html, &missing);
        }
    }
}

/// The file itself where it is a small PNG; otherwise a small PNG of it.
fn small(file: &[u8]) -> Option<Vec<u8>> {
    let mut reader = ImageReader::new(Cursor::new(file))
        .with_guessed_format()
        .ok()?;
    let is_png = reader.format() == Some(ImageFormat::Png);
    let mut limits = Limits::default();
    limits.max_image_width = Some(LONGEST_DECODED);
    limits.max_image_height = Some(LONGEST_DECODED);
    reader.limits(limits);
    let picture = reader.decode().ok()?;
    if is_png && picture.width().max(picture.height()) <= LONGEST_SIDE {
        return Some(file.to_vec());
    }
    let small = picture.resize(LONGEST_SIDE, LONGEST_SIDE, FilterType::CatmullRom);
    let mut bytes = Cursor::new(Vec::new());
    small
        .to_rgb8()
        .write_to(&mut bytes, ImageFormat::Png)
        .ok()?;
    Some(bytes.into_inner())
}
