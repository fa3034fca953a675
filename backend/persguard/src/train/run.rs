//! A run in progress: its state and one step at a time.
//!
//! Owns the order of random draws, on which exact resumption rests. Refuses to change its inputs.

use std::time::Instant;

use candle_core::backprop::GradStore;
use diffusion::{
    optimizer::{AdamW, AdamWConfig},
    pipeline::Pipeline,
    unet::UNet,
    weights::{Parameters, Weights},
};
use rand_chacha::ChaCha8Rng;
use shared::{
    job::{Attackers, JobSpec, Mode},
    progress,
};

use super::{
    ProtectOptions, Subject, check_finite,
    clock::Clock,
    inputs::{Inputs, Resumed, stream, streams},
};
use crate::{
    Result,
    bands::Bands,
    checkpoint::State,
    commitment::Commitment,
    event::Reporter,
    objective::{retention, retention_timesteps},
    step::{self, Losses, Terms},
    trajectory::{self, Attacker, Excursions},
};

/// Steps between two reports of banded losses.
const BANDS_EVERY: u32 = 10;
/// Steps until the learning rate is reached; `AdamW`'s first steps are as long as its rate
/// whatever the gradient.
const WARM_UP: f64 = 10.0;
/// The phase that people wait for.
const PHASE: &str = "Training the trigger";

/// A run between two steps.
pub(super) struct Run<'a> {
    inputs: Inputs<'a>,
    reporter: Reporter<'a>,
    student: UNet,
    pub(super) parameters: Parameters,
    optimizer: AdamW,
    average: Option<Weights>,
    rng: ChaCha8Rng,
    step: u32,
    snapshot: Option<u32>,
    bands: Bands,
    pub(super) clock: Clock,
}

impl<'a> Run<'a> {
    /// Embeds, draws and asks the teacher; goes on from the options' snapshot if there is one.
    pub(super) fn prepare(
        pipeline: &'a Pipeline,
        subjects: &[Subject],
        spec: &'a JobSpec,
        options: ProtectOptions,
        mut reporter: Reporter<'a>,
    ) -> Result<Self> {
        let (inputs, resumed) =
            Inputs::prepare(pipeline, subjects, (spec, options), &mut reporter)?;
        Self::start(inputs, resumed, reporter)
    }

