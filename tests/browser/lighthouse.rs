//! A shared page by Lighthouse, on a phone and on a desk: it is fast, and everybody can read it.

use std::{env, path::Path};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::process::Command;

use crate::look::tell;

/// Of 100.
const PERFORMANCE: f64 = 95.0;
const ACCESSIBILITY: f64 = 100.0;

/// Looks at one device: a busy machine is slow now and then, a slow page always.
const TRIES: usize = 4;

/// Looks at a page; its reports lie in the folder of the pictures.
pub(crate) async fn judge(url: &str, pictures: &Path) -> Result<()> {
    for device in ["mobile", "desktop"] {
        let mut best = 0.0_f64;
        for _ in 0..TRIES {
            let (performance, accessibility) = scores(url, device, pictures).await?;
            tell(&format!(
                "lighthouse: device={device} performance={performance} accessibility={accessibility}"
            ));
            ensure!(
                accessibility >= ACCESSIBILITY,
                "not everybody can read it on a {device}: {accessibility}"
            );
            best = best.max(performance);
            if best >= PERFORMANCE {
                break;
            }
        }
        ensure!(
            best >= PERFORMANCE,
            "Lighthouse on a {device} gives {best} at best"
        );
    }
    Ok(())
}

/// Performance and accessibility, each of 100.
async fn scores(url: &str, device: &str, pictures: &Path) -> Result<(f64, f64)> {
    let report = report(url, device, pictures).await?;
    let score = |category: &str| {
        let score = report["categories"][category]["score"].as_f64();
        score
            .map(|score| (score * 100.0).round())
            .context("no score")
    };
    Ok((score("performance")?, score("accessibility")?))
}

async fn report(url: &str, device: &str, pictures: &Path) -> Result<Value> {
    let program = env::var_os("PERSGUARD_LIGHTHOUSE")
        .context("PERSGUARD_LIGHTHOUSE is not set: run `cargo xtask test --only browser`")?;
    let file = pictures.join(format!("lighthouse-{device}.json"));
    let mut lighthouse = Command::new("node");
    lighthouse.arg(program).arg(url);
    lighthouse
        .args(["--quiet", "--output=json", "--output-path"])
        .arg(&file);
    lighthouse.args([
        "--only-categories=performance,accessibility",
        "--chrome-flags=--headless --no-sandbox --disable-gpu",
    ]);
    if device == "desktop" {
        lighthouse.arg("--preset=desktop");
    }
    let output = lighthouse.output().await?;
    ensure!(
        output.status.success(),
        "Lighthouse ends with {}:\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(serde_json::from_slice(&std::fs::read(file)?)?)
}
