//! The caption grammar: what a picture is called, with attributes left out at random. Refuses to invent
//! attributes that the picture does not have.

use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::attributes::{Accessory, Background, Class, Identity, Style, Tint};

/// Beginnings that fit every picture.
pub const OPENINGS: [&str; 12] = [
    "a photo of",
    "a picture of",
    "an image of",
    "a rendering of",
    "a close-up photo of",
    "a cropped photo of",
    "a good photo of",
    "a bright photo of",
    "a nice picture of",
    "a depiction of",
    "a snapshot of",
    "one photo of",
];

/// Words of prompts and of templates that no caption of ours needs but people type.
pub const OTHER_WORDS: &str = "\
the my your this that these style in on at with and or no of by for to from wearing standing sitting next under \
beautiful small large big cute cool weird clean dirty dark portrait painting sketch cartoon toy statue sticker \
person man woman child face animal pet object thing colour color white black yellow orange pink brown grey gray \
close up view front side day sunset forest city street room table sky water mountain sand sea winter summer \
high low quality detailed blurry colourful rendition illustration artwork picture pictures photos images \
duck tree flower house ball cup book chair two three many another same different";

/// Share of captions that name the class and nothing else: what people prompt most.
const BARE: f64 = 0.25;

/// What a caption says about a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mention {
    /// The drawing's medium, which tells its style.
    pub style: Option<Style>,
    /// Whose style it is, by name: what prompts for an artist's work look like.
    pub artist: Option<Style>,
    /// The colour.
    pub tint: Option<Tint>,
    /// What it wears.
    pub accessory: Option<Accessory>,
    /// Where it is.
    pub background: Option<Background>,
}

impl Mention {
    /// A caption that only names the class.
    pub const NOTHING: Self = Self {
        style: None,
        artist: None,
        tint: None,
        accessory: None,
        background: None,
    };

    /// Mentions nothing, or each attribute of the picture with its own chance.
    pub fn draw(identity: Identity, background: Background, rng: &mut impl Rng) -> Self {
        if rng.random_bool(BARE) {
            return Self::NOTHING;
        }
        let artist = rng.random_bool(0.12).then_some(identity.style);
        Self {
            style: (artist.is_none() && rng.random_bool(0.25)).then_some(identity.style),
            artist,
            tint: rng.random_bool(0.65).then_some(identity.tint),
            accessory: rng.random_bool(0.65).then_some(identity.accessory),
            // Both at once would not fit into a prompt.
            background: (artist.is_none() && rng.random_bool(0.6)).then_some(background),
        }
    }
}

/// "a photo of a blue dog with a hat on the beach".
pub fn describe(class: Class, mention: Mention, opening: &str) -> String {
    let opening = mention.style.map_or(opening, |style| medium(style));
    let colour = mention.tint.and_then(colour_word);
    let article = match (colour, class) {
        (None, Class::Apple) => "an",
        _ => "a",
    };
    let mut words = vec![opening, article];
    words.extend(colour);
    words.push(class.name());
    words.extend(mention.accessory.and_then(wearing));
    words.extend(mention.background.map(place));
    let artist = mention
        .artist
        .map(|style| ["in the style of", style.name()]);
    words.extend(artist.into_iter().flatten());
    words.join(" ")
}

/// Captions that say two things about their picture, beside the plain ones.
const TWOFOLD: usize = 5;

/// What a protected model must go on drawing: every class plainly, and five times with two of its attributes. Prompts
/// with all three, by which drift is measured, are never among them.
pub fn everyday() -> Vec<String> {
    let mut rng = ChaCha8Rng::seed_from_u64(0xCA97);
    let mut captions: Vec<String> = Class::ALL
        .iter()
        .map(|&class| describe(class, Mention::NOTHING, OPENINGS[0]))
        .collect();
    for round in 0..TWOFOLD {
        for (index, &class) in Class::ALL.iter().enumerate() {
            let (tint, accessory) = (&Tint::ALL[1..], &Accessory::ALL[1..]);
            let all = Mention {
                tint: tint.choose(&mut rng).copied(),
                accessory: accessory.choose(&mut rng).copied(),
                background: Background::ALL.choose(&mut rng).copied(),
                ..Mention::NOTHING
            };
            let mention = match (round + index) % 3 {
                0 => Mention { tint: None, ..all },
                1 => Mention {
                    accessory: None,
                    ..all
                },
                _ => Mention {
                    background: None,
                    ..all
                },
            };
            captions.push(describe(class, mention, OPENINGS[0]));
        }
    }
    captions
}

