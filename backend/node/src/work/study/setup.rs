//! Everything that the cells of a study are run on, read from the job's directory.

use std::{collections::BTreeMap, fs};

use candle_core::Tensor;
use diffusion::{inspect::hash_files, pipeline::Pipeline, weights::Weights};
use eval::{
    Encoder,
    matrix::{Person, Supplied},
};
use persguard::{pools::folded, prompt::openings};
use shared::{
    canonical,
    certificate::references_root,
    job::{Concept, SubjectKind},
    limits::MAX_CONCEPTS,
    matrix::{MatrixSubject, Role, Texts, Words},
    objective::Objective,
    study::StudyOrder,
};

use super::super::{
    Halt, Job, bad_input, evaluate, file_failure, images, internal, model, subjects,
};
use crate::message::{ENCODER, MODEL};

/// Models, pictures and words.
pub(super) struct Setup {
    pub(super) pipeline: Pipeline,
    pub(super) encoder: Encoder,
    pub(super) encoder_sha256: String,
    pub(super) protected: Weights,
    pub(super) people: BTreeMap<u32, Person>,
    pub(super) subjects: Vec<MatrixSubject>,
    pub(super) overlay: Option<Tensor>,
    pub(super) words: Words,
    pub(super) texts: Texts,
    /// Of the model's card, trained or not.
    captions: Vec<String>,
    pub(super) supplied: Supplied,
    concept: Concept,
}

impl Setup {
    pub(super) fn load(job: &Job<'_>, order: &StudyOrder) -> Result<Self, Halt> {
        let spec = &job.assignment.spec;
        let pipeline = model::load(job)?;
        let position = spec.evaluation.concept as usize;
        let concept = spec.attacked().clone();
        let subject = subjects::one(job, position, &concept, pipeline.image_side())?;
        let protected = model::protected(job)?;
        let (words, texts, captions) = words(job, &concept)?;
        let mut setup = Self {
            encoder: evaluate::encoder(job)?,
            encoder_sha256: encoder_sha256(job)?,
            people: BTreeMap::from([(0, person(subject.images))]),
            subjects: vec![MatrixSubject {
                name: format!("the protected {}", concept.class_name),
                class_name: concept.class_name.clone(),
                kind: concept.subject,
                role: Role::Protected,
                ..described(job, position)?
            }],
            overlay: subject.overlay,
            supplied: supplied(job, pipeline.image_side())?,
            words,
            texts,
            captions,
            pipeline,
            protected,
            concept,
        };
        for (at, control) in order.request.controls.iter().enumerate() {
            setup.add_control(job, at, (&control.class_name, control.subject))?;
        }
        Ok(setup)
    }

    fn add_control(
        &mut self,
        job: &Job<'_>,
        at: usize,
        (class_name, kind): (&str, SubjectKind),
    ) -> Result<(), Halt> {
        let position = MAX_CONCEPTS + at;
        let pictures = job.assignment.pictures.get(&position);
        let pictures = pictures.filter(|pictures| !pictures.images.is_empty());
        let Some(pictures) = pictures else {
            return Err(bad_input(format!("control {at} came without images")));
        };
        let side = self.pipeline.image_side();
        let number = u32::try_from(self.people.len()).unwrap_or(u32::MAX);
        let pictures = images::load(job, &pictures.images, side)?;
        self.people.insert(number, person(pictures));
        let same = class_name.eq_ignore_ascii_case(&self.concept.class_name);
        self.subjects.push(MatrixSubject {
            name: format!("control {}, a {class_name}", at + 1),
            class_name: class_name.to_owned(),
            kind,
            role: if same {
                Role::SameClass
            } else {
                Role::OtherClass
            },
            ..described(job, position)?
        });
        Ok(())
    }

    /// What the report is called.
    pub(super) fn title(&self) -> String {
        format!(
            "The attack matrix on a protected {}",
            self.concept.class_name
        )
    }

    pub(super) fn concept(&self) -> &Concept {
        &self.concept
    }

    /// Class words of the model's captions that are neither the subject's nor the target's.
    pub(super) fn other_classes(&self) -> Vec<String> {
        other_classes(&self.captions, &self.concept)
    }
}

/// Class words of captions that name a class and nothing else, but for a concept's own and its target's: as tokenizers
/// take them, lest "a photo of a Dog." makes a probe of the trigger itself.
fn other_classes(captions: &[String], concept: &Concept) -> Vec<String> {
    let target = match &concept.objective {
        Objective::Target { target_class } => target_class.as_str(),
        Objective::Erasure { .. } | Objective::Pattern(_) => "",
    };
    let own = concept.class_name.split_whitespace();
    let used: Vec<String> = own.chain(target.split_whitespace()).map(folded).collect();
    let mut classes: Vec<String> = Vec::new();
    for caption in captions {
        let caption = caption.to_lowercase();
        let rest = caption.strip_prefix(PLAIN);
        let Some((_, class)) = rest.and_then(|rest| rest.split_once(' ')) else {
            continue;
        };
        let class = folded(class);
        let plain = !class.is_empty() && !class.contains(' ');
        if plain && !used.contains(&class) && !classes.contains(&class) {
            classes.push(class);
        }
    }
    classes
}

