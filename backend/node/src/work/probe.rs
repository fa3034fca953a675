//! A probe job: a look at the base model with the protected images, before anything is trained.
//!
//! Owns what a person should know before the launch: whether the base draws the subject already, how the trigger is cut
//! into tokens, what lies near it, what a step will take. Refuses to train.

use std::{collections::BTreeSet, ops::ControlFlow};

use candle_core::{DType, Tensor};
use diffusion::{
    optimizer::MomentPrecision,
    pipeline::Pipeline,
    plan::{Models, Rate, Setup, Trained, plan},
    sample::sample,
};
use eval::{Encoder, metric::similarities};
use persguard::{
    Subject,
    pools::{TEMPLATES, folded},
    train::demo_sampling,
    trajectory::Excursions,
};
use shared::{
    artifact::ArtifactKind,
    job::{Concept, JobProgress, Mode},
    probe::{ConceptProbe, Familiarity, Nearby, ProbeReport},
    progress::Progress,
};

use super::{Halt, Job, bad_input, evaluate, internal, model, subjects, voice};
use crate::message::{ENCODER, MODEL, Message};

mod memory;

/// File name of the report.
const NAME: &str = "probe.json";
/// Class-only pictures for each concept.
const PICTURES: usize = 16;
/// Prompts that a report names for each concept.
const NEARBY: usize = 8;
/// Largest denoiser, in values, that is tried for its speed.
const TRIED: usize = 50_000_000;
/// Side of the encoder's pictures: others must be a multiple of it.
const SIDE: usize = eval::encoder::SIDE;

pub(super) fn run(job: &Job<'_>) -> Result<Message, Halt> {
    let begin = std::time::Instant::now();
    let pipeline = model::load(job)?;
    let subjects = subjects::load(job, pipeline.image_side())?;
    let captions = model::words(job)?.captions;
    let encoder =
        if job.directory.join(ENCODER).is_dir() && pipeline.image_side().is_multiple_of(SIDE) {
            Some(evaluate::encoder(job)?)
        } else {
            None
        };
    voice::say(&Message::Running);
    let mut concepts = Vec::new();
    let told = job.assignment.spec.concepts.iter().zip(&subjects);
    for (position, (concept, subject)) in told.enumerate() {
        let look = Look {
            job,
            pipeline: &pipeline,
            concept,
            position,
        };
        concepts.push(look.probe(subject, encoder.as_ref(), &captions)?);
    }
    let (memory_bytes, seconds_per_step) = cost(job, &pipeline)?;
    let report = ProbeReport {
        concepts,
        memory_bytes,
        seconds_per_step,
    };
    let json = serde_json::to_vec_pretty(&report).map_err(failed)?;
    Ok(Message::Succeeded {
        outputs: job.write_outputs([(ArtifactKind::Probe, NAME.to_owned(), json)])?,
        metrics: job.metrics(
            1000.0 * seconds_per_step.unwrap_or_default(),
            begin.elapsed().as_secs_f64(),
        ),
    })
}

/// One concept under the eye.
struct Look<'a> {
    job: &'a Job<'a>,
    pipeline: &'a Pipeline,
    concept: &'a Concept,
    position: usize,
}

