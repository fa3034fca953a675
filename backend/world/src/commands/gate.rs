//! `world gate`: samples prompts from a base model, reads them, and writes a sheet.

use std::fs;
use std::path::{Path, PathBuf};

use diffusion::pipeline::Pipeline;
use diffusion::sample::SampleConfig;
use diffusion::schedule::SamplerKind;
use eval::encoder::Encoder;
use world::attributes::{Class, Style};
use world::names::individuals;
use world::train::gate::{Accuracy, Prompt};
use world::train::{base_stage, batch, sampling};
use world::{render, sheet};

use super::{pool, say};

/// Pictures of each kind of prompt on the sheet.
const SHOWN: usize = 32;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Directory of the run.
    #[arg(long)]
    run: PathBuf,
    /// Prompts with every attribute; of the simpler kinds there are half as many.
    #[arg(long, default_value_t = 256)]
    prompts: usize,
    /// Sampler steps.
    #[arg(long, default_value_t = sampling::CONFIG.steps)]
    steps: usize,
    /// Guidance.
    #[arg(long, default_value_t = sampling::CONFIG.guidance_scale)]
    guidance: f64,
    /// Bound of the predicted latents; none if not given.
    #[arg(long)]
    clip: Option<f64>,
    /// `ddim`, `euler`, `dpm_solver`, `dpm_solver_karras` or `pndm`.
    #[arg(long, default_value = "ddim", value_parser = sampler)]
    sampler: SamplerKind,
    /// Threads.
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    pool(arguments.threads)?;
    diffusion::in_pool(|| run_in_pool(arguments))
}

fn run_in_pool(arguments: &Arguments) -> anyhow::Result<()> {
    let encoder = Encoder::load(&fs::read(arguments.run.join("encoder.safetensors"))?)?;
    let checkpoint = arguments.run.join("base-run.safetensors");
    let (mut pipeline, steps) = base_stage::load(&encoder, &checkpoint)?;
    if let Some(bound) = arguments.clip {
        pipeline.schedule.clip_sample = bound > 0.0;
        pipeline.schedule.clip_sample_range = bound;
    }
    let config = SampleConfig {
        steps: arguments.steps,
        guidance_scale: arguments.guidance,
        sampler: arguments.sampler,
        ..sampling::CONFIG
    };
    let path = arguments.run.join(format!("gate-{steps:05}.png"));
    measure(&pipeline, &encoder, &config, arguments.prompts, &path)
}

fn sampler(name: &str) -> Result<SamplerKind, String> {
    serde_json::from_value(name.into()).map_err(|error| error.to_string())
}

/// Says how much of what prompts ask for is read from their pictures, and shows some of them.
pub(crate) fn measure(
    pipeline: &Pipeline,
    encoder: &Encoder,
    config: &SampleConfig,
    count: usize,
    path: &Path,
) -> anyhow::Result<()> {
    let unet = pipeline.unet()?;
    let mut pictures = Vec::new();
    for (name, prompts) in prompts(count) {
        let texts: Vec<String> = prompts.iter().map(|prompt| prompt.text.clone()).collect();
        let wanted: Vec<_> = prompts.iter().map(|prompt| prompt.wanted).collect();
        let pixels = sampling::pictures(pipeline, &unet, &texts, 1, config)?;
        let accuracy = Accuracy::measure(encoder, &pixels, &wanted)?;
        say(format!("base gate {name}: {accuracy}"))?;
        pictures.extend(batch::to_bytes(&pixels)?.into_iter().take(SHOWN));
    }
    sheet::write(path, &pictures, render::SIDE, 16, 3)?;
    Ok(())
}

/// Four kinds of prompts: everything asked for, the class alone, class and style, a name.
fn prompts(count: usize) -> [(&'static str, Vec<Prompt>); 4] {
    let class = |at: usize| Class::ALL[at % Class::ALL.len()];
    let style = |at: usize| Style::ALL[at % Style::ALL.len()];
    let half = count.div_ceil(2);
    let named = individuals().iter().take(half).map(|individual| {
        let text = format!(
            "a photo of {} {}",
            individual.name,
            individual.identity.class.name()
        );
        Prompt::identity(text, individual.identity)
    });
    [
        (
            "composed",
            (0..).take(count).map(Prompt::composed).collect(),
        ),
        (
            "plain",
            (0..half).map(|at| Prompt::plain(class(at))).collect(),
        ),
        (
            "styled",
            (0..half)
                .map(|at| Prompt::styled(class(at), style(at)))
                .collect(),
        ),
        ("named", named.collect()),
    ]
}
