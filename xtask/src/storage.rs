//! The artifact stores among faults, and against a bare copy.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    cache::{cargo, command, folder, run},
    figures,
    stages::{TESTS, Totals, run_tests_with},
};

/// What the tests of faults print, and what is counted in each line.
const TALLY: &str = "tally: ";
const COUNTS: [&str; 4] = ["kill_points", "faults", "lost", "orphans"];

/// Runs every test of the artifact stores and adds up what faults and deaths cost.
pub(crate) fn faults(totals: &mut Totals) -> Result<()> {
    let mut tests = cargo()?;
    tests
        .args(TESTS)
        .args(["--test", "it", "--", "--nocapture"]);
    tests.args(["faults::", "kills::", "collector::", "check::", "storage::"]);
    // `s3_store::` runs on Garage, too, where one is on the path.
    tests.args(["s3_store::", "local::", "deliveries::"]);
    // Every push tries some of the steps at which a server may die; here all of them are.
    tests.env("PERSGUARD_TEST_EVERY_STEP", "1");
    let mut sums = [0; COUNTS.len()];
    let mut skipped = Vec::new();
    let ran = run_tests_with(&mut tests, totals, |line| {
        add(&mut sums, line);
        let left_out = line.split_once("SKIPPED ");
        skipped.extend(left_out.map(|(_, why)| why.to_owned()));
    });
    for why in skipped {
        println!("SKIPPED {why}");
    }
    let line = COUNTS.iter().zip(sums);
    let line: Vec<String> = line.map(|(name, sum)| format!("{name}={sum}")).collect();
    println!("{}", line.join(" "));
    ran?;
    let [kill_points, faults, lost, orphans] = sums;
    if kill_points == 0 || faults == 0 || lost + orphans > 0 {
        bail!("objects were lost or left behind, or nothing was tried");
    }
    Ok(())
}

/// Adds a line such as `tally: kill_points=3 faults=0 lost=0 orphans=0`, which may follow a test's name.
fn add(sums: &mut [u64; COUNTS.len()], line: &str) {
    let Some((_, counts)) = line.split_once(TALLY) else {
        return;
    };
    for (name, sum) in COUNTS.iter().zip(sums) {
        let value = figures::value(counts, name);
        *sum += value.and_then(|value| value.parse().ok()).unwrap_or(0);
    }
}

/// Throughput of the stores, then the memory of a server under many files and a large one: `[MIB [ROUNDS [FILES
/// [MIB OF WEIGHTS]]]]`. Ends with the figures of both.
pub(crate) fn bench(arguments: &[String]) -> Result<()> {
    let (stores, server) = arguments.split_at(arguments.len().min(2));
    // The server is the one that the tests use.
    run(cargo()?.args(["build", "--workspace", "--bins"]).args([
        "--example",
        "storage_bench",
        "--example",
        "storage",
    ]))?;
    let examples = folder("target")?.join("debug/examples");
    let stores = measured(command(examples.join("storage_bench")).args(stores))?;
    let server = measured(command(examples.join("storage")).args(server))?;
    let growth = value(&stores, "rss_growth_mb")?.max(value(&server, "rss_growth_mb")?);
    println!(
        "upload_ratio={:.2} download_ratio={:.2} rss_growth_mb={growth:.1}",
        value(&stores, "upload_ratio")?,
        value(&stores, "download_ratio")?
    );
    Ok(())
}

/// Runs a program while it is read along; its last line.
fn measured(command: &mut Command) -> Result<String> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let out = child.stdout.take().context("no output")?;
    let mut last = String::new();
    for line in BufReader::new(out).lines() {
        last = line?;
        println!("{last}");
    }
    let status = child.wait()?;
    ensure!(status.success(), "the benchmark ended with {status}");
    Ok(last)
}

/// A number in a line such as `upload_ratio=0.91 rss_growth_mb=12.0`.
fn value(line: &str, name: &str) -> Result<f64> {
    let value = figures::value(line, name);
    let value = value.with_context(|| format!("no {name} in {line:?}"))?;
    Ok(value.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tallies_add_up() {
        let mut sums = [0; 4];
        add(
            &mut sums,
            "test a ... tally: kill_points=3 faults=1 lost=0 orphans=2",
        );
        add(&mut sums, "tally: kill_points=4 faults=0 lost=1 orphans=0");
        add(&mut sums, "kill_points=9");
        assert_eq!(sums, [7, 1, 1, 2]);
    }

    #[test]
    fn figures_are_read_by_name() {
        let line = "upload_ratio=0.91 rss_growth_mb=12.5";
        assert!((value(line, "rss_growth_mb").unwrap() - 12.5).abs() < 1e-9);
        assert!(value(line, "ratio").is_err() && value("x=y", "x").is_err());
    }
}