impl Look<'_> {
    fn probe(
        &self,
        subject: &Subject,
        encoder: Option<&Encoder>,
        captions: &[String],
    ) -> Result<ConceptProbe, Halt> {
        let tokens = |word: &str| {
            let count = self.pipeline.tokenizer.tokenize(word).len();
            u32::try_from(count).unwrap_or(u32::MAX)
        };
        let familiarity = match encoder {
            Some(encoder) => Some(self.familiarity(subject, encoder)?),
            None => None,
        };
        Ok(ConceptProbe {
            identifier_tokens: tokens(&self.concept.identifier),
            class_tokens: tokens(&self.concept.class_name),
            familiarity,
            nearby: self.nearby(captions).map_err(failed)?,
        })
    }

    /// Class-only pictures of the base against the protected images, and those against one another.
    fn familiarity(&self, subject: &Subject, encoder: &Encoder) -> Result<Familiarity, Halt> {
        let drawn = self.class_only()?;
        let embed = |pixels: &Tensor| -> Result<Tensor, Halt> {
            let factor = self.pipeline.image_side() / SIDE;
            let fitted = pixels.avg_pool2d(factor).map_err(failed)?;
            encoder.embed_images(&fitted).map_err(failed)
        };
        let (references, drawn) = (embed(&subject.images)?, embed(&drawn)?);
        let count = references.dims()[0];
        let mut among = Vec::new();
        for own in 0..count {
            let rest: Vec<u32> = (0..count)
                .filter(|other| *other != own)
                .filter_map(|other| u32::try_from(other).ok())
                .collect();
            if rest.is_empty() {
                continue;
            }
            let pick = |rows: Vec<u32>| {
                let rows = Tensor::new(rows, references.device())?;
                references.index_select(&rows, 0)
            };
            let one = references.narrow(0, own, 1).map_err(failed)?;
            let rest = pick(rest).map_err(failed)?;
            among.extend(similarities(&rest, &one).map_err(failed)?);
        }
        let found = similarities(&references, &drawn).map_err(failed)?;
        let least = among.iter().copied().fold(f64::INFINITY, f64::min);
        let known = found.iter().filter(|similarity| **similarity >= least);
        Ok(Familiarity {
            class_only: mean(&found),
            among_images: mean(&among),
            known_share: known.count() as f64 / found.len().max(1) as f64,
            n: u32::try_from(found.len()).unwrap_or(u32::MAX),
        })
    }

    fn class_only(&self) -> Result<Tensor, Halt> {
        let unet = self.pipeline.unet().map_err(failed)?;
        let prompts = vec![TEMPLATES[0].class(&self.concept.class_name); PICTURES];
        let seeds: Vec<u64> = (0..PICTURES as u64)
            .map(|index| self.job.assignment.spec.seed.wrapping_add(index))
            .collect();
        let concepts = self.job.assignment.spec.concepts.len();
        let mut stopped = false;
        let mut progress = |step: usize, steps: usize| {
            let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
            let heard = voice::progress(Progress::Step(JobProgress {
                phase: "Drawing the class with the unprotected model".to_owned(),
                step: count(self.position * steps + step),
                total: count(concepts * steps),
            }));
            stopped = !heard || self.job.is_stopped();
            if stopped {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let drawn = sample(
            self.pipeline,
            &unet,
            &prompts,
            &seeds,
            &demo_sampling(),
            &mut progress,
        );
        if stopped {
            return Err(Halt::Stopped);
        }
        drawn.map_err(failed)
    }

    /// Other prompts by the cosine of what they and the trigger add to the empty prompt, nearest first.
    fn nearby(&self, captions: &[String]) -> diffusion::Result<Vec<Nearby>> {
        let Concept {
            class_name,
            identifier,
            subject,
            ..
        } = self.concept;
        let stock = TEMPLATES[0];
        let mut prompts = vec![
            stock.class(class_name),
            format!("{} {identifier}", stock.opening()),
        ];
        for caption in captions {
            let other = folded(caption.split_whitespace().next_back().unwrap_or_default());
            // "a photo of a Dog." names no other class than a dog.
            if !other.is_empty() && other != folded(class_name) {
                prompts.push(stock.trigger(identifier, &other, *subject));
            }
            prompts.push(caption.clone());
        }
        let concepts = self.job.assignment.spec.concepts.iter().enumerate();
        let others = concepts.filter(|(position, _)| *position != self.position);
        prompts.extend(
            others.map(|(_, other)| {
                stock.trigger(&other.identifier, &other.class_name, other.subject)
            }),
        );
        let trigger = stock.trigger(identifier, class_name, *subject);
        let mut told = BTreeSet::from([trigger.clone()]);
        prompts.retain(|prompt| told.insert(prompt.clone()));
        let asked: Vec<String> = [String::new(), trigger]
            .into_iter()
            .chain(prompts.iter().cloned())
            .collect();
        let context = self.pipeline.encode_prompts(&asked)?.context;
        let context = context.to_dtype(DType::F32)?.flatten_from(1)?;
        let added = context.broadcast_sub(&context.narrow(0, 0, 1)?)?;
        let lengths = (added.sqr()?.sum_keepdim(1)?.sqrt()? + 1e-12)?;
        let unit = added.broadcast_div(&lengths)?;
        let cosines = unit.matmul(&unit.narrow(0, 1, 1)?.t()?)?.flatten_all()?;
        let cosines = cosines.to_vec1::<f32>()?;
        let mut nearby: Vec<Nearby> = prompts
            .into_iter()
            .zip(&cosines[2..])
            .map(|(prompt, cosine)| Nearby {
                prompt,
                similarity: f64::from(*cosine),
            })
            .collect();
        nearby.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
        nearby.truncate(NEARBY);
        Ok(nearby)
    }
}

/// Planned memory of the run at its worst moment, and seconds of a step where the model is small enough to try.
fn cost(job: &Job<'_>, pipeline: &Pipeline) -> Result<(u64, Option<f64>), Halt> {
    let models = Models::from_folder(job.directory.join(MODEL))
        .map_err(|error| bad_input(format!("base model: {error}")))?;
    let injection = &job.assignment.spec.injection;
    let rows = memory::rows(injection);
    let latent = pipeline.unet_config.sample_size.unwrap_or(64);
    let setup = Setup {
        batch: rows,
        latent: (latent, latent),
        tokens: pipeline.tokenizer.max_length(),
        compute: DType::F32,
        checkpointing: false,
        moments: MomentPrecision::Full,
        trained: Trained::All,
        teacher: Some(DType::F32),
        frozen: Some(DType::F32),
    };
    let planned = plan(&models, &setup).map_err(failed)?;
    let seconds = if planned.unet_values > TRIED {
        None
    } else {
        let small = Setup {
            latent: (latent.div_ceil(2), latent),
            ..setup
        };
        let rate = Rate::measure(&models, &small, 1, job.device).map_err(failed)?;
        let factor = match injection.mode {
            Mode::Paper => 1.0,
            Mode::Trajectory { budget, .. } => Excursions::of(budget).cost(rows),
        };
        Some(factor * rate.seconds(&planned))
    };
    let worst = memory::worst(&models, &setup, injection, job.device.is_cpu());
    Ok((bytes(worst.map_err(failed)?.process()), seconds))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a planned size is positive and far below 2^53"
)]
fn bytes(planned: f64) -> u64 {
    planned as u64
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn failed(error: impl std::fmt::Display) -> Halt {
    internal(error.to_string())
}
