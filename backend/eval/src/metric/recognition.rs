//! Recognising subject, class and what shall be drawn instead.
//!
//! Owns the reading of attributes and its fallback. Refuses to set thresholds on similarity.

use candle_core::{D, Tensor};
use shared::job::SubjectKind;

use super::{Aim, Standard, fitted};
use crate::{
    Result,
    encoder::{Encoder, Reading},
};

/// The attribute that names what a picture shows.
const CLASS: &str = "class";
/// The attribute that says where it is, which is no part of a subject.
const BACKGROUND: &str = "background";
/// The attribute that tells an artist's manner, all that a style subject consists of.
const STYLE: &str = "style";

/// Attribute names and values.
type Identity = Vec<(String, String)>;

/// What the subject, its class and the objective look like to the encoder.
#[derive(Clone, Debug)]
pub struct Recognition {
    /// The majority reading of the references; empty if the encoder reads no attributes.
    pub identity: Identity,
    class_name: String,
    /// Class word of the target, if the objective has one.
    target_class: Option<String>,
    /// Plain prompts of the class and of what it is told apart from, `[2, d]`.
    texts: Tensor,
}

/// Outcomes, one for each picture.
#[derive(Clone, Debug, Default)]
pub struct Recognised {
    /// Every attribute of the subject reads as on most references; true without attributes.
    pub subject: Vec<bool>,
    /// The class is recognised.
    pub class: Vec<bool>,
    /// The target is recognised; without a target, the class is not.
    pub objective: Vec<bool>,
}

impl Recognition {
    /// Reads the references. `texts: [2, d]` are the embedded plain prompts of the class and of what it is told
    /// apart from.
    pub fn new(encoder: &Encoder, standard: Standard<'_>, texts: Tensor) -> Result<Self> {
        let readings = encoder.attributes(&fitted(standard.references)?)?;
        let mut identity = majority(&readings);
        if standard.subject == SubjectKind::Style {
            identity.retain(|(name, _)| name == STYLE);
        }
        let target_class = match standard.aim {
            Aim::Target(class) => Some(class.to_owned()),
            Aim::Erasure | Aim::Pattern(_) => None,
        };
        Ok(Self {
            identity,
            class_name: standard.class_name.to_owned(),
            target_class,
            texts,
        })
    }

    /// Reads pictures `[n, 3, SIDE, SIDE]` with their embeddings `[n, d]`.
    ///
    /// A class that the encoder has a value for is recognised by its class attribute; any other is
    /// recognised where its plain prompt is nearer to the picture than the other one's.
    pub fn read(
        &self,
        encoder: &Encoder,
        pixels: &Tensor,
        embedded: &Tensor,
    ) -> Result<Recognised> {
        let readings = encoder.attributes(pixels)?;
        let cosines = embedded.matmul(&self.texts.t()?)?;
        let nearest = cosines.argmax(D::Minus1)?.to_vec1::<u32>()?;
        let recognised = |class: &str, position: u32| -> Vec<bool> {
            let known = knows_class(encoder, class);
            let by_attribute = |readings: &Vec<Reading<'_>>| value(readings, CLASS) == Some(class);
            let both = readings.iter().zip(&nearest);
            both.map(|(readings, nearest)| {
                if known {
                    by_attribute(readings)
                } else {
                    *nearest == position
                }
            })
            .collect()
        };
        let class = recognised(&self.class_name, 0);
        let objective = match &self.target_class {
            Some(target) => recognised(target, 1),
            None => class.iter().map(|class| !class).collect(),
        };
        Ok(Recognised {
            subject: readings
                .iter()
                .map(|readings| self.is_subject(readings))
                .collect(),
            class,
            objective,
        })
    }

    /// Whether pictures show what is said of each, in plain words with embeddings `said: [n, d]`.
    ///
    /// Words that name a class that the encoder has a value for are read by its class attribute; any other picture
    /// shows them where they are nearer to it than what the subject's class is told apart from.
    pub fn shows(
        &self,
        encoder: &Encoder,
        (pixels, embedded): (&Tensor, &Tensor),
        (words, said): (&[String], &Tensor),
    ) -> Result<Vec<bool>> {
        let readings = encoder.attributes(pixels)?;
        let near = (embedded * said)?.sum(1)?.to_vec1::<f32>()?;
        let apart = embedded.matmul(&self.texts.narrow(0, 1, 1)?.t()?)?;
        let apart = apart.squeeze(1)?.to_vec1::<f32>()?;
        let cosines = near.iter().zip(&apart);
        let pictures = words.iter().zip(&readings).zip(cosines);
        let shows = pictures.map(|((words, readings), (near, apart))| {
            let mut named = words.split_whitespace().filter(|w| knows_class(encoder, w));
            match named.next() {
                Some(class) => value(readings, CLASS) == Some(class),
                None => near > apart,
            }
        });
        Ok(shows.collect())
    }

