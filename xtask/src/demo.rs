//! The demo: one command to a verdict, every number from the server's own answer.

use std::{
    fs,
    io::{IsTerminal, Write, stdout},
    path::{Path, PathBuf},
    thread::sleep,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;

use crate::{
    cache::root,
    http::get_json,
    server::{Server, Settings},
    timestamp::seconds,
};

/// How a server is started.
#[derive(Args)]
pub(crate) struct Options {
    /// Stop after the verdict.
    #[arg(long)]
    once: bool,
    /// Port on the loopback; 0 takes a free one.
    #[arg(long, default_value_t = 7740)]
    port: u16,
    /// Where the server keeps its data [default: ./data].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Delete the data of an earlier run first.
    #[arg(long)]
    fresh: bool,
}

impl Options {
    fn start(&self, demo: bool) -> Result<Server> {
        let data = match &self.data {
            Some(path) => std::path::absolute(path)?,
            None => root().join("data"),
        };
        if self.fresh {
            clear(&data)?;
        }
        let server = Server::start(&Settings {
            data: &data,
            port: self.port,
            demo,
        })?;
        println!(
            "PersGuard is up: http://{}/  (data: {})",
            server.address,
            data.display()
        );
        Ok(server)
    }
}

/// Serves without the demo project until Ctrl-C.
pub(crate) fn dev(options: &Options) -> Result<()> {
    options.start(false)?.wait()
}

/// Serves, and reports the demo project until its verdict; stays up unless told otherwise.
pub(crate) fn demo(options: &Options) -> Result<()> {
    let mut server = options.start(true)?;
    println!("{}", follow(&mut server)?);
    if options.once {
        return Ok(());
    }
    println!(
        "The gallery is at http://{}/; Ctrl-C stops everything.",
        server.address
    );
    server.wait()
}

/// Deletes a data folder, if a server made it.
fn clear(data: &Path) -> Result<()> {
    if !data.exists() {
        return Ok(());
    }
    let ours = data.join("persguard.log").is_file() || fs::read_dir(data)?.next().is_none();
    if !ours {
        bail!(
            "{} holds no PersGuard data; it stays as it is",
            data.display()
        );
    }
    fs::remove_dir_all(data).with_context(|| format!("deleting {}", data.display()))
}

/// Polls the demo project until the verdict.
fn follow(server: &mut Server) -> Result<String> {
    let live = stdout().is_terminal();
    let mut last = String::new();
    let mut misses = 0;
    loop {
        server.check()?;
        let demo = match get_json(&server.address, "/v1/demo") {
            Ok(demo) => demo,
            Err(error) if misses >= 20 => return Err(error),
            Err(_) => {
                misses += 1;
                sleep(Duration::from_millis(500));
                continue;
            }
        };
        misses = 0;
        if let Some(cause) = failure(&demo) {
            bail!("the demo failed: {cause}\n{}", server.tail());
        }
        if !demo["gallery"].is_null() {
            if live && !last.is_empty() {
                println!();
            }
            return verdict(&demo);
        }
        show(&demo, live, &mut last)?;
        sleep(Duration::from_millis(500));
    }
}

/// The demo's job that is under way.
fn current(demo: &Value) -> &Value {
    if demo["evaluate"].is_null() {
        &demo["protect"]
    } else {
        &demo["evaluate"]
    }
}

fn failure(demo: &Value) -> Option<String> {
    let job = current(demo);
    matches!(job["status"].as_str(), Some("failed" | "canceled")).then(|| {
        job["status_reason"]
            .as_str()
            .unwrap_or("no reason given")
            .to_owned()
    })
}

fn show(demo: &Value, live: bool, last: &mut String) -> Result<()> {
    let job = current(demo);
    let progress = &job["progress"];
    let phase = match progress["phase"].as_str() {
        Some(phase) if !phase.is_empty() => phase,
        _ => job["status_reason"].as_str().unwrap_or("Starting"),
    };
    if live {
        let (step, total) = (&progress["step"], &progress["total"]);
        print!("\r\x1b[K{phase} {step}/{total}");
        stdout().flush()?;
        phase.clone_into(last);
    } else if phase != last {
        println!("{phase}");
        phase.clone_into(last);
    }
    Ok(())
}

/// The closing line, from the last checkpoint and the two jobs.
fn verdict(demo: &Value) -> Result<String> {
    let report = &demo["gallery"]["report"];
    let last = report["checkpoints"]
        .as_array()
        .and_then(|checkpoints| checkpoints.last())
        .context("the report has no checkpoint")?;
    let number = |value: &Value, what: &str| value.as_f64().with_context(|| format!("no {what}"));
    let clean = number(&last["clean"]["similarity"]["value"], "clean similarity")?;
    let protected = number(
        &last["protected"]["similarity"]["value"],
        "protected similarity",
    )?;
    let images = number(&last["clean"]["similarity"]["n"], "number of images")?;
    let step = &demo["protect"]["metrics"]["milliseconds_per_step"];
    let step = number(step, "milliseconds per step")?;
    let moment = |job: &str, field: &str| {
        demo[job][field]
            .as_str()
            .and_then(seconds)
            .with_context(|| format!("no {job}.{field}"))
    };
    let total = moment("evaluate", "completed_at")? - moment("protect", "started_at")?;
    let grade = report["grade"].as_str().context("no grade")?;
    Ok(format!(
        "verdict={grade} clean_similarity={clean:.3} protected_similarity={protected:.3} \
         n={images} inject_ms_per_step={step:.1} total_seconds={total:.1}"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn finished() -> Value {
        let arm = |value: f64| json!({"similarity": {"value": value, "n": 16}});
        json!({
            "protect": {"status": "succeeded", "started_at": "2027-01-01T00:00:00Z",
                "metrics": {"milliseconds_per_step": 240.04}},
            "evaluate": {"status": "succeeded", "completed_at": "2027-01-01T00:03:20.5Z"},
            "gallery": {"report": {"grade": "no_evidence", "checkpoints": [
                {"clean": arm(0.1), "protected": arm(0.2)},
                {"clean": arm(0.8126), "protected": arm(0.4)},
            ]}},
        })
    }

    #[test]
    fn closing_line_tells_the_last_checkpoint() {
        assert_eq!(
            verdict(&finished()).unwrap(),
            "verdict=no_evidence clean_similarity=0.813 protected_similarity=0.400 n=16 \
             inject_ms_per_step=240.0 total_seconds=200.5"
        );
    }

    #[test]
    fn a_missing_number_is_an_error_and_not_a_zero() {
        let mut demo = finished();
        demo["protect"]["metrics"] = Value::Null;
        assert!(verdict(&demo).is_err());
    }

    #[test]
    fn a_failed_job_is_told_with_its_reason() {
        let demo = json!({"protect": {"status": "failed", "status_reason": "out of memory"}});
        assert_eq!(failure(&demo).as_deref(), Some("out of memory"));
    }
}
