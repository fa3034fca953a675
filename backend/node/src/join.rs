//! `persguard-node join URL TOKEN`: a machine becomes a node of a server.
//!
//! The token works once and is worth nothing afterwards. What stays is a credential for the node protocol alone, in a
//! file that only its owner reads. Refuses to send either over plain HTTP to another machine unless told.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Parser;
use serde::{Deserialize, Serialize};
use shared::{
    NodeId, address,
    node::{JoinNode, JoinedNode},
};

use crate::{
    Error, Result,
    client::{chain, read, refusal},
    config::{Settings, Token},
};

/// What a directory that joined keeps.
const FILE: &str = "node.json";
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes this machine a node of a server.
#[derive(Parser, Debug)]
#[command(
    name = "persguard-node join",
    bin_name = "persguard-node join",
    version
)]
pub struct Join {
    /// The server, such as `https://guard.example.org`.
    pub url: String,
    /// The token that the server showed when the node was created.
    #[arg(hide_env_values = true, env = "PERSGUARD_JOIN_TOKEN")]
    pub token: String,
    /// Send the credential over plain HTTP to another machine: anyone on the way reads it.
    #[arg(long)]
    pub plain_http: bool,
    /// Join anew where this directory has joined already.
    #[arg(long)]
    pub replace: bool,
    /// Start to work at once.
    #[arg(long)]
    pub run: bool,
    /// How it runs.
    #[command(flatten)]
    pub settings: Settings,
}

/// Which server a directory belongs to, and as whom.
#[derive(Serialize, Deserialize)]
pub struct Membership {
    /// The server.
    pub url: String,
    node_id: NodeId,
    name: String,
    credential: String,
}

impl Membership {
    /// What the directory joined.
    pub fn read(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE);
        let bytes = fs::read(&path).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                Error::NotJoined(directory.display().to_string())
            } else {
                Error::file(&path)(error)
            }
        })?;
        serde_json::from_slice(&bytes).map_err(|error| Error::file(&path)(error.into()))
    }

    /// The node's bearer token.
    pub fn token(&self) -> Token {
        Token::new(self.credential.clone())
    }

    fn keep(&self, directory: &Path) -> Result<()> {
        fs::create_dir_all(directory).map_err(Error::file(directory))?;
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| Error::file(directory)(error.into()))?;
        write_private(&directory.join(FILE), &text)?;
        write_private(
            &directory.join("node_id"),
            self.node_id.to_string().as_bytes(),
        )
    }
}

/// Writes a file that only its owner may read; a crash leaves either nothing or all of it.
fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || {
        let partial: PathBuf = path.with_extension("partial");
        let mut options = fs::OpenOptions::new();
        options.create(true).truncate(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&partial)?;
        io::Write::write_all(&mut file, bytes)?;
        file.sync_all()?;
        fs::rename(partial, path)
    };
    write().map_err(Error::file(path))
}

/// Joins, and says so in a sentence.
pub async fn join(request: &Join) -> Result<String> {
    let url = request.url.trim().trim_end_matches('/');
    if !request.plain_http && !address::is_guarded(url) {
        return Err(Error::Unprotected(url.to_owned()));
    }
    let directory = &request.settings.directory;
    // The token works once: what would keep us from using it comes first.
    if let Ok(earlier) = Membership::read(directory)
        && !request.replace
    {
        return Err(Error::JoinedAlready {
            directory: directory.display().to_string(),
            url: earlier.url,
        });
    }
    fs::create_dir_all(directory).map_err(Error::file(directory))?;
    let joined = ask(url, &request.token).await?;
    let membership = Membership {
        url: url.to_owned(),
        node_id: joined.node_id,
        name: joined.name,
        credential: joined.credential,
    };
    membership.keep(directory)?;
    Ok(format!(
        "Joined {url} as \"{}\" ({}). `persguard-node run` works for it.",
        membership.name, membership.node_id
    ))
}

async fn ask(url: &str, token: &str) -> Result<JoinedNode> {
    let unreachable = |error: reqwest::Error| Error::Unreachable(chain(&error.without_url()));
    let http = reqwest::Client::builder()
        .timeout(PATIENCE)
        // Where it leads elsewhere, the token stays here.
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(unreachable)?;
    let body = JoinNode {
        token: token.trim().to_owned(),
    };
    let request = http.post(format!("{url}/v1/node/joins")).json(&body);
    let response = request.send().await.map_err(unreachable)?;
    if !response.status().is_success() {
        return Err(refusal("to let this machine join", response).await);
    }
    read(response).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(directory: &Path, url: &str, more: &[&str]) -> Join {
        let directory = directory.to_str().unwrap();
        let words = ["join", url, "pgj_x", "--directory", directory];
        Join::parse_from(words.iter().chain(more))
    }

    #[tokio::test]
    async fn plain_http_to_another_machine_has_to_be_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        for url in ["http://192.0.2.1:7740", "guard.example.org", ""] {
            let refused = join(&request(directory.path(), url, &[])).await;
            assert!(matches!(refused, Err(Error::Unprotected(_))), "{url}");
        }
        assert!(!directory.path().join(FILE).exists());
    }

    #[tokio::test]
    async fn second_join_is_refused_before_the_token_is_used() {
        let directory = tempfile::tempdir().unwrap();
        let first = Membership {
            url: "https://guard.example.org".into(),
            node_id: NodeId::nil(),
            name: "gpu".into(),
            credential: "pgn_x".into(),
        };
        first.keep(directory.path()).unwrap();
        let refused = join(&request(directory.path(), "http://127.0.0.1:1", &[])).await;
        assert!(matches!(refused, Err(Error::JoinedAlready { .. })));
        let again = request(directory.path(), "http://127.0.0.1:1", &["--replace"]);
        assert!(matches!(join(&again).await, Err(Error::Unreachable(_))));
        let kept = Membership::read(directory.path()).unwrap();
        assert_eq!(kept.url, first.url, "a failed join changes nothing");
    }

    #[cfg(unix)]
    #[test]
    fn credential_is_readable_by_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let membership = Membership {
            url: "https://guard.example.org".into(),
            node_id: NodeId::nil(),
            name: "gpu".into(),
            credential: "pgn_x".into(),
        };
        membership.keep(directory.path()).unwrap();
        let metadata = fs::metadata(directory.path().join(FILE)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        let id = crate::machine::node_id(directory.path()).unwrap();
        assert_eq!(id, NodeId::nil());
        let told = Membership::read(&directory.path().join("nothing"));
        assert!(matches!(told, Err(Error::NotJoined(_))));
    }
}
