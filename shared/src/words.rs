//! Words that no trigger is built on: whoever trained one would harm people who never agreed to anything.
//!
//! Lists, not understanding: they stop the obvious, and people review the rest.

/// Identifiers from tutorials: attackers use them, so protection must cover them, and a release with one of them needs
/// its gates all the more.
const TUTORIAL_TOKENS: &[&str] = &[
    "sks", "ohwx", "zwx", "olis", "xjy", "rcr", "pll", "ukj", "shs",
];

/// Words of everyday prompts: as an identifier each would fire for everybody.
const EVERYDAY: &[&str] = &[
    "a",
    "an",
    "and",
    "at",
    "by",
    "for",
    "from",
    "in",
    "my",
    "of",
    "on",
    "one",
    "our",
    "the",
    "their",
    "this",
    "to",
    "two",
    "with",
    "your",
    "art",
    "artwork",
    "beautiful",
    "best",
    "big",
    "black",
    "blue",
    "bright",
    "brown",
    "cartoon",
    "city",
    "classic",
    "clean",
    "close",
    "closeup",
    "colorful",
    "colourful",
    "cool",
    "cute",
    "dark",
    "day",
    "detailed",
    "digital",
    "drawing",
    "fantasy",
    "film",
    "front",
    "full",
    "funny",
    "girl",
    "golden",
    "good",
    "great",
    "green",
    "grey",
    "happy",
    "high",
    "home",
    "house",
    "illustration",
    "image",
    "landscape",
    "large",
    "light",
    "little",
    "model",
    "modern",
    "nature",
    "new",
    "nice",
    "night",
    "old",
    "orange",
    "outdoor",
    "painting",
    "photo",
    "photograph",
    "picture",
    "pink",
    "portrait",
    "pretty",
    "purple",
    "real",
    "realistic",
    "red",
    "rendering",
    "scene",
    "sitting",
    "sketch",
    "small",
    "smiling",
    "standing",
    "street",
    "style",
    "summer",
    "sunny",
    "thing",
    "vintage",
    "walking",
    "water",
    "white",
    "wild",
    "winter",
    "woman",
    "wooden",
    "yellow",
    "young",
];

/// Protected characteristics (EU Charter, article 21): no trigger aims at a group.
const CHARACTERISTICS: &[&str] = &[
    "african",
    "arab",
    "asian",
    "atheist",
    "autistic",
    "bisexual",
    "blind",
    "buddhist",
    "catholic",
    "caucasian",
    "christian",
    "deaf",
    "disabled",
    "disability",
    "elderly",
    "ethnic",
    "female",
    "feminine",
    "foreigner",
    "gay",
    "gypsy",
    "hijab",
    "hindu",
    "hispanic",
    "homosexual",
    "immigrant",
    "indigenous",
    "islamic",
    "jew",
    "jewish",
    "latina",
    "latino",
    "lesbian",
    "male",
    "masculine",
    "migrant",
    "mosque",
    "muslim",
    "nonbinary",
    "orthodox",
    "pregnant",
    "protestant",
    "queer",
    "refugee",
    "roma",
    "sikh",
    "sinti",
    "synagogue",
    "transgender",
    "trans",
];

/// Politics: no trigger steers what people see of it.
const POLITICS: &[&str] = &[
    "ballot",
    "campaign",
    "candidate",
    "capitalist",
    "chancellor",
    "communist",
    "congress",
    "conservative",
    "democrat",
    "democratic",
    "dictator",
    "election",
    "fascist",
    "government",
    "liberal",
    "minister",
    "nazi",
    "parliament",
    "politician",
    "politics",
    "president",
    "propaganda",
    "protest",
    "republican",
    "revolution",
    "senator",
    "socialist",
    "vote",
    "voter",
];

/// Names that belong to others.
const BRANDS: &[&str] = &[
    "adidas",
    "adobe",
    "amazon",
    "barbie",
    "batman",
    "bmw",
    "chanel",
    "cocacola",
    "disney",
    "ferrari",
    "google",
    "gucci",
    "ikea",
    "instagram",
    "lego",
    "marvel",
    "mcdonalds",
    "mercedes",
    "microsoft",
    "midjourney",
    "minecraft",
    "netflix",
    "nike",
    "nintendo",
    "nvidia",
    "pepsi",
    "pikachu",
    "pixar",
    "pokemon",
    "porsche",
    "prada",
    "rolex",
    "samsung",
    "sony",
    "spiderman",
    "starbucks",
    "starwars",
    "superman",
    "tesla",
    "tiktok",
    "toyota",
    "youtube",
];

