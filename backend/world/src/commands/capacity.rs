//! `world capacity`: 1, 2, 3, 5 and 10 concepts in one model, and what each loses by the company.

use std::fs;
use std::path::PathBuf;

use diffusion::device::DeviceName;
use shared::job::{Injection, Mode};
use world::bench::capacity::{self, ModelResult, Settings};
use world::bench::capacity_page::{by_step, page};
use world::bench::matrix::{Part, SUBJECTS, Unit, units};
use world::file;

use super::bench::{injection, mode, program_on};
use super::{Embedded, say};

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

pub(crate) fn run(arguments: &Arguments, device: DeviceName) -> anyhow::Result<()> {
    anyhow::ensure!(
        (1..=SUBJECTS).contains(&arguments.subjects),
        "--subjects takes 1 to {SUBJECTS}"
    );
    fs::create_dir_all(&arguments.out)?;
    let embedded = Embedded::load(device)?;
    let models = embedded.models();
    let settings = settings(arguments);
    let results = capacity::run(
        &settings,
        models,
        &program_on(models.pipeline.device())?,
        &tell,
    )?;
    write(&settings, &results, &embedded.base_sha256)?;
    Ok(say(read_out(&results))?)
}

fn settings(arguments: &Arguments) -> Settings {
    Settings {
        // The mode given here does not matter: all are protected as `injection` says.
        units: units(arguments.part, Mode::Paper)[..arguments.subjects].to_vec(),
        sizes: arguments.sizes.clone(),
        injection: Injection {
            steps: arguments.steps,
            ..injection(arguments.mode)
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
        "steps": by_step(results),
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
    let steps = by_step(results);
    let levels = steps.iter().flat_map(|step| &step.capacity.levels);
    let most = levels.map(|level| level.concepts).max().unwrap_or_default();
    let changes: Vec<String> = steps
        .iter()
        .filter_map(|step| {
            let loss = step.capacity.level(most)?.loss?;
            Some(format!("change_{}={:+.3}", step.attack_step, -loss.value))
        })
        .collect();
    format!("concepts={most} {}", changes.join(" "))
}
