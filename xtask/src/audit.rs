//! The dependencies: licences, sources and bans by cargo-deny, and known faults where their database is at hand.

use std::{env, fs, path::PathBuf};

use anyhow::{Context, Result, bail};

use crate::cache::{cargo, command, folder, root, run};

const VERSION: &str = "0.20.2";
const RULES: &str = "xtask/deny.toml";

/// Checks everything that can be checked here, and says what cannot.
pub(crate) fn check() -> Result<()> {
    let program = install()?;
    let deny = |arguments: &[&str]| {
        let mut deny = command(&program);
        deny.args(["--workspace", "--locked", "--config", RULES])
            .args(arguments)
            .current_dir(root());
        deny
    };
    run(&mut deny(&[
        "check",
        "--hide-inclusion-graph",
        "licenses",
        "bans",
        "sources",
    ]))?;
    // Fetched by whoever may reach it: no database is not the same as no finding.
    if database()? {
        run(&mut deny(&[
            "check",
            "--config",
            RULES,
            "--disable-fetch",
            "advisories",
        ]))?;
        println!("audit=licences,bans,sources,advisories");
    } else {
        println!(
            "WARNING: KNOWN FAULTS WERE NOT LOOKED FOR: no advisory database is on this machine."
        );
        println!(
            "Where it can be reached, `{} fetch db` fetches it.",
            program.display()
        );
        println!("audit=licences,bans,sources");
    }
    Ok(())
}

/// Whether somebody fetched the advisories.
fn database() -> Result<bool> {
    let home = match env::var_os("CARGO_HOME") {
        Some(home) => PathBuf::from(home),
        None => PathBuf::from(env::var_os("HOME").context("HOME is not set")?).join(".cargo"),
    };
    let entries = fs::read_dir(home.join("advisory-dbs"));
    Ok(entries.is_ok_and(|mut entries| {
        entries.any(|entry| entry.is_ok_and(|entry| entry.path().join("crates").is_dir()))
    }))
}

/// Built once into the cache.
fn install() -> Result<PathBuf> {
    let place = folder("tools")?.join(format!("cargo-deny-{VERSION}"));
    let program = place.join("bin/cargo-deny");
    if program.is_file() {
        return Ok(program);
    }
    println!("building cargo-deny (minutes, once)");
    run(cargo()?
        .args([
            "install",
            "--locked",
            "--quiet",
            // It works for seconds: optimising it would take longer than it ever runs.
            "--debug",
            "cargo-deny",
            "--version",
            VERSION,
        ])
        .arg("--root")
        .arg(&place)
        // Its own selection of features is of no use to the workspace.
        .env("CARGO_TARGET_DIR", place.join("target")))?;
    let _ = fs::remove_dir_all(place.join("target"));
    if !program.is_file() {
        bail!("cargo install left no {}", program.display());
    }
    Ok(program)
}
