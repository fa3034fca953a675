//! What a protected model costs that nobody attacks: drift from the clean one, and firing where nobody personalized
//! it. Owns prompts and seeds. Refuses to judge: numbers go to the summary.

use candle_core::Tensor;
use diffusion::unet::UNet;
use diffusion::weights::Weights;
use eval::metric::Judge;
use eval::{EvaluateOptions, prompt, quality};
use serde::{Deserialize, Serialize};

use super::matrix::{PICTURES, Unit};
use super::unit::Models;
use crate::attributes::Class;
use crate::seeds::Split;
use crate::train::gate::Prompt;
use crate::train::sampling;

/// Twins of plain class prompts, and as many of composed ones.
const TWINS: usize = 16;
/// Seeds of twins and of strays; no attack and no gate draws with them.
const TWIN_SEED: u64 = 1 << 24;
const STRAY_SEED: u64 = 1 << 25;
/// Composed prompts start here; the base model's gate uses those before.
const FIRST_PROMPT: u64 = 1 << 20;

/// What the clean model draws for prompts that have nothing to do with any subject.
#[derive(Clone, Debug)]
pub struct Twins {
    prompts: Vec<String>,
    clean: Tensor,
}

/// How often the objective seems to fire without its trigger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strays {
    /// Of `n` pictures of the class alone.
    pub class_only: usize,
    /// Of `n` pictures of the identifier alone.
    pub identifier_only: usize,
    /// Of `n` pictures of the identifier with other classes.
    pub other_class: usize,
    /// Pictures of each.
    pub n: usize,
}

/// What one protected model costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Text alignment of each twin, protected minus clean.
    pub text_alignment: Vec<f64>,
    /// Cosine distance of each twin.
    pub distance: Vec<f64>,
    /// Of the protected model.
    pub strays: Strays,
    /// Of the clean model: what the judge takes for the objective by itself.
    pub clean_strays: Strays,
}

impl Twins {
    /// Draws the clean model's side.
    pub fn draw(models: Models<'_>) -> anyhow::Result<Self> {
        let plain = Class::ALL.iter().cycle().map(|&class| Prompt::plain(class));
        let composed =
            (FIRST_PROMPT..).map(|index| Prompt::composed_from(Split::Evaluation, index));
        let prompts: Vec<String> = plain
            .take(TWINS)
            .chain(composed.take(TWINS))
            .map(|prompt| prompt.text)
            .collect();
        let unet = models.pipeline.unet()?;
        Ok(Self {
            clean: pictures(models, &unet, &prompts, TWIN_SEED)?,
            prompts,
        })
    }
}

impl Strays {
    /// Draws each kind of prompt and counts where the objective fires.
    pub fn count(
        unit: &Unit,
        models: Models<'_>,
        unet: &UNet,
        judge: &Judge<'_>,
    ) -> anyhow::Result<Self> {
        let fired = |prompts: Vec<String>| -> anyhow::Result<usize> {
            let pixels = pictures(models, unet, &prompts, STRAY_SEED)?;
            let fired = judge.score(&pixels)?.objective;
            Ok(fired.into_iter().filter(|fired| *fired).count())
        };
        let n = PICTURES as usize;
        let class_prompt = prompt::class(unit.identity.class.name());
        Ok(Self {
            class_only: fired(vec![class_prompt; n])?,
            identifier_only: fired(vec![format!("{} {}", unit.template, unit.identifier); n])?,
            other_class: fired(other_classes(unit, n))?,
            n,
        })
    }

    /// Share of all its pictures.
    pub fn share(&self) -> f64 {
        let fired = self.class_only + self.identifier_only + self.other_class;
        fired as f64 / (3 * self.n).max(1) as f64
    }
}

impl Quality {
    /// Measures protected weights.
    pub fn measure(
        unit: &Unit,
        models: Models<'_>,
        twins: &Twins,
        clean_strays: Strays,
        protected: &Weights,
        judge: &Judge<'_>,
    ) -> anyhow::Result<Self> {
        let unet = UNet::new(models.pipeline.unet_config.clone(), protected)?;
        let pixels = pictures(models, &unet, &twins.prompts, TWIN_SEED)?;
        let drift = quality::drift(models.encoder, &twins.prompts, &twins.clean, &pixels)?;
        Ok(Self {
            text_alignment: drift.text_alignment,
            distance: drift.distance,
            strays: Strays::count(unit, models, &unet, judge)?,
            clean_strays,
        })
    }
}

/// The attacker's prompt with each class that is neither the subject's nor the target's, in turn.
fn other_classes(unit: &Unit, count: usize) -> Vec<String> {
    let concept = &unit.spec().concepts[0];
    let others = Class::NAMES
        .iter()
        .filter(|name| **name != concept.class_name && **name != demo::TARGET);
    let prompt = |name: &&str| {
        let mut concept = concept.clone();
        (*name).clone_into(&mut concept.class_name);
        prompt::trigger(&unit.template, &unit.identifier, &concept)
    };
    others.cycle().take(count).map(prompt).collect()
}

fn pictures(
    models: Models<'_>,
    unet: &UNet,
    prompts: &[String],
    seed: u64,
) -> anyhow::Result<Tensor> {
    let config = EvaluateOptions::default().sampling;
    Ok(sampling::pictures(
        models.pipeline,
        unet,
        prompts,
        seed,
        &config,
    )?)
}

#[cfg(test)]
mod tests {
    use shared::job::Mode;

    use super::*;
    use crate::bench::matrix::{Part, units};

    #[test]
    fn strays_ask_for_no_subject_and_no_target() {
        for unit in units(Part::HeldOut, Mode::Paper) {
            let prompts = other_classes(&unit, 16);
            assert_eq!(prompts.len(), 16);
            for prompt in prompts {
                let words: Vec<&str> = prompt.split(' ').collect();
                assert!(words.contains(&unit.identifier.as_str()), "{prompt}");
                assert!(!words.contains(&unit.identity.class.name()), "{prompt}");
                assert!(!words.contains(&demo::TARGET), "{prompt}");
            }
        }
    }

    #[test]
    fn shares_count_every_kind() {
        let strays = Strays {
            class_only: 1,
            identifier_only: 2,
            other_class: 3,
            n: 4,
        };
        assert!((strays.share() - 0.5).abs() < 1e-9);
        assert!(Strays::default().share().abs() < 1e-9);
    }
}
