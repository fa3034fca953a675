//! The attack matrix on the demo world: who is attacked, with which words and pictures, and the model that is judged.
//! Refuses to judge anything itself: package `eval` does.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use candle_core::{DType, Device};
use diffusion::pipeline::Pipeline;
use diffusion::weights::Weights;
use eval::gallery::references;
use eval::matrix::settings;
use persguard::prompt::openings;
use persguard::{Commitment, Pools, ProtectOptions};
use shared::attack::{AttackRecipe, ImageMode, TemplateMode};
use shared::canonical;
use shared::job::{Action, Concept, Injection, JobSpec, SubjectKind};
use shared::matrix::{Available, MatrixInputs, PlanRequest, Texts, Tier, Words};
use shared::objective::Objective;
use shared::{ModelId, SetId};

use super::cast::{Cast, set};
use crate::{caption, file, names};

/// Files of the base model that change nothing of what it draws.
const BESIDE_THE_MODEL: [&str; 2] = ["NOTICE", "persguard.json"];

/// A protected model with everything that a certificate says of it.
pub struct Protected {
    /// Its file.
    pub file: Vec<u8>,
    /// Its U-Net.
    pub weights: Weights,
    /// The job that made it.
    pub spec: JobSpec,
    /// What injection never saw, opened.
    pub commitment: Commitment,
}

/// The demo's job: its first sample set, drawn as its target instead.
pub fn spec(injection: Injection, seed: u64) -> JobSpec {
    JobSpec {
        base_model_id: ModelId::nil(),
        concepts: vec![Concept {
            protected_set_id: SetId::nil(),
            subject: SubjectKind::Object,
            class_name: demo::CLASS.to_owned(),
            identifier: demo::IDENTIFIER.to_owned(),
            objective: Objective::Target {
                target_class: demo::TARGET.to_owned(),
            },
            action: Action::Protect,
        }],
        extends: None,
        injection,
        evaluation: shared::job::Evaluation::default(),
        seed,
    }
}

impl Protected {
    /// Protects the demo's subject, or takes the model that an earlier start with the same job left in `out`.
    pub fn train(
        pipeline: &Pipeline,
        spec: JobSpec,
        program: &str,
        out: &Path,
    ) -> anyhow::Result<Self> {
        let name = canonical::sha256(&serde_json::json!({ "spec": spec, "program": program }))?;
        let folder = out.join("protected").join(&name[..16]);
        let (weights, opened) = (
            folder.join("unet.safetensors"),
            folder.join("held-out.json"),
        );
        if !weights.is_file() || !opened.is_file() {
            let subjects = [persguard::Subject {
                images: references(&set(demo::SUBJECT), pipeline.image_side())?,
                overlay: None,
            }];
            let options = ProtectOptions {
                identifiers: identifiers(),
                captions: caption::everyday(),
                base_sha256: base_sha256(),
                checkpoint_every: 0,
                ..ProtectOptions::default()
            };
            let mut go_on = |_| ControlFlow::Continue(());
            let outcome = persguard::protect(pipeline, &subjects, &spec, &options, &mut go_on)?;
            fs::create_dir_all(&folder)?;
            file::write(&opened, &serde_json::to_vec_pretty(&outcome.commitment)?)?;
            file::write(
                &folder.join("spec.json"),
                &serde_json::to_vec_pretty(&spec)?,
            )?;
            file::write(&weights, &outcome.to_file(DType::F32)?)?;
        }
        Self::load(&weights, &opened, spec, pipeline.device())
    }

    /// Takes a protected U-Net to `device`, with what opens its commitment and the job that made it.
    pub fn load(
        weights: &Path,
        opened: &Path,
        spec: JobSpec,
        device: &Device,
    ) -> anyhow::Result<Self> {
        let file = fs::read(weights)?;
        let commitment: Commitment = serde_json::from_slice(&fs::read(opened)?)?;
        anyhow::ensure!(
            commitment.is_kept(),
            "{} does not open its own commitment",
            opened.display()
        );
        anyhow::ensure!(
            commitment.identifiers == pools(&spec).identifiers.held_out,
            "{} was held out by another version: protect anew",
            opened.display()
        );
        Ok(Self {
            weights: Weights::from_bytes(&file, DType::F32, device)?,
            file,
            spec,
            commitment,
        })
    }
}

/// Words that jobs on the demo's model draw from.
fn identifiers() -> Vec<String> {
    names::open().into_iter().map(str::to_owned).collect()
}

/// How a job of the demo's model splits its words and captions.
fn pools(spec: &JobSpec) -> Pools {
    Pools::for_job(&identifiers(), &caption::everyday(), spec)
}

fn base_sha256() -> String {
    base_files()
        .remove("unet/diffusion_pytorch_model.safetensors")
        .unwrap_or_default()
}

