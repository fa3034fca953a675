//! A certified identity provider as a process of its own, and the file that tells a server of it.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::Server;

const CLIENT: &str = "persguard";
const SECRET: &str = "a secret that both know";

/// A provider that a server may be told of, and that does not run yet.
pub struct Plan {
    folder: TempDir,
    port: u16,
}

/// A running provider; it ends with this.
pub struct Provider {
    child: Child,
    _folder: TempDir,
}

impl Plan {
    /// Chooses a port and writes the server's file.
    pub fn new() -> Result<Self> {
        let folder = TempDir::new()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let text = format!(
            "[[provider]]\nslug = \"example\"\nname = \"Example\"\nissuer = \"http://127.0.0.1:{port}\"\n\
             client_id = \"{CLIENT}\"\nclient_secret_file = \"secret\"\ncreate_accounts = true\n"
        );
        fs::write(folder.path().join("providers.toml"), text)?;
        fs::write(folder.path().join("secret"), SECRET)?;
        Ok(Self { folder, port })
    }

    /// What the server's setting `PERSGUARD_IDENTITY_PROVIDERS` has to name.
    pub fn file(&self) -> String {
        let file = self.folder.path().join("providers.toml");
        file.display().to_string()
    }

    /// Starts it for a server, whose address it registers.
    pub fn start(self, server: &Server) -> Result<Provider> {
        let installed = env::var_os("PERSGUARD_OIDC_PROVIDER").map(PathBuf::from);
        let installed = installed.context(
            "PERSGUARD_OIDC_PROVIDER is not set: run `cargo xtask test --only journeys`",
        )?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("provider/provider.mjs");
        let redirect_uri = server.url("/v1/identity-providers/example/callback");
        // Whoever kills the tests kills their providers too.
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "node"])
            .arg(script)
            .env("INSTALLED", installed)
            .env("PORT", self.port.to_string())
            .env("REDIRECT_URI", redirect_uri)
            .env("CLIENT_ID", CLIENT)
            .env("CLIENT_SECRET", SECRET)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("setpriv does not start")?;
        let output = child.stdout.take().context("it has an output")?;
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        let listens = lines.any(|line| line == "listening");
        let provider = Provider {
            child,
            _folder: self.folder,
        };
        ensure!(
            listens,
            "the provider does not start: is Node.js installed?"
        );
        // The pipe must stay open and empty, or the provider blocks on it.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(provider)
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