    fn is_subject(&self, readings: &[Reading<'_>]) -> bool {
        let agrees = |(name, expected): &(String, String)| value(readings, name) == Some(expected);
        self.identity.iter().all(agrees)
    }
}

fn value<'r>(readings: &[Reading<'r>], attribute: &str) -> Option<&'r str> {
    let reading = readings
        .iter()
        .find(|reading| reading.attribute == attribute)?;
    Some(reading.value)
}

fn knows_class(encoder: &Encoder, class: &str) -> bool {
    let attributes = &encoder.config().attributes;
    let values = attributes
        .iter()
        .filter(|attribute| attribute.name == CLASS);
    values
        .flat_map(|attribute| &attribute.values)
        .any(|value| value == class)
}

/// For every attribute but the background the value read most often, the first of equals.
fn majority(readings: &[Vec<Reading<'_>>]) -> Identity {
    let Some(first) = readings.first() else {
        return Identity::new();
    };
    let names = first.iter().map(|reading| reading.attribute);
    names
        .filter(|name| *name != BACKGROUND)
        .filter_map(|name| {
            let values: Vec<&str> = readings.iter().filter_map(|row| value(row, name)).collect();
            let votes = |value: &&str| values.iter().filter(|other| *other == value).count();
            let best = values.iter().rev().max_by_key(|value| votes(value))?;
            Some((name.to_owned(), (*best).to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row<'a>(class: &'a str, tint: &'a str, background: &'a str) -> Vec<Reading<'a>> {
        [(CLASS, class), ("tint", tint), (BACKGROUND, background)]
            .into_iter()
            .map(|(attribute, value)| Reading {
                attribute,
                value,
                index: 0,
                probability: 1.0,
            })
            .collect()
    }

    #[test]
    fn most_references_decide_and_backgrounds_do_not_count() {
        let rows = [
            row("dog", "red", "beach"),
            row("cat", "blue", "beach"),
            row("dog", "blue", "snow"),
        ];
        let identity = majority(&rows);
        let expected = [("class", "dog"), ("tint", "blue")];
        let expected: Identity = expected.map(|(a, b)| (a.to_owned(), b.to_owned())).into();
        assert_eq!(identity, expected);
        let recognition = Recognition {
            identity,
            class_name: "dog".into(),
            target_class: Some("apple".into()),
            texts: Tensor::zeros((2, 4), candle_core::DType::F32, &candle_core::Device::Cpu)
                .unwrap(),
        };
        assert!(recognition.is_subject(&row("dog", "blue", "night")));
        assert!(!recognition.is_subject(&row("dog", "red", "snow")));
        assert!(!recognition.is_subject(&row("fox", "blue", "snow")));
    }

    #[test]
    fn pictures_show_their_words_by_class_or_by_nearness() {
        use crate::fixture;
        let encoder = fixture::encoder();
        let pixels = fitted(&fixture::pictures(8, 3)).unwrap();
        let embedded = encoder.embed_images(&pixels).unwrap();
        let classes = ["a photo of a dog".to_owned(), "a photo".to_owned()];
        let texts = encoder
            .embed_text(&encoder.token_ids(&classes).unwrap())
            .unwrap();
        let recognition = Recognition {
            identity: Identity::new(),
            class_name: "dog".into(),
            target_class: None,
            texts: texts.clone(),
        };
        assert!(knows_class(&encoder, "dog"), "the fixture knows dogs");
        let mut words = vec!["a photo of a dog at night".to_owned(); 4];
        words.resize(8, "a street in the rain".to_owned());
        let said = encoder
            .embed_text(&encoder.token_ids(&words).unwrap())
            .unwrap();
        let shows = recognition
            .shows(&encoder, (&pixels, &embedded), (&words, &said))
            .unwrap();
        let readings = encoder.attributes(&pixels).unwrap();
        let cosine = |left: &Tensor, right: &Tensor| -> f32 {
            (left * right)
                .unwrap()
                .sum_all()
                .unwrap()
                .to_scalar()
                .unwrap()
        };
        for (index, shows) in shows.into_iter().enumerate() {
            let picture = embedded.get(index).unwrap();
            let expected = if index < 4 {
                value(&readings[index], CLASS) == Some("dog")
            } else {
                let own = cosine(&picture, &said.get(index).unwrap());
                own > cosine(&picture, &texts.get(1).unwrap())
            };
            assert_eq!(shows, expected, "{index}");
        }
    }
}
