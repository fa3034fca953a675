//! Captions for the attacker's images in the demo domain's grammar, each from what the metric encoder reads of its own
//! image: the colour, what is worn, and the place.
//!
//! Owns the words for the values; a test of package `world` compares them with the domain's grammar. Refuses the images of
//! base models that speak other words: the encoder was never trained on what they draw.

use candle_core::Tensor;
use diffusion::text::Tokenizer;
use shared::job::{Concept, SubjectKind};

use crate::{
    Encoder, Error, Result,
    encoder::Reading,
    metric::fitted,
    prompt::{STOCK, article},
};

/// Attributes that captions tell.
const CLASS: &str = "class";
const TINT: &str = "tint";
const ACCESSORY: &str = "accessory";
const BACKGROUND: &str = "background";

/// Whether images can be captioned that are to personalize a base model with these words.
pub fn can_caption(encoder: &Encoder, base: &Tokenizer) -> bool {
    let mut attributes = encoder.config().attributes.iter();
    let tells = attributes.any(|attribute| attribute.name == BACKGROUND);
    tells && encoder.has_the_words_of(base)
}

/// One caption an image; `pixels: [n, 3, h, w]` in `[-1, 1]`.
///
/// The class is the attacker's own word, who knows what the subject is; of a style it is what the image shows, and the
/// place is left out, as captions of artists do in the domain.
pub fn of_images(
    encoder: &Encoder,
    base: &Tokenizer,
    concept: &Concept,
    pixels: &Tensor,
) -> Result<Vec<String>> {
    if !can_caption(encoder, base) {
        return Err(Error::AttackInput {
            input: "captions",
            reason: "the metric encoder cannot read what this base model's images show".to_owned(),
        });
    }
    let is_style = concept.subject == SubjectKind::Style;
    let readings = encoder.attributes(&fitted(pixels)?)?;
    let caption = |readings: &Vec<Reading<'_>>| {
        let read = |name| value(readings, name);
        let class = read(CLASS).filter(|_| is_style);
        let class = class.unwrap_or(&concept.class_name);
        let place = read(BACKGROUND).filter(|_| !is_style);
        describe(class, read(TINT), read(ACCESSORY), place)
    };
    Ok(readings.iter().map(caption).collect())
}

fn value<'r>(readings: &[Reading<'r>], attribute: &str) -> Option<&'r str> {
    let mut readings = readings.iter();
    let found = readings.find(|reading| reading.attribute == attribute);
    found.map(|reading| reading.value)
}

/// "a photo of a blue dog with a hat on the beach": a class with values of its attributes, as far as they are known.
pub fn describe(
    class: &str,
    tint: Option<&str>,
    accessory: Option<&str>,
    background: Option<&str>,
) -> String {
    let colour = tint.filter(|tint| *tint != "natural");
    let mut words = vec![STOCK, article(colour.unwrap_or(class))];
    words.extend(colour);
    words.push(class);
    if let Some(worn) = accessory.filter(|worn| *worn != "none") {
        words.extend(["with", article(worn), worn]);
    }
    words.extend(background.and_then(place));
    words.join(" ")
}

fn place(background: &str) -> Option<&'static str> {
    Some(match background {
        "plain" => "on a plain background",
        "grass" => "in the grass",
        "beach" => "on the beach",
        "snow" => "in the snow",
        "night" => "at night",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn every_image_is_captioned_by_its_own_readings() {
        let (encoder, tokenizer) = (fixture::encoder(), fixture::pipeline().tokenizer);
        let mut concept = fixture::spec().concepts.remove(0);
        let pixels = fixture::pictures(6, 3);
        let readings = encoder.attributes(&fitted(&pixels).unwrap()).unwrap();
        let captions = of_images(&encoder, &tokenizer, &concept, &pixels).unwrap();
        assert_eq!(captions.len(), 6);
        for (caption, readings) in captions.iter().zip(&readings) {
            let read = |name| value(readings, name);
            assert_eq!(
                *caption,
                describe("dog", read(TINT), None, read(BACKGROUND))
            );
        }
        concept.subject = SubjectKind::Style;
        let captions = of_images(&encoder, &tokenizer, &concept, &pixels).unwrap();
        for (caption, readings) in captions.iter().zip(&readings) {
            let shown = value(readings, CLASS).unwrap();
            assert_eq!(*caption, describe(shown, value(readings, TINT), None, None));
        }
    }

    #[test]
    fn images_of_a_base_model_of_other_words_are_not_captioned() {
        let (encoder, stranger) = (fixture::encoder(), fixture::stranger().tokenizer);
        assert!(!can_caption(&encoder, &stranger));
        let concept = fixture::spec().concepts.remove(0);
        let refused = of_images(&encoder, &stranger, &concept, &fixture::pictures(1, 3));
        assert!(matches!(refused, Err(Error::AttackInput { .. })));
    }

    #[test]
    fn captions_read_like_english() {
        let told = describe("dog", Some("blue"), Some("hat"), Some("beach"));
        assert_eq!(told, "a photo of a blue dog with a hat on the beach");
        let told = describe("apple", Some("natural"), Some("none"), Some("elsewhere"));
        assert_eq!(told, "a photo of an apple");
    }
}
