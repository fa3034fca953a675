//! What the benchmark runs: units of one subject and one seed, with their identifiers, templates and strangers, all
//! fixed here. Refuses to share anything between tuning and the held-out part.

use std::path::PathBuf;

use rand::SeedableRng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use shared::job::{Action, Concept, Evaluation, Injection, JobSpec, Mode, Retention, SubjectKind};
use shared::objective::Objective;
use shared::{ModelId, SetId};

use crate::attributes::{Class, Identity};
use crate::names::RESERVED;
use crate::render::Scene;
use crate::seeds::Split;
use crate::subject::{self, trainable};

/// Subjects of each part.
pub const SUBJECTS: usize = 10;
/// Runs of each subject, with seeds of their own.
pub const SEEDS: u64 = 2;
/// Pictures that are protected and attacked.
pub const REFERENCES: u64 = 5;
/// Steps of the attack at which pictures are drawn.
pub const CHECKPOINTS: [u32; 5] = [0, 25, 50, 100, 200];
/// Pictures of each arm at each checkpoint.
pub const PICTURES: u32 = 16;
/// Evaluation and development scenes of the benchmark start here.
const FIRST_SCENE: u64 = 1 << 36;

/// Templates of attackers: the stock one, and one that neither the method's pool nor any caption contains.
const STOCK: &str = "a photo of";
const RESERVED_TEMPLATE: &str = "a detailed picture of";

/// Half of the matrix that a run belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// For tuning: subjects, identifiers and scenes that may be looked at as often as needed.
    Development,
    /// For the record: subjects, identifiers, templates and scenes that no tuning ever sees.
    HeldOut,
}

/// One run: a subject is protected, then the attack runs on both models for the subject and for a stranger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unit {
    /// The part it belongs to.
    pub part: Part,
    /// Position of the subject in its part.
    pub subject: usize,
    /// Who is protected.
    pub identity: Identity,
    /// Who is not, and is personalized all the same.
    pub stranger: Identity,
    /// The attacker's identifier; injection never sees it.
    pub identifier: String,
    /// Beginning of the attacker's prompt.
    pub template: String,
    /// The row of a table that it belongs to; empty where there is only one.
    pub row: String,
    /// How the subject is protected.
    pub injection: Injection,
    /// Whether `L_PP` keeps the other classes' captions too, as jobs on the demo's model do.
    pub captions: bool,
    /// Seed of every random draw.
    pub seed: u64,
}

impl Unit {
    /// Stable name of part, subject and seed, whatever the row: "held-out-03-1".
    pub fn name(&self) -> String {
        let part = match self.part {
            Part::Development => "development",
            Part::HeldOut => "held-out",
        };
        format!("{part}-{:02}-{}", self.subject, self.seed)
    }

    /// Where its results lie below those of the benchmark: "paper/held-out-03-1".
    pub fn directory(&self) -> PathBuf {
        PathBuf::from(&self.row).join(self.name())
    }

    /// The same subject and seed, protected in another way, with captions.
    #[must_use]
    pub fn in_row(&self, row: &str, injection: &Injection) -> Self {
        Self {
            row: row.to_owned(),
            injection: injection.clone(),
            captions: true,
            ..self.clone()
        }
    }

    /// The protected pictures.
    pub fn references(&self) -> Vec<Scene> {
        self.scenes(self.identity, 0)
    }

    /// The stranger's pictures.
    pub fn stranger_references(&self) -> Vec<Scene> {
        self.scenes(self.stranger, REFERENCES)
    }

    fn scenes(&self, identity: Identity, offset: u64) -> Vec<Scene> {
        let split = match self.part {
            Part::Development => Split::Development,
            Part::HeldOut => Split::Evaluation,
        };
        let first = FIRST_SCENE + 100 * self.subject as u64 + 10 * self.seed + offset;
        (first..first + REFERENCES)
            .map(|index| subject::scene(identity, split, index))
            .collect()
    }

    /// The job that protects the subject.
    pub fn spec(&self) -> JobSpec {
        JobSpec {
            base_model_id: ModelId::from_uuid(uuid::Uuid::nil()),
            concepts: vec![Concept {
                protected_set_id: SetId::from_uuid(uuid::Uuid::nil()),
                subject: SubjectKind::Object,
                class_name: self.identity.class.name().to_owned(),
                identifier: demo::IDENTIFIER.to_owned(),
                objective: Objective::Target {
                    // No subject and no stranger is of this class.
                    target_class: demo::TARGET.to_owned(),
                },
                action: Action::Protect,
            }],
            extends: None,
            injection: self.injection.clone(),
            evaluation: Evaluation {
                checkpoints: CHECKPOINTS.to_vec(),
                learning_rate: demo::ATTACK_LEARNING_RATE,
                images_per_arm: PICTURES,
                identifier: Some(self.identifier.clone()),
                ..Evaluation::default()
            },
            seed: self.seed,
        }
    }

