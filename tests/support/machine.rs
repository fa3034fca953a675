//! Nodes on machines of their own: real processes that joined a server, each in a directory of its own.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Method, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use shared::training_node::{CreatedNode, NodeIntake, TrainingNode};
use tempfile::TempDir;

use crate::{
    Person, Server,
    letters::link_in,
    person::expect,
    processes::{kill, trainers},
    server::{LIBRARIES, program},
};

/// Whom a server of these tests takes for its administrator.
pub const ADMINISTRATOR: &str = "admin@example.org";

/// Signs the administrator up and proves their address.
pub async fn administrator(server: &Server) -> Result<Person> {
    administrator_at(&server.url(""), &server.data()).await
}

/// The same at an address, with the server's data directory at hand.
pub async fn administrator_at(url: &str, data: &Path) -> Result<Person> {
    let person = Person::sign_up_at(url, ADMINISTRATOR).await?;
    let link = link_in(data, "verify-email").await?;
    let (_, token) = link.split_once("token=").context("no token")?;
    let confirm = person.request(Method::POST, "/v1/email-verifications/confirm");
    let answer = confirm.json(&json!({ "token": token })).send().await?;
    expect(answer, StatusCode::NO_CONTENT).await?;
    Ok(person)
}

/// A machine that joined, and its node while that runs.
pub struct Machine {
    /// What the server calls it.
    pub id: shared::NodeId,
    directory: TempDir,
    settings: Vec<(String, String)>,
    child: Option<Child>,
}

impl Machine {
    /// Creates a node and joins by the line that the server says, then starts it.
    pub async fn join(admin: &Person, name: &str, settings: &[(&str, &str)]) -> Result<Self> {
        Self::join_by(admin, (name, None), settings).await
    }

    /// The same by another way to the server.
    pub async fn join_through(
        admin: &Person,
        (name, url): (&str, &str),
        settings: &[(&str, &str)],
    ) -> Result<Self> {
        Self::join_by(admin, (name, Some(url)), settings).await
    }

    async fn join_by(
        admin: &Person,
        (name, url): (&str, Option<&str>),
        settings: &[(&str, &str)],
    ) -> Result<Self> {
        let request = json!({ "name": name });
        let made: CreatedNode = admin
            .send(Method::POST, "/v1/nodes", &request, StatusCode::CREATED)
            .await?;
        let directory = TempDir::new()?;
        let mut words = made.command.split_whitespace();
        ensure!(
            words.next() == Some("persguard-node"),
            "{:?} is no line to paste",
            made.command
        );
        // `--run` would stay: here the machine is started by itself.
        let words = words.filter(|word| *word != "--run");
        let other = |word| {
            url.filter(|_| str::starts_with(word, "http"))
                .unwrap_or(word)
        };
        let joined = Command::new(program("persguard-node")?)
            .args(words.map(other))
            .arg("--directory")
            .arg(directory.path())
            .env_clear()
            .output()?;
        let said = String::from_utf8_lossy(&joined.stderr).into_owned();
        ensure!(joined.status.success(), "it does not join: {said}");
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut machine = Self {
            id: made.node.id,
            directory,
            settings: settings.iter().map(owned).collect(),
            child: None,
        };
        machine.start()?;
        Ok(machine)
    }

    /// Starts its node, which goes on as the same one.
    pub fn start(&mut self) -> Result<()> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.directory.path().join("log"))?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program("persguard-node")?)
            .arg("run")
            .env_remove(LIBRARIES)
            .env("PERSGUARD_NODE_DIR", self.directory.path())
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()?;
        self.child = Some(child);
        Ok(())
    }

    /// Whether its process lives.
    pub fn is_running(&mut self) -> bool {
        let alive = |child: &mut Child| child.try_wait().is_ok_and(|ended| ended.is_none());
        self.child.as_mut().is_some_and(alive)
    }

    /// Where it keeps everything.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let child = self.child.as_ref().context("it does not run")?;
        Ok(kill_process(Pid::from_child(child), signal)?)
    }

    /// Ends it the hard way, as a lost machine would.
    pub fn kill(&mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.collect()
    }

    /// Ends its trainers the hard way, and leaves the node; how many there were.
    pub fn kill_trainers(&self) -> usize {
        let found = trainers(self.directory.path());
        found.iter().filter(|pid| kill(**pid).is_ok()).count()
    }

    /// Stops its clock.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Asks it to stop in good order, and waits for that.
    pub fn stop(&mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        self.collect()
    }

    fn collect(&mut self) -> Result<()> {
        let start = Instant::now();
        while self.is_running() {
            if start.elapsed() > Duration::from_secs(30) {
                bail!("the node does not end:\n{}", self.log());
            }
            sleep(Duration::from_millis(20));
        }
        self.child = None;
        Ok(())
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        let path: PathBuf = self.directory.path().join("log");
        let text = fs::read_to_string(path).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// What its operator sees of it.
    pub async fn seen(&self, admin: &Person) -> Result<TrainingNode> {
        admin.get(&format!("/v1/nodes/{}", self.id)).await
    }

    /// Says whether it takes jobs.
    pub async fn set_intake(&self, admin: &Person, intake: NodeIntake) -> Result<TrainingNode> {
        set_intake(admin, self.id, intake).await
    }
}

/// Says whether a node takes jobs.
pub async fn set_intake(
    admin: &Person,
    node: shared::NodeId,
    intake: NodeIntake,
) -> Result<TrainingNode> {
    let request = admin
        .request(Method::PATCH, &format!("/v1/nodes/{node}"))
        .header("content-type", "application/merge-patch+json")
        .header("if-match", "*")
        .body(json!({ "intake": intake }).to_string());
    let answer = expect(request.send().await?, StatusCode::OK).await?;
    Ok(answer.json().await?)
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(child) = self.child.as_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let _ = std::io::Write::write_all(&mut std::io::stderr(), log.as_bytes());
        }
    }
}
