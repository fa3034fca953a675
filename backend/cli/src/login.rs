//! Signing in and out.

use std::io::{self, Read};

use clap::Args;
use client::{Client, Credential, Secret, Settings};
use serde_json::json;

use crate::{
    Common, Terminal,
    credentials::{Entry, Kept},
    failure::Failure,
};

/// Signs in to a server.
#[derive(Args, Debug)]
pub struct Login {
    /// Read an API key from standard input.
    #[arg(long)]
    key: bool,
    /// Send credentials without TLS, too: for a network that is all your own.
    #[arg(long)]
    plain_http: bool,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Signs out of a server.
#[derive(Args, Debug)]
pub struct Logout {
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Longest key that is read; a real one has 44 characters.
const MAX_KEY: u64 = 1024;

fn read_key() -> Result<Secret, Failure> {
    let mut text = String::new();
    io::stdin().take(MAX_KEY).read_to_string(&mut text)?;
    let key = text.trim();
    if key.is_empty() {
        return Err(Failure::Usage(
            "Pipe the key in: persguard login --key --server URL < key-file".into(),
        ));
    }
    Ok(Secret::new(key))
}

impl Login {
    pub(crate) async fn run(&self, terminal: &Terminal) -> Result<(), Failure> {
        let vault = terminal.vault()?;
        let server = terminal.server.clone().or(vault.load()?.default);
        let server = server.ok_or_else(|| Failure::Usage("Say where: --server URL".into()))?;
        let settings = Settings {
            plain_http: self.plain_http,
            ..Settings::new(server)
        };
        let credential = self.prove(terminal, &settings).await?;
        let proof = match &credential {
            Kept::Key { secret } => Credential::Key(secret.clone()),
            Kept::Tokens(pair) => {
                let tokens = client::MemoryTokens::new(pair.clone());
                Credential::Tokens(std::sync::Arc::new(tokens))
            }
        };
        let client = Client::new(settings.with(proof))?;
        let user = client.find_me().await?;
        let address = client.server().to_owned();
        vault.update(|all| {
            let entry = Entry {
                account: user.email.clone(),
                plain_http: self.plain_http,
                credential,
            };
            all.servers.insert(address.clone(), entry);
            all.default = Some(address.clone());
        })?;
        let place = vault.path().display().to_string();
        let output = &terminal.output;
        output.line(format!(
            "Signed in to {address} as {}. Kept in {place}.",
            user.email
        ))?;
        output.document(&json!({ "server": address, "account": user.email, "file": place }))?;
        Ok(())
    }

    async fn prove(&self, _terminal: &Terminal, _settings: &Settings) -> Result<Kept, Failure> {
        if !self.key {
            return Err(Failure::Usage(
                "Sign in with an API key: persguard login --key --server URL < key-file".into(),
            ));
        }
        let secret = tokio::task::spawn_blocking(read_key).await;
        let secret = secret.map_err(|error| Failure::Here(error.to_string()))??;
        Ok(Kept::Key { secret })
    }
}

impl Logout {
    pub(crate) async fn run(&self, terminal: &Terminal) -> Result<(), Failure> {
        let vault = terminal.vault()?;
        let kept = vault.load()?;
        let server = terminal.server.clone().or_else(|| kept.default.clone());
        let server = server.ok_or_else(Failure::nobody)?;
        let server = server.trim_end_matches('/').to_owned();
        let entry = kept.servers.get(&server).ok_or_else(Failure::nobody)?;
        let said = match &entry.credential {
            Kept::Key { .. } => {
                "The key itself works on; revoke it in the dashboard if nobody needs it."
            }
            Kept::Tokens(pair) => {
                let settings = Settings {
                    plain_http: entry.plain_http,
                    ..Settings::new(&server)
                };
                Client::new(settings)?.revoke_tokens(pair).await?;
                "The sign-in has ended on the server, too."
            }
        };
        vault.update(|all| {
            all.servers.remove(&server);
            if all.default.as_deref() == Some(&server) {
                all.default = all.servers.keys().next().cloned();
            }
        })?;
        terminal
            .output
            .line(format!("Signed out of {server}. {said}"))?;
        terminal.output.document(&json!({ "server": server }))?;
        Ok(())
    }
}
