//! The training node of an embedded server: a child process, restarted when it dies.
//!
//! Its token travels in the environment, never in arguments. It holds the read end of a pipe whose
//! write end is ours, so that it stops when this process ends in whatever way.

use std::{path::PathBuf, process::Stdio, time::Duration};

use telemetry::TraceConfig;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const GRACE: Duration = Duration::from_secs(5);

/// How to start the node.
#[derive(Clone, Debug)]
pub struct LocalNode {
    /// The executable.
    pub program: PathBuf,
    /// Where it finds the server.
    pub url: String,
    /// Its node token.
    pub token: String,
    /// Its cache and work directory.
    pub directory: PathBuf,
    /// Worker threads, or its own choice.
    pub threads: Option<u32>,
    /// The file that its log is appended to, if not this process's own.
    pub log: Option<PathBuf>,
    /// Where its traces go: where the server's do.
    pub traces: TraceConfig,
}

impl LocalNode {
    /// Keeps the node running until `stop`, then ends it.
    pub async fn supervise(self, stop: CancellationToken) {
        let mut pause = FIRST_PAUSE;
        while !stop.is_cancelled() {
            match self.start() {
                Ok(child) => {
                    let started = tokio::time::Instant::now();
                    watch(child, &stop).await;
                    if started.elapsed() > LONGEST_PAUSE {
                        pause = FIRST_PAUSE;
                    }
                }
                Err(error) => {
                    let program = self.program.display();
                    tracing::error!(%error, %program, "the local node does not start");
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
            }
        }
    }

    fn start(&self) -> std::io::Result<Child> {
        std::fs::create_dir_all(&self.directory)?;
        let mut command = Command::new(&self.program);
        command
            .env("PERSGUARD_NODE_URL", &self.url)
            .env("PERSGUARD_NODE_TOKEN", &self.token)
            .env("PERSGUARD_NODE_DIR", &self.directory)
            .env("PERSGUARD_NODE_WATCH_STDIN", "1")
            .stdin(Stdio::piped())
            .kill_on_drop(true);
        if let Some(threads) = self.threads {
            command.env("PERSGUARD_NODE_THREADS", threads.to_string());
        }
        if let Some(collector) = &self.traces.otlp_endpoint {
            let ratio = self.traces.otlp_sampling_ratio.to_string();
            command
                .env("PERSGUARD_OTLP_ENDPOINT", collector)
                .env("PERSGUARD_OTLP_SAMPLING_RATIO", ratio);
        }
        if let Some(file) = &self.traces.otlp_ca_file {
            command.env("PERSGUARD_OTLP_CA_FILE", file);
        }
        if let Some(log) = &self.log {
            let mut file = std::fs::File::options();
            let file = file.create(true).append(true).open(log)?;
            command.stdout(file.try_clone()?).stderr(file);
        }
        command.spawn()
    }
}

/// Waits for the child's end, or ends it: first by closing its input, then by force.
async fn watch(mut child: Child, stop: &CancellationToken) {
    let input = child.stdin.take();
    tokio::select! {
        status = child.wait() => {
            tracing::warn!(?status, "the local node ended; it is started again");
        }
        () = stop.cancelled() => {
            drop(input);
            if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
                let _ = child.kill().await;
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn node(directory: &std::path::Path, script: &str) -> LocalNode {
        let program = directory.join("node.sh");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n"))
            .expect("a file in a new directory");
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755))
            .expect("a file in a new directory");
        LocalNode {
            program,
            url: "http://127.0.0.1:1".into(),
            token: "secret".into(),
            directory: directory.join("node"),
            threads: Some(1),
            log: None,
            traces: TraceConfig {
                otlp_endpoint: Some("http://127.0.0.1:1".into()),
                otlp_sampling_ratio: 0.5,
                otlp_ca_file: Some("ca.pem".into()),
            },
        }
    }

    #[tokio::test]
    async fn dead_node_is_started_again_and_never_sees_its_token_as_an_argument() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let line = format!(
            "echo \"$PERSGUARD_NODE_TOKEN $# $PERSGUARD_NODE_THREADS \
             $PERSGUARD_OTLP_ENDPOINT $PERSGUARD_OTLP_SAMPLING_RATIO $PERSGUARD_OTLP_CA_FILE\" >> {}",
            log.display()
        );
        let stop = CancellationToken::new();
        let task = tokio::spawn(node(directory.path(), &line).supervise(stop.clone()));
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if std::fs::read_to_string(&log).is_ok_and(|text| text.lines().count() >= 2) {
                break;
            }
        }
        stop.cancel();
        task.await.unwrap();
        let text = std::fs::read_to_string(&log).unwrap();
        let line = "secret 0 1 http://127.0.0.1:1 0.5 ca.pem\n";
        assert!(text.starts_with(&line.repeat(2)), "{text}");
    }

    #[tokio::test]
    async fn stopping_closes_the_nodes_input() {
        let directory = tempfile::tempdir().unwrap();
        let (ready, log) = (directory.path().join("ready"), directory.path().join("log"));
        let line = format!(
            "touch {}; cat; echo ended > {}",
            ready.display(),
            log.display()
        );
        let stop = CancellationToken::new();
        let task = tokio::spawn(node(directory.path(), &line).supervise(stop.clone()));
        while !ready.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stop.cancel();
        task.await.unwrap();
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "ended\n");
    }
}
