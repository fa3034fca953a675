//! The file of credentials: mode 0600, replaced whole, and locked while tokens are renewed.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use client::{Secret, TokenPair, TokenStore};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// Everything that the file holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Credentials {
    /// The server of the last sign-in.
    #[serde(default)]
    pub(crate) default: Option<String>,
    /// By address, as `client::server_address` writes it.
    #[serde(default)]
    pub(crate) servers: BTreeMap<String, Entry>,
}

/// Who somebody is at one server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The account, to show.
    pub(crate) account: String,
    /// Whether credentials may go there over plain HTTP.
    #[serde(default)]
    pub(crate) plain_http: bool,
    /// What it is proven with.
    pub(crate) credential: Kept,
}

/// A credential as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Kept {
    /// An API key.
    Key {
        /// The key.
        secret: Secret,
    },
    /// A sign-in.
    Tokens(TokenPair),
}

/// The file and its lock.
#[derive(Clone, Debug)]
pub(crate) struct Vault {
    file: PathBuf,
}

impl Vault {
    pub(crate) fn open(folder: &Path) -> Result<Self, Failure> {
        create_private(folder)
            .map_err(|error| Failure::Here(format!("{}: {error}", folder.display())))?;
        Ok(Self {
            file: folder.join("credentials.json"),
        })
    }

    /// Where it lies, to show.
    pub(crate) fn path(&self) -> &Path {
        &self.file
    }

    pub(crate) fn load(&self) -> Result<Credentials, Failure> {
        self.read()
            .map_err(|error| Failure::Here(format!("{}: {error}", self.file.display())))
    }

    /// Changes the file while nobody else does.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Credentials)) -> Result<(), Failure> {
        let written = self.lock().and_then(|_lock| {
            let mut credentials = self.read()?;
            change(&mut credentials);
            self.write(&credentials)
        });
        written.map_err(|error| Failure::Here(format!("{}: {error}", self.file.display())))
    }

    fn read(&self) -> io::Result<Credentials> {
        match fs::read(&self.file) {
            Ok(bytes) => {
                refuse_readable_by_others(&self.file)?;
                Ok(serde_json::from_slice(&bytes)?)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Credentials::default()),
            Err(error) => Err(error),
        }
    }

    fn write(&self, credentials: &Credentials) -> io::Result<()> {
        let partial = self.file.with_extension("partial");
        // One that a crash left behind may have been opened to others meanwhile.
        match fs::remove_file(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = private(OpenOptions::new().create_new(true).write(true)).open(&partial)?;
        file.write_all(&serde_json::to_vec_pretty(credentials)?)?;
        file.sync_all()?;
        fs::rename(partial, &self.file)
    }

    /// Held until it is dropped.
    fn lock(&self) -> io::Result<File> {
        let path = self.file.with_extension("lock");
        let file =
            private(OpenOptions::new().create(true).truncate(false).write(true)).open(path)?;
        file.lock()?;
        Ok(file)
    }
}

#[cfg(unix)]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600)
}

#[cfg(not(unix))]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

fn create_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(unix)]
fn refuse_readable_by_others(file: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(file)?.permissions().mode();
    let others = mode & 0o077;
    if others == 0 {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "others on this machine can read it (mode {:03o}). Replace what it holds, then run `chmod 600`.",
        mode & 0o777
    )))
}

#[cfg(not(unix))]
fn refuse_readable_by_others(_: &Path) -> io::Result<()> {
    Ok(())
}

/// The tokens of one server in the file.
pub(crate) struct Keeper {
    vault: Vault,
    server: String,
}

impl Keeper {
    pub(crate) fn new(vault: Vault, server: &str) -> Self {
        Self {
            vault,
            server: server.to_owned(),
        }
    }
}

impl TokenStore for Keeper {
    fn lock(&self) -> io::Result<Box<dyn Send>> {
        Ok(Box::new(self.vault.lock()?))
    }

    fn load(&self) -> io::Result<TokenPair> {
        let credentials = self.vault.read()?;
        match credentials
            .servers
            .get(&self.server)
            .map(|entry| &entry.credential)
        {
            Some(Kept::Tokens(pair)) => Ok(pair.clone()),
            _ => Err(io::Error::other("somebody signed out meanwhile")),
        }
    }

    fn save(&self, pair: &TokenPair) -> io::Result<()> {
        let mut credentials = self.vault.read()?;
        if let Some(entry) = credentials.servers.get_mut(&self.server) {
            entry.credential = Kept::Tokens(pair.clone());
        }
        self.vault.write(&credentials)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Entry {
        Entry {
            account: "ada@example.org".into(),
            plain_http: false,
            credential: Kept::Tokens(TokenPair {
                access_token: Secret::new(text),
                refresh_token: Secret::new(text),
            }),
        }
    }

    #[cfg(unix)]
    #[test]
    fn file_is_its_owners_alone_or_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::open(&folder.path().join("a/b")).unwrap();
        assert_eq!(vault.load().unwrap(), Credentials::default());
        // A half-written file that is open to others does not lend its mode.
        let partial = vault.path().with_extension("partial");
        fs::write(&partial, "x").unwrap();
        vault
            .update(|all| drop(all.servers.insert("https://x".into(), entry("1"))))
            .unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(vault.path()), 0o600);
        assert_eq!(mode(vault.path().parent().unwrap()), 0o700);
        assert!(!partial.exists());
        fs::set_permissions(vault.path(), fs::Permissions::from_mode(0o644)).unwrap();
        let refused = vault.load().unwrap_err().to_string();
        assert!(
            refused.contains("644") && refused.contains("chmod 600"),
            "{refused}"
        );
        assert!(vault.update(|_| ()).is_err());
    }

    #[test]
    fn damaged_file_is_refused_rather_than_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::open(folder.path()).unwrap();
        vault.update(|_| ()).unwrap();
        fs::write(vault.path(), "{").unwrap();
        assert!(vault.load().is_err());
        assert!(vault.update(|_| ()).is_err());
        assert_eq!(fs::read(vault.path()).unwrap(), b"{");
    }

    #[test]
    fn renewed_tokens_replace_their_own_alone() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::open(folder.path()).unwrap();
        vault
            .update(|all| {
                all.servers.insert("https://a".into(), entry("a"));
                all.servers.insert("https://b".into(), entry("b"));
            })
            .unwrap();
        let keeper = Keeper::new(vault.clone(), "https://a");
        let pair = TokenPair {
            access_token: Secret::new("next"),
            refresh_token: Secret::new("next"),
        };
        keeper.save(&pair).unwrap();
        assert_eq!(keeper.load().unwrap(), pair);
        let all = vault.load().unwrap();
        assert_eq!(all.servers["https://b"], entry("b"));
        vault
            .update(|all| drop(all.servers.remove("https://a")))
            .unwrap();
        assert!(keeper.load().is_err());
    }

    #[test]
    fn lock_keeps_others_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::open(folder.path()).unwrap();
        let lock = vault.lock().unwrap();
        let other = File::open(vault.path().with_extension("lock")).unwrap();
        assert!(other.try_lock().is_err());
        drop(lock);
        assert!(other.try_lock().is_ok());
    }
}
