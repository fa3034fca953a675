//! `persguard-node rerun FILE --cell N`: one cell of a certificate again, from the inputs that it names by their hashes.
//!
//! Owns the order: signature, hashes, attack, comparison. Refuses inputs that are not those of the certificate before
//! anything is computed. Exit code 0 where every number is the same, 1 for anything else.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    io::{self, Write},
    path::{Component, Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Device, Tensor};
use clap::Parser;
use diffusion::device::DeviceName;
use diffusion::{
    inspect::hash_files,
    pipeline::Pipeline,
    weights::{Weights, WeightsFile},
};
use eval::{
    Encoder,
    gallery::references,
    matrix::{Person, Sets, Stage, Supplied, run_cell},
};
use persguard::overlay;
use shared::{
    canonical::sha256_hex,
    certificate::{Certificate, KIND, LIMIT_BYTES, references_root},
    matrix::{CellResult, MatrixInputs, MatrixSubject},
    objective::{Objective, Patch},
    signed,
};

/// Most bytes of a reference picture, and most pictures of a folder.
const LIMIT_PICTURE: u64 = 64 * 1024 * 1024;
const LIMIT_PICTURES: usize = 1000;
/// Differences that are printed.
const SHOWN: usize = 20;

/// Runs one cell of a certificate again and compares every number.
#[derive(Parser)]
#[command(name = "persguard rerun", bin_name = "persguard rerun")]
struct Arguments {
    /// The certificate.
    file: PathBuf,
    /// Number of the cell, as the certificate and its page count them.
    #[arg(long)]
    cell: u32,
    /// Folder of the clean base model, as diffusers writes it.
    #[arg(long)]
    base: PathBuf,
    /// File of the protected U-Net.
    #[arg(long)]
    protected: PathBuf,
    /// File of the metric encoder.
    #[arg(long)]
    encoder: PathBuf,
    /// Folder with the reference pictures of the cell's subject and nothing else.
    #[arg(long)]
    images: PathBuf,
    /// Folder with pictures of the subject that were never protected, if the attack had some.
    #[arg(long)]
    unseen: Option<PathBuf>,
    /// Folder with pictures of others of the class, if the attack had some.
    #[arg(long)]
    others: Option<PathBuf>,
    /// Folder of the face networks, if the certificate's faces were read.
    #[arg(long)]
    networks: Option<PathBuf>,
    /// Signing keys of the issuer, as its server answers under `/v1/signing-keys`.
    #[arg(long)]
    key: Option<PathBuf>,
    /// How far a number may be from the recorded one. Another processor may need a little.
    #[arg(long, default_value_t = 0.0)]
    tolerance: f64,
    /// Threads.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Where it computes: `cpu`, `cuda` or `cuda:N`. Numbers are the same to the last bit on one kind of device alone;
    /// from another, allow a `--tolerance`.
    #[arg(long, default_value_t = DeviceName::Cpu)]
    device: DeviceName,
}

/// Runs what follows `rerun` on the command line.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let name = OsString::from("persguard rerun");
    let arguments = Arguments::parse_from(std::iter::once(name).chain(arguments));
    let (code, answer) = match again(&arguments) {
        Ok((recorded, found)) => compare(&recorded, &found, arguments.tolerance),
        Err(error) => (ExitCode::FAILURE, format!("refused: {error:#}\n")),
    };
    match io::stdout().write_all(answer.as_bytes()) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

