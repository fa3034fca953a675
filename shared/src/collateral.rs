//! What protection does to those who never asked for it: the innocent user, the class, everything else.

use serde::{Deserialize, Serialize};

use crate::evaluation::Estimate;

/// A stranger of the same class, personalized with the same words on both models.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ControlResult {
    /// Steps of the personalization.
    pub attack_step: u32,
    /// Pictures in the control set.
    pub images: u32,
    /// Similarity to the control set on the clean model.
    pub clean: Estimate,
    /// The same on the protected model.
    pub protected: Estimate,
    /// Paired difference, protected minus clean, same seeds.
    pub difference: Estimate,
}

/// Side effects of one protected model, measured without any attack unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Collateral {
    /// Text alignment under the class-only prompt, protected minus clean, same seeds.
    pub class_drift: Estimate,
    /// Share of the protected model's class-only pictures in which the objective fired.
    pub class_fires: Estimate,
    /// The same on the clean model: what the judge takes for the objective by itself.
    pub class_fires_clean: Estimate,
    /// Text alignment under captions that have nothing to do with the subject, protected minus clean.
    pub general_drift: Option<Estimate>,
    /// The innocent user; absent without a control set.
    pub control: Option<ControlResult>,
}

/// The part of a report's file that tells side effects; older nodes write none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CollateralPart {
    /// Side effects.
    #[serde(default)]
    pub collateral: Option<Collateral>,
}
