//! `world capacity`: 1, 2, 3, 5 and 10 concepts in one model, and what each loses by the company.

use std::fs;
use std::path::PathBuf;

use candle_core::Device;
use diffusion::pipeline::Pipeline;
use eval::encoder::Encoder;
use sha2::{Digest, Sha256};
use shared::job::{Injection, Mode};
use world::bench::capacity::{self, CHECKPOINTS, ModelResult, Settings};
use world::bench::capacity_page::{interference, page};
use world::bench::matrix::{Part, SUBJECTS, Unit, units};
use world::bench::unit::Models;
use world::file;

use super::bench::{mode, program};
use super::{embedded, say};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Numbers of concepts in one model, beside every subject alone.
    #[arg(long, value_delimiter = ',', default_values_t = [2, 3, 5, 10])]
    sizes: Vec<usize>,
    /// Which subjects.
    #[arg(long, value_enum, default_value = "development")]
    part: Part,
    /// How many of them.
    #[arg(long, default_value_t = SUBJECTS)]
    subjects: usize,
    /// How all are protected: `paper`, or looking ahead `fast`, `balanced` or `strong`.
    #[arg(long, default_value = "paper", value_parser = mode)]
    mode: Mode,
    /// Injection steps of every model.
    #[arg(long, default_value_t = Injection::default().steps)]
    steps: u32,
    /// Models at once, one thread each.
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Directory of results and page.
    #[arg(long, default_value = "target/bench/capacity")]
    out: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    anyhow::ensure!(
        (1..=SUBJECTS).contains(&arguments.subjects),
        "--subjects takes 1 to {SUBJECTS}"
    );
    fs::create_dir_all(&arguments.out)?;
    let files = embedded();
    let pipeline = Pipeline::from_files(&files, &Device::Cpu)?;
    let encoder = Encoder::load(demo::encoder())?;
    let models = Models {
        pipeline: &pipeline,
        encoder: &encoder,
    };
    let settings = settings(arguments);
    let results = capacity::run(&settings, models, &program()?, &tell)?;
    let unet = &files["unet/diffusion_pytorch_model.safetensors"];
    let base_sha256 = hex::encode(Sha256::digest(unet));
    write(&settings, &results, &base_sha256)?;
    Ok(say(read_out(&results))?)
}

fn settings(arguments: &Arguments) -> Settings {
    let base = match arguments.mode {
        Mode::Paper => Injection::default(),
        Mode::Trajectory { budget, .. } => Injection::ahead(budget),
    };
    Settings {
        // The mode given here does not matter: all are protected as `injection` says.
        units: units(arguments.part, Mode::Paper)[..arguments.subjects].to_vec(),
        sizes: arguments.sizes.clone(),
        injection: Injection {
            steps: arguments.steps,
            ..base
        },
        workers: arguments.workers,
        out: arguments.out.clone(),
    }
}

fn tell(result: &ModelResult) -> anyhow::Result<()> {
    let psr = |concept: &capacity::ConceptResult| {
        let checkpoints = concept.output.report.checkpoints.iter();
        let rates: Vec<String> = checkpoints
            .map(|at| format!("{:.2}", at.protected.psr.value))
            .collect();
        format!("{:02}:{}", concept.subject, rates.join("/"))
    };
    let concepts: Vec<String> = result.concepts.iter().map(psr).collect();
    Ok(say(format!(
        "concepts={} inject_seconds={:.0} psr {}",
        result.concepts.len(),
        result.inject_seconds,
        concepts.join(" "),
    ))?)
}

fn write(settings: &Settings, results: &[ModelResult], base_sha256: &str) -> anyhow::Result<()> {
    let all = serde_json::json!({
        "benchmark": "capacity",
        "base_sha256": base_sha256,
        "interference": interference(results),
        "models": results,
    });
    let json = settings.out.join("capacity.json");
    file::write(&json, &serde_json::to_vec_pretty(&all)?)?;
    let names: Vec<String> = settings.units.iter().map(name).collect();
    let html = settings.out.join("capacity.html");
    file::write(&html, page(results, &names, base_sha256).as_bytes())?;
    Ok(say(format!("{} and {}", json.display(), html.display()))?)
}

fn name(unit: &Unit) -> String {
    let identity = unit.identity;
    format!(
        "{} {}, {}",
        identity.tint.name(),
        identity.class.name(),
        identity.accessory.name()
    )
}

/// What the largest model loses at each checkpoint.
fn read_out(results: &[ModelResult]) -> String {
    let rows = interference(results);
    let most = rows
        .iter()
        .map(|row| row.concepts)
        .max()
        .unwrap_or_default();
    let changes: Vec<String> = CHECKPOINTS
        .iter()
        .filter_map(|step| {
            let row = rows
                .iter()
                .find(|row| row.concepts == most && row.attack_step == *step)?;
            Some(format!("change_{step}={:+.3}", row.change.value))
        })
        .collect();
    format!("concepts={most} {}", changes.join(" "))
}