/// What the certificate says of the cell, and what it gives now.
fn again(arguments: &Arguments) -> Result<(CellResult, CellResult)> {
    let certificate = certificate(arguments)?;
    let report = &certificate.report;
    let recorded = report
        .cell(arguments.cell)
        .with_context(|| absent(&certificate, arguments.cell))?;
    let subject = report
        .subject(&recorded.cell)
        .context("the cell's subject is not listed")?;
    let pipeline = base(arguments, &certificate)?;
    let protected = protected(arguments, &certificate, pipeline.device())?;
    let bytes = fs::read(&arguments.encoder).with_context(|| cannot_read(&arguments.encoder))?;
    same(
        "the encoder",
        &report.inputs.encoder_sha256,
        &sha256_hex(&bytes),
    )?;
    let encoder = Encoder::load(&bytes).context("the encoder")?;
    let side = pipeline.image_side();
    let person = person(arguments, subject, side)?;
    let overlay = pattern(&report.inputs.objective, side)?;
    let supplied = supplied(arguments, &report.inputs, side)?;
    let plan = report.plan();
    let stage = Stage {
        plan: &plan,
        pipeline: &pipeline,
        protected: &protected,
        encoder: &encoder,
        people: &BTreeMap::from([(recorded.cell.subject, person)]),
        overlay: overlay.as_ref(),
        sets: &Sets::default(),
        nets: supplied.nets(),
    };
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(arguments.threads.max(1))
        .build()?;
    let outcome = pool.install(|| run_cell(&stage, &recorded.cell, None, &mut |_, _, _| Ok(())));
    Ok((recorded.clone(), outcome?.result))
}

fn certificate(arguments: &Arguments) -> Result<Certificate> {
    let file = read(&arguments.file, LIMIT_BYTES + 1)?;
    let keys = arguments
        .key
        .as_deref()
        .map(|path| read(path, LIMIT_BYTES))
        .transpose()?;
    let certificate: Certificate = signed::verify(KIND, &file, keys.as_deref())?.document;
    let contradictions = certificate.contradictions();
    ensure!(
        contradictions.is_empty(),
        "the certificate contradicts itself: {}",
        contradictions.join(" ")
    );
    Ok(certificate)
}

fn absent(certificate: &Certificate, number: u32) -> String {
    let report = &certificate.report;
    if report.not_tested.iter().any(|cell| cell.number == number) {
        format!("cell {number} was planned and not tested: there is nothing to compare with")
    } else {
        format!("there is no cell {number}; {} were run", report.cells.len())
    }
}

/// The clean base, every file of which must be the recorded one.
fn base(arguments: &Arguments, certificate: &Certificate) -> Result<Pipeline> {
    let recorded = &certificate.report.inputs.base_files;
    let plain = |name: &&String| {
        Path::new(name)
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
    };
    ensure!(
        recorded.keys().all(|name| plain(&name)),
        "the certificate names files outside the base model's folder"
    );
    let names: Vec<String> = recorded.keys().cloned().collect();
    for found in hash_files(&arguments.base, &names).context("the base model")? {
        same(
            &format!("{} of the base model", found.name),
            &recorded[&found.name],
            &found.sha256,
        )?;
    }
    let device = arguments.device.open()?;
    Pipeline::load(&arguments.base, &device).context("the base model")
}

/// The protected U-Net, on the pipeline's own `device`: opening one again gives another.
fn protected(arguments: &Arguments, certificate: &Certificate, device: &Device) -> Result<Weights> {
    let path = &arguments.protected;
    let folder = path.parent().unwrap_or(Path::new(""));
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .context("the protected U-Net is no file")?;
    let found = hash_files(folder, &[name.to_owned()]).context("the protected U-Net")?;
    let sha256 = found
        .first()
        .map(|file| file.sha256.as_str())
        .unwrap_or_default();
    same(
        "the protected U-Net",
        &certificate.report.inputs.protected_sha256,
        sha256,
    )?;
    let file = WeightsFile::open(path).context("the protected U-Net")?;
    // Told inside the weights before injection; a file without it tells nothing.
    if let Some(committed) = file.metadata().get("persguard.held_out_commitment") {
        same(
            "the commitment to held-out words",
            &certificate.held_out.sha256,
            committed,
        )?;
    }
    file.load(DType::F32, device).context("the protected U-Net")
}

