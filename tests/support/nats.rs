//! A NATS server that can be killed and started again, empty, at the same address.

use std::{
    env, fs,
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

const USER: &str = "servers";
const PASSWORD: &str = "known to servers alone";

/// A running broker, which wants TLS and a password; it ends with this.
pub struct Nats {
    program: PathBuf,
    folder: TempDir,
    port: u16,
    child: Option<Child>,
}

impl Nats {
    /// Starts an empty one.
    pub fn start() -> Result<Self> {
        let program = env::var_os("PERSGUARD_NATS_SERVER").map(PathBuf::from);
        let program = program
            .context("PERSGUARD_NATS_SERVER is not set: run `cargo xtask test --only journeys`")?;
        let folder = TempDir::new()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let signed = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        let place = |name: &str| folder.path().join(name);
        let text = |name: &str| place(name).display().to_string();
        fs::write(place("certificate.pem"), signed.cert.pem())?;
        fs::write(place("key.pem"), signed.signing_key.serialize_pem())?;
        let address = format!(
            "tls://{USER}:{}@127.0.0.1:{port}",
            PASSWORD.replace(' ', "%20")
        );
        fs::write(place("url"), address)?;
        let settings = format!(
            "listen: \"127.0.0.1:{port}\"\nauthorization {{ user: {USER}, password: \"{PASSWORD}\" }}\n\
             tls {{ cert_file: {:?}, key_file: {:?} }}\n",
            text("certificate.pem"),
            text("key.pem"),
        );
        fs::write(place("settings"), settings)?;
        let mut broker = Self {
            program,
            folder,
            port,
            child: None,
        };
        broker.start_again()?;
        Ok(broker)
    }

    /// What a server is told to use it.
    pub fn settings(&self) -> [(&'static str, String); 2] {
        let place = |name: &str| self.folder.path().join(name).display().to_string();
        [
            ("PERSGUARD_NATS_URL_FILE", place("url")),
            ("PERSGUARD_NATS_CA_FILE", place("certificate.pem")),
        ]
    }

    /// Starts it, as empty as at first: it keeps nothing.
    pub fn start_again(&mut self) -> Result<()> {
        let log = fs::File::create(self.folder.path().join("log"))?;
        // Whoever kills the tests kills their brokers too.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(&self.program)
            .arg("--config")
            .arg(self.folder.path().join("settings"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        self.child = Some(child);
        for _ in 0..300 {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return Ok(());
            }
            sleep(Duration::from_millis(50));
        }
        let log = fs::read_to_string(self.folder.path().join("log"));
        bail!("the broker does not listen:\n{}", log.unwrap_or_default())
    }

    /// Ends it the hard way.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}