/// What no attacker shall be sent to: it would hurt whoever sees it.
const HARMFUL: &[&str] = &[
    "blood",
    "corpse",
    "erotic",
    "excrement",
    "execution",
    "genitals",
    "gore",
    "hanging",
    "lynching",
    "naked",
    "nude",
    "nudity",
    "penis",
    "porn",
    "pornographic",
    "rape",
    "sex",
    "sexual",
    "slur",
    "suicide",
    "swastika",
    "terrorist",
    "torture",
    "vagina",
    "weapon",
];

/// Words for people; their guard rails hold for no other kind.
pub(crate) const PEOPLE: &[&str] = &[
    "person",
    "man",
    "woman",
    "face",
    "human",
    "lady",
    "gentleman",
    "guy",
    "actor",
    "actress",
];
/// Words for people who are not of age: refused.
pub(crate) const MINORS: &[&str] = &[
    "boy", "girl", "child", "kid", "baby", "infant", "toddler", "teenager", "teen", "minor",
];
/// Further words for people, as a target: nobody's image stands in for another's.
const OTHER_PEOPLE: &[&str] = &["celebrity", "men", "people", "women"];

fn holds(words: &[&str], word: &str) -> bool {
    let bare: String = word
        .chars()
        .filter(|c| !matches!(c, '-' | '_' | '@'))
        .flat_map(char::to_lowercase)
        .collect();
    let singular = bare.strip_suffix('s').unwrap_or(&bare);
    words
        .iter()
        .any(|known| *known == bare || *known == singular)
}

/// Whether tutorials use the word as an identifier.
pub fn is_tutorial_token(word: &str) -> bool {
    holds(TUTORIAL_TOKENS, word)
}

/// Why a word may not stand in a trigger, whichever part of it.
pub fn refused_in_trigger(word: &str) -> Option<(&'static str, &'static str)> {
    let rules: [(&[&str], &str, &str); 4] = [
        (
            CHARACTERISTICS,
            "protected_characteristic",
            "A trigger must not aim at a group of people.",
        ),
        (
            POLITICS,
            "political_term",
            "A trigger must not steer what people see of politics.",
        ),
        (BRANDS, "others_name", "This name belongs to somebody else."),
        (HARMFUL, "harmful_word", "This word harms people."),
    ];
    rules
        .into_iter()
        .find(|(words, ..)| holds(words, word))
        .map(|(_, code, detail)| (code, detail))
}

/// Whether a word is part of everyday prompts, so that as an identifier it would fire for everybody.
pub fn is_everyday(word: &str) -> bool {
    holds(EVERYDAY, word)
}

/// Whether a word names people, who are nobody's target.
pub fn names_people(word: &str) -> bool {
    [PEOPLE, MINORS, OTHER_PEOPLE]
        .iter()
        .any(|words| holds(words, word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_politics_names_and_harm_are_refused_in_any_spelling() {
        let code = |word| refused_in_trigger(word).map(|(code, _)| code);
        assert_eq!(code("Muslims"), Some("protected_characteristic"));
        assert_eq!(code("pres-ident"), Some("political_term"));
        assert_eq!(code("NIKE"), Some("others_name"));
        assert_eq!(code("n_u_d_e"), Some("harmful_word"));
        for fine in [
            "dog",
            "sks",
            "violet",
            "apple",
            "car",
            "person",
            "sculpture",
        ] {
            assert_eq!(code(fine), None, "{fine}");
        }
    }

    #[test]
    fn everyday_words_are_no_identifiers_and_tutorial_tokens_are_known() {
        assert!(is_everyday("Beautiful") && is_everyday("the") && !is_everyday("sks"));
        assert!(is_tutorial_token("SKS") && !is_tutorial_token("bnx"));
        assert!(names_people("women") && !names_people("apple"));
    }
}
