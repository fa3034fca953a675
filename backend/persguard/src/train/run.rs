//! A run in progress: inputs, state and one step at a time.
//!
//! Owns the order of random draws, on which exact resumption rests. Refuses to start from a
//! snapshot of other inputs.

use std::time::Instant;

use candle_core::{Tensor, backprop::GradStore};
use diffusion::{
    optimizer::{AdamW, AdamWConfig},
    pipeline::Pipeline,
    schedule::NoiseSchedule,
    unet::{Conditions, UNet},
    weights::Parameters,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};
use shared::{
    job::{JobSpec, Mode},
    progress,
};

use super::{ProtectOptions, clock::Clock};
use crate::{
    Result,
    bands::Bands,
    bank::{Questions, TeacherBank},
    checkpoint::State,
    dataset::{Prompts, TeacherSet, streams, subject_latents},
    disclosure::METHOD_VERSION,
    event::Reporter,
    objective::{prior, retention, retention_timesteps, target},
    pools::Pools,
    step::{self, Terms},
    trajectory::{self, Attacker, Excursions},
};

/// Steps between two lines of banded losses.
const LOG_EVERY: u32 = 50;
/// Steps until the learning rate is reached; `AdamW`'s first steps are as long as its rate
/// whatever the gradient.
const WARM_UP: f64 = 10.0;
/// The phase that people wait for.
const PHASE: &str = "Training the trigger";

/// Inputs that no step changes.
struct Inputs<'a> {
    pipeline: &'a Pipeline,
    schedule: NoiseSchedule,
    spec: &'a JobSpec,
    options: &'a ProtectOptions,
    fingerprint: String,
    prompts: Prompts,
    subject: Tensor,
    teacher: TeacherSet,
    target_bank: TeacherBank,
    class_bank: TeacherBank,
}

/// A run between two steps.
pub(super) struct Run<'a> {
    inputs: Inputs<'a>,
    reporter: Reporter<'a>,
    student: UNet,
    pub(super) parameters: Parameters,
    optimizer: AdamW,
    rng: ChaCha8Rng,
    step: u32,
    bands: Bands,
    pub(super) clock: Clock,
}

impl<'a> Run<'a> {
    /// Embeds, draws and asks the teacher; goes on from the options' snapshot if there is one.
    pub(super) fn prepare(
        pipeline: &'a Pipeline,
        images: &Tensor,
        spec: &'a JobSpec,
        options: &'a ProtectOptions,
        mut reporter: Reporter<'a>,
    ) -> Result<Self> {
        let subject = subject_latents(pipeline, images)?;
        let pools = Pools::for_job(&options.identifiers, spec);
        let prompts = Prompts::embed(pipeline, &pools, spec)?;
        let fingerprint = fingerprint(&subject, spec, options)?;
        let resume = options.resume.as_ref();
        let state = resume
            .map(|checkpoint| State::from_checkpoint(checkpoint, &fingerprint, images.device()))
            .transpose()?;
        reporter.done = state.as_ref().map_or(0, |state| state.step);
        let unet = pipeline.unet()?;
        let teacher = match &state {
            Some(state) => state.teacher.clone(),
            None => TeacherSet::draw(
                pipeline,
                &unet,
                &pools,
                spec,
                &options.sampling,
                &mut reporter,
            )?,
        };
        let schedule = pipeline.noise_schedule()?;
        let questioner = Questioner {
            schedule: &schedule,
            teacher: &unet,
            count: questions(spec, options),
        };
        let mut rng = stream(spec, streams::BANKS);
        let target_bank = questioner.ask(
            &teacher.target,
            prompts.every_target(),
            &mut rng,
            &mut reporter,
        )?;
        let class_bank = questioner.ask(
            &teacher.class,
            prompts.every_class(),
            &mut rng,
            &mut reporter,
        )?;
        let inputs = Inputs {
            pipeline,
            schedule,
            spec,
            options,
            fingerprint,
            prompts,
            subject,
            teacher,
            target_bank,
            class_bank,
        };
        Self::start(inputs, state, reporter)
    }

