//! `persguard demo`: server, node and demo project in one command, to a verdict whose numbers are the server's own.
//!
//! What server and node log goes to `persguard.log` in the data directory; the terminal is for people.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use clap::Args;
use shared::{
    demo::{Demo, DemoJob},
    job::JobStatus,
};
use tokio::net::TcpListener;

use crate::{
    app::{App, demo},
    clock::SystemClock,
    config::Config,
    server,
};

const LOG: &str = "persguard.log";
const PAUSE: Duration = Duration::from_millis(500);

/// How the demo runs.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Stop after the verdict.
    #[arg(long)]
    pub once: bool,
    /// Delete the data of an earlier run first.
    #[arg(long)]
    pub fresh: bool,
    /// The server's own settings.
    #[command(flatten)]
    pub config: Config,
}

/// Makes the data directory ready; gives the file for the log.
pub fn prepare(options: &mut Options) -> anyhow::Result<File> {
    let data = std::path::absolute(&options.config.data_dir)?;
    if options.fresh {
        clear(&data)?;
    }
    server::prepare_directory(&data)?;
    let log = data.join(LOG);
    options.config.demo = true;
    options.config.data_dir = data;
    options.config.node_log = Some(log.clone());
    // Appended to, for the node and its trainer write to it as well.
    let _ = fs::remove_file(&log);
    let mut file = File::options();
    let file = file.create(true).append(true).open(&log);
    file.with_context(|| format!("cannot write {}", log.display()))
}

/// Serves, and tells `out` about the demo project until its verdict; goes on serving unless told otherwise.
///
/// `live` rewrites one line, as terminals can.
pub async fn run(options: Options, live: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let data = options.config.data_dir.clone();
    let address = options.config.address;
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("cannot listen on {address}"))?;
    let address = listener.local_addr()?;
    let app = server::open(options.config, address, Arc::new(SystemClock)).await?;
    server::stop_on_signal(&app);
    let mut task = tokio::spawn(server::run(app.clone(), listener));
    writeln!(
        out,
        "PersGuard is up: {}/  (data: {})",
        app.public_url(),
        data.display()
    )?;
    let shown = tokio::select! {
        ended = &mut task => {
            ended??;
            return Ok(());
        }
        shown = follow(&app, live, out) => shown,
    };
    match shown {
        Ok(()) if !options.once => writeln!(
            out,
            "The gallery is at {}/; Ctrl-C stops everything.",
            app.public_url()
        )?,
        _ => app.stop().cancel(),
    }
    task.await??;
    shown.with_context(|| format!("the log is {}", data.join(LOG).display()))
}

/// Deletes a data directory, if a demo made it.
fn clear(data: &Path) -> anyhow::Result<()> {
    if !data.exists() {
        return Ok(());
    }
    let ours = data.join(LOG).is_file() || fs::read_dir(data)?.next().is_none();
    if !ours {
        bail!("{} holds no demo's data; it stays as it is", data.display());
    }
    fs::remove_dir_all(data).with_context(|| format!("cannot delete {}", data.display()))
}

/// Tells what the demo project does until its verdict, and then that.
async fn follow(app: &App, live: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let mut last = String::new();
    loop {
        let demo = demo::find(app).await.context("the demo is not known")?;
        if let Some(job) = current(&demo)
            && job.status.is_final()
            && job.status != JobStatus::Succeeded
        {
            bail!("the demo failed: {}", job.status_reason);
        }
        if demo.gallery.is_some() {
            if live && !last.is_empty() {
                writeln!(out)?;
            }
            writeln!(out, "{}", verdict(&demo)?)?;
            return Ok(());
        }
        show(&demo, live, &mut last, out)?;
        tokio::time::sleep(PAUSE).await;
    }
}

/// The demo's job that is under way.
fn current(demo: &Demo) -> Option<&DemoJob> {
    demo.evaluate.as_ref().or(demo.protect.as_ref())
}

fn show(demo: &Demo, live: bool, last: &mut String, out: &mut impl Write) -> io::Result<()> {
    let Some(job) = current(demo) else {
        return Ok(());
    };
    let progress = &job.progress;
    let phase = match progress.phase.as_str() {
        "" if job.status_reason.is_empty() => "Starting",
        "" => &job.status_reason,
        phase => phase,
    };
    if live {
        write!(out, "\r\x1b[K{phase} {}/{}", progress.step, progress.total)?;
        out.flush()?;
    } else if phase != last {
        writeln!(out, "{phase}")?;
        out.flush()?;
    }
    phase.clone_into(last);
    Ok(())
}

/// The closing line, from the last checkpoint and the two jobs.
fn verdict(demo: &Demo) -> anyhow::Result<String> {
    let gallery = demo.gallery.as_ref().context("no gallery")?;
    let last = gallery.report.checkpoints.last();
    let last = last.context("the report has no checkpoint")?;
    let protect = demo.protect.as_ref().context("no protection")?;
    let evaluate = demo.evaluate.as_ref().context("no evaluation")?;
    let metrics = protect.metrics.as_ref().context("nothing was measured")?;
    let start = protect.started_at.context("protection has no start")?;
    let end = evaluate.completed_at.context("evaluation has no end")?;
    let seconds = (end.milliseconds() - start.milliseconds()) as f64 / 1000.0;
    Ok(format!(
        "verdict={} clean_similarity={:.3} protected_similarity={:.3} n={} inject_ms_per_step={:.1} total_seconds={seconds:.1}",
        gallery.report.grade.as_str(),
        last.clean.similarity.value,
        last.protected.similarity.value,
        last.clean.similarity.n,
        metrics.milliseconds_per_step,
    ))
}

/// The dashboard that lies beside this program, as the archive has it.
pub(crate) fn frontend_beside() -> Option<PathBuf> {
    let folder = std::env::current_exe().ok()?.with_file_name("frontend");
    folder.join("index.html").is_file().then_some(folder)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn job(status: &str) -> Value {
        json!({"status": status, "status_reason": "", "progress": {"phase": "", "step": 0, "total": 0},
            "metrics": null, "started_at": null, "completed_at": null})
    }

    fn demo(protect: &Value, evaluate: &Value) -> Demo {
        serde_json::from_value(
            json!({"protect": protect, "evaluate": evaluate, "gallery": null,
            "evaluation": null, "sample_sets": []}),
        )
        .expect("a demo")
    }

    #[test]
    fn a_verdict_without_a_gallery_is_an_error_and_not_a_zero() {
        let demo = demo(&job("succeeded"), &job("succeeded"));
        assert!(verdict(&demo).is_err());
    }

    #[test]
    fn what_is_told_is_the_job_under_way() {
        let mut running = job("running");
        running["progress"] = json!({"phase": "Training the trigger", "step": 3, "total": 300});
        let mut out = Vec::new();
        let mut last = String::new();
        for _ in 0..2 {
            let demo = demo(&running, &Value::Null);
            show(&demo, false, &mut last, &mut out).expect("memory");
        }
        let demo = demo(&running, &job("queued"));
        show(&demo, false, &mut last, &mut out).expect("memory");
        assert_eq!(
            String::from_utf8(out).expect("text"),
            "Training the trigger\nStarting\n"
        );
    }

    #[test]
    fn only_a_demos_data_is_deleted() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        fs::create_dir(&data).expect("a folder");
        fs::write(data.join("thesis.txt"), "years").expect("a file");
        assert!(clear(&data).is_err());
        assert!(data.join("thesis.txt").is_file());
        fs::write(data.join(LOG), "").expect("a file");
        clear(&data).expect("it is ours");
        assert!(!data.exists());
    }
}
