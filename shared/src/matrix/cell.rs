//! One cell: an attack, fully said, on one subject, with a key that changes whenever anything that it depends on does.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    attack::{AttackRecipe, IdentifierMode},
    canonical,
    job::SubjectKind,
    objective::Objective,
};

/// Changes with everything that would make an old result another number.
const KEY_VERSION: u32 = 1;

/// Who is personalized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = MatrixRole))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The protected subject: arms A0 and A1.
    Protected,
    /// Somebody else of the same class: arms A2 and A3.
    SameClass,
    /// Somebody of another class: arms A2 and A3.
    OtherClass,
}

/// A person, pet, thing or style with pictures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct MatrixSubject {
    /// What reports call it.
    pub name: String,
    /// Class word.
    pub class_name: String,
    /// Object, person or style.
    pub kind: SubjectKind,
    /// Protected, or a control.
    pub role: Role,
    /// Number of reference pictures.
    pub pictures: u32,
    /// Merkle root over the SHA-256 of each reference file, in the order of their names.
    pub merkle_root: String,
    /// The same over further pictures of the subject that were never protected; empty without any.
    pub unseen_merkle_root: String,
    /// The same over pictures of others of the class; empty without any.
    pub others_merkle_root: String,
}

/// What all cells share and no recipe says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct MatrixSettings {
    /// Pictures of each arm at each checkpoint.
    pub pictures: u32,
    /// Generated class pictures of an attack with prior preservation.
    pub class_pictures: u32,
    /// Class-only pictures of the clean base that set the hit threshold.
    pub threshold_pictures: u32,
    /// Steps of the sampler.
    pub sampling_steps: u32,
    /// Guidance scale of the sampler.
    pub guidance_scale: f64,
    /// Name of the sampler: `ddim` or `dpm_solver`.
    pub sampler: String,
}

/// Hashes of what is attacked and of what judges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct MatrixInputs {
    /// SHA-256 of the clean U-Net's file.
    pub base_sha256: String,
    /// SHA-256 of every file of the clean base, by its path in the folder.
    pub base_files: BTreeMap<String, String>,
    /// SHA-256 of the protected U-Net's file.
    pub protected_sha256: String,
    /// What reports call the encoder.
    pub encoder: String,
    /// SHA-256 of the encoder's file.
    pub encoder_sha256: String,
    /// What the protected model shall draw instead.
    pub objective: Objective,
    /// What attackers write around identifier and class.
    pub texts: Texts,
    /// SHA-256 over the face networks' files, where they were supplied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faces_sha256: Option<String>,
}

/// Templates and captions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Texts {
    /// Beginnings of prompts that injection trained; without any the stock one counts.
    pub templates: Vec<String>,
    /// Beginnings of prompts that injection never saw.
    pub held_out_templates: Vec<String>,
    /// Captions of the model's domain.
    pub captions: Vec<String>,
}

/// One attack on one subject, run on the clean and on the protected model alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// Position in the plan, from 1: what `--cell` takes.
    pub number: u32,
    /// The attack; its learning rates are all that were planned, the cell's own is `learning_rate`.
    pub recipe: AttackRecipe,
    /// `AdamW` learning rate of this cell.
    pub learning_rate: f64,
    /// How the attacker chooses a word.
    pub identifier: IdentifierMode,
    /// The attacker's word.
    pub word: String,
    /// Position of the subject in the plan.
    pub subject: u32,
    /// Seed of every random draw.
    pub seed: u64,
}

impl Cell {
    /// Steps to the last checkpoint, with those of clean fine-tuning before.
    pub fn steps(&self) -> u32 {
        let attack = self.recipe.checkpoints.last().copied().unwrap_or_default();
        attack + self.recipe.adaptive.clean_finetuning_steps
    }

    /// Pictures that one arm draws.
    pub fn pictures(&self, settings: &MatrixSettings) -> u32 {
        let checkpoints = u32::try_from(self.recipe.checkpoints.len()).unwrap_or(u32::MAX);
        checkpoints.saturating_mul(settings.pictures)
    }

    /// Key of the whole cell: a hash of what it says and of all inputs.
    pub fn key(
        &self,
        subject: &MatrixSubject,
        settings: &MatrixSettings,
        inputs: &MatrixInputs,
    ) -> String {
        let mut content = self.content(subject, settings, inputs);
        content["protected"] = json!(inputs.protected_sha256);
        digest(&content)
    }

    /// Key of the attack on the clean base, which no protection changes: its result serves every protected model.
    pub fn base_key(
        &self,
        subject: &MatrixSubject,
        settings: &MatrixSettings,
        inputs: &MatrixInputs,
    ) -> String {
        digest(&self.content(subject, settings, inputs))
    }

    fn content(
        &self,
        subject: &MatrixSubject,
        settings: &MatrixSettings,
        inputs: &MatrixInputs,
    ) -> Value {
        // The planned rates, the name and the description do not change what is run.
        let recipe = AttackRecipe {
            name: String::new(),
            description: String::new(),
            learning_rates: vec![self.learning_rate],
            stock_learning_rate: self.learning_rate,
            ..self.recipe.clone()
        };
        let mut content = json!({
            "version": KEY_VERSION,
            "recipe": recipe,
            "word": self.word,
            "seed": self.seed,
            "class_name": subject.class_name,
            "kind": subject.kind,
            "references": subject.merkle_root,
            "unseen": subject.unseen_merkle_root,
            "others": subject.others_merkle_root,
            "settings": settings,
            "base": inputs.base_files,
            "encoder": inputs.encoder_sha256,
            "texts": inputs.texts,
            // Whether the objective fires on the clean model belongs to its scores.
            "objective": inputs.objective,
        });
        if let (SubjectKind::Person, Some(faces)) = (subject.kind, &inputs.faces_sha256) {
            content["faces"] = json!(faces);
        }
        content
    }
}

fn digest(content: &Value) -> String {
    canonical::sha256(content).expect("a planned cell holds finite numbers and small integers")
}
