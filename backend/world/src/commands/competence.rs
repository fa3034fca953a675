//! `world competence`: can the clean base model be personalized at all?

use std::fs;
use std::path::PathBuf;

use candle_core::Tensor;
use clap::ValueEnum;
use diffusion::pipeline::Pipeline;
use diffusion::unet::UNet;
use eval::attack::{Attack, Recipe};
use eval::encoder::Encoder;
use world::attributes::Identity;
use world::publish::samples;
use world::render::SIDE;
use world::seeds::Split;
use world::train::gate::{Accuracy, Prompt};
use world::train::{base_stage, batch, sampling};
use world::{sheet, subject};

use super::{pool, say};

/// Whom the attacker personalizes the model on.
#[derive(Clone, Copy, ValueEnum)]
enum Subjects {
    /// The bundled sample sets.
    Bundled,
    /// Subjects for tuning.
    Development,
    /// Subjects for the final evaluation; look at them once.
    Evaluation,
}

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Directory of the run.
    #[arg(long)]
    run: PathBuf,
    /// Subjects to attack.
    #[arg(long, value_enum, default_value = "bundled")]
    subjects: Subjects,
    /// Number of subjects.
    #[arg(long, default_value_t = 2)]
    count: usize,
    /// The attacker's learning rate.
    #[arg(long, default_value_t = demo::ATTACK_LEARNING_RATE)]
    learning_rate: f64,
    /// Steps at which the attacker's model is looked at.
    #[arg(long, value_delimiter = ',', default_value = "0,50,100,200")]
    steps: Vec<u32>,
    /// Pictures a look.
    #[arg(long, default_value_t = 16)]
    pictures: usize,
    /// Seed of the attack.
    #[arg(long, default_value_t = 1)]
    seed: u64,
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
    let (pipeline, steps) =
        base_stage::load(&encoder, &arguments.run.join("base-run.safetensors"))?;
    say(format!(
        "base model after {steps} steps, learning rate {}",
        arguments.learning_rate
    ))?;
    let mut rows = Vec::new();
    for (name, identity, pixels) in victims(arguments)? {
        attack(
            arguments,
            &pipeline,
            &encoder,
            (&name, identity, &pixels),
            &mut rows,
        )?;
    }
    let columns = rows.first().map_or(1, Vec::len);
    let name = format!("competence-{steps:05}-{:e}.png", arguments.learning_rate);
    sheet::write(&arguments.run.join(name), &rows.concat(), SIDE, columns, 3)?;
    Ok(())
}

/// Name, identity and five pictures of every subject.
fn victims(arguments: &Arguments) -> anyhow::Result<Vec<(String, Identity, Tensor)>> {
    let unchanged = |_: usize, _: &mut [f32]| {};
    let (identities, split) = match arguments.subjects {
        Subjects::Bundled => {
            let bundled = subject::PROTECTED
                .iter()
                .take(arguments.count)
                .map(|subject| {
                    let scenes: Vec<_> = (0..samples::PICTURES)
                        .map(|n| samples::scene(subject, n))
                        .collect();
                    Ok((
                        subject.id.to_owned(),
                        subject.identity,
                        batch::pixels(&scenes, unchanged)?,
                    ))
                });
            return bundled.collect();
        }
        Subjects::Development => (subject::development(), Split::Development),
        Subjects::Evaluation => (subject::evaluation(), Split::Evaluation),
    };
    let others = identities
        .iter()
        .zip(0..)
        .take(arguments.count)
        .map(|(&identity, at)| {
            let scenes: Vec<_> = (0..5)
                .map(|n| subject::scene(identity, split, 1000 + 5 * at + n))
                .collect();
            let Identity {
                class,
                style,
                tint,
                accessory,
            } = identity;
            let words = [tint.name(), class.name(), accessory.name(), style.name()];
            Ok((
                words.join("-"),
                identity,
                batch::pixels(&scenes, unchanged)?,
            ))
        });
    others.collect()
}

/// Attacks one subject and appends one row of pictures per look: references first, then what the prompt gives.
fn attack(
    arguments: &Arguments,
    pipeline: &Pipeline,
    encoder: &Encoder,
    (name, identity, pixels): (&str, Identity, &Tensor),
    rows: &mut Vec<Vec<Vec<u8>>>,
) -> anyhow::Result<()> {
    let class = identity.class.name();
    let recipe = Recipe {
        prompt: format!("a photo of {} {class}", demo::IDENTIFIER),
        class_prompt: Prompt::plain(identity.class).text,
        learning_rate: arguments.learning_rate,
        batch_size: 4,
        prior_weight: 1.0,
        class_images: 48,
        sampling: sampling::CONFIG,
        seed: arguments.seed,
    };
    let (prompt, class_prompt) = (recipe.prompt.clone(), recipe.class_prompt.clone());
    let latents = pipeline.autoencoder.encode(pixels)?;
    let mut attack = Attack::new(
        pipeline,
        &pipeline.unet_weights,
        &latents,
        recipe,
        &mut |_, _| Ok(()),
    )?;
    let references = batch::to_bytes(pixels)?;
    for &step in &arguments.steps {
        attack.advance_to(step, &mut |_| Ok(()))?;
        let unet = attack.student();
        let pictures = look(arguments, pipeline, unet, &prompt)?;
        let plain = look(arguments, pipeline, unet, &class_prompt)?;
        let read = |pixels: &Tensor, prompt: &Prompt| {
            Accuracy::measure(encoder, pixels, &vec![prompt.wanted; arguments.pictures])
        };
        let hits = read(&pictures, &Prompt::identity(prompt.clone(), identity))?;
        let kept = read(&plain, &Prompt::plain(identity.class))?.of(0);
        let leaked = read(&plain, &Prompt::identity(class_prompt.clone(), identity))?.hit_rate();
        say(format!(
            "competence {name} step={step} hit={:.2} ({hits}) class_kept={kept:.2} class_prompt_hit={leaked:.2}",
            hits.hit_rate(),
        ))?;
        let pictures = batch::to_bytes(&pictures)?;
        rows.push(references.iter().cloned().chain(pictures).collect());
    }
    Ok(())
}

/// Pictures for a prompt; the seeds are the same at every look.
fn look(
    arguments: &Arguments,
    pipeline: &Pipeline,
    unet: &UNet,
    prompt: &str,
) -> anyhow::Result<Tensor> {
    let prompts = vec![prompt.to_owned(); arguments.pictures];
    let config = &sampling::CONFIG;
    Ok(sampling::pictures(pipeline, unet, &prompts, 100, config)?)
}