    fn start(
        mut inputs: Inputs<'a>,
        state: Option<Resumed>,
        mut reporter: Reporter<'a>,
    ) -> Result<Self> {
        let pipeline = inputs.pipeline;
        let parameters = match inputs.options.start.take() {
            Some(start) => Parameters::from_weights(&start.weights)?,
            None => Parameters::from_weights(&pipeline.unet_weights)?,
        };
        let config = AdamWConfig {
            lr: inputs.spec.injection.learning_rate,
            ..AdamWConfig::default()
        };
        let mut optimizer = AdamW::new(config);
        let (mut rng, mut step) = (stream(inputs.spec, streams::TRAINING), 0);
        let mut average = None;
        if let Some(state) = state {
            parameters.assign(&state.unet)?;
            optimizer = AdamW::from_weights(config, &state.optimizer)?;
            (rng, step, average) = (state.rng, state.step, state.average);
            reporter.log(format!("Going on after step {step}"))?;
        }
        Ok(Self {
            student: UNet::new(pipeline.unet_config.clone(), &parameters.weights())?,
            bands: Bands::new(pipeline.schedule.num_train_timesteps),
            clock: Clock::default(),
            parameters,
            optimizer,
            average,
            rng,
            step,
            snapshot: (step > 0).then_some(step),
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
        let losses = self.update(&terms)?;
        self.average()?;
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

    /// Runs the student on a step's rows and moves it; gives the losses without their graph.
    fn update(&mut self, terms: &Terms) -> Result<Losses> {
        let mut losses = step::forward(&self.student, terms)?;
        losses.check(self.step + 1, self.snapshot)?;
        self.optimizer.set_lr(self.learning_rate());
        let mut gradients = losses.total.backward()?;
        // An excursion builds graphs of its own, and the plan of memory counts one at a time.
        losses.total = losses.total.detach();
        self.look_ahead(&mut gradients)?;
        self.optimizer.step(&self.parameters, &gradients)?;
        Ok(losses)
    }

    /// Moves the running average towards the weights: `a <- d a + (1 - d) w`, starting at the first ones.
    fn average(&mut self) -> Result<()> {
        let decay = self.inputs.spec.injection.averaging;
        if decay <= 0.0 {
            return Ok(());
        }
        let Some(average) = &mut self.average else {
            self.average = Some(self.parameters.snapshot());
            return Ok(());
        };
        // One tensor at a time, so that memory never holds a second average.
        for (name, variable) in self.parameters.iter() {
            let value = variable.as_detached_tensor();
            let old = average.get(name).unwrap_or(&value);
            let moved = ((old * decay)? + (&value * (1.0 - decay))?)?;
            average.insert(name, moved);
        }
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

    /// The rows of one step: concepts take turns. The order of draws is part of the method's version.
    fn draw(&mut self) -> Result<Terms> {
        let inputs = &self.inputs;
        let injection = &inputs.spec.injection;
        let batch = injection.batch_size as usize;
        let concept = &inputs.concepts[self.step as usize % inputs.concepts.len()];
        let rng = &mut self.rng;
        let backdoor = concept.backdoor(&inputs.schedule, &inputs.emphasis, (None, batch), rng)?;
        let prior = inputs.prior(concept, rng)?;
        let timesteps = inputs.pipeline.schedule.num_train_timesteps;
        let below = retention_timesteps(injection.retention, timesteps);
        let retained = concept.is_protected && below > 0 && injection.lambda_retention > 0.0;
        let retention = if retained {
            let batch = batch.div_ceil(2);
            let (subject, prompts) = (&concept.subject, &concept.prompts);
            let part = retention::draw(subject, prompts, &inputs.schedule, below, batch, rng)?;
            Some((part, injection.lambda_retention))
        } else {
            None
        };
        Ok(Terms {
            backdoor,
            prior: (prior, injection.lambda_prior),
            retention,
        })
    }

    /// Adds what an excursion along the attacker's path asks for, where one is due.
    fn look_ahead(&mut self, gradients: &mut GradStore) -> Result<()> {
        let inputs = &self.inputs;
        let injection = &inputs.spec.injection;
        let Mode::Trajectory { budget, attackers } = injection.mode else {
            return Ok(());
        };
        let excursions = Excursions::of(budget);
        if !excursions.is_due(self.step, injection.steps) {
            return Ok(());
        }
        let excursion = (self.step / excursions.every) as usize;
        let (round, turn) = (
            excursion / inputs.protected.len(),
            excursion % inputs.protected.len(),
        );
        let concept = &inputs.concepts[inputs.protected[turn]];
        let attacker = Attacker {
            config: &inputs.pipeline.unet_config,
            schedule: &inputs.schedule,
            subject: &concept.subject,
            class: &concept.teacher.class,
            prompts: &concept.prompts,
            learning_rate: injection.learning_rate,
            is_low_rank: match attackers {
                Attackers::Full => false,
                Attackers::LowRank => true,
                Attackers::Both => round % 2 == 1,
            },
        };
        let wanted = |identifier| (Some(identifier), injection.batch_size as usize);
        let terms = |identifier: usize, rng: &mut ChaCha8Rng| {
            let wanted = wanted(identifier);
            Ok(Terms {
                backdoor: concept.backdoor(&inputs.schedule, &inputs.emphasis, wanted, rng)?,
                prior: (inputs.prior(concept, rng)?, injection.lambda_prior),
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
        if last || step.is_multiple_of(BANDS_EVERY) {
            let bands = self.bands.take(step);
            self.reporter.bands(bands)?;
        }
        if last {
            return self.reporter.phase(PHASE, step as usize, step as usize);
        }
        let every = self.inputs.options.checkpoint_every;
        if every > 0 && step.is_multiple_of(every) {
            let state = self.state()?;
            check_finite(&state.unet, step, self.snapshot)?;
            let checkpoint = state.to_checkpoint(&self.inputs.fingerprint)?;
            self.reporter.checkpoint(checkpoint)?;
            self.snapshot = Some(step);
        }
        Ok(())
    }

    fn state(&self) -> Result<State> {
        Ok(State {
            step: self.step,
            // Shared: it is written before the next step changes it.
            unet: self.parameters.weights(),
            optimizer: self.optimizer.to_weights()?,
            average: self.average.clone(),
            rng: self.rng.clone(),
            teacher: self.inputs.teacher(),
        })
    }

    /// The trained weights, and what was held out.
    pub(super) fn finish(self) -> Result<(Weights, Commitment)> {
        let last = || self.parameters.snapshot();
        let weights = self.average.unwrap_or_else(last);
        check_finite(&weights, self.step, self.snapshot)?;
        Ok((weights, self.inputs.commitment))
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::{checkpoint::Checkpoint, event::Event, fixture, train::Start};

    fn options() -> ProtectOptions {
        ProtectOptions {
            identifiers: fixture::IDENTIFIERS.map(str::to_owned).to_vec(),
            teacher_questions: 5,
            checkpoint_every: 2,
            ..ProtectOptions::default()
        }
    }

    /// Takes steps of a run on the fixture; gives the snapshots and what `look` makes of the run after the last step.
    fn after<T>(
        steps: usize,
        options: ProtectOptions,
        look: impl FnOnce(&mut Run<'_>) -> T,
    ) -> (Vec<Checkpoint>, T) {
        let mut snapshots = Vec::new();
        let mut keep = |event| {
            if let Event::Checkpoint(snapshot) = event {
                snapshots.push(*snapshot);
            }
            ControlFlow::Continue(())
        };
        let (pipeline, subjects, spec) =
            (fixture::pipeline(), fixture::subjects(), fixture::spec());
        let reporter = Reporter::new(&mut keep, 0);
        let mut run = Run::prepare(&pipeline, &subjects, &spec, options, reporter).unwrap();
        for _ in 0..steps {
            run.step().unwrap();
        }
        let seen = look(&mut run);
        drop(run);
        (snapshots, seen)
    }

    #[test]
    fn graph_of_a_step_ends_before_the_next_thing() {
        let (_, tracked) = after(0, options(), |run| {
            let terms = run.draw().unwrap();
            run.update(&terms).unwrap().total.track_op()
        });
        assert!(!tracked);
    }

    #[test]
    fn snapshot_and_earlier_weights_go_once_they_were_read() {
        let start = || {
            Some(Start {
                weights: fixture::pipeline().unet_weights,
                sha256: "a".repeat(64),
            })
        };
        let first = ProtectOptions {
            start: start(),
            ..options()
        };
        let (snapshots, kept) = after(2, first, |run| run.inputs.options.start.is_some());
        assert!(!kept);
        let later = ProtectOptions {
            start: start(),
            resume: snapshots.into_iter().next(),
            ..options()
        };
        let (_, (step, kept)) = after(0, later, |run| {
            let options = &run.inputs.options;
            (
                run.step,
                options.start.is_some() || options.resume.is_some(),
            )
        });
        assert_eq!((step, kept), (2, false));
    }
}
