//! The README's walkthrough with curl, run as it stands there.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use e2e::{Server, script};

const START: &str = "<!-- walkthrough:";
/// The address in the README, and the end of its job.
const ADDRESS: &str = "http://127.0.0.1:7740";
const JOB_END: &str = r#"\"target_class\":\"apple\"}}]}"#;
/// A job of seconds instead of minutes, with as much of an attack as a release asks for.
const SHORT_END: &str = r#"\"target_class\":\"apple\"}}],
  \"injection\":{\"steps\":2,\"batch_size\":2,\"class_images\":2,\"target_images\":2},
  \"evaluation\":{\"checkpoints\":[0,4],\"images_per_arm\":4}}"#;

/// Whether a safetensors file names a U-Net's tensors as diffusers does.
fn has_diffusers_names(file: &Path) -> Result<bool> {
    let bytes = fs::read(file)?;
    let tensors = safetensors::SafeTensors::deserialize(&bytes)?;
    Ok(tensors.tensor("mid_block.resnets.0.conv1.weight").is_ok())
}

fn replaced(script: &str, from: &str, to: &str) -> Result<String> {
    ensure!(
        script.matches(from).count() == 1,
        "the README names {from} once"
    );
    Ok(script.replace(from, to))
}

fn walkthrough(root: &Path, url: &str) -> Result<String> {
    let readme = fs::read_to_string(root.join("README.md"))?;
    let (_, rest) = readme.split_once(START).context("no walkthrough")?;
    let (_, rest) = rest.split_once("```sh\n").context("no script")?;
    let (script, _) = rest.split_once("```").context("no end")?;
    let script = replaced(script, ADDRESS, url)?;
    let script = replaced(&script, JOB_END, SHORT_END)?;
    let folder = format!("{}/backend/demo/", root.display());
    replaced(&script, "backend/demo/", &folder)
}

#[test]
fn the_readme_walkthrough_runs() -> Result<()> {
    let server = Server::start(&[])?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the tests lie in the workspace")?;
    let script = walkthrough(root, &server.url(""))?;
    let folder = tempfile::tempdir()?;
    let said = script::run(&script, folder.path())?;
    for line in [
        "05.png",
        "sealed",
        "pass  Rights",
        "backdoor",
        "DreamBooth",
        "control_set",
    ] {
        ensure!(said.contains(line), "`{line}` is missing in:\n{said}");
    }
    let weights = folder.path().join("protected-unet.safetensors");
    if said.contains("failed  ") || said.contains("not_measured  ") {
        ensure!(!weights.exists(), "a closed gate let the weights out");
    } else {
        ensure!(has_diffusers_names(&weights)?);
    }
    Ok(())
}
