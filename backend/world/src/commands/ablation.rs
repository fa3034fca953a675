//! `world ablation`: what each loss, weight and kind of persistence adds, on the development part.

use diffusion::device::DeviceName;
use shared::job::Mode;
use world::bench::matrix::{Part, SUBJECTS, units};
use world::bench::rows;

use super::rows::{Options, Table, run as run_table};
use super::say;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Subjects of the development part, one seed each.
    #[arg(long, default_value_t = 2)]
    subjects: usize,
    /// Rows by their keys, with commas between them; every row without it.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    #[command(flatten)]
    options: Options,
}

pub(crate) fn run(arguments: &Arguments, device: DeviceName) -> anyhow::Result<()> {
    anyhow::ensure!(
        (1..=SUBJECTS).contains(&arguments.subjects),
        "--subjects takes 1 to {SUBJECTS}"
    );
    let mut ways = rows::ablation();
    for key in &arguments.only {
        let known = ways.iter().any(|row| row.key == *key);
        anyhow::ensure!(known, "--only {key}: there is no such row");
    }
    ways.retain(|row| arguments.only.is_empty() || arguments.only.contains(&row.key));
    // The mode given here does not matter: every row brings its own.
    let subjects = &units(Part::Development, Mode::Paper)[..arguments.subjects];
    let table = Table {
        name: "ablation",
        title: "Demo benchmark: ablation",
        about: "Losses, persistence, weights and steps, one at a time, on subjects for tuning; rows with equal \
                settings share their runs. Persistence: how many attack steps training looks ahead (all weights, LoRA, or \
                either), and whether the result is the average of the weights.",
        units: rows::by_row(subjects, &ways),
        rows: ways,
    };
    let found = run_table(&table, &arguments.options, device)?;
    let best = rows::best(&found.rows);
    Ok(say(format!(
        "rows={} best_s50={} best={}",
        found.rows.len(),
        best.map_or_else(
            || "none".to_owned(),
            |row| row.summary.s50_protected.to_string()
        ),
        best.map_or("none", |row| &row.row.name),
    ))?)
}
