//! `world competence`: can the clean base model be personalized at all?

use std::fs;
use std::path::PathBuf;

use candle_core::Tensor;
use clap::ValueEnum;
use diffusion::pipeline::Pipeline;
use eval::attack::prompt::{Pools, words};
use eval::attack::recipe::dreambooth_stock;
use eval::attack::{Attack, Setup};
use eval::encoder::Encoder;
use shared::job::Concept;
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
pub(super) enum Subjects {
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
    for (name, identity, pixels) in victims(arguments.subjects, arguments.count)? {
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
pub(super) fn victims(
    subjects: Subjects,
    count: usize,
) -> anyhow::Result<Vec<(String, Identity, Tensor)>> {
    let unchanged = |_: usize, _: &mut [f32]| {};
    let (identities, split) = match subjects {
        Subjects::Bundled => {
            let bundled = subject::PROTECTED.iter().take(count).map(|subject| {
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
        .take(count)
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
    let recipe = dreambooth_stock(arguments.learning_rate, arguments.steps.clone());
    let concept = concept(identity)?;
    let images = pixels.dim(0)?;
    let words = words(
        &recipe,
        &concept,
        demo::IDENTIFIER,
        &Pools::default(),
        images,
    )?;
    let setup = Setup {
        pipeline,
        start: &pipeline.unet_weights,
        instance: &pipeline.encode_pixels(pixels)?,
        words: &words,
        class_latents: None,
        class_images: 48,
        captioned: None,
        recipe: &recipe,
        learning_rate: arguments.learning_rate,
        seed: arguments.seed,
        sampling: sampling::CONFIG,
    };
    let mut attack = Attack::new(setup, &mut |_, _, _| Ok(()))?.unclipped();
    let (prompt, class_prompt) = (words.drawing, words.class);
    let references = batch::to_bytes(pixels)?;
    for &step in &arguments.steps {
        attack.advance_to(step, &mut |_| Ok(()))?;
        let pictures = look(&attack, &prompt, arguments.pictures)?;
        let plain = look(&attack, &class_prompt, arguments.pictures)?;
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

/// What a job would say of a subject that the demo protects.
pub(super) fn concept(identity: Identity) -> anyhow::Result<Concept> {
    let concept = serde_json::json!({
        "protected_set_id": format!("set_{}", "1".repeat(32)),
        "class_name": identity.class.name(),
        "identifier": demo::IDENTIFIER,
        "objective": { "kind": "erasure" },
    });
    Ok(serde_json::from_value(concept)?)
}

/// Pictures for a prompt; the seeds are the same at every look.
pub(super) fn look(attack: &Attack, prompt: &str, pictures: usize) -> eval::Result<Tensor> {
    let prompts = vec![prompt.to_owned(); pictures];
    let seeds: Vec<u64> = (100..).take(pictures).collect();
    attack.draw(&prompts, &seeds, &sampling::CONFIG, &mut |_, _| Ok(()))
}
