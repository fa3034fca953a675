//! Every check, in stages with times.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{
    apt, audit, browser,
    cache::{cargo, folder, run},
    chaos, contract, cuda, fuzz, images, nats, npm, python_client, storage, web,
};

/// What to check.
#[derive(Args)]
pub(crate) struct Options {
    /// One stage alone: tools, fmt, audit (licences and sources of the dependencies; builds cargo-deny once), clippy,
    /// frontend, build, unit, architecture, fuzz (seeks inputs that break a parser), contract (the OpenAPI document
    /// against a running server), journeys, chaos (a few jobs among faults), browser; or one that runs only when it is
    /// named: cuda (builds with the feature; fetches 1.2 GB once), storage (the artifact stores among faults, with a line
    /// of what they cost), python (the client generated from the document, driving a server), images (lints `docker`).
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Many jobs among faults alone: nodes, servers, broker and PostgreSQL are killed, frozen and cut off.
    #[arg(long, conflicts_with = "only")]
    chaos: bool,
}

/// What the tests of a run added up to.
#[derive(Default)]
pub(crate) struct Totals {
    passed: u32,
    failed: u32,
    skipped: u32,
}

type Stage = fn(&mut Totals) -> Result<()>;

const STAGES: &[(&str, Stage)] = &[
    ("tools", |_| apt::install_test_tools()),
    ("fmt", |_| run(cargo()?.args(["fmt", "--all", "--check"]))),
    ("audit", |_| audit::check()),
    ("clippy", |_| clippy()),
    ("frontend", |_| web::build().map(|_| ())),
    ("build", |_| build()),
    ("unit", |totals| {
        // By convention (the architecture test holds it) a crate's integration tests are `it`.
        run_tests(
            cargo()?
                .args(TESTS)
                .args(["--lib", "--bins", "--test", "it"]),
            totals,
        )
    }),
    ("architecture", |totals| {
        run_tests(&mut end_to_end("architecture")?, totals)
    }),
    ("fuzz", |_| fuzz::check()),
    ("contract", |_| contract::check()),
    ("journeys", |totals| {
        run_tests(&mut end_to_end("journeys")?, totals)
    }),
    ("chaos", |_| chaos::check(chaos::SHORT)),
    ("browser", browser::check),
];

const LONG_CHAOS: &str = "long-chaos";

/// Stages that run only when they are named: they cost more than every push is worth.
const OPTIONAL: &[(&str, Stage)] = &[
    ("cuda", |totals| run_tests(&mut cuda::prepare()?, totals)),
    ("storage", storage::faults),
    ("python", |_| python_client::check()),
    (LONG_CHAOS, |_| chaos::check(chaos::LONG)),
    ("images", |_| images::check()),
];

pub(crate) const TESTS: [&str; 3] = ["test", "--no-fail-fast", "--workspace"];

/// Runs the stages that were asked for; all of them run, so that one push tells every failure.
pub(crate) fn check(options: &Options) -> Result<()> {
    let only = if options.chaos {
        Some(LONG_CHAOS)
    } else {
        options.only.as_deref()
    };
    let chosen: Vec<_> = match only {
        None => STAGES.iter().collect(),
        Some(only) => STAGES
            .iter()
            .chain(OPTIONAL)
            .filter(|(name, _)| only == *name)
            .collect(),
    };
    if chosen.is_empty() {
        let names = STAGES.iter().chain(OPTIONAL).map(|(name, _)| *name);
        let names: Vec<_> = names.collect();
        bail!("no such stage; there are {}", names.join(", "));
    }
    let mut totals = Totals::default();
    let mut times = Vec::new();
    let mut failures = Vec::new();
    for (name, stage) in chosen {
        println!("== {name}");
        let start = Instant::now();
        let result = stage(&mut totals);
        times.push((start.elapsed().as_secs_f64(), *name, result.is_ok()));
        if let Err(error) = result {
            println!("== {name} failed: {error:#}");
            failures.push(*name);
            // Without programs there is nothing left to try.
            if *name == "build" {
                break;
            }
        }
    }
    report(times, &totals, &failures)
}

fn report(mut times: Vec<(f64, &str, bool)>, totals: &Totals, failures: &[&str]) -> Result<()> {
    if !failures.is_empty() {
        times.sort_by(|a, b| b.0.total_cmp(&a.0));
    }
    println!();
    for (seconds, name, passed) in times {
        let mark = if passed { "ok" } else { "FAILED" };
        println!("{seconds:7.1} s  {name:<13} {mark}");
    }
    let Totals {
        passed,
        failed,
        skipped,
    } = totals;
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    if !failures.is_empty() {
        bail!("failed: {}", failures.join(", "));
    }
    Ok(())
}

fn clippy() -> Result<()> {
    let mut clippy = cargo()?;
    // The frontend's lints need no browser: it is checked for this machine.
    clippy.args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--features",
        "xtask/bindgen",
    ]);
    clippy.args(["--", "-D", "warnings"]);
    run(&mut clippy)
}

/// Programs and tests in one build: a second selection of packages would choose other features
/// for shared dependencies and compile those twice.
fn build() -> Result<()> {
    run(cargo()?.args(["build", "--workspace", "--all-targets"]))
}

/// Tests that drive the built programs.
pub(crate) fn end_to_end(name: &str) -> Result<Command> {
    let mut command = cargo()?;
    command.args(TESTS);
    command
        .args(["--test", name])
        .env("RUST_BACKTRACE", "0")
        .env("PERSGUARD_BIN_DIR", folder("target")?.join("debug"));
    if name != "architecture" {
        command
            .env("PERSGUARD_OIDC_PROVIDER", npm::provider()?)
            .env("PERSGUARD_NATS_SERVER", nats::server()?);
    }
    // Journeys wait for servers and leases as often as they compute: two at a time took 910 seconds instead of 1,513. The
    // browser's tests take turns, because they measure.
    let threads = if name == "journeys" { "2" } else { "1" };
    command.args(["--", "--test-threads", threads, "--nocapture"]);
    Ok(command)
}

/// Runs a test command, shows what it prints and adds up its `test result:` lines.
fn run_tests(command: &mut Command, totals: &mut Totals) -> Result<()> {
    run_tests_with(command, totals, |_| ())
}

/// The same, and hands every line on.
pub(crate) fn run_tests_with(
    command: &mut Command,
    totals: &mut Totals,
    mut look: impl FnMut(&str),
) -> Result<()> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .context("starting cargo")?;
    let output = child.stdout.take().context("no output")?;
    for line in BufReader::new(output).lines() {
        let line = line?;
        println!("{line}");
        totals.add(&line);
        look(&line);
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("tests failed ({status})");
    }
    Ok(())
}

impl Totals {
    /// Adds a line such as `test result: ok. 3 passed; 0 failed; 1 ignored; ...`.
    fn add(&mut self, line: &str) {
        let Some((_, counts)) = line.split_once("test result: ") else {
            return;
        };
        let words: Vec<&str> = counts.split_whitespace().collect();
        for pair in words.windows(2) {
            let Ok(count) = pair[0].parse::<u32>() else {
                continue;
            };
            match pair[1] {
                "passed;" => self.passed += count,
                "failed;" => self.failed += count,
                "ignored;" => self.skipped += count,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_add_up() {
        let mut totals = Totals::default();
        totals.add("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out");
        totals
            .add("test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out");
        totals.add("9 passed; somewhere else");
        assert_eq!((totals.passed, totals.failed, totals.skipped), (7, 2, 1));
    }
}