    fn start(inputs: Inputs<'a>, state: Option<State>, mut reporter: Reporter<'a>) -> Result<Self> {
        let pipeline = inputs.pipeline;
        let parameters = Parameters::from_weights(&pipeline.unet_weights)?;
        let config = AdamWConfig {
            lr: inputs.spec.injection.learning_rate,
            ..AdamWConfig::default()
        };
        let mut optimizer = AdamW::new(config);
        let (mut rng, mut step) = (stream(inputs.spec, streams::TRAINING), 0);
        if let Some(state) = state {
            parameters.assign(&state.unet)?;
            optimizer = AdamW::from_weights(config, &state.optimizer)?;
            (rng, step) = (state.rng, state.step);
            reporter.log(format!("Going on after step {step}"))?;
        }
        Ok(Self {
            student: UNet::new(pipeline.unet_config.clone(), &parameters.weights())?,
            bands: Bands::new(pipeline.schedule.num_train_timesteps),
            clock: Clock::default(),
            parameters,
            optimizer,
            rng,
            step,
            reporter,
            inputs,
        })
    }

    /// Whether steps are left.
    pub(super) fn is_done(&self) -> bool {
        self.step >= self.inputs.spec.injection.steps
    }

    /// Draws rows, runs the student once, updates it and reports.
    pub(super) fn step(&mut self) -> Result<()> {
        let total = self.inputs.spec.injection.steps as usize;
        self.reporter.phase(PHASE, self.step as usize, total)?;
        let begin = Instant::now();
        let terms = self.draw()?;
        let drawn = Instant::now();
        let losses = step::forward(&self.student, &terms)?;
        losses.check(self.step + 1)?;
        self.optimizer.set_lr(self.learning_rate());
        let mut gradients = losses.total.backward()?;
        self.look_ahead(&mut gradients)?;
        self.optimizer.step(&self.parameters, &gradients)?;
        let updated = Instant::now();
        self.step += 1;
        self.reporter.done = self.step;
        self.bands.add(&losses.rows);
        self.reporter.losses(progress::Losses {
            step: self.step,
            backdoor: losses.mean(0),
            prior: losses.mean(1),
            retention: losses.mean(2),
        })?;
        self.tell()?;
        self.clock.add(begin, drawn, updated);
        Ok(())
    }

    /// The job's rate, reached over the first steps, then falling in a line towards 0: the last
    /// steps undo the drift that a constant rate leaves in `L_PP`.
    fn learning_rate(&self) -> f64 {
        let injection = &self.inputs.spec.injection;
        let rise = f64::from(self.step + 1) / WARM_UP;
        let fall = 1.0 - f64::from(self.step) / f64::from(injection.steps);
        injection.learning_rate * rise.min(1.0) * fall
    }

    /// The rows of one step. The order of draws is part of the method's version.
    fn draw(&mut self) -> Result<Terms> {
        let Inputs {
            spec,
            prompts,
            schedule,
            ..
        } = &self.inputs;
        let injection = &spec.injection;
        let batch = injection.batch_size as usize;
        let rng = &mut self.rng;
        let backdoor = target::draw(&self.inputs.target_bank, prompts, batch, rng)?;
        let prior = prior::draw(&self.inputs.class_bank, prompts, batch, rng)?;
        let timesteps = self.inputs.pipeline.schedule.num_train_timesteps;
        let below = retention_timesteps(injection.retention, timesteps);
        let retained = if below == 0 || injection.lambda_retention <= 0.0 {
            None
        } else {
            let batch = batch.div_ceil(2);
            let subject = &self.inputs.subject;
            let part = retention::draw(subject, prompts, schedule, below, batch, rng)?;
            Some((part, injection.lambda_retention))
        };
        Ok(Terms {
            backdoor,
            prior: (prior, injection.lambda_prior),
            retention: retained,
        })
    }