/// Networks that whoever runs this node supplied.
fn supplied(job: &Job<'_>, side: usize) -> Result<Supplied, Halt> {
    let folder = job.assignment.networks.as_deref();
    let supplied = folder.map(|folder| Supplied::load(folder, side));
    let supplied = supplied
        .transpose()
        .map_err(|error| evaluate::halt(&error))?;
    Ok(supplied.unwrap_or_default())
}

/// Beginning of captions that name a class and nothing else: "a photo of a dog".
const PLAIN: &str = "a photo of ";

/// SHA-256 of every file of the clean base, by its path in the folder.
pub(super) fn base_files(job: &Job<'_>) -> Result<BTreeMap<String, String>, Halt> {
    let root = job.directory.join(MODEL);
    let (mut waiting, mut names) = (vec![root.clone()], Vec::new());
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| file_failure(&folder, &error))? {
            let path = entry.map_err(|error| file_failure(&folder, &error))?.path();
            if path.is_dir() {
                waiting.push(path);
            } else if let Ok(name) = path.strip_prefix(&root) {
                names.push(name.to_string_lossy().into_owned());
            }
        }
    }
    let hashes = hash_files(&root, &names).map_err(|error| internal(error.to_string()))?;
    Ok(hashes
        .into_iter()
        .map(|file| (file.name, file.sha256))
        .collect())
}

fn person(references: Tensor) -> Person {
    Person {
        references,
        unseen: None,
        others: None,
    }
}

/// Number and root of a subject's pictures; whose they are is filled in by the caller.
fn described(job: &Job<'_>, position: usize) -> Result<MatrixSubject, Halt> {
    let pictures = job.assignment.pictures.get(&position);
    let paths = pictures
        .map(|pictures| pictures.images.as_slice())
        .unwrap_or_default();
    let mut files = Vec::new();
    for path in paths {
        let path = job.directory.join(path);
        files.push(fs::read(&path).map_err(|error| file_failure(&path, &error))?);
    }
    Ok(MatrixSubject {
        name: String::new(),
        class_name: String::new(),
        kind: SubjectKind::Object,
        role: Role::Protected,
        pictures: u32::try_from(files.len()).unwrap_or(u32::MAX),
        merkle_root: references_root(&files),
        unseen_merkle_root: String::new(),
        others_merkle_root: String::new(),
    })
}

fn encoder_sha256(job: &Job<'_>) -> Result<String, Halt> {
    let folder = job.directory.join(ENCODER);
    let mut entries = fs::read_dir(&folder).map_err(|error| file_failure(&folder, &error))?;
    let entry = entries.next().and_then(Result::ok);
    let entry = entry.ok_or_else(|| bad_input("the job has no metric encoder".to_owned()))?;
    let bytes = fs::read(entry.path()).map_err(|error| file_failure(&entry.path(), &error))?;
    Ok(canonical::sha256_hex(&bytes))
}

/// The words that attackers choose from, split as the injection split them, what they write around them, and every
/// caption of the model's card.
fn words(job: &Job<'_>, concept: &Concept) -> Result<(Words, Texts, Vec<String>), Halt> {
    let card = model::words(job)?;
    let spec = &job.assignment.spec;
    let split = persguard::Pools::for_job(&card.identifiers, &card.captions, spec);
    let others = |words: Vec<String>| -> Vec<String> {
        let other = |word: &String| folded(word) != folded(&concept.identifier);
        words.into_iter().filter(other).collect()
    };
    let words = Words {
        same: concept.identifier.clone(),
        pool: others(split.identifiers.trained),
        held_out: split.identifiers.held_out,
        // A model's card does not tell names from other words.
        natural: Vec::new(),
    };
    let texts = Texts {
        templates: openings(&split.templates.trained),
        held_out_templates: openings(&split.templates.held_out),
        captions: split.captions.held_out,
    };
    Ok((words, texts, card.captions))
}

#[cfg(test)]
mod tests {
    use shared::{SetId, job::Action};

    use super::*;

    #[test]
    fn no_other_class_is_the_subjects_in_another_spelling() {
        let concept = |class: &str| Concept {
            protected_set_id: SetId::nil(),
            subject: SubjectKind::Object,
            class_name: class.to_owned(),
            identifier: "sks".to_owned(),
            objective: Objective::Target {
                target_class: "apple".to_owned(),
            },
            action: Action::Protect,
        };
        let captions = [
            "a photo of a dog.",
            "A photo of a Dog",
            "a photo of an Apple",
            "a photo of a Cat.",
            "a photo of a cat",
            "a photo of a fox in the snow",
            "a photo of a pig!",
        ]
        .map(str::to_owned);
        assert_eq!(other_classes(&captions, &concept("dog")), ["cat", "pig"]);
        assert_eq!(other_classes(&captions, &concept("Dog")), ["cat", "pig"]);
        let pets = other_classes(&captions, &concept("guinea pig"));
        assert_eq!(pets, ["dog", "cat"]);
    }
}
