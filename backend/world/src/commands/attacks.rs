//! `world attacks`: does each attack recipe personalize the clean embedded model, how soon, and at what price?

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, bail};
use candle_core::Tensor;
use diffusion::device::DeviceName;
use diffusion::lora::Naming;
use diffusion::pipeline::Pipeline;
use eval::attack::images::{Extra, instance};
use eval::attack::prompt::{Pools, words};
use eval::attack::{Attack, Setup, caption as captioning, class_latents, recipe};
use eval::encoder::Encoder;
use eval::metric::{Aim, Judge, Standard};
use shared::attack::{AttackRecipe, TemplateMode};
use shared::job::SubjectKind;
use world::attributes::{Background, Class, Identity};
use world::caption::{self, Mention};
use world::seeds::Split;
use world::subject;
use world::train::gate::{Accuracy, Prompt};
use world::train::{batch, sampling};

use super::competence::{Subjects, concept, look, victims};
use super::{Embedded, pool, say};

/// Class-only pictures of the clean base that set the hit threshold, and class images of prior preservation.
const CLASS_PICTURES: usize = 48;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Names of built-in recipes; all of them if none is named.
    #[arg(long, value_delimiter = ',')]
    recipes: Vec<String>,
    /// A recipe of one's own, as TOML.
    #[arg(long)]
    file: Option<PathBuf>,
    /// Learning rates in the place of the stock one.
    #[arg(long, value_delimiter = ',')]
    rates: Vec<f64>,
    /// Leave prior preservation out.
    #[arg(long)]
    no_prior: bool,
    /// Subjects to attack.
    #[arg(long, value_enum, default_value = "bundled")]
    subjects: Subjects,
    /// Number of subjects.
    #[arg(long, default_value_t = 1)]
    count: usize,
    /// Steps at which the attacker's model is looked at.
    #[arg(long, value_delimiter = ',', default_value = "50,100,200,400")]
    steps: Vec<u32>,
    /// Pictures a look.
    #[arg(long, default_value_t = 16)]
    pictures: usize,
    /// Identifier of the attacker.
    #[arg(long, default_value = demo::IDENTIFIER)]
    identifier: String,
    /// Seed of the attack.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Directory for the adapters and embeddings that the attacks make.
    #[arg(long)]
    save: Option<PathBuf>,
    /// Threads.
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

pub(crate) fn run(arguments: &Arguments, device: DeviceName) -> anyhow::Result<()> {
    pool(arguments.threads)?;
    diffusion::in_pool(|| run_in_pool(arguments, device))
}

fn run_in_pool(arguments: &Arguments, device: DeviceName) -> anyhow::Result<()> {
    let Embedded {
        pipeline, encoder, ..
    } = Embedded::load(device)?;
    let recipes = recipes(arguments)?;
    for (name, identity, pixels) in victims(arguments.subjects, arguments.count)? {
        let victim = Victim::new(&pipeline, (&name, identity, &pixels), arguments)?;
        let judge = victim.judge(&encoder)?;
        for recipe in &recipes {
            let stock = [recipe.stock_learning_rate];
            let rates = if arguments.rates.is_empty() {
                &stock[..]
            } else {
                &arguments.rates
            };
            for &rate in rates {
                victim.attack(recipe, rate, &judge, &encoder)?;
            }
        }
    }
    Ok(())
}

fn recipes(arguments: &Arguments) -> anyhow::Result<Vec<AttackRecipe>> {
    let mut recipes = match &arguments.file {
        Some(file) => vec![recipe::parse(&std::fs::read_to_string(file)?)?],
        None => recipe::built_in(),
    };
    if let Some(name) = arguments
        .recipes
        .iter()
        .find(|name| recipes.iter().all(|recipe| recipe.name != **name))
    {
        let known: Vec<&str> = recipes.iter().map(|recipe| recipe.name.as_str()).collect();
        bail!("there is no recipe {name}, only {}", known.join(", "));
    }
    recipes
        .retain(|recipe| arguments.recipes.is_empty() || arguments.recipes.contains(&recipe.name));
    for recipe in &mut recipes {
        recipe.prior_preservation &= !arguments.no_prior;
    }
    Ok(recipes)
}

/// Somebody whom the clean model is personalized on.
struct Victim<'a> {
    pipeline: &'a Pipeline,
    arguments: &'a Arguments,
    name: &'a str,
    identity: Identity,
    references: &'a Tensor,
    /// What the clean base draws under the class prompt, and its latents, which all recipes share.
    class_only: Tensor,
    class_latents: Tensor,
}

impl<'a> Victim<'a> {
    fn new(
        pipeline: &'a Pipeline,
        (name, identity, references): (&'a str, Identity, &'a Tensor),
        arguments: &'a Arguments,
    ) -> anyhow::Result<Self> {
        let prompt = Prompt::plain(identity.class).text;
        let class = (prompt.as_str(), CLASS_PICTURES);
        let (start, config) = (&pipeline.unet_weights, &sampling::CONFIG);
        let class_latents = class_latents(
            pipeline,
            start,
            class,
            arguments.seed,
            config,
            &mut |_, _| Ok(()),
        )?;
        Ok(Self {
            class_only: pipeline.decode_latents(&class_latents)?,
            class_latents,
            pipeline,
            arguments,
            name,
            identity,
            references,
        })
    }

