//! A PostgreSQL that can be killed and started again, in a directory of its own.

use std::{
    env, fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A running server; it ends with this.
pub struct Postgres {
    binaries: PathBuf,
    directory: TempDir,
    port: u16,
    child: Child,
    account: Account,
    database: String,
}

/// Who owns everything; without a password everybody of this machine is let in.
struct Account {
    user: String,
    password: Option<String>,
}

const OWN: &str = "postgres";

fn binaries() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut folders: Vec<PathBuf> = env::split_paths(&path).collect();
    folders.extend(installed.flatten().map(|entry| entry.path().join("bin")));
    let whole = |folder: &PathBuf| folder.join("initdb").exists() && folder.join("psql").exists();
    folders.into_iter().find(whole)
}

/// A program of PostgreSQL's; it refuses root, so as root it runs as user postgres.
fn command(binaries: &Path, name: &str) -> Command {
    let program = binaries.join(name);
    if !rustix::process::getuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
        .args(["--pdeathsig", "INT", "--"])
        .arg(program);
    command
}

impl Postgres {
    /// Starts an empty one.
    pub fn start() -> Result<Self> {
        let account = Account {
            user: OWN.to_owned(),
            password: None,
        };
        Self::start_for(account)
    }

    /// Starts one as its image does: with an account of this name and password, and a database.
    pub fn start_with(user: &str, password: &str, database: &str) -> Result<Self> {
        let account = Account {
            user: user.to_owned(),
            password: Some(password.to_owned()),
        };
        let mut server = Self::start_for(account)?;
        server.ask(&format!("CREATE DATABASE \"{database}\""))?;
        database.clone_into(&mut server.database);
        Ok(server)
    }

    fn start_for(account: Account) -> Result<Self> {
        let binaries = binaries().context("no PostgreSQL: install it (Debian: postgresql)")?;
        let directory = TempDir::new()?;
        if rustix::process::getuid().is_root() {
            let mut owner = Command::new("chown");
            let owned = owner.arg("postgres").arg(directory.path()).status()?;
            ensure!(owned.success(), "chown: {owned}");
        }
        let mut init = command(&binaries, "initdb");
        init.current_dir(directory.path())
            .args(["-U", &account.user, "--locale=C", "-D"])
            .arg(directory.path().join("data"));
        let secret = directory.path().join("password");
        match &account.password {
            None => {
                init.args(["-A", "trust"]);
            }
            Some(password) => {
                fs::write(&secret, password)?;
                init.args(["-A", "scram-sha-256"]);
                init.arg(format!("--pwfile={}", secret.display()));
            }
        }
        let made = init.output()?;
        let said = String::from_utf8_lossy(&made.stderr).into_owned();
        ensure!(made.status.success(), "initdb: {said}");
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        drop(listener);
        let child = serve(&binaries, directory.path(), port)?;
        let server = Self {
            binaries,
            directory,
            port,
            child,
            account,
            database: OWN.to_owned(),
        };
        server.wait()?;
        Ok(server)
    }

    /// Its address with its only database.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where its programs are.
    pub fn binaries(&self) -> &Path {
        &self.binaries
    }

    fn wait(&self) -> Result<()> {
        for _ in 0..300 {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() && self.ask("SELECT 1").is_ok()
            {
                return Ok(());
            }
            sleep(Duration::from_millis(100));
        }
        bail!("PostgreSQL does not answer within 30 seconds")
    }

    /// Ends it without a word to anyone, as a power cut would, and starts it again.
    pub fn crash(&mut self) -> Result<()> {
        // The postmaster's immediate shutdown: no checkpoint, recovery at the next start.
        kill_process(Pid::from_child(&self.child), Signal::QUIT)?;
        self.child.wait()?;
        sleep(Duration::from_millis(300));
        self.child = serve(&self.binaries, self.directory.path(), self.port)?;
        self.wait()
    }

    /// What one statement answers: lines of values.
    pub fn ask(&self, sql: &str) -> Result<String> {
        let port = self.port.to_string();
        let mut psql = Command::new(self.binaries.join("psql"));
        psql.args(["-h", "127.0.0.1", "-p", &port, "-U", &self.account.user])
            .args(["-d", &self.database, "-At", "-c", sql]);
        if let Some(password) = &self.account.password {
            psql.env("PGPASSWORD", password);
        }
        let output = psql.output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "psql: {said}");
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }
}

fn serve(binaries: &Path, directory: &Path, port: u16) -> Result<Child> {
    let port = port.to_string();
    let mut server = command(binaries, "postgres");
    server
        .current_dir(directory)
        .arg("-D")
        .arg(directory.join("data"))
        .args(["-h", "127.0.0.1", "-k", "", "-p", &port])
        .args(["-c", "max_connections=100"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Ok(server.spawn()?)
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::INT);
        let _ = self.child.wait();
    }
}
