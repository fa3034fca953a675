//! The processes behind a server, found by their command lines and environments in `/proc`.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

/// Trainers that work below this directory.
pub fn trainers(directory: &Path) -> Vec<i32> {
    let directory = directory.to_string_lossy().into_owned();
    pids(move |pid| {
        let words = words(pid, "cmdline");
        words.get(1).is_some_and(|word| word == "work")
            && words
                .get(2)
                .is_some_and(|path| path.starts_with(&directory))
    })
}

/// Nodes whose directory lies below this one.
pub fn nodes(directory: &Path) -> Vec<i32> {
    let setting = format!("PERSGUARD_NODE_DIR={}", directory.display());
    pids(move |pid| {
        words(pid, "cmdline")
            .first()
            .is_some_and(|word| word.ends_with("persguard-node"))
            && words(pid, "cmdline")
                .get(1)
                .is_none_or(|word| word != "work")
            && words(pid, "environ")
                .iter()
                .any(|word| word.starts_with(&setting))
    })
}

/// Ends a process the hard way.
pub fn kill(pid: i32) -> Result<()> {
    let pid = Pid::from_raw(pid).context("no process id")?;
    Ok(kill_process(pid, Signal::KILL)?)
}

fn pids(fits: impl Fn(i32) -> bool) -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok());
    pids.filter(|pid| fits(*pid)).collect()
}

/// A dead process that nobody collected yet has none.
fn words(pid: i32, file: &str) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let words = bytes
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty());
    words
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect()
}
