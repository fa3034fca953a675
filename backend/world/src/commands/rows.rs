//! What both tables of methods do: run, sum up, write one JSON file and one page.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use diffusion::device::DeviceName;
use world::bench::matrix::Unit;
use world::bench::rows::{self, Row, RowSummary};
use world::bench::rows_page::{self, Content};
use world::bench::run::Settings;
use world::bench::unit::UnitResult;
use world::file;

use super::bench::{minutes, results};
use super::{Embedded, say};

/// What both are told.
#[derive(clap::Args)]
pub(super) struct Options {
    /// Minutes that may pass; no run starts that would end later.
    #[arg(long, default_value_t = 40.0)]
    budget: f64,
    /// Runs at once, one thread each.
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// At most so many runs.
    #[arg(long, default_value_t = usize::MAX)]
    limit: usize,
    /// Directory of results and pictures; `target/bench` and the table's name unless given.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Takes finished runs of an earlier build as they are, and starts none.
    #[arg(long)]
    only_page: bool,
}

/// One of the tables.
pub(super) struct Table<'a> {
    /// Its name, of its files too.
    pub(super) name: &'a str,
    pub(super) title: &'a str,
    /// What it compares, in a sentence.
    pub(super) about: &'a str,
    pub(super) rows: Vec<Row>,
    /// Every cell once, in the order of running.
    pub(super) units: Vec<Unit>,
}

/// What a table found.
pub(super) struct Found {
    /// The rows that have runs.
    pub(super) rows: Vec<RowSummary>,
    /// Median over all runs of the share of an injection's steps outside the student's own work.
    pub(super) overhead_share: f64,
}

/// Runs what is missing and writes the files.
pub(super) fn run(
    table: &Table<'_>,
    options: &Options,
    device: DeviceName,
) -> anyhow::Result<Found> {
    let start = Instant::now();
    let budget = minutes(options.budget)?;
    let out = options
        .out
        .clone()
        .unwrap_or_else(|| Path::new("target/bench").join(table.name));
    fs::create_dir_all(&out)?;
    let embedded = Embedded::load(device)?;
    let models = embedded.models();
    let settings = Settings {
        units: table.units.clone(),
        quality: true,
        workers: options.workers,
        budget: budget.saturating_sub(start.elapsed()),
        limit: options.limit,
        out: out.clone(),
    };
    let results = results(&settings, options.only_page, options.budget, models)?;
    let rows = rows::summaries(&table.rows, &results);
    write(table, &out, &rows, &results, &embedded.base_sha256)?;
    let shares: Vec<f64> = results.iter().map(|result| result.overhead_share).collect();
    Ok(Found {
        rows,
        overhead_share: eval::statistics::quantile(&shares, 0.5).unwrap_or_default(),
    })
}

fn write(
    table: &Table<'_>,
    out: &Path,
    rows: &[RowSummary],
    results: &[UnitResult],
    base_sha256: &str,
) -> anyhow::Result<()> {
    let all = serde_json::json!({
        "benchmark": table.name,
        "base_sha256": base_sha256,
        "rows": rows,
        "runs": results,
    });
    let json = out.join(format!("{}.json", table.name));
    file::write(&json, &serde_json::to_vec_pretty(&all)?)?;
    let lead = format!(
        "{} {} of {} runs are done.",
        table.about,
        results.len(),
        table.units.len()
    );
    let page = rows_page::page(Content {
        title: table.title,
        lead: &lead,
        rows,
        base_sha256,
    });
    let html = out.join(format!("{}.html", table.name));
    file::write(&html, page.as_bytes())?;
    Ok(say(format!("{} and {}", json.display(), html.display()))?)
}
