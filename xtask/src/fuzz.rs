//! Fuzzing: the stage `fuzz`, the same in every run, and long searches with what they found before.
//!
//! Owns the instrumented build and the reading of libFuzzer's numbers. Targets are the package `fuzz`'s.

use std::{
    collections::BTreeMap,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::cache::{cargo, command, folder, output, root, run};

/// What to search.
#[derive(Args)]
pub(crate) struct Options {
    /// Target; without one they are listed.
    target: Option<String>,
    /// How long.
    #[arg(default_value_t = 60)]
    seconds: u64,
    /// Runs one input, such as one that was found before, and says nothing if all holds.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
}

/// Inputs that each target tries in the stage, and seconds after which it stops before.
const RUNS: u32 = 60_000;
const SECONDS: u64 = 3;
/// Seconds that one input may take, and MiB that a process may.
const SLOW_SECONDS: u32 = 10;
const PROCESS_MEMORY: u32 = 2048;

/// What compiles our own packages: as cargo asks, and with the coverage that libFuzzer reads. Everything outside of the
/// workspace stays as it was compiled before.
const WRAPPER: &str = r#"#!/bin/sh
case " $* " in
*" --crate-name build_script_"* | *" --crate-type proc-macro "*) exec "$@" ;;
esac
exec "$@" --cfg fuzzing -Copt-level=1 -Cdebug-assertions=on -Coverflow-checks=on -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares
"#;

/// The wrapper under a name that changes with it, which is how cargo tells its products apart.
fn wrapper() -> Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    WRAPPER.hash(&mut hasher);
    let place = folder("tools")?.join("fuzz");
    fs::create_dir_all(&place)?;
    let path = place.join(format!("rustc-{:016x}", hasher.finish()));
    if !path.exists() {
        let partial = path.with_extension("partial");
        fs::write(&partial, WRAPPER)?;
        fs::set_permissions(&partial, fs::Permissions::from_mode(0o755))?;
        fs::rename(partial, &path)?;
    }
    Ok(path)
}

/// The program of all targets, and a folder with the first inputs, words and limits of each.
struct Fuzzer {
    program: PathBuf,
    begin: PathBuf,
}

/// What a search came to.
struct Found {
    target: String,
    runs: u64,
    edges: u64,
    held: bool,
}

impl Fuzzer {
    fn build() -> Result<Self> {
        let mut build = cargo()?;
        build
            .args(["build", "--workspace", "--features", "fuzz/libfuzzer"])
            .args(["--bin", "fuzz"])
            .env("RUSTC_WORKSPACE_WRAPPER", wrapper()?);
        run(&mut build)?;
        let begin = folder("tools")?.join("fuzz/begin");
        let _ = fs::remove_dir_all(&begin);
        let program = folder("target")?.join("debug/fuzz");
        output(command(&program).env("PERSGUARD_FUZZ_SEEDS", &begin))?;
        Ok(Self { program, begin })
    }

    fn targets(&self) -> Result<Vec<String>> {
        let entries = fs::read_dir(&self.begin)?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let names = names.filter_map(|name| name.strip_suffix(".longest").map(str::to_owned));
        let mut names: Vec<String> = names.collect();
        names.sort();
        Ok(names)
    }

    /// A search that keeps what it finds in `corpus`.
    fn command(&self, target: &str, corpus: &Path) -> Result<Command> {
        let about = |ending: &str| self.begin.join(format!("{target}.{ending}"));
        let longest = fs::read_to_string(about("longest"))
            .with_context(|| format!("there is no target {target}"))?;
        let found = folder("tools")?.join("fuzz/found");
        let temporary = temporary()?;
        fs::create_dir_all(&found)?;
        fs::create_dir_all(&temporary)?;
        fs::create_dir_all(corpus)?;
        let mut search = command(&self.program);
        search
            .env("PERSGUARD_FUZZ_TARGET", target)
            .env("TMPDIR", temporary)
            .arg(format!("-max_len={longest}"))
            .arg(format!("-dict={}", about("dict").display()))
            .arg(format!("-timeout={SLOW_SECONDS}"))
            .arg(format!("-rss_limit_mb={PROCESS_MEMORY}"))
            .arg(format!("-artifact_prefix={}/{target}-", found.display()))
            .arg("-print_final_stats=1")
            .arg(corpus)
            .arg(self.begin.join(target));
        let regressions = root().join("tests/fuzz/regressions").join(target);
        if regressions.is_dir() {
            search.arg(regressions);
        }
        Ok(search)
    }

    /// The same inputs every time.
    fn search_again(&self, target: &str) -> Result<Found> {
        let corpus = folder("tools")?.join("fuzz/again").join(target);
        let _ = fs::remove_dir_all(&corpus);
        let mut search = self.command(target, &corpus)?;
        search.args(["-seed=1".to_owned(), format!("-runs={RUNS}")]);
        search.arg(format!("-max_total_time={SECONDS}"));
        let output = search.output().context("starting the fuzzer")?;
        let log = String::from_utf8_lossy(&output.stderr);
        let held = output.status.success();
        if !held {
            let tail: Vec<&str> = log.lines().rev().take(30).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            println!(
                "== {target}\n{}\n{}",
                tail.join("\n"),
                how_to_replay(target, &log)
            );
        }
        let _ = fs::remove_dir_all(&corpus);
        let (runs, edges) = numbers(&log);
        Ok(Found {
            target: target.to_owned(),
            runs,
            edges,
            held,
        })
    }
}

