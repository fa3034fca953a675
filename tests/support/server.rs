//! The real server, with a data directory of its own and a free port.

use std::{
    env,
    fs::{self, File},
    net::TcpListener,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use command_fds::{CommandFdExt, FdMapping};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// A running server; it and its children end with this.
pub struct Server {
    child: Child,
    /// Taken only by `restart` and `crash`.
    place: Option<Place>,
    url: String,
}

/// What stays however often a server is started anew.
struct Place {
    /// Shared by those beside each other.
    directory: Arc<TempDir>,
    /// Name of its log there.
    log: String,
    /// What it listens on, where that is kept open.
    socket: Option<TcpListener>,
}

/// Cargo names its folders to tests here, and a trainer's sandbox is open for what is named: the product is started
/// without.
pub const LIBRARIES: &str = "LD_LIBRARY_PATH";

/// Where the programs lie: as `cargo xtask test` says, or beside this test.
pub fn program(name: &str) -> Result<PathBuf> {
    let beside = || Some(env::current_exe().ok()?.parent()?.parent()?.to_owned());
    let told = env::var_os("PERSGUARD_BIN_DIR").map(PathBuf::from);
    let folder = told.or_else(beside).context("no target folder")?;
    let program = folder.join(name);
    ensure!(
        program.is_file(),
        "{} is missing: run `cargo xtask test`",
        program.display()
    );
    Ok(program)
}

impl Server {
    /// Starts a server with further settings, by the environment's names.
    pub fn start(settings: &[(&str, &str)]) -> Result<Self> {
        Self::start_at(None, settings)
    }

    /// The same on a socket that stays open however often it is started anew.
    pub fn start_on(socket: TcpListener, settings: &[(&str, &str)]) -> Result<Self> {
        Self::start_at(Some(socket), settings)
    }

    fn start_at(socket: Option<TcpListener>, settings: &[(&str, &str)]) -> Result<Self> {
        let place = Place {
            directory: Arc::new(TempDir::new()?),
            log: "log".to_owned(),
            socket,
        };
        Self::start_in(place, settings)
    }

    /// Starts another one on the same data; the settings name a database that takes several.
    pub fn beside(&self, settings: &[(&str, &str)]) -> Result<Self> {
        let first = self.place.as_ref().context("it has a place")?;
        let _ = fs::remove_file(self.data().join("address"));
        let place = Place {
            directory: Arc::clone(&first.directory),
            log: format!("{}-2", first.log),
            socket: None,
        };
        Self::start_in(place, settings)
    }

    /// Stops it in good order and starts another one on the same data.
    pub fn restart(mut self, settings: &[(&str, &str)]) -> Result<Self> {
        self.stop()?;
        fs::remove_file(self.data().join("address"))?;
        let place = self.place.take().context("it has a place")?;
        Self::start_in(place, settings)
    }

    /// Kills it without a word and starts another one on the same data.
    pub fn crash(mut self, settings: &[(&str, &str)]) -> Result<Self> {
        self.kill()?;
        let _ = fs::remove_file(self.data().join("address"));
        let place = self.place.take().context("it has a place")?;
        Self::start_in(place, settings)
    }

    /// Kills it without a word.
    pub fn kill(&mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::KILL)?;
        self.child.wait()?;
        Ok(())
    }

    fn start_in(place: Place, settings: &[(&str, &str)]) -> Result<Self> {
        program("persguard-node")?;
        let directory = place.directory.path();
        let data = directory.join("data");
        let log = File::options()
            .create(true)
            .append(true)
            .open(directory.join(&place.log))?;
        // Whoever kills the tests kills their servers too.
        let mut command = Command::new("setpriv");
        if let Some(socket) = &place.socket {
            let mapping = FdMapping {
                parent_fd: socket.try_clone()?.into(),
                child_fd: 3,
            };
            command.fd_mappings(vec![mapping])?.env("LISTEN_FDS", "1");
        }
        let child = command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program("persguard")?)
            .arg("serve")
            .env_remove(LIBRARIES)
            .env("PERSGUARD_ADDRESS", "127.0.0.1:0")
            .env("PERSGUARD_DATA_DIR", &data)
            .envs(settings.iter().copied())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()?;
        let mut server = Self {
            child,
            place: Some(place),
            url: String::new(),
        };
        let address = server.wait_for_address()?;
        server.url = format!("http://{address}");
        Ok(server)
    }

    fn wait_for_address(&mut self) -> Result<String> {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(30) {
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended with {status}:\n{}", self.log());
            }
            let address = fs::read_to_string(self.data().join("address")).unwrap_or_default();
            if !address.trim().is_empty() {
                return Ok(address.trim().to_owned());
            }
            sleep(Duration::from_millis(20));
        }
        bail!("the server did not listen in time:\n{}", self.log());
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How much of its memory is in the machine's, in MiB.
    pub fn resident_megabytes(&self) -> Result<f64> {
        Ok(self.memory("VmRSS:")? / 1024.0)
    }

    /// What a line of `/proc/<pid>/status` says, in KiB.
    pub fn memory(&self, name: &str) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kibibytes = line.and_then(|line| line.split_whitespace().next());
        Ok(kibibytes.with_context(|| format!("no {name}"))?.parse()?)
    }

    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        self.root().join("data")
    }

    /// The bytes that it keeps under a hash, as its operator finds them: weights whose gates are closed never leave it.
    pub fn kept(&self, sha256: &str) -> Result<Vec<u8>> {
        let mut waiting = vec![self.data().join("artifacts")];
        while let Some(folder) = waiting.pop() {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    waiting.push(path);
                    continue;
                }
                let bytes = fs::read(&path)?;
                if hex::encode(Sha256::digest(&bytes)) == sha256 {
                    return Ok(bytes);
                }
            }
        }
        bail!("{sha256} is not kept")
    }

    fn root(&self) -> &Path {
        let place = self.place.as_ref();
        place.map_or(Path::new(""), |place| place.directory.path())
    }

    fn log_file(&self) -> PathBuf {
        let place = self.place.as_ref();
        self.root().join(place.map_or("log", |place| &place.log))
    }

    /// Everything that it, its node and their trainers logged.
    pub fn whole_log(&self) -> Result<String> {
        Ok(fs::read_to_string(self.log_file())?)
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        let text = fs::read_to_string(self.log_file()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Asks it to stop and waits for its end.
    fn stop(&mut self) -> Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM)?;
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(15) {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            sleep(Duration::from_millis(20));
        }
        bail!("the server did not stop in time:\n{}", self.log());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.place.is_none() {
            return;
        }
        if std::thread::panicking() {
            let log = self.log();
            // A failed journey is read together with what the server said.
            let _ = std::io::Write::write_all(&mut std::io::stderr(), log.as_bytes());
        }
        let group = Pid::from_child(&self.child);
        // It fails where the group is gone, which is what we want.
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.child.wait();
    }
}