    /// Adds what an excursion along the attacker's path asks for, where one is due.
    fn look_ahead(&mut self, gradients: &mut GradStore) -> Result<()> {
        let inputs = &self.inputs;
        let injection = &inputs.spec.injection;
        let Mode::Trajectory { budget } = injection.mode else {
            return Ok(());
        };
        let excursions = Excursions::of(budget);
        if !excursions.is_due(self.step) {
            return Ok(());
        }
        let attacker = Attacker {
            config: &inputs.pipeline.unet_config,
            schedule: &inputs.schedule,
            subject: &inputs.subject,
            class: &inputs.teacher.class,
            prompts: &inputs.prompts,
            learning_rate: injection.learning_rate,
        };
        let batch = injection.batch_size as usize;
        let terms = |identifier: usize, rng: &mut ChaCha8Rng| {
            let (target, class) = (&inputs.target_bank, &inputs.class_bank);
            Ok(Terms {
                backdoor: target::draw_for(target, &inputs.prompts, identifier, batch, rng)?,
                prior: (
                    prior::draw(class, &inputs.prompts, batch, rng)?,
                    injection.lambda_prior,
                ),
                retention: None,
            })
        };
        let start = self.parameters.weights();
        let (done, total) = (self.step as usize, injection.steps as usize);
        let reporter = &mut self.reporter;
        let tick = || reporter.phase(PHASE, done, total);
        let ahead = trajectory::visit(attacker, &start, excursions, &mut self.rng, terms, tick)?;
        for (name, gradient) in ahead {
            let Some(var) = self.parameters.get(&name) else {
                continue;
            };
            // One excursion stands for the steps since the last one.
            let gradient = (gradient * f64::from(excursions.every))?;
            let total = match gradients.get(var.as_tensor()) {
                Some(own) => (own + gradient)?,
                None => gradient,
            };
            gradients.insert(var.as_tensor(), total);
        }
        Ok(())
    }

    /// The banded losses and the snapshot, where they are due.
    fn tell(&mut self) -> Result<()> {
        let (step, last) = (self.step, self.is_done());
        if last || step.is_multiple_of(LOG_EVERY) {
            let line = self.bands.take_line();
            self.reporter.log(format!(
                "Step {step}, loss at low/middle/high noise: {line}"
            ))?;
        }
        if last {
            return self.reporter.phase(PHASE, step as usize, step as usize);
        }
        let every = self.inputs.options.checkpoint_every;
        if every > 0 && step.is_multiple_of(every) {
            let checkpoint = self.state()?.to_checkpoint(&self.inputs.fingerprint)?;
            self.reporter.checkpoint(checkpoint)?;
        }
        Ok(())
    }

    fn state(&self) -> Result<State> {
        Ok(State {
            step: self.step,
            unet: self.parameters.snapshot(),
            optimizer: self.optimizer.to_weights()?,
            rng: self.rng.clone(),
            teacher: self.inputs.teacher.clone(),
        })
    }
}

/// Asks the teacher for both banks.
struct Questioner<'a> {
    schedule: &'a NoiseSchedule,
    teacher: &'a UNet,
    count: usize,
}

impl Questioner<'_> {
    fn ask(
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
        let tick = |done| reporter.phase("Asking the teacher", done, self.count);
        TeacherBank::ask(self.teacher, self.schedule, questions, rng, tick)
    }
}

/// As many questions as the steps ask for, at most as many as the options allow.
fn questions(spec: &JobSpec, options: &ProtectOptions) -> usize {
    let asked = spec.injection.steps as usize * spec.injection.batch_size as usize;
    asked.min(options.teacher_questions).max(1)
}

fn stream(spec: &JobSpec, stream: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(spec.seed);
    rng.set_stream(stream);
    rng
}

/// Names a job and its inputs.
fn fingerprint(subject: &Tensor, spec: &JobSpec, options: &ProtectOptions) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(METHOD_VERSION);
    hash.update(serde_json::to_string(spec).expect("a specification is plain data"));
    hash.update(&options.base_sha256);
    hash.update(options.identifiers.join(" "));
    hash.update(options.teacher_questions.to_le_bytes());
    for value in subject.flatten_all()?.to_vec1::<f32>()? {
        hash.update(value.to_le_bytes());
    }
    Ok(hex::encode(hash.finalize()))
}