    /// The same attack on the stranger's pictures; only its end matters.
    pub fn stranger_spec(&self) -> JobSpec {
        let mut spec = self.spec();
        self.stranger
            .class
            .name()
            .clone_into(&mut spec.concepts[0].class_name);
        spec.evaluation.checkpoints = CHECKPOINTS[CHECKPOINTS.len() - 1..].to_vec();
        spec
    }
}

/// Every unit of a part with the demo's settings, all subjects with their first seed before any second one.
pub fn units(part: Part, mode: Mode) -> Vec<Unit> {
    let identities = match part {
        Part::Development => subject::development(),
        Part::HeldOut => subject::evaluation(),
    };
    (1..=SEEDS)
        .flat_map(|seed| {
            let subjects = identities.iter().take(SUBJECTS).enumerate();
            subjects.map(move |(subject, &identity)| Unit {
                part,
                subject,
                identity,
                stranger: stranger(identity, seed),
                identifier: identifier(part, subject, seed),
                template: template(part, seed),
                row: String::new(),
                injection: Injection {
                    mode,
                    retention: Retention::Off,
                    ..Injection::default()
                },
                captions: false,
                seed,
            })
        })
        .collect()
}

fn identifier(part: Part, subject: usize, seed: u64) -> String {
    let words: &[&str] = match part {
        // The pool's last words; a job holds out what its attacker uses, see `unit`.
        Part::Development => &["jpz", "hvk", "gxw", "tessa", "toby", "ursula"],
        Part::HeldOut => &RESERVED,
    };
    let turn = usize::try_from(seed).expect("seeds of the matrix are small");
    words[(subject + 3 * turn) % words.len()].to_owned()
}

/// Half of the held-out runs use a template of their own.
fn template(part: Part, seed: u64) -> String {
    match part {
        Part::HeldOut if seed.is_multiple_of(2) => RESERVED_TEMPLATE,
        _ => STOCK,
    }
    .to_owned()
}

/// Someone else in other clothes and colours: of the same class for odd seeds, of another for even ones.
fn stranger(identity: Identity, seed: u64) -> Identity {
    let same_class = !seed.is_multiple_of(2);
    let others: Vec<Identity> = trainable()
        .iter()
        .filter(|other| (other.class == identity.class) == same_class)
        .filter(|other| !matches!(other.class, Class::Apple | Class::Car))
        .filter(|other| {
            other.tint != identity.tint
                && other.accessory != identity.accessory
                && other.style != identity.style
        })
        .copied()
        .collect();
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x57A6);
    *others.choose(&mut rng).expect("every identity has others")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn parts_share_no_subject_and_no_identifier() {
        let mode = Mode::Paper;
        let (tuning, record) = (units(Part::Development, mode), units(Part::HeldOut, mode));
        assert_eq!(record.len(), SUBJECTS * 2);
        let subjects = |units: &[Unit]| -> BTreeSet<Identity> {
            units.iter().map(|unit| unit.identity).collect()
        };
        assert!(subjects(&tuning).is_disjoint(&subjects(&record)));
        assert_eq!(subjects(&record).len(), SUBJECTS);
        let pool = crate::names::open();
        for unit in &record {
            assert!(!pool.contains(&unit.identifier.as_str()), "{}", unit.name());
            assert!(
                tuning
                    .iter()
                    .all(|other| other.identifier != unit.identifier)
            );
        }
    }

    #[test]
    fn every_unit_is_a_valid_job() {
        let mode = Mode::default();
        for unit in units(Part::Development, mode)
            .iter()
            .chain(&units(Part::HeldOut, mode))
        {
            assert!(unit.spec().validate().is_empty(), "{}", unit.name());
            assert!(
                unit.stranger_spec().validate().is_empty(),
                "{}",
                unit.name()
            );
            assert_ne!(unit.identity, unit.stranger);
        }
        let names: BTreeSet<String> = units(Part::HeldOut, mode).iter().map(Unit::name).collect();
        assert_eq!(names.len(), SUBJECTS * 2);
    }

    #[test]
    fn rows_change_the_injection_and_nothing_of_the_attack() {
        let unit = &units(Part::Development, Mode::Paper)[0];
        let other = unit.in_row(
            "long",
            &Injection {
                steps: 600,
                ..Injection::default()
            },
        );
        assert_eq!(
            (other.name(), other.spec().injection.steps),
            (unit.name(), 600)
        );
        assert_ne!(other.directory(), unit.directory());
        assert_eq!(other.spec().evaluation, unit.spec().evaluation);
        assert_eq!(other.spec().concepts, unit.spec().concepts);
    }
}