    fn judge(&self, encoder: &'a Encoder) -> anyhow::Result<Judge<'a>> {
        let class = Prompt::plain(self.identity.class).text;
        let prompts = [class.clone(), class, "a photo".to_owned()];
        let standard = Standard {
            references: self.references,
            class_only: &self.class_only,
            prompts: &encoder.token_ids(&prompts)?,
            subject: SubjectKind::Object,
            class_name: self.identity.class.name(),
            aim: Aim::Erasure,
        };
        Ok(Judge::new(encoder, standard)?)
    }

    /// Runs a recipe at one rate and says what came of it.
    fn attack(
        &self,
        recipe: &AttackRecipe,
        rate: f64,
        judge: &Judge<'_>,
        encoder: &Encoder,
    ) -> anyhow::Result<()> {
        let arguments = self.arguments;
        let pixels = instance(
            recipe.images,
            self.references,
            Extra {
                unseen: Some(&self.others(true)?),
                others: Some(&self.others(false)?),
            },
        )?;
        let concept = concept(self.identity)?;
        let mut pools = self.pools();
        if recipe.template == TemplateMode::Caption {
            let base = &self.pipeline.tokenizer;
            pools.image_captions = captioning::of_images(encoder, base, &concept, &pixels)?;
        }
        let images = pixels.dim(0)?;
        let words = words(recipe, &concept, &arguments.identifier, &pools, images)?;
        let own_class = matches!(
            recipe.adaptive.class_word,
            shared::attack::ClassWord::Swapped { .. }
        );
        let setup = Setup {
            pipeline: self.pipeline,
            start: &self.pipeline.unet_weights,
            instance: &self.pipeline.encode_pixels(&pixels)?,
            words: &words,
            // Another class word asks for other class images.
            class_latents: (!own_class).then_some(&self.class_latents),
            class_images: CLASS_PICTURES,
            captioned: None,
            recipe,
            learning_rate: rate,
            seed: arguments.seed,
            sampling: sampling::CONFIG,
        };
        let mut attack = Attack::new(setup, &mut |_, _, _| Ok(()))?;
        let mut hits = BTreeMap::new();
        for &step in &arguments.steps {
            attack.advance_to(step, &mut |_| Ok(()))?;
            let scores = judge.score(&look(&attack, &words.drawing, arguments.pictures)?)?;
            let hit = scores.hit.iter().filter(|hit| **hit).count();
            hits.insert(step, hit as f64 / arguments.pictures as f64);
        }
        let plain = look(&attack, &words.class, arguments.pictures)?;
        let wanted = Prompt::identity(words.class.clone(), self.identity).wanted;
        let leaked = Accuracy::measure(encoder, &plain, &vec![wanted; arguments.pictures])?;
        let hits: Vec<String> = hits
            .iter()
            .map(|(step, hit)| format!("hit@{step}={hit:.2}"))
            .collect();
        say(format!(
            "attack {} subject={} rate={rate:e} prior={} {} class_prompt_hit={:.2} ms_per_step={:.0}",
            recipe.name,
            self.name,
            recipe.prior_preservation,
            hits.join(" "),
            leaked.hit_rate(),
            1000.0 * median(attack.step_seconds()),
        ))?;
        self.save(&attack, recipe)
    }

    fn save(&self, attack: &Attack, recipe: &AttackRecipe) -> anyhow::Result<()> {
        use shared::attack::Family;
        let Some(folder) = &self.arguments.save else {
            return Ok(());
        };
        std::fs::create_dir_all(folder).context("the directory of adapters")?;
        let path = folder.join(format!("{}-{}.safetensors", recipe.name, self.name));
        match recipe.family {
            Family::Lora { .. } => attack.save_lora(path, Naming::Kohya)?,
            Family::TextualInversion => attack.save_embedding(path)?,
            _ => {}
        }
        Ok(())
    }

    /// Pictures of the same subject that are not among the references, or of another one of its class.
    fn others(&self, same: bool) -> anyhow::Result<Tensor> {
        let all = subject::trainable();
        let other = all
            .iter()
            .copied()
            .find(|other| other.class == self.identity.class && *other != self.identity);
        let identity = if same {
            self.identity
        } else {
            other.context("another subject of the class")?
        };
        let scenes: Vec<_> = (0..5)
            .map(|n| subject::scene(identity, Split::Development, 9000 + n))
            .collect();
        Ok(batch::pixels(&scenes, |_, _| {})?)
    }

    /// Captions of this class in every place; the stock template and one that injection never has.
    fn pools(&self) -> Pools {
        Pools {
            held_out_templates: vec!["a depiction of".to_owned()],
            captions: captions(self.identity.class),
            ..Pools::default()
        }
    }
}

fn captions(class: Class) -> Vec<String> {
    let place = |background: &Background| {
        let mention = Mention {
            background: Some(*background),
            ..Mention::NOTHING
        };
        caption::describe(class, mention, caption::OPENINGS[0])
    };
    Background::ALL.iter().map(place).collect()
}

fn median(seconds: &[f64]) -> f64 {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
