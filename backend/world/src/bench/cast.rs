//! Who is attacked on the demo world: the protected subject and its controls, with picture files that anyone can run a cell
//! again from. Refuses to render what is bundled.

use std::fs;
use std::path::{Path, PathBuf};

use eval::gallery::references;
use eval::matrix::Person;
use shared::certificate::references_root;
use shared::job::SubjectKind;
use shared::matrix::{MatrixSubject, Role};

use crate::publish::samples;
use crate::{file, subject};

/// Pictures of the subject that were never protected.
const UNSEEN: u64 = 4;
/// Side of their files in pixels, as of the bundled ones.
const SIDE: usize = 256;

/// Somebody with their picture files.
pub struct Cast {
    /// As the plan lists them.
    pub subject: MatrixSubject,
    /// The references.
    pub files: Vec<Vec<u8>>,
    /// Never protected, of the same subject.
    pub unseen: Vec<Vec<u8>>,
    /// Of others of the same class.
    pub others: Vec<Vec<u8>>,
}

/// The demo's subject, two others of its class, two of other classes.
pub fn cast() -> anyhow::Result<Vec<Cast>> {
    let controls = [
        (demo::SUBJECT, Role::Protected),
        ("stranger-dog", Role::SameClass),
        ("crowned-dog", Role::SameClass),
        ("emerald-cat", Role::OtherClass),
        ("azure-fox", Role::OtherClass),
    ];
    controls
        .into_iter()
        .map(|(name, role)| Cast::new(name, role))
        .collect()
}

impl Cast {
    fn new(name: &str, role: Role) -> anyhow::Result<Self> {
        let sample = demo::sample_sets().iter().find(|set| set.name == name);
        let sample = sample.ok_or_else(|| anyhow::anyhow!("there is no sample set {name}"))?;
        let files = set(name);
        let (mut unseen, mut others) = (Vec::new(), Vec::new());
        if role == Role::Protected {
            unseen = unseen_files(name)?;
            others = set("stranger-dog");
        }
        let root = |files: &[Vec<u8>]| {
            if files.is_empty() {
                String::new()
            } else {
                references_root(files)
            }
        };
        Ok(Self {
            subject: MatrixSubject {
                name: name.to_owned(),
                class_name: sample.class_name.to_owned(),
                kind: SubjectKind::Object,
                role,
                pictures: u32::try_from(files.len())?,
                merkle_root: root(&files),
                unseen_merkle_root: root(&unseen),
                others_merkle_root: root(&others),
            },
            files,
            unseen,
            others,
        })
    }

    /// Its pictures as the model sees them.
    pub fn person(&self, side: usize) -> anyhow::Result<Person> {
        let further = |files: &[Vec<u8>]| {
            (!files.is_empty())
                .then(|| references(files, side))
                .transpose()
        };
        Ok(Person {
            references: references(&self.files, side)?,
            unseen: further(&self.unseen)?,
            others: further(&self.others)?,
        })
    }

    /// Writes the files, so that anyone can run a cell again.
    pub fn write(&self, out: &Path) -> std::io::Result<PathBuf> {
        let folder = out.join("pictures").join(&self.subject.name);
        for (part, files) in [
            ("references", &self.files),
            ("unseen", &self.unseen),
            ("others", &self.others),
        ] {
            for (bytes, number) in files.iter().zip(1..) {
                let path = folder.join(part);
                fs::create_dir_all(&path)?;
                file::write(&path.join(format!("{number:02}.png")), bytes)?;
            }
        }
        Ok(folder)
    }
}

/// More scenes of a bundled subject, after those that are bundled.
fn unseen_files(name: &str) -> anyhow::Result<Vec<Vec<u8>>> {
    let Some(subject) = subject::PROTECTED.iter().find(|subject| subject.id == name) else {
        return Ok(Vec::new());
    };
    let numbers = samples::PICTURES..samples::PICTURES + UNSEEN;
    let files =
        numbers.map(|number| samples::encode(&samples::scene(subject, number).render(SIDE), SIDE));
    Ok(files.collect::<Result<_, _>>()?)
}

/// Files of a bundled set.
pub(super) fn set(name: &str) -> Vec<Vec<u8>> {
    let sets = demo::sample_sets().iter();
    let images = sets
        .filter(|set| set.name == name)
        .flat_map(|set| set.images);
    images.map(|(_, bytes)| bytes.to_vec()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cast_has_pictures_and_roots_of_its_own() {
        let cast = cast().unwrap();
        let roots: std::collections::BTreeSet<&str> = cast
            .iter()
            .map(|cast| cast.subject.merkle_root.as_str())
            .collect();
        assert_eq!(roots.len(), 5);
        assert_eq!((cast[0].files.len(), cast[0].unseen.len()), (5, 4));
        assert!(
            cast[0]
                .unseen
                .iter()
                .all(|file| !cast[0].files.contains(file))
        );
        assert_eq!(
            cast[0].person(32).unwrap().references.dims(),
            [5, 3, 32, 32]
        );
    }
}
