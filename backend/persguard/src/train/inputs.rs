//! What a run is made of: everything that no step changes.
//!
//! Owns its making and its name. Refuses to start from a snapshot of other inputs.

use candle_core::Tensor;
use diffusion::{
    pipeline::Pipeline,
    schedule::NoiseSchedule,
    unet::{Conditions, UNet},
    weights::Weights,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};
use shared::job::JobSpec;

use super::{ProtectOptions, Subject, unrelated::unrelated};
use crate::{
    Result,
    bank::TeacherBank,
    checkpoint::State,
    commitment::Commitment,
    concept::{self, Concept, Known, Questioner},
    disclosure::METHOD_VERSION,
    emphasis::Emphasis,
    event::Reporter,
    objective::{Part, prior},
    pools::Pools,
    prompts::{Prompts, Words},
    teacher::{Artist, Request, TeacherSet, TeacherSets, subject_latents},
};

/// One row of `L_PP` in so many is of an unrelated caption, where there are any.
const CAPTION_SHARE: usize = 2;
/// Prompts that have nothing to do with the concepts, and the teacher's answers under them.
pub(super) struct Captions {
    pub(super) prompts: Conditions,
    pub(super) latents: Tensor,
    pub(super) bank: TeacherBank,
}

/// Inputs that no step changes.
pub(super) struct Inputs<'a> {
    pub(super) pipeline: &'a Pipeline,
    pub(super) schedule: NoiseSchedule,
    pub(super) emphasis: Emphasis,
    pub(super) spec: &'a JobSpec,
    /// Without what was read from them: the snapshot, and in a run the earlier job's weights too.
    pub(super) options: ProtectOptions,
    pub(super) fingerprint: String,
    pub(super) commitment: Commitment,
    pub(super) concepts: Vec<Concept>,
    /// Positions of the concepts that stay protected.
    pub(super) protected: Vec<usize>,
    pub(super) captions: Option<Captions>,
}

/// What a snapshot gives back to the loop.
pub(super) struct Resumed {
    pub(super) unet: Weights,
    pub(super) optimizer: Weights,
    pub(super) average: Option<Weights>,
    pub(super) rng: ChaCha8Rng,
    pub(super) step: u32,
}

impl Resumed {
    fn split(state: State) -> (Self, TeacherSets) {
        let resumed = Self {
            unet: state.unet,
            optimizer: state.optimizer,
            average: state.average,
            rng: state.rng,
            step: state.step,
        };
        (resumed, state.teacher)
    }
}

impl<'a> Inputs<'a> {
    /// Embeds, draws and asks the teacher; with what the options' snapshot gives back, if there is one.
    pub(super) fn prepare(
        pipeline: &'a Pipeline,
        subjects: &[Subject],
        (spec, mut options): (&'a JobSpec, ProtectOptions),
        reporter: &mut Reporter<'_>,
    ) -> Result<(Self, Option<Resumed>)> {
        let mut latents = Vec::new();
        for subject in subjects {
            latents.push(subject_latents(pipeline, &subject.images)?);
        }
        let fingerprint = fingerprint(subjects, spec, &options)?;
        let device = pipeline.device();
        // Taken, because it is as large as the weights with both moments and is read once.
        let snapshot = options.resume.take();
        let state = snapshot
            .map(|checkpoint| State::from_checkpoint(&checkpoint, &fingerprint, device))
            .transpose()?;
        reporter.done = state.as_ref().map_or(0, |state| state.step);
        let pools = Pools::for_job(&options.identifiers, &options.captions, spec);
        let commitment = commit(&pools, &fingerprint, reporter)?;
        let unrelated = unrelated(spec, &pools);
        let unet = pipeline.unet()?;
        let mut prompts = Vec::new();
        for concept in &spec.concepts {
            let words = Words::of(concept, &pools, spec.injection.universal_identifiers);
            prompts.push(Prompts::embed(pipeline, words)?);
        }
        let (resumed, teacher) = if let Some(state) = state {
            let (resumed, teacher) = Resumed::split(state);
            (Some(resumed), teacher)
        } else {
            let asked = Asked {
                subjects,
                prompts: &prompts,
                captions: &unrelated,
            };
            (
                None,
                draw(pipeline, &unet, &asked, (spec, &options), reporter)?,
            )
        };
        let schedule = pipeline.noise_schedule()?;
        let questioner = Questioner {
            pipeline,
            schedule: &schedule,
            teacher: &unet,
            count: questions(spec, &options),
        };
        let mut rng = stream(spec, streams::BANKS);
        let parts = prompts.into_iter().zip(latents).zip(teacher.concepts);
        let known = parts.map(|((prompts, subject), teacher)| Known {
            prompts,
            subject,
            teacher,
        });
        let mut concepts = Vec::new();
        for (concept, known) in spec.concepts.iter().zip(known) {
            let ready = Concept::prepare(concept, known, &questioner, &mut rng, reporter)?;
            concepts.push(ready);
        }
        let captions = teacher
            .captions
            .map(|latents| Captions::prepare(latents, &unrelated, &questioner, &mut rng, reporter));
        let captions = captions.transpose()?;
        let protected = (0..concepts.len()).filter(|at| concepts[*at].is_protected);
        let inputs = Self {
            pipeline,
            emphasis: Emphasis::new(&schedule),
            schedule,
            spec,
            options,
            fingerprint,
            commitment,
            protected: protected.collect(),
            concepts,
            captions,
        };
        Ok((inputs, resumed))
    }

    /// What the teacher drew, for a snapshot.
    pub(super) fn teacher(&self) -> TeacherSets {
        let sets = self
            .concepts
            .iter()
            .map(|concept| -> TeacherSet { concept.teacher.clone() });
        let captions = self.captions.as_ref();
        TeacherSets {
            concepts: sets.collect(),
            captions: captions.map(|captions| captions.latents.clone()),
        }
    }

    /// Rows of `L_PP`: the concept's class, and some unrelated captions.
    pub(super) fn prior(&self, concept: &Concept, rng: &mut ChaCha8Rng) -> Result<Part> {
        let batch = self.spec.injection.batch_size as usize;
        let apart = match &self.captions {
            Some(_) => batch / CAPTION_SHARE,
            None => 0,
        };
        let classes = concept.prompts.every_class();
        let mut parts = vec![prior::draw(
            &concept.class_bank,
            classes,
            batch - apart,
            rng,
        )?];
        if let Some(captions) = self.captions.as_ref().filter(|_| apart > 0) {
            parts.push(prior::draw(&captions.bank, &captions.prompts, apart, rng)?);
        }
        Part::cat(&parts)
    }
}

impl Captions {
    fn prepare(
        latents: Tensor,
        captions: &[String],
        questioner: &Questioner<'_>,
        rng: &mut ChaCha8Rng,
        reporter: &mut Reporter<'_>,
    ) -> Result<Self> {
        let prompts = questioner.pipeline.encode_prompts(captions)?.detach();
        let bank = questioner.ask(&latents, &prompts, rng, reporter)?;
        Ok(Self {
            prompts,
            latents,
            bank,
        })
    }
}

/// Tells the hash of what is held out, before anything is trained.
fn commit(pools: &Pools, fingerprint: &str, reporter: &mut Reporter<'_>) -> Result<Commitment> {
    let commitment = Commitment::new(pools, fingerprint.as_bytes());
    reporter.log(format!(
        "Held out of training: {} identifiers and {} openings of prompts; SHA-256 {}",
        commitment.identifiers.len(),
        commitment.templates.len(),
        commitment.sha256
    ))?;
    Ok(commitment)
}

/// What the teacher draws from.
struct Asked<'a> {
    subjects: &'a [Subject],
    prompts: &'a [Prompts],
    captions: &'a [String],
}

