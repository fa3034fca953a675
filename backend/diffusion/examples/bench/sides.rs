//! The two processes that answer jobs.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::jobs::{Job, Outcome};

/// A process with a line for each job and a line for each answer.
pub(crate) struct Side {
    process: Child,
    pipes: Option<Pipes>,
}

struct Pipes {
    jobs: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Pipes {
    fn run(&mut self, job: &Job) -> Result<Outcome> {
        writeln!(self.jobs, "{}", serde_json::to_string(job)?)?;
        self.jobs.flush()?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        if line.is_empty() {
            bail!("the process ended without an answer");
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Side {
    /// This package.
    pub(crate) fn ours(folder: &Path) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        Self::start(command.arg("work").arg(folder))
    }

    /// `PyTorch`, as it is or compiled.
    pub(crate) fn theirs(python: &Path, folder: &Path, compiled: bool) -> Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/bench/pytorch.py");
        let mut command = Command::new(python);
        command.arg(script).arg(folder);
        if compiled {
            command.arg("--compile");
        }
        // What the libraries warn of is no part of the table; errors still end the process.
        Self::start(command.stderr(Stdio::null()))
    }

    fn start(command: &mut Command) -> Result<Self> {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{command:?}"))?;
        let jobs = process.stdin.take().context("piped above")?;
        let answers = BufReader::new(process.stdout.take().context("piped above")?);
        let pipes = Some(Pipes { jobs, answers });
        Ok(Self { process, pipes })
    }

    /// Runs a job.
    pub(crate) fn run(&mut self, job: &Job) -> Result<Outcome> {
        let pipes = self
            .pipes
            .as_mut()
            .context("an earlier job took too long")?;
        pipes.run(job)
    }

    /// Runs a job, or ends the process when the time is over.
    pub(crate) fn run_within(&mut self, job: &Job, limit: Duration) -> Result<Outcome> {
        let mut pipes = self.pipes.take().context("an earlier job took too long")?;
        let (sender, receiver) = mpsc::channel();
        let job = job.clone();
        thread::spawn(move || {
            let outcome = pipes.run(&job);
            // The receiver is gone when the time is over.
            sender.send((pipes, outcome)).ok();
        });
        let Ok((pipes, outcome)) = receiver.recv_timeout(limit) else {
            self.process.kill()?;
            bail!("not ready within {} s", limit.as_secs());
        };
        self.pipes = Some(pipes);
        outcome
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        // The process ends when its input does.
        self.pipes = None;
        self.process.wait().ok();
    }
}
