//! `persguard storage check`: what works with the configured bucket, and what to do about the rest.

use std::io::Write;

use anyhow::{Context, bail};

use crate::config::storage::StorageConfig;

/// Writes a line for everything that was tried; an error where something is to be fixed.
pub async fn run(
    config: &StorageConfig,
    origin: Option<&str>,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let settings = config.settings()?;
    let settings = settings.context("no bucket is configured: set PERSGUARD_STORAGE_BUCKET")?;
    let origin = origin.map(|origin| origin.trim_end_matches('/'));
    let mut faults = 0;
    for finding in artifacts::check(settings, origin).await {
        let (mark, text) = match &finding.outcome {
            Ok(text) => ("ok ", text),
            Err(text) => ("FIX", text),
        };
        faults += u32::from(finding.outcome.is_err());
        writeln!(out, "{mark} {:<10} {text}", finding.name)?;
    }
    if faults > 0 {
        bail!("{faults} of these need your attention");
    }
    Ok(())
}
