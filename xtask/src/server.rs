//! The server as a child process that never outlives this one.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{
    cache::{cargo, command, folder, on_path, run},
    web,
};

/// What a server is started with.
pub(crate) struct Settings<'a> {
    pub(crate) data: &'a Path,
    pub(crate) port: u16,
    pub(crate) demo: bool,
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    log: PathBuf,
    /// Host and port.
    pub(crate) address: String,
}

/// Builds both programs; returns the folder that holds them.
pub(crate) fn build_programs() -> Result<PathBuf> {
    // The whole workspace's selection of features, so that the tests reuse what the demo compiled.
    let programs = ["--bin", "persguard", "--bin", "persguard-node"];
    run(cargo()?.args(["build", "--workspace"]).args(programs))?;
    Ok(folder("target")?.join("debug"))
}

impl Server {
    /// Builds what is not built, starts the server and waits until it listens.
    pub(crate) fn start(settings: &Settings<'_>) -> Result<Self> {
        let programs = build_programs()?;
        let frontend = web::build()?;
        fs::create_dir_all(settings.data)?;
        let file = settings.data.join("address");
        let _ = fs::remove_file(&file);
        let log = settings.data.join("persguard.log");
        let output = File::create(&log).with_context(|| log.display().to_string())?;
        let child = bound_to_us(&programs.join("persguard"))
            .arg("serve")
            .env("PERSGUARD_ADDRESS", format!("127.0.0.1:{}", settings.port))
            .env("PERSGUARD_DATA_DIR", settings.data)
            .env("PERSGUARD_FRONTEND_DIR", frontend)
            .env("PERSGUARD_DEMO", settings.demo.to_string())
            .stdin(Stdio::null())
            .stderr(output.try_clone()?)
            .stdout(output)
            .spawn()
            .context("starting the server")?;
        let mut server = Self {
            child,
            log,
            address: String::new(),
        };
        server.address = server.wait_for_address(&file)?;
        Ok(server)
    }

    fn wait_for_address(&mut self, file: &Path) -> Result<String> {
        let start = Instant::now();
        while start.elapsed() < Duration::from_mins(1) {
            self.check()?;
            let address = fs::read_to_string(file).unwrap_or_default();
            if !address.trim().is_empty() {
                return Ok(address.trim().trim_start_matches("http://").to_owned());
            }
            sleep(Duration::from_millis(50));
        }
        bail!("the server did not listen within a minute\n{}", self.tail())
    }

    /// Fails once the server has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the server ended ({status})\n{}", self.tail()),
        }
    }

    /// The end of its log, for people.
    pub(crate) fn tail(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(15)..].join("\n");
        format!("{last}\n(whole log: {})", self.log.display())
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait(mut self) -> Result<()> {
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the server ended ({status})\n{}", self.tail());
        }
        Ok(())
    }
}

impl Drop for Server {
    /// Asks it to stop, so that its node can hand back a job; insists after ten seconds.
    fn drop(&mut self) {
        let ask = format!("kill -TERM {}", self.child.id());
        let _ = Command::new("sh")
            .args(["-c", &ask])
            .stderr(Stdio::null())
            .status();
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(10) {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command that the kernel stops when this process dies, however it dies.
fn bound_to_us(program: &Path) -> Command {
    if !on_path("setpriv") {
        return command(program);
    }
    let mut bound = command("setpriv");
    bound.args(["--pdeathsig", "TERM", "--"]).arg(program);
    bound
}