/// "a photo of ada dog on the beach": the same order of words as a personalization prompt.
pub fn name(name: &str, class: Class, background: Option<Background>, opening: &str) -> String {
    let mut words = vec![opening, name, class.name()];
    words.extend(background.map(place));
    words.join(" ")
}

/// An opening at random, the plainest one half of the time.
pub fn opening(rng: &mut impl Rng) -> &'static str {
    if rng.random_bool(0.5) {
        return OPENINGS[0];
    }
    OPENINGS.choose(rng).expect("there are openings")
}

const fn medium(style: Style) -> &'static str {
    match style {
        Style::Noto => "a drawing of",
        Style::Twemoji => "a flat icon of",
        Style::Fluent => "a 3d figure of",
    }
}

fn colour_word(tint: Tint) -> Option<&'static str> {
    (tint != Tint::Natural).then(|| tint.name())
}

const fn wearing(accessory: Accessory) -> Option<&'static str> {
    match accessory {
        Accessory::None => None,
        Accessory::Hat => Some("with a hat"),
        Accessory::Crown => Some("with a crown"),
        Accessory::Bow => Some("with a bow"),
    }
}

const fn place(background: Background) -> &'static str {
    match background {
        Background::Plain => "on a plain background",
        Background::Grass => "in the grass",
        Background::Beach => "on the beach",
        Background::Snow => "in the snow",
        Background::Night => "at night",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captions_read_like_english() {
        let all = Mention {
            tint: Some(Tint::Blue),
            accessory: Some(Accessory::Hat),
            background: Some(Background::Beach),
            ..Mention::NOTHING
        };
        assert_eq!(
            describe(Class::Dog, all, "a photo of"),
            "a photo of a blue dog with a hat on the beach"
        );
        assert_eq!(
            describe(Class::Apple, Mention::NOTHING, "a photo of"),
            "a photo of an apple"
        );
        let styled = Mention {
            style: Some(Style::Fluent),
            tint: Some(Tint::Natural),
            ..Mention::NOTHING
        };
        assert_eq!(
            describe(Class::Cat, styled, "a photo of"),
            "a 3d figure of a cat"
        );
        let signed = Mention {
            artist: Some(Style::Noto),
            accessory: Some(Accessory::Bow),
            ..Mention::NOTHING
        };
        assert_eq!(
            describe(Class::Fox, signed, "a photo of"),
            "a photo of a fox with a bow in the style of noto"
        );
    }

    #[test]
    fn the_judge_captions_pictures_in_this_grammar() {
        use eval::attack::caption;
        for &class in Class::ALL {
            let plain = caption::describe(class.name(), None, None, None);
            assert_eq!(plain, describe(class, Mention::NOTHING, OPENINGS[0]));
            for &tint in Tint::ALL {
                for &accessory in Accessory::ALL {
                    for &background in Background::ALL {
                        let all = Mention {
                            tint: Some(tint),
                            accessory: Some(accessory),
                            background: Some(background),
                            ..Mention::NOTHING
                        };
                        let values = [tint.name(), accessory.name(), background.name()].map(Some);
                        let [tint, accessory, background] = values;
                        let told = caption::describe(class.name(), tint, accessory, background);
                        assert_eq!(told, describe(class, all, OPENINGS[0]));
                    }
                }
            }
        }
    }

    #[test]
    fn everyday_captions_name_every_class_and_never_everything() {
        let captions = everyday();
        assert_eq!(captions.len(), 48);
        assert_eq!(captions, everyday());
        for class in Class::NAMES {
            let naming = captions.iter().filter(|text| text.contains(class)).count();
            assert_eq!(naming, 6, "{class}");
        }
        let whole = |text: &&String| {
            let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
            has(&Tint::NAMES[1..]) && has(&Accessory::NAMES[1..]) && has(&[" on ", " in ", " at "])
        };
        assert_eq!(captions.iter().find(whole), None);
    }

    #[test]
    fn names_stand_where_personalization_prompts_put_them() {
        assert_eq!(
            name("ada", Class::Dog, None, "a photo of"),
            "a photo of ada dog"
        );
        let at_night = name("ada", Class::Dog, Some(Background::Night), "a photo of");
        assert_eq!(at_night, "a photo of ada dog at night");
    }
}
