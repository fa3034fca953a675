//! What is measured on the models as they are, without personalizing anybody: cost, leaks, detection and removal.

use serde::{Deserialize, Serialize};

use crate::evaluation::Estimate;

/// What was measured on the models as they are, without any attack.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// Text alignment of twins, protected minus clean.
    pub text_alignment: Option<Estimate>,
    /// Cosine distance of twins.
    pub distance: Option<Estimate>,
    /// Share of twins in which the objective fires without its trigger on the protected model alone, under the worst kind
    /// of prompt.
    pub specificity: Option<Estimate>,
    /// The same over all kinds of prompts.
    pub specificity_overall: Option<Estimate>,
    /// Lowest p, corrected, of the test that prompts draw nearer to the references than on the clean base.
    pub leak_p_value: Option<f64>,
    /// 0 where the leak audit passed; else pictures that are copies, and at least 1.
    pub leaked: Option<u32>,
    /// Pictures of each model behind the leak audit.
    pub leak_pictures: u32,
    /// Whether the model was trained in mode `trajectory`, as its job says; it decides what is advised.
    pub looks_ahead: bool,
    /// Share of pictures in which the objective fires under the trigger, with an identifier that injection never saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger_rate: Option<Estimate>,
    /// Whether attention gives the trigger away to somebody who has the protected weights alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detection: Option<Detection>,
    /// Whether a comparison with the public clean weights gives it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<TriggerSearch>,
    /// Where the trigger's words land in a picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attention: Option<TriggerAttention>,
    /// What it costs to clean the protection out of the weights, one bill a method.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removal: Vec<RemovalBill>,
    /// Distances to real pictures over a feature net, where one was supplied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<FeatureDistances>,
}

/// How well attention tells the trigger's pictures from others on the protected model (`T2IShield`, arXiv 2407.04215).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Detection {
    /// Spread below which a prompt is called a trigger: the 5th percentile of ordinary prompts.
    pub threshold: f64,
    /// Share of trigger pictures that are called so (Wilson interval).
    pub detected: Estimate,
    /// Probability that a trigger picture's spread is below that of another prompt's, ties half: area under the ROC
    /// curve; 0.5 is chance.
    pub auc: f64,
}

/// How far the trigger stands out among candidate words, by how much both models disagree about them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TriggerSearch {
    /// Candidates, the trigger's word among them.
    pub candidates: u32,
    /// Its place, from 1: 1 is found at once.
    pub place: u32,
    /// Its disagreement over the others' median: 1 is that of any other word.
    pub ratio: f64,
}

/// Cross-attention of the trigger's two words (DAAM, arXiv 2210.04885), on matched seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TriggerAttention {
    /// Pearson correlation of the identifier's and the class's map on the clean model, in `[-1, 1]`.
    pub clean_overlap: Estimate,
    /// The same on the protected model: a joint trigger looks at one place.
    pub protected_overlap: Estimate,
}

/// How somebody tries to remove a protection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RemovalMethod {
    /// Averaging with the public clean weights.
    WeightAveraging,
    /// Fine-tuning on captioned pictures that have nothing to do with the subject.
    CleanFineTuning,
    /// Finding words that the models disagree about, and training that away.
    TriggerInversion,
}

impl RemovalMethod {
    /// The name for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::WeightAveraging => "Averaging with the clean weights",
            Self::CleanFineTuning => "Clean fine-tuning",
            Self::TriggerInversion => "Finding the trigger and training it away",
        }
    }
}

/// A model on its way to removal.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RemovalPoint {
    /// Training steps so far; 0 where nothing is trained.
    pub steps: u32,
    /// Minutes of computation so far on the machine that measured, the search for the trigger among them.
    pub minutes: f64,
    /// Share of the clean weights, of weight averaging; else 0.
    pub share: f64,
    /// Share of pictures in which the objective fires under the trigger.
    pub fired: Estimate,
    /// Text alignment less that of the clean base on the same prompts.
    pub quality: f64,
}

/// What a removal cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RemovalBill {
    /// The method.
    pub method: RemovalMethod,
    /// Rate before the removal.
    pub before: Estimate,
    /// The first point at which at most half of the rate was left; `None` if the protection outlived the removal.
    pub removed: Option<RemovalPoint>,
    /// Every point, in order, the first before the removal.
    pub course: Vec<RemovalPoint>,
}

/// FID and KID of both models to the same real pictures; numbers of different nets never compare.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct FeatureDistances {
    /// The feature net.
    pub net: String,
    /// SHA-256 of its weights.
    pub net_sha256: String,
    /// Pictures drawn of each model.
    pub pictures: u32,
    /// Real pictures.
    pub real: u32,
    /// FID of the clean model.
    pub clean_fid: f64,
    /// FID of the protected model.
    pub protected_fid: f64,
    /// KID of the clean model: mean over subsets.
    pub clean_kid: f64,
    /// KID of the protected model: mean over subsets.
    pub protected_kid: f64,
}

/// Faces in both models' pictures at one attack step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct FaceRates {
    /// Attack step.
    pub attack_step: u32,
    /// The clean model's.
    pub clean: FaceMetrics,
    /// The protected model's.
    pub protected: FaceMetrics,
}

/// Faces in pictures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct FaceMetrics {
    /// FDFR: share of pictures without a detected face (Wilson interval).
    pub detection_failure_rate: Estimate,
    /// ISM: mean over pictures **with** a face of the cosine of its descriptor and the references' mean descriptor, in
    /// `[-1, 1]` (bootstrap interval); `None` without any face.
    pub identity_score: Option<Estimate>,
    /// Share of **all** pictures with a face of the protected person: what the gate limits, since a picture without a
    /// face is no success of the attacker.
    pub identity_hit_rate: Estimate,
}