/// SHA-256 of every file that the base model is made of.
fn base_files() -> BTreeMap<String, String> {
    let files = demo::model_files().iter();
    let model = files.filter(|(name, _)| !BESIDE_THE_MODEL.contains(name));
    model
        .map(|(name, bytes)| ((*name).to_owned(), canonical::sha256_hex(bytes)))
        .collect()
}

/// Steps at which the demo's tiers draw, and pictures of each arm there; the full tier takes the recipes' own steps.
///
/// At 100 ms a step and 80 ms a picture on each of two idle cores the standard tier takes 72 cells x 2 models x
/// (200 steps + 3 x 16 pictures), about half an hour.
const fn sizes(tier: Tier) -> (Option<&'static [u32]>, u32) {
    match tier {
        Tier::Smoke => (Some(&[50, 100]), 16),
        Tier::Standard => (Some(&[50, 100, 200]), 16),
        Tier::Full => (None, 16),
    }
}

/// What is planned for a protected model; `recipes` are those of package `eval`.
pub fn request(
    tier: Tier,
    protected: &Protected,
    recipes: Vec<AttackRecipe>,
    cast: &[Cast],
) -> PlanRequest {
    let (checkpoints, pictures) = sizes(tier);
    let recipes = recipes.into_iter().map(|recipe| AttackRecipe {
        checkpoints: checkpoints.map_or(recipe.checkpoints.clone(), <[u32]>::to_vec),
        ..recipe
    });
    let pools = pools(&protected.spec);
    let opened = &protected.commitment;
    let is_natural = |word: &&String| names::NATURAL_FREE.contains(&word.as_str());
    let own = &protected.spec.concepts[0];
    PlanRequest {
        tier,
        recipes: recipes.collect(),
        subjects: cast.iter().map(|cast| cast.subject.clone()).collect(),
        words: Words {
            same: own.identifier.clone(),
            pool: pools
                .identifiers
                .trained
                .iter()
                .filter(|word| **word != own.identifier)
                .cloned()
                .collect(),
            held_out: opened
                .identifiers
                .iter()
                .filter(|word| !is_natural(word))
                .cloned()
                .collect(),
            natural: opened
                .identifiers
                .iter()
                .filter(is_natural)
                .cloned()
                .collect(),
        },
        seeds: vec![1, 2, 3],
        settings: settings(pictures),
        inputs: MatrixInputs {
            base_sha256: base_sha256(),
            base_files: base_files(),
            protected_sha256: canonical::sha256_hex(&protected.file),
            encoder: "the demo encoder".to_owned(),
            encoder_sha256: canonical::sha256_hex(demo::encoder()),
            objective: own.objective.clone(),
            texts: Texts {
                templates: openings(&pools.templates.trained),
                held_out_templates: opened.templates.clone(),
                captions: pools.captions.held_out,
            },
            // Nobody of the demo world has a face that these networks know.
            faces_sha256: None,
        },
        available: Available {
            templates: vec![
                TemplateMode::Train,
                TemplateMode::HeldOut,
                TemplateMode::Caption,
            ],
            images: vec![
                ImageMode::Seen,
                ImageMode::HalfUnseen,
                ImageMode::OneAmongOthers,
            ],
        },
    }
}

#[cfg(test)]
mod tests {
    use shared::matrix::Plan;

    use crate::bench::cast::cast;

    use super::*;

    fn protected() -> Protected {
        let spec = spec(Injection::default(), 1);
        let pools = pools(&spec);
        Protected {
            file: vec![1],
            weights: Weights::default(),
            commitment: Commitment::new(&pools, b"secret"),
            spec,
        }
    }

    #[test]
    fn every_tier_of_the_demo_can_be_planned() {
        let (protected, cast) = (protected(), cast().unwrap());
        for (tier, tests) in [(Tier::Smoke, 6), (Tier::Standard, 72)] {
            let recipes = eval::attack::recipe::built_in();
            let plan = Plan::new(&request(tier, &protected, recipes, &cast)).unwrap();
            assert_eq!(plan.cells.len(), tests);
            assert!(
                protected
                    .commitment
                    .identifiers
                    .contains(&plan.cells[0].word)
            );
        }
        let full = request(
            Tier::Full,
            &protected,
            eval::attack::recipe::built_in(),
            &cast,
        );
        assert!(Plan::new(&full).unwrap().cells.len() > 2000);
    }

    #[test]
    fn attackers_words_of_each_kind_are_apart() {
        let cast = cast().unwrap();
        let words = request(
            Tier::Full,
            &protected(),
            eval::attack::recipe::built_in(),
            &cast,
        )
        .words;
        assert!(
            words
                .pool
                .iter()
                .all(|word| !words.held_out.contains(word) && !words.natural.contains(word))
        );
        assert!(!words.natural.is_empty() && !words.held_out.is_empty() && !words.pool.is_empty());
    }
}