/// Lets the teacher draw every set of the job.
fn draw(
    pipeline: &Pipeline,
    teacher: &UNet,
    asked: &Asked<'_>,
    (spec, options): (&JobSpec, &ProtectOptions),
    reporter: &mut Reporter<'_>,
) -> Result<TeacherSets> {
    let injection = &spec.injection;
    let captions = match asked.captions.len() {
        0 => 0,
        count => count.max(injection.class_images as usize),
    };
    let pictures = spec
        .concepts
        .iter()
        .zip(asked.prompts)
        .map(|(concept, prompts)| concept::pictures(concept, prompts, injection));
    let mut artist = Artist {
        pipeline,
        teacher,
        config: &options.sampling,
        device: pipeline.device(),
        base_sha256: &options.base_sha256,
        cache: options.cache.as_deref(),
        done: 0,
        total: pictures.sum::<usize>() + captions,
    };
    let mut concepts = Vec::new();
    let told = spec.concepts.iter().enumerate();
    for ((told, subject), prompts) in told.zip(asked.subjects).zip(asked.prompts) {
        let settings = (injection, spec.seed);
        concepts.push(concept::draw(
            told,
            subject,
            prompts,
            settings,
            &mut artist,
            reporter,
        )?);
    }
    let request = Request {
        prompts: asked.captions,
        count: captions,
        seed: spec.seed,
    };
    let drawn = (captions > 0).then(|| artist.draw(request, reporter));
    Ok(TeacherSets {
        concepts,
        captions: drawn.transpose()?,
    })
}

/// As many questions as the steps ask for, at most as many as the options allow.
fn questions(spec: &JobSpec, options: &ProtectOptions) -> usize {
    let asked = spec.injection.steps as usize * spec.injection.batch_size as usize;
    asked.min(options.teacher_questions).max(1)
}

pub(super) fn stream(spec: &JobSpec, stream: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(spec.seed);
    rng.set_stream(stream);
    rng
}

/// Independent random streams of one job seed.
pub(super) mod streams {
    pub(in crate::train) const BANKS: u64 = 2;
    pub(in crate::train) const TRAINING: u64 = 3;
}

/// Names a job and its inputs.
fn fingerprint(subjects: &[Subject], spec: &JobSpec, options: &ProtectOptions) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(METHOD_VERSION);
    hash.update(serde_json::to_string(spec).expect("a specification is plain data"));
    hash.update(&options.base_sha256);
    hash.update(options.identifiers.join(" "));
    hash.update(options.captions.join("\n"));
    hash.update(options.teacher_questions.to_le_bytes());
    let start = options.start.as_ref();
    hash.update(start.map_or("", |start| start.sha256.as_str()));
    // Pixels, not latents: those are a little other on another device, where a job may go on.
    let images = subjects.iter().map(|subject| &subject.images);
    let overlays = subjects
        .iter()
        .filter_map(|subject| subject.overlay.as_ref());
    for tensor in images.chain(overlays) {
        for value in tensor.flatten_all()?.to_vec1::<f32>()? {
            hash.update(value.to_le_bytes());
        }
    }
    Ok(hex::encode(hash.finalize()))
}
