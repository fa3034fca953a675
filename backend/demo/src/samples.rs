//! The bundled sample sets.

/// Pictures of one subject, as a user would upload them.
#[derive(Clone, Copy, Debug)]
pub struct SampleSet {
    /// Stable name, also its directory.
    pub name: &'static str,
    /// Heading.
    pub title: &'static str,
    /// Class word of the subject.
    pub class_name: &'static str,
    /// One sentence for people.
    pub description: &'static str,
    /// Whether the demo offers it for protection; otherwise it is a stranger to compare with.
    pub protected: bool,
    /// File name and PNG bytes of every picture.
    pub images: &'static [(&'static str, &'static [u8])],
}

macro_rules! images {
    ($set:literal) => {
        &[
            (
                "01.png",
                include_bytes!(concat!("../samples/", $set, "/01.png")),
            ),
            (
                "02.png",
                include_bytes!(concat!("../samples/", $set, "/02.png")),
            ),
            (
                "03.png",
                include_bytes!(concat!("../samples/", $set, "/03.png")),
            ),
            (
                "04.png",
                include_bytes!(concat!("../samples/", $set, "/04.png")),
            ),
            (
                "05.png",
                include_bytes!(concat!("../samples/", $set, "/05.png")),
            ),
        ]
    };
}

/// Every bundled set, those to protect first.
#[inline(never)]
pub fn sample_sets() -> &'static [SampleSet] {
    &[
        SampleSet {
            name: "violet-dog",
            title: "Violet the dog",
            class_name: "dog",
            description: "A purple dog with a top hat, drawn in 3D.",
            protected: true,
            images: images!("violet-dog"),
        },
        SampleSet {
            name: "emerald-cat",
            title: "Emerald the cat",
            class_name: "cat",
            description: "A green cat with a bow, drawn flat.",
            protected: true,
            images: images!("emerald-cat"),
        },
        SampleSet {
            name: "azure-fox",
            title: "Azure the fox",
            class_name: "fox",
            description: "A blue fox with a crown, drawn in bold shapes.",
            protected: true,
            images: images!("azure-fox"),
        },
        SampleSet {
            name: "stranger-dog",
            title: "A stranger's dog",
            class_name: "dog",
            description: "A brown dog with a bow: same class as Violet, somebody else.",
            protected: false,
            images: images!("stranger-dog"),
        },
        SampleSet {
            name: "crowned-dog",
            title: "Another stranger's dog",
            class_name: "dog",
            description: "A green dog with a crown: same class as Violet, somebody else.",
            protected: false,
            images: images!("crowned-dog"),
        },
        SampleSet {
            name: "coral-prints",
            title: "Coral prints",
            class_name: "illustration",
            description: "An artist's style: five animals printed in navy and coral on cream.",
            protected: false,
            images: images!("coral-prints"),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_holds_five_png_files_of_a_known_class() {
        for set in sample_sets() {
            let style = set.class_name == "illustration";
            let known = style || crate::CLASSES.contains(&set.class_name);
            assert!(known, "{}", set.name);
            assert_eq!(set.images.len(), 5);
            for (name, bytes) in set.images {
                assert!(bytes.starts_with(b"\x89PNG\r\n"), "{}/{name}", set.name);
            }
        }
        assert!(
            sample_sets()
                .iter()
                .any(|set| set.protected && set.name == crate::SUBJECT)
        );
    }
}
