//! One cell, run alone: the same attack on the clean and on the protected model, matched pictures, scores, grade.
//!
//! Owns the order of work; what a node does with a cell is this and nothing else. Refuses to read or write files.

use std::collections::BTreeMap;

use candle_core::Tensor;
use diffusion::{pipeline::Pipeline, weights::Weights};
use shared::{
    job::SubjectKind,
    matrix::{Cell, CellResult, MatrixSubject, Plan},
    objective::Objective,
};

use super::{
    Features,
    arm::{self, Drawn},
    grade::{Baseline, grade},
    record::{ArmRecord, CheckpointScores, SAVED, rounded},
    sets::{Purpose, Sets},
};
use crate::{
    Error, Result,
    draw::draw,
    encoder::Encoder,
    evaluation::image_seeds,
    gallery::{Arm, image_name, png_files},
    metric::{
        Aim, Judge, Standard,
        face::{FaceMetrics, face_metrics},
    },
    net::FaceReader,
    prompt,
    statistics::mean,
};

/// Random stream of a cell's seed: pictures that set the threshold.
const THRESHOLD_STREAM: u64 = 21;

/// Pictures of one subject of the plan.
#[derive(Clone, Debug)]
pub struct Person {
    /// The references, which are the attacker's images too: `[n, 3, h, w]` in `[-1, 1]`.
    pub references: Tensor,
    /// Further ones of the same subject, never protected.
    pub unseen: Option<Tensor>,
    /// Of others of the same class.
    pub others: Option<Tensor>,
}

/// What all cells of a plan are run on.
#[derive(Clone, Copy)]
pub struct Stage<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The clean base.
    pub pipeline: &'a Pipeline,
    /// U-Net weights under attack.
    pub protected: &'a Weights,
    /// Reads the pictures.
    pub encoder: &'a Encoder,
    /// Pictures of the plan's subjects, by their position.
    pub people: &'a BTreeMap<u32, Person>,
    /// Of a pattern objective what it shows, `[4, h, w]`.
    pub overlay: Option<&'a Tensor>,
    /// Generated sets that cells share.
    pub sets: &'a Sets,
    /// Networks that somebody supplied.
    pub nets: Nets<'a>,
}

/// Networks beside the encoder; what needs one that is not there is not measured.
#[derive(Clone, Copy, Default)]
pub struct Nets<'a> {
    /// Finds and tells faces, of persons alone.
    pub faces: Option<&'a FaceReader>,
    /// Distances to real pictures.
    pub features: Option<Features<'a>>,
}

/// A cell that ran.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Numbers and grade.
    pub result: CellResult,
    /// The attack on the clean base; no protection changes it.
    pub clean: ArmRecord,
    /// The attack on the protected model.
    pub protected: ArmRecord,
    /// Some pictures of each checkpoint: `clean/200/00.png` and its bytes. Those of an arm that was ready are not drawn
    /// again.
    pub pictures: Vec<(String, Vec<u8>)>,
}

/// Hears of every step and picture: phase, done, of how many; may stop with an error.
pub type Tick<'a> = &'a mut dyn FnMut(&str, usize, usize) -> Result<()>;

/// Runs a cell; `ready` is the attack on the clean base where it is already done.
///
/// The result depends on the plan, the models and the pictures alone, whatever ran before, and whether or not the clean
/// arm was ready.
pub fn run_cell(
    stage: &Stage<'_>,
    cell: &Cell,
    ready: Option<ArmRecord>,
    tick: Tick<'_>,
) -> Result<Outcome> {
    let subject = stage.plan.subject(cell);
    let person = stage.person(cell)?;
    let class_only = stage.class_only(cell, subject, tick)?;
    let judge = stage.judge(subject, person, &class_only)?;
    let baseline = Baseline {
        hit_threshold: judge.threshold,
        text_alignment: mean(&judge.score(&class_only)?.text_alignment),
    };
    let mut pictures = Vec::new();
    let scale = Scale {
        judge: &judge,
        faces: stage.faces(subject, person)?,
        seed: cell.seed,
    };
    let clean = match ready {
        Some(clean) => clean,
        None => scale.scored(
            Arm::Clean,
            arm::attack(stage, cell, Arm::Clean, tick)?,
            &mut pictures,
        )?,
    };
    let drawn = arm::attack(stage, cell, Arm::Protected, tick)?;
    let protected = scale.scored(Arm::Protected, drawn, &mut pictures)?;
    let key = stage.plan.key(cell);
    Ok(Outcome {
        result: grade(cell.clone(), key, baseline, &clean, &protected),
        clean,
        protected,
        pictures,
    })
}

/// A face reader with the descriptors of the references.
type Known<'a> = (&'a FaceReader, Vec<Vec<f32>>);

/// What the pictures of one cell are read by.
struct Scale<'a> {
    judge: &'a Judge<'a>,
    /// Of a person.
    faces: Option<Known<'a>>,
    seed: u64,
}

