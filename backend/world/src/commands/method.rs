//! `world method`: the paper's method beside ours on the held-out part, in turns.

use diffusion::device::DeviceName;
use shared::job::Mode;
use world::bench::matrix::{Part, units};
use world::bench::rows::{self, PAPER, RowSummary, TRAJECTORY};

use super::rows::{Found, Options, Table, run as run_table};
use super::say;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    options: Options,
}

pub(crate) fn run(arguments: &Arguments, device: DeviceName) -> anyhow::Result<()> {
    let methods = rows::method();
    let table = Table {
        name: "method",
        title: "Demo benchmark: method",
        about: "The paper's three losses (paper) beside looking 100 attack steps ahead (trajectory), on the same \
                held-out subjects with the same attacks.",
        // The mode given here does not matter: every row brings its own.
        units: rows::by_unit(&units(Part::HeldOut, Mode::Paper), &methods),
        rows: methods,
    };
    let found = run_table(&table, &arguments.options, device)?;
    Ok(say(read_out(&found))?)
}

/// The one line that scripts read; what was not measured is `none`.
fn read_out(found: &Found) -> String {
    let of = |key: &str| found.rows.iter().find(|row| row.row.key == key);
    let s50 = |row: Option<&RowSummary>| {
        row.map_or_else(
            || "none".to_owned(),
            |row| row.summary.s50_protected.to_string(),
        )
    };
    let number = |value: Option<f64>, digits: usize| {
        value.map_or_else(|| "none".to_owned(), |value| format!("{value:.digits$}"))
    };
    let (paper, trajectory) = (of(PAPER), of(TRAJECTORY));
    // Both rows attack the same clean model; the one with more runs knows more of it.
    let clean = [paper, trajectory]
        .into_iter()
        .flatten()
        .max_by_key(|row| row.summary.runs);
    let ours = trajectory.map(|row| &row.summary);
    let psr = ours.and_then(|summary| Some(summary.steps.last()?.psr_protected.value));
    let drift = ours.and_then(|summary| Some(summary.quality?.text_alignment.value));
    format!(
        "s50_unprotected={} s50_paper={} s50_trajectory={} heldout_psr={} innocent_delta={} drift={} overhead={:.3}",
        clean.map_or_else(
            || "none".to_owned(),
            |row| row.summary.s50_clean.to_string()
        ),
        s50(paper),
        s50(trajectory),
        number(psr, 3),
        number(ours.map(|summary| summary.innocent_delta.value), 4),
        number(drift, 4),
        found.overhead_share,
    )
}