/// For readers that take paths: in memory where the system has such a folder, which is forty times as fast.
fn temporary() -> Result<PathBuf> {
    let memory = Path::new("/dev/shm");
    Ok(if memory.is_dir() {
        memory.join(format!("persguard-fuzz-{}", std::process::id()))
    } else {
        folder("tools")?.join("fuzz/temporary")
    })
}

/// Where the input lies, and what to do with it.
fn how_to_replay(target: &str, log: &str) -> String {
    let path = log.rsplit_once("Test unit written to ");
    let path = path.and_then(|(_, rest)| rest.lines().next());
    match path {
        Some(path) => format!(
            "replay: cargo xtask fuzz {target} --input {path}\n\
             keep:   cp {path} tests/fuzz/regressions/{target}/NAME"
        ),
        None => "one of its first inputs does not hold".to_owned(),
    }
}

/// Inputs that ran, and the edges that they took: what libFuzzer says last.
fn numbers(log: &str) -> (u64, u64) {
    let last = |name: &str| {
        let (_, rest) = log.rsplit_once(name)?;
        rest.split_whitespace().next()?.parse().ok()
    };
    (
        last("stat::number_of_executed_units:").unwrap_or(0),
        last(" cov: ").unwrap_or(0),
    )
}

/// The stage: every target for a bounded number of inputs, as many at once as there are processors.
pub(crate) fn check() -> Result<()> {
    let fuzzer = Fuzzer::build()?;
    let targets = fuzzer.targets()?;
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let keep = |result| {
        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
        found.push(result);
    };
    let work = || {
        while let Some(target) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
            keep(fuzzer.search_again(target));
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    // An input that ends the process leaves its files behind.
    let _ = fs::remove_dir_all(temporary()?);
    report(found.into_iter().collect::<Result<_>>()?)
}

fn report(mut found: Vec<Found>) -> Result<()> {
    found.sort_by(|a, b| a.target.cmp(&b.target));
    let mut sums = BTreeMap::from([("runs", 0), ("edges", 0), ("crashes", 0)]);
    for search in &found {
        let Found {
            target,
            runs,
            edges,
            held,
        } = search;
        let mark = if *held { "" } else { "  FAILED" };
        println!("{target:<22} {runs:>8} runs {edges:>6} edges{mark}");
        for (name, value) in [
            ("runs", *runs),
            ("edges", *edges),
            ("crashes", u64::from(!held)),
        ] {
            *sums.entry(name).or_default() += value;
        }
    }
    println!(
        "fuzz_targets={} runs={} edges={} crashes={}",
        found.len(),
        sums["runs"],
        sums["edges"],
        sums["crashes"]
    );
    // Without coverage it would be a search in the dark that finds nothing.
    let blind = found.iter().any(|search| search.held && search.edges == 0);
    if found.is_empty() || blind || sums["crashes"] > 0 {
        bail!("an input breaks what must hold, or nothing was measured");
    }
    Ok(())
}

/// A long search on what earlier ones found, or one input once more.
pub(crate) fn search(options: &Options) -> Result<()> {
    let fuzzer = Fuzzer::build()?;
    let Some(target) = &options.target else {
        println!("{}", fuzzer.targets()?.join("\n"));
        return Ok(());
    };
    let corpus = folder("tools")?.join("fuzz/corpus").join(target);
    if let Some(input) = &options.input {
        let input = fs::canonicalize(input).with_context(|| input.display().to_string())?;
        let mut replay = command(&fuzzer.program);
        replay.env("PERSGUARD_FUZZ_TARGET", target).arg(input);
        return run(&mut replay);
    }
    let mut search = fuzzer.command(target, &corpus)?;
    search.arg(format!("-max_total_time={}", options.seconds));
    run(&mut search)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "#4096 pulse  cov: 10 ft: 11\n#9000 DONE   cov: 123 ft: 456 corp: 7/89b\n\
        Test unit written to /tmp/a-crash-1\nstat::number_of_executed_units: 9000\n";

    #[test]
    fn the_last_numbers_count() {
        assert_eq!(numbers(LOG), (9000, 123));
        assert_eq!(numbers("nothing"), (0, 0));
    }

    #[test]
    fn a_failure_says_how_to_see_it_again() {
        assert!(how_to_replay("ids", LOG).contains("fuzz ids --input /tmp/a-crash-1\n"));
        assert!(how_to_replay("ids", "").contains("first inputs"));
    }

    #[test]
    fn nothing_measured_is_a_failure() {
        let found = |runs, edges, held| Found {
            target: "ids".into(),
            runs,
            edges,
            held,
        };
        assert!(report(vec![found(9, 9, true)]).is_ok());
        assert!(report(vec![found(9, 0, true)]).is_err());
        assert!(report(vec![found(9, 9, false)]).is_err());
        assert!(report(Vec::new()).is_err());
    }
}
