//! The attributes that make a picture of the demo world, and their names. Refuses to draw anything.

/// Declares an attribute: an enum whose variants have a stable order and a one-word name.
macro_rules! attribute {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// Every value, in the order of [`Self::index`].
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// The name of every value, in the same order.
            pub const NAMES: &'static [&'static str] = &[$($text,)*];

            /// Position in [`Self::ALL`].
            pub const fn index(self) -> usize { self as usize }

            /// The word for it.
            pub const fn name(self) -> &'static str { Self::NAMES[self.index()] }
        }
    };
}

attribute! {
    /// What the picture shows.
    Class {
        /// A dog's head.
        Dog = "dog",
        /// A cat's head.
        Cat = "cat",
        /// A rabbit's head.
        Rabbit = "rabbit",
        /// A bear's head.
        Bear = "bear",
        /// A fox's head.
        Fox = "fox",
        /// A frog's head.
        Frog = "frog",
        /// A car from the side.
        Car = "car",
        /// An apple.
        Apple = "apple",
    }
}

attribute! {
    /// Whose drawing it is.
    Style {
        /// Noto Emoji.
        Noto = "noto",
        /// Twemoji.
        Twemoji = "twemoji",
        /// Fluent Emoji in 3D.
        Fluent = "fluent",
    }
}

attribute! {
    /// The colour of the body.
    Tint {
        /// As the artist drew it.
        Natural = "natural",
        /// Red.
        Red = "red",
        /// Blue.
        Blue = "blue",
        /// Green.
        Green = "green",
        /// Purple.
        Purple = "purple",
    }
}

attribute! {
    /// What the object wears.
    Accessory {
        /// Nothing.
        None = "none",
        /// A top hat on the head.
        Hat = "hat",
        /// A crown on the head.
        Crown = "crown",
        /// A bow at the neck.
        Bow = "bow",
    }
}

attribute! {
    /// Where the object is.
    Background {
        /// One pale colour.
        Plain = "plain",
        /// A meadow under a bright sky.
        Grass = "grass",
        /// Sand before the sea.
        Beach = "beach",
        /// Snowfall.
        Snow = "snow",
        /// A starry night.
        Night = "night",
    }
}

/// Everything a picture's identity consists of: who, drawn by whom, in which colour, wearing what.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct Identity {
    /// What it is.
    pub class: Class,
    /// Whose drawing.
    pub style: Style,
    /// Its colour.
    pub tint: Tint,
    /// What it wears.
    pub accessory: Accessory,
}

impl Class {
    /// The colour word of the untouched drawing, for classes whose artists all chose that colour.
    pub const fn natural_tint(self) -> Tint {
        match self {
            Self::Car | Self::Apple => Tint::Red,
            Self::Frog => Tint::Green,
            Self::Dog | Self::Cat | Self::Rabbit | Self::Bear | Self::Fox => Tint::Natural,
        }
    }
}

impl Identity {
    /// An identity whose tint is unambiguous: an untouched apple *is* a red apple.
    pub const fn new(class: Class, style: Style, tint: Tint, accessory: Accessory) -> Self {
        let tint = match tint {
            Tint::Natural => class.natural_tint(),
            other => other,
        };
        Self {
            class,
            style,
            tint,
            accessory,
        }
    }

    /// Whether the drawing keeps the artist's colours.
    pub fn is_untinted(self) -> bool {
        self.tint == self.class.natural_tint()
    }

    /// Every identity of the world once, in a fixed order.
    pub fn all() -> Vec<Self> {
        let mut identities = Vec::new();
        for &class in Class::ALL {
            for &style in Style::ALL {
                for &tint in Tint::ALL {
                    for &accessory in Accessory::ALL {
                        let identity = Self {
                            class,
                            style,
                            tint,
                            accessory,
                        };
                        if Self::new(class, style, tint, accessory) == identity {
                            identities.push(identity);
                        }
                    }
                }
            }
        }
        identities
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_unambiguous_and_counted_once() {
        let all = Identity::all();
        // 8 classes, 3 styles, 5 tints, 4 accessories, less the natural tint of three classes.
        assert_eq!(all.len(), 8 * 3 * 5 * 4 - 3 * 3 * 4);
        assert!(
            all.iter()
                .all(|i| !(i.class == Class::Apple && i.tint == Tint::Natural))
        );
    }

    #[test]
    fn names_follow_the_order_of_values() {
        assert_eq!(Class::Apple.name(), "apple");
        assert_eq!(
            Background::ALL[Background::Night.index()],
            Background::Night
        );
    }
}
