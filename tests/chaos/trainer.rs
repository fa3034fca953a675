//! The trainer of these tests: what `persguard-node` starts as `PROGRAM work DIR DEVICE`, with a second of sleep where
//! the training would be. It speaks the trainer's lines, saves snapshots and goes on from them.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    path::Path,
    process,
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Names the file that every delivered result is noted in.
pub(crate) const JOURNAL: &str = "PERSGUARD_CHAOS_JOURNAL";
/// While a node's directory holds this, its disk takes nothing.
pub(crate) const FULL: &str = "disk-is-full";
const STEPS: u64 = 5;
const STEP: Duration = Duration::from_millis(200);

fn say(message: &Value) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{message}")?;
    Ok(out.flush()?)
}

/// The end of our input means: stop.
fn watch_input() {
    std::thread::spawn(|| {
        let mut buffer = [0; 64];
        while io::stdin().read(&mut buffer).is_ok_and(|count| count > 0) {}
        let _ = say(&json!({ "message": "stopped" }));
        process::exit(0);
    });
}

/// The step that an earlier attempt got to.
fn resumed(directory: &Path) -> u64 {
    let text = fs::read_to_string(directory.join("resume.safetensors")).unwrap_or_default();
    let step = text.split_whitespace().next();
    step.and_then(|step| step.parse().ok()).unwrap_or(0)
}

/// Works on the assignment in a directory.
pub(crate) fn work(directory: &Path) -> Result<()> {
    watch_input();
    let assignment = fs::read(directory.join("job.json"))?;
    let assignment: Value = serde_json::from_slice(&assignment)?;
    let job = assignment["job_id"].as_str().context("no job")?.to_owned();
    say(&json!({ "message": "running" }))?;
    let start = resumed(directory);
    if start > 0 {
        let line = format!("Going on from the snapshot of step {start}.");
        say(&json!({ "message": "progress", "progress": { "kind": "log", "line": line } }))?;
    }
    for step in start + 1..=STEPS {
        std::thread::sleep(STEP);
        let name = format!("snapshot-{step}.safetensors");
        let full = directory.ancestors().any(|above| above.join(FULL).exists());
        let place = if full {
            // The system's own refusal: no space left on device.
            "/dev/full".into()
        } else {
            directory.join(&name)
        };
        fs::write(place, format!("{step} {job}"))?;
        say(&json!({ "message": "snapshot", "step": step, "path": name }))?;
    }
    let concept =
        json!({ "identifier_tokens": 1, "class_tokens": 1, "familiarity": null, "nearby": [] });
    // Every process delivers another file: what was accepted names who made it.
    let report =
        json!({ "concepts": [concept], "memory_bytes": process::id(), "seconds_per_step": 0.1 });
    let report = report.to_string();
    fs::write(directory.join("probe.json"), &report)?;
    note(&job, report.as_bytes())?;
    let outputs = json!([{ "kind": "probe", "name": "probe.json", "path": "probe.json" }]);
    let metrics = json!({ "milliseconds_per_step": 200.0, "seconds": 1.0, "peak_memory_bytes": 1, "device": "CPU" });
    say(&json!({ "message": "succeeded", "outputs": outputs, "metrics": metrics }))
}

/// Notes what this process delivers, before it says so.
fn note(job: &str, bytes: &[u8]) -> Result<()> {
    let Some(path) = std::env::var_os(JOURNAL) else {
        return Ok(());
    };
    let mut journal = OpenOptions::new().create(true).append(true).open(path)?;
    let line = format!("{job} {}\n", hex::encode(Sha256::digest(bytes)));
    Ok(journal.write_all(line.as_bytes())?)
}