fn person(arguments: &Arguments, subject: &MatrixSubject, side: usize) -> Result<Person> {
    let further = |folder: Option<&PathBuf>, root: &str, what: &str| -> Result<Option<Tensor>> {
        match (folder, root.is_empty()) {
            (Some(folder), false) => pictures(folder, root, what, side).map(Some),
            // Only attacks that have them need them; those say so.
            _ => Ok(None),
        }
    };
    let what = format!("the pictures of {}", subject.name);
    Ok(Person {
        references: pictures(&arguments.images, &subject.merkle_root, &what, side)?,
        unseen: further(
            arguments.unseen.as_ref(),
            &subject.unseen_merkle_root,
            "the unseen pictures",
        )?,
        others: further(
            arguments.others.as_ref(),
            &subject.others_merkle_root,
            "the pictures of others",
        )?,
    })
}

/// The files of a folder in the order of their names, which the certificate's root must stand for.
fn pictures(folder: &Path, root: &str, what: &str, side: usize) -> Result<Tensor> {
    let entries = fs::read_dir(folder).with_context(|| cannot_read(folder))?;
    let mut paths: Vec<PathBuf> = entries
        .take(LIMIT_PICTURES + 1)
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<_>>()
        .with_context(|| cannot_read(folder))?;
    ensure!(
        paths.len() <= LIMIT_PICTURES,
        "{} holds more than {LIMIT_PICTURES} files",
        folder.display()
    );
    paths.sort();
    let files: Vec<Vec<u8>> = paths
        .iter()
        .map(|path| read(path, LIMIT_PICTURE))
        .collect::<Result<_>>()?;
    same(what, root, &references_root(&files))?;
    references(&files, side).with_context(|| what.to_owned())
}

/// Face networks, which must be the recorded ones.
fn supplied(arguments: &Arguments, inputs: &MatrixInputs, side: usize) -> Result<Supplied> {
    let folder = arguments.networks.as_deref();
    let supplied = folder.map(|folder| Supplied::load(folder, side));
    let supplied = supplied.transpose()?.unwrap_or_default();
    let found = supplied.faces_sha256();
    match (&inputs.faces_sha256, &found) {
        (Some(_), None) => {
            bail!("faces were read: name the folder of the same networks with --networks")
        }
        (Some(recorded), Some(found)) => same("the face networks", recorded, found)?,
        (None, _) => return Ok(Supplied::default()),
    }
    Ok(supplied)
}

fn pattern(objective: &Objective, side: usize) -> Result<Option<Tensor>> {
    let Objective::Pattern(pattern) = objective else {
        return Ok(None);
    };
    ensure!(
        pattern.patch == Patch::LicenceCard,
        "the objective is a patch of the owner's, which is not in the certificate"
    );
    let card = overlay::licence_card();
    Ok(Some(overlay::render(&card, pattern, side, &Device::Cpu)?))
}

fn same(what: &str, recorded: &str, found: &str) -> Result<()> {
    if recorded == found {
        return Ok(());
    }
    bail!("{what} is not what the certificate names: {found} where {recorded} is recorded")
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    use io::Read;

    let mut bytes = Vec::new();
    let file = fs::File::open(path).with_context(|| cannot_read(path))?;
    file.take(limit)
        .read_to_end(&mut bytes)
        .with_context(|| cannot_read(path))?;
    Ok(bytes)
}

fn cannot_read(path: &Path) -> String {
    format!("cannot read {}", path.display())
}

fn compare(recorded: &CellResult, found: &CellResult, tolerance: f64) -> (ExitCode, String) {
    let (count, differences) = recorded.differences(found, tolerance);
    let number = recorded.cell.number;
    if differences.is_empty() {
        let how = if tolerance > 0.0 {
            format!("equal within {tolerance}")
        } else {
            "equal".to_owned()
        };
        return (
            ExitCode::SUCCESS,
            format!("Cell {number} reproduced: {count} values, all {how}.\n"),
        );
    }
    let mut answer = format!(
        "Cell {number} differs in {} of {count} values.\n",
        differences.len()
    );
    let lines = differences.iter().take(SHOWN).map(|difference| {
        format!(
            "  {}: recorded {}, found {}\n",
            difference.pointer, difference.recorded, difference.found
        )
    });
    answer.extend(lines);
    (ExitCode::FAILURE, answer)
}

#[cfg(test)]
mod tests;
