//! `cargo xtask dist`: the product as one archive that needs no toolchain, and the proof that it runs by itself.

mod bill;
mod check;
mod notices;

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};

use crate::{
    cache::{cargo, command, folder, output, root, run},
    web,
};

/// What goes into the archive beside programs, dashboard and what is written for it: place in the clone, place in the archive.
const CARRIED: &[(&str, &str)] = &[
    ("README.md", "README.md"),
    ("CHANGELOG.md", "CHANGELOG.md"),
    ("SECURITY.md", "SECURITY.md"),
    ("LICENSE-MIT", "LICENSE-MIT"),
    ("LICENSE-APACHE", "LICENSE-APACHE"),
    ("backend/demo/model", "demo/model"),
    (
        "backend/demo/encoder.safetensors",
        "demo/encoder.safetensors",
    ),
    ("backend/demo/samples", "demo/samples"),
    ("backend/demo/evaluation", "demo/evaluation"),
];
const PROGRAMS: [&str; 2] = ["persguard", "persguard-node"];
pub(crate) const TARGET: &str = "x86_64-unknown-linux-gnu";

/// How the programs are compiled.
#[derive(Clone, Copy, ValueEnum)]
enum Profile {
    Release,
    /// What `cargo xtask test` compiled, to try the archive in minutes.
    Dev,
}

/// What is to be made.
#[derive(Args)]
pub(crate) struct Options {
    /// Unpack the archive into an empty root afterwards and run the demo there.
    #[arg(long)]
    check: bool,
    #[arg(long, value_enum, default_value_t = Profile::Release)]
    profile: Profile,
    /// Make nothing but the bill of materials and the notices of a node for NVIDIA devices, in this folder.
    #[arg(long, value_name = "FOLDER", conflicts_with = "check")]
    cuda_bill: Option<PathBuf>,
}

/// Makes the archive, and runs it if asked to.
pub(crate) fn make(options: &Options) -> Result<()> {
    if let Some(folder) = &options.cuda_bill {
        return describe(&bill::Bill::of_cuda_node()?, folder);
    }
    let programs = compile(options.profile)?;
    let frontend = web::build()?;
    let version = env!("CARGO_PKG_VERSION");
    let name = format!("persguard-{version}-x86_64-linux-gnu");
    let dist = root().join("target/dist");
    let draft = dist.join(&name);
    let _ = fs::remove_dir_all(&draft);
    fs::create_dir_all(&draft).with_context(|| draft.display().to_string())?;
    for program in PROGRAMS {
        let place = draft.join(program);
        fs::copy(programs.join(program), &place).context("copying a program")?;
        run(command("strip").arg(&place))?;
    }
    copy(&frontend, &draft.join("frontend"))?;
    for (from, to) in CARRIED {
        copy(&root().join(from), &draft.join(to)).with_context(|| format!("carrying {from}"))?;
    }
    let settings = output(command(draft.join("persguard")).args(["config", "example"]))?;
    fs::write(draft.join("persguard.env"), settings)?;
    describe(&bill::Bill::read()?, &draft)?;
    let sums = sums(&draft)?;
    fs::write(draft.join("SHA256SUMS"), sums)?;
    let archive = pack(&dist, &name)?;
    let megabytes = fs::metadata(&archive)?.len() as f64 / 1e6;
    println!("{} ({megabytes:.1} MB)", archive.display());
    if options.check {
        let seen = check::try_out(&archive, &name)?;
        println!(
            "archive_mb={megabytes:.1} start_seconds={:.2} verdict={}",
            seen.start_seconds, seen.verdict
        );
    }
    Ok(())
}

/// Writes what is inside, and its terms.
fn describe(bill: &bill::Bill, folder: &Path) -> Result<()> {
    fs::write(folder.join("sbom.cdx.json"), bill.cyclonedx()?)?;
    fs::write(folder.join("THIRD-PARTY.txt"), notices::write(bill)?)?;
    Ok(())
}

/// Builds both programs; gives the folder that holds them.
fn compile(profile: Profile) -> Result<PathBuf> {
    match profile {
        Profile::Dev => crate::demo::build_programs(),
        Profile::Release => {
            // These two alone, so that the bill lists their features and no test's.
            run(cargo()?.args(["build", "--release", "--locked", "-p", "api", "-p", "node"]))?;
            Ok(folder("target")?.join("release"))
        }
    }
}

/// Copies a file, or a folder with what is in it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
        return Ok(());
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::copy(from, to).with_context(|| from.display().to_string())?;
    Ok(())
}

/// The lines that `sha256sum --check` reads, for every file of the archive.
fn sums(draft: &Path) -> Result<String> {
    let mut files = Vec::new();
    list(draft, draft, &mut files)?;
    files.sort();
    output(
        command("sha256sum")
            .arg("--")
            .args(&files)
            .current_dir(draft),
    )
}

fn list(base: &Path, folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            list(base, &path, files)?;
        } else {
            files.push(path.strip_prefix(base)?.to_owned());
        }
    }
    Ok(())
}

/// The same files give the same archive: names in order, no owner, the moment of the last commit or the one that is told.
fn pack(dist: &Path, name: &str) -> Result<PathBuf> {
    let moment = match env::var_os("SOURCE_DATE_EPOCH") {
        Some(moment) => moment.to_string_lossy().into_owned(),
        None => output(command("git").args(["log", "-1", "--format=%ct"]))?,
    };
    let archive = dist.join(format!("{name}.tar.gz"));
    let mut tar = command("tar");
    tar.arg("--create")
        .arg("--file")
        .arg(&archive)
        .args(["--use-compress-program", "gzip -9 -n"])
        .args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner"])
        .args(["--mode=u=rwX,go=rX", "--format=gnu"])
        .arg(format!("--mtime=@{}", moment.trim()))
        .arg("--directory")
        .arg(dist)
        .arg(name);
    run(&mut tar)?;
    let sum = output(
        command("sha256sum")
            .arg(format!("{name}.tar.gz"))
            .current_dir(dist),
    )?;
    fs::write(dist.join(format!("{name}.tar.gz.sha256")), sum)?;
    ensure!(archive.is_file(), "tar made no archive");
    Ok(archive)
}