impl Scale<'_> {
    fn scored(
        &self,
        arm: Arm,
        drawn: Drawn,
        pictures: &mut Vec<(String, Vec<u8>)>,
    ) -> Result<ArmRecord> {
        let mut record = drawn.record;
        for (attack_step, pixels) in drawn.checkpoints {
            let mut scores = CheckpointScores::new(attack_step, self.judge.score(&pixels)?);
            scores.faces = self.faces_in(&pixels)?;
            record.checkpoints.push(scores);
            let shown = pixels.narrow(0, 0, SAVED.min(pixels.dim(0)?))?;
            let files = png_files(&shown)?.into_iter().enumerate();
            pictures.extend(files.map(|(index, file)| (image_name(arm, attack_step, index), file)));
        }
        Ok(record)
    }

    fn faces_in(&self, pixels: &Tensor) -> Result<Option<FaceMetrics>> {
        let Some((reader, references)) = &self.faces else {
            return Ok(None);
        };
        let found = descriptors(reader, pixels)?;
        Ok(
            face_metrics(references, &found, self.seed).map(|faces| FaceMetrics {
                detection_failure_rate: rounded(faces.detection_failure_rate),
                identity_score: faces.identity_score.map(rounded),
                identity_hit_rate: rounded(faces.identity_hit_rate),
            }),
        )
    }
}

/// For each picture the descriptors of its faces, the surest first.
fn descriptors(reader: &FaceReader, pixels: &Tensor) -> Result<Vec<Vec<Vec<f32>>>> {
    let pictures = reader.read(pixels)?.into_iter();
    Ok(pictures
        .map(|faces| faces.into_iter().map(|face| face.descriptor).collect())
        .collect())
}

impl<'a> Stage<'a> {
    /// The pictures of whom a cell personalizes.
    pub(super) fn person(&self, cell: &Cell) -> Result<&'a Person> {
        let person = self.people.get(&cell.subject);
        let person = person.ok_or(Error::MissingSubject {
            subject: cell.subject,
        })?;
        let side = self.pipeline.image_side();
        match person.references.dims() {
            [n, 3, height, width] if *n > 0 && (*height, *width) == (side, side) => Ok(person),
            actual => Err(Error::ImageShape {
                actual: actual.to_vec(),
                expected: format!("[n, 3, {side}, {side}] with n > 0"),
            }),
        }
    }

    /// What the clean base draws under the class-only prompt, shared by cells of one class and seed.
    pub(super) fn class_only(
        &self,
        cell: &Cell,
        subject: &MatrixSubject,
        tick: Tick<'_>,
    ) -> Result<Tensor> {
        let count = self.plan.settings.threshold_pictures as usize;
        let seeds = image_seeds(cell.seed, THRESHOLD_STREAM, count);
        let sampling = arm::sampling(&self.plan.settings)?;
        self.sets.get(
            &subject.class_name,
            Arm::Clean,
            (Purpose::Threshold, cell.seed),
            || {
                let prompt = prompt::class(&subject.class_name);
                let unet = self.pipeline.unet()?;
                draw(
                    self.pipeline,
                    &unet,
                    &prompt,
                    &seeds,
                    &sampling,
                    &mut |done, total| tick("Drawing the unprotected class", done, total),
                )
            },
        )
    }

    /// The face reader with the references' descriptors: of a person, and where a reader was supplied.
    fn faces(&self, subject: &MatrixSubject, person: &Person) -> Result<Option<Known<'a>>> {
        match self.nets.faces {
            Some(reader) if subject.kind == SubjectKind::Person => {
                let found = descriptors(reader, &person.references)?;
                let surest = found
                    .into_iter()
                    .filter_map(|faces| faces.into_iter().next());
                Ok(Some((reader, surest.collect())))
            }
            _ => Ok(None),
        }
    }

    /// Sets the standard for one subject.
    pub(super) fn judge(
        &self,
        subject: &'a MatrixSubject,
        person: &Person,
        class_only: &Tensor,
    ) -> Result<Judge<'a>> {
        let objective = &self.plan.inputs.objective;
        let other = match objective {
            Objective::Target { target_class } => prompt::class(target_class),
            Objective::Erasure { prompt } => {
                prompt.clone().unwrap_or_else(|| prompt::NEUTRAL.to_owned())
            }
            Objective::Pattern(_) => prompt::NEUTRAL.to_owned(),
        };
        let class = prompt::class(&subject.class_name);
        let prompts = self.encoder.token_ids(&[class.clone(), class, other])?;
        Judge::new(
            self.encoder,
            Standard {
                references: &person.references,
                class_only,
                prompts: &prompts,
                subject: subject.kind,
                class_name: &subject.class_name,
                aim: match (objective, self.overlay) {
                    (Objective::Target { target_class }, _) => Aim::Target(target_class),
                    (Objective::Erasure { .. }, _) => Aim::Erasure,
                    (Objective::Pattern(_), Some(overlay)) => Aim::Pattern(overlay),
                    (Objective::Pattern(_), None) => return Err(Error::MissingOverlay),
                },
            },
        )
    }
}
