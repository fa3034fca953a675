//! FID and KID of both models to the same real pictures, over a feature net that somebody supplied.

use std::path::PathBuf;

use candle_core::Tensor;
use shared::{
    canonical::nine_decimals,
    matrix::{Audit, FeatureDistances},
};

use super::{AuditPrompts, drawer::Drawer};
use crate::{
    Result,
    metric::distance::{KernelConfig, frechet_distance, kernel_distance},
    net::EfficientNet,
};

const FEATURE_STREAM: u64 = 30;
/// A feature net and real pictures of what captions speak of.
#[derive(Clone, Copy)]
pub struct Features<'a> {
    /// The net.
    pub net: &'a EfficientNet,
    /// SHA-256 of its file.
    pub sha256: &'a str,
    /// Files of the real pictures, at least two; they are read when distances are measured and not before.
    pub pictures: &'a [PathBuf],
    /// Side that they are brought to, as the model draws.
    pub side: usize,
}

/// As many pictures of each model as there are real ones, under captions in turns.
pub(super) fn distances_of(
    drawer: &mut Drawer<'_, '_>,
    prompts: &AuditPrompts,
    audit: &mut Audit,
) -> Result<()> {
    let Some(features) = drawer.stage.nets.features else {
        return Ok(());
    };
    if prompts.captions.is_empty() {
        return Ok(());
    }
    let count = features.pictures.len();
    let captions: Vec<String> = prompts
        .captions
        .iter()
        .cycle()
        .take(count)
        .cloned()
        .collect();
    let real = features.of_real()?;
    let config = KernelConfig {
        seed: drawer.seed,
        ..KernelConfig::default()
    };
    let mut measure = |model| -> Result<(f64, f64)> {
        let mut rows = Vec::new();
        drawer.draw_in_parts(model, &captions, FEATURE_STREAM, &mut |pixels| {
            rows.push(features.net.features(&pixels)?);
            Ok(())
        })?;
        let drawn = Tensor::cat(&rows, 0)?;
        let kernel = kernel_distance(&drawn, &real, config)?;
        Ok((
            nine_decimals(frechet_distance(&drawn, &real)?),
            nine_decimals(kernel.mean),
        ))
    };
    let ((clean_fid, clean_kid), (protected_fid, protected_kid)) = (measure(0)?, measure(1)?);
    let pictures = u32::try_from(count).unwrap_or(u32::MAX);
    audit.features = Some(FeatureDistances {
        net: EfficientNet::NAME.to_owned(),
        net_sha256: features.sha256.to_owned(),
        pictures,
        real: pictures,
        clean_fid,
        protected_fid,
        clean_kid,
        protected_kid,
    });
    Ok(())
}
