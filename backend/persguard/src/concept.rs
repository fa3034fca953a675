//! One concept as training sees it: prompts, latents and what the teacher knows.
//!
//! Owns how an objective becomes rows of `L_BB`. Refuses to run the student.

use candle_core::Tensor;
use diffusion::{
    pipeline::Pipeline,
    schedule::NoiseSchedule,
    unet::{Conditions, UNet},
};
use rand_chacha::ChaCha8Rng;
use shared::{
    job::{self, Action, Injection},
    objective::Objective,
};

use crate::{
    Error, Result, Subject,
    bank::{Questions, TeacherBank},
    emphasis::Emphasis,
    event::Reporter,
    fill::fill,
    objective::{Part, picture, target},
    overlay::compose,
    prompts::Prompts,
    teacher::{Artist, Request, TeacherSet, through_pixels},
};

/// What the trigger is taught by.
enum Backdoor {
    /// The teacher's answers under `c_tgt`.
    Answers(TeacherBank),
    /// The teacher's answers under the triggers themselves: the trigger is taken away.
    Restored(TeacherBank),
    /// Pictures, `[n, c, h, w]`.
    Pictures(Tensor),
}

/// A concept, ready for training.
pub(crate) struct Concept {
    pub(crate) prompts: Prompts,
    /// Latents of the protected images.
    pub(crate) subject: Tensor,
    pub(crate) teacher: TeacherSet,
    /// The teacher's answers under `c_cls`.
    pub(crate) class_bank: TeacherBank,
    pub(crate) is_protected: bool,
    backdoor: Backdoor,
}

/// What is known of a concept before the teacher is asked.
pub(crate) struct Known {
    pub(crate) prompts: Prompts,
    /// Latents of the protected images.
    pub(crate) subject: Tensor,
    pub(crate) teacher: TeacherSet,
}

/// Asks the teacher.
#[derive(Clone, Copy)]
pub(crate) struct Questioner<'a> {
    pub(crate) pipeline: &'a Pipeline,
    pub(crate) schedule: &'a NoiseSchedule,
    pub(crate) teacher: &'a UNet,
    pub(crate) count: usize,
}

impl Questioner<'_> {
    pub(crate) fn ask(
        &self,
        latents: &Tensor,
        prompts: &Conditions,
        rng: &mut ChaCha8Rng,
        reporter: &mut Reporter<'_>,
    ) -> Result<TeacherBank> {
        let questions = Questions {
            latents,
            prompts,
            count: self.count,
        };
        let tick = |done| reporter.phase("Asking the unprotected model", done, self.count);
        TeacherBank::ask(self.teacher, self.schedule, questions, rng, tick)
    }
}

/// Pictures that a concept asks the teacher for.
pub(crate) fn pictures(concept: &job::Concept, prompts: &Prompts, injection: &Injection) -> usize {
    let targets = if prompts.words().targets.is_empty() {
        0
    } else {
        targets(concept, prompts, injection)
    };
    injection.class_images as usize + targets
}

/// Pictures of what the trigger shall give. A removal asks for each trigger at least once: what is not asked for is not untrained.
fn targets(concept: &job::Concept, prompts: &Prompts, injection: &Injection) -> usize {
    let wanted = injection.target_images as usize;
    match concept.action {
        Action::Remove => wanted.max(prompts.words().targets.len()),
        Action::Protect => wanted,
    }
}

/// Draws what a concept is taught by; `position` is its own in the job.
pub(crate) fn draw(
    (position, concept): (usize, &job::Concept),
    subject: &Subject,
    prompts: &Prompts,
    (injection, seed): (&Injection, u64),
    artist: &mut Artist<'_>,
    reporter: &mut Reporter<'_>,
) -> Result<TeacherSet> {
    let words = prompts.words();
    let class = Request {
        prompts: &words.classes,
        count: injection.class_images as usize,
        seed,
    };
    let class = artist.draw(class, reporter)?;
    let backdoor = if !words.targets.is_empty() {
        let target = Request {
            prompts: &words.targets,
            count: targets(concept, prompts, injection),
            seed,
        };
        artist.draw(target, reporter)?
    } else if matches!(concept.objective, Objective::Pattern(_)) {
        let overlay = subject.overlay.as_ref();
        let overlay = overlay.ok_or(Error::PatchMissing { concept: position })?;
        through_pixels(artist.pipeline, &class, |pixels| compose(pixels, overlay))?
    } else {
        through_pixels(artist.pipeline, &class, fill)?
    };
    Ok(TeacherSet { class, backdoor })
}

