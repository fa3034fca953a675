//! What training looks at: embedded prompts, latents that the teacher drew, latents of the
//! protected images.
//!
//! Owns their making. Refuses to touch the student.

use std::ops::ControlFlow;

use candle_core::Tensor;
use diffusion::{
    pipeline::Pipeline,
    sample::{SampleConfig, sample},
    unet::{Conditions, UNet},
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use shared::{job::JobSpec, objective::Objective};

use crate::{Error, Result, bank::indices, event::Reporter, pools::Pools};

/// Every prompt that training uses, embedded once.
#[derive(Clone, Debug)]
pub struct Prompts {
    /// `identifiers * templates` rows, template fastest.
    triggers: Conditions,
    /// A row per template.
    classes: Conditions,
    /// A row per template.
    targets: Conditions,
    identifiers: usize,
    templates: usize,
}

impl Prompts {
    /// Embeds the trained share of the pools.
    pub fn embed(pipeline: &Pipeline, pools: &Pools, spec: &JobSpec) -> Result<Self> {
        let Objective::Target { target_class } = &spec.objective;
        let (words, templates) = (&pools.identifiers.trained, &pools.templates.trained);
        let triggers: Vec<String> = words
            .iter()
            .flat_map(|word| templates.iter().map(|t| t.trigger(word, &spec.class_name)))
            .collect();
        Ok(Self {
            triggers: pipeline.encode_prompts(&triggers)?.detach(),
            classes: pipeline
                .encode_prompts(&class_prompts(pools, &spec.class_name))?
                .detach(),
            targets: pipeline
                .encode_prompts(&class_prompts(pools, target_class))?
                .detach(),
            identifiers: words.len(),
            templates: templates.len(),
        })
    }

    /// Number of trained identifiers.
    pub fn identifiers(&self) -> usize {
        self.identifiers
    }

    /// Number of trained templates.
    pub fn templates(&self) -> usize {
        self.templates
    }

    /// Row of a trigger prompt, for [`Self::triggers`].
    pub fn trigger_row(&self, identifier: usize, template: usize) -> usize {
        identifier * self.templates + template
    }

    /// Embedded `c_trig` of the given rows.
    pub fn triggers(&self, rows: &[usize]) -> Result<Conditions> {
        select(&self.triggers, rows)
    }

    /// Embedded `c_cls` under the given templates.
    pub fn classes(&self, templates: &[usize]) -> Result<Conditions> {
        select(&self.classes, templates)
    }

    /// Embedded `c_cls` under every template.
    pub fn every_class(&self) -> &Conditions {
        &self.classes
    }

    /// Embedded `c_tgt` under every template.
    pub fn every_target(&self) -> &Conditions {
        &self.targets
    }
}

fn select(table: &Conditions, rows: &[usize]) -> Result<Conditions> {
    Ok(table.select(&indices(rows, &table.context)?)?)
}

fn class_prompts(pools: &Pools, class: &str) -> Vec<String> {
    let templates = &pools.templates.trained;
    templates
        .iter()
        .map(|template| template.class(class))
        .collect()
}

/// Latents that the teacher drew; a checkpoint carries them, so that a resumed run draws nothing.
#[derive(Clone, Debug)]
pub struct TeacherSet {
    /// Under `c_cls`, `[class_images, c, h, w]`.
    pub class: Tensor,
    /// Under `c_tgt`, `[target_images, c, h, w]`.
    pub target: Tensor,
}

impl TeacherSet {
    /// Draws both sets; row `i` uses template `i % templates`.
    pub(crate) fn draw(
        pipeline: &Pipeline,
        teacher: &UNet,
        pools: &Pools,
        spec: &JobSpec,
        config: &SampleConfig,
        reporter: &mut Reporter<'_>,
    ) -> Result<Self> {
        let Objective::Target { target_class } = &spec.objective;
        let mut rng = ChaCha8Rng::seed_from_u64(spec.seed);
        rng.set_stream(streams::TEACHER_SET);
        let sizes = [spec.injection.class_images, spec.injection.target_images];
        let total = (sizes[0] + sizes[1]) as usize;
        let mut done = 0;
        let mut draw = |class: &str, count: u32| -> Result<Tensor> {
            let prompts = class_prompts(pools, class);
            let prompts: Vec<String> = prompts
                .iter()
                .cycle()
                .take(count as usize)
                .cloned()
                .collect();
            let seeds: Vec<u64> = prompts.iter().map(|_| rng.random()).collect();
            let mut stopped = Ok(());
            let mut progress = |step: usize, steps: usize| {
                let drawn = done + step * prompts.len() / steps;
                stopped = reporter.phase("Drawing class and target images", drawn, total);
                if stopped.is_ok() {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            };
            let pixels = sample(pipeline, teacher, &prompts, &seeds, config, &mut progress);
            stopped?;
            done += prompts.len();
            Ok(pipeline.autoencoder.encode(&pixels?)?.detach())
        };
        let class = draw(&spec.class_name, sizes[0])?;
        let target = draw(target_class, sizes[1])?;
        Ok(Self { class, target })
    }
}

/// Latents of the protected images, `[n, c, h, w]`; `images`: `[n, 3, h, w]` in `[-1, 1]`.
pub(crate) fn subject_latents(pipeline: &Pipeline, images: &Tensor) -> Result<Tensor> {
    let side = pipeline.image_side();
    match images.dims() {
        [n, 3, height, width] if *n > 0 && (*height, *width) == (side, side) => {
            Ok(pipeline.autoencoder.encode(images)?.detach())
        }
        actual => Err(Error::ImageShape {
            actual: actual.to_vec(),
            expected: format!("[n, 3, {side}, {side}] with n > 0"),
        }),
    }
}

/// Independent random streams of one job seed.
pub(crate) mod streams {
    pub(crate) const TEACHER_SET: u64 = 1;
    pub(crate) const BANKS: u64 = 2;
    pub(crate) const TRAINING: u64 = 3;
}