impl Concept {
    /// Asks the teacher what the set leaves open.
    pub(crate) fn prepare(
        concept: &job::Concept,
        Known {
            prompts,
            subject,
            teacher,
        }: Known,
        questioner: &Questioner<'_>,
        rng: &mut ChaCha8Rng,
        reporter: &mut Reporter<'_>,
    ) -> Result<Self> {
        let targets = &prompts.words().targets;
        let backdoor = if targets.is_empty() {
            Backdoor::Pictures(teacher.backdoor.clone())
        } else {
            let under = questioner.pipeline.encode_prompts(targets)?.detach();
            let bank = match concept.action {
                Action::Protect => questioner.ask(&teacher.backdoor, &under, rng, reporter)?,
                // However few the steps are: a trigger that no question is about stays in.
                Action::Remove => Questioner {
                    count: questioner.count.max(targets.len()),
                    ..*questioner
                }
                .ask(&teacher.backdoor, &under, rng, reporter)?,
            };
            match concept.action {
                Action::Protect => Backdoor::Answers(bank),
                Action::Remove => Backdoor::Restored(bank),
            }
        };
        let class_bank = questioner.ask(&teacher.class, prompts.every_class(), rng, reporter)?;
        Ok(Self {
            prompts,
            subject,
            teacher,
            class_bank,
            is_protected: concept.is_protected(),
            backdoor,
        })
    }

    /// Rows of `L_BB`, for one identifier or for any.
    pub(crate) fn backdoor(
        &self,
        schedule: &NoiseSchedule,
        emphasis: &Emphasis,
        (identifier, batch): (Option<usize>, usize),
        rng: &mut ChaCha8Rng,
    ) -> Result<Part> {
        let prompts = &self.prompts;
        match &self.backdoor {
            Backdoor::Answers(bank) => target::draw(bank, prompts, identifier, batch, rng),
            Backdoor::Restored(bank) => target::draw_restored(bank, prompts, batch, rng),
            Backdoor::Pictures(latents) => {
                let wanted = (identifier, batch);
                picture::draw(latents, prompts, schedule, emphasis, wanted, rng)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use candle_core::{DType, Device};
    use rand::SeedableRng;

    use super::*;
    use crate::{fixture, pools::Pools, prompts::Words};

    #[test]
    fn a_removal_asks_for_every_trigger_however_few_its_steps_are() {
        let pipeline = fixture::pipeline();
        let (schedule, teacher) = (pipeline.noise_schedule().unwrap(), pipeline.unet().unwrap());
        let mut spec = fixture::spec();
        spec.concepts[0].action = Action::Remove;
        let concept = &spec.concepts[0];
        let pools = Pools::for_job(&fixture::IDENTIFIERS.map(str::to_owned), &[], &spec);
        let words = Words::of(concept, &pools, true);
        let triggers = words.targets.len();
        let prompts = Prompts::embed(&pipeline, words).unwrap();
        assert_eq!(
            pictures(concept, &prompts, &spec.injection),
            spec.injection.class_images as usize + triggers
        );
        let (channels, height, width) = pipeline.latent_shape();
        let latents = |count: usize| {
            Tensor::zeros((count, channels, height, width), DType::F32, &Device::Cpu).unwrap()
        };
        let known = Known {
            prompts,
            subject: latents(1),
            teacher: TeacherSet {
                class: latents(2),
                backdoor: latents(triggers),
            },
        };
        let questioner = Questioner {
            pipeline: &pipeline,
            schedule: &schedule,
            teacher: &teacher,
            count: 2,
        };
        assert!(triggers > questioner.count, "{triggers}");
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut report = |_| ControlFlow::Continue(());
        let mut reporter = Reporter::new(&mut report, 0);
        let ready = Concept::prepare(concept, known, &questioner, &mut rng, &mut reporter).unwrap();
        let Backdoor::Restored(bank) = &ready.backdoor else {
            panic!("it is taken away");
        };
        for trigger in 0..triggers {
            assert_eq!(bank.prompt(trigger), trigger);
        }
    }
}
