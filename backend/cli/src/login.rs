//! Signing in and out.

use std::io::{self, Read};

use clap::Args;
use client::{Client, Credential, Secret, Settings, TokenPair};
use serde_json::json;
use shared::problem::ErrorCode;
use tokio::time::{Duration, Instant};

use crate::{
    Common, Terminal,
    credentials::{Entry, Kept},
    failure::Failure,
};

/// Signs in to a server.
#[derive(Args, Debug)]
pub struct Login {
    /// Read an API key from standard input, instead of having you confirm a code in a browser.
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
/// RFC 8628, section 3.5.
const SLOWER: Duration = Duration::from_secs(5);

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

    async fn prove(&self, terminal: &Terminal, settings: &Settings) -> Result<Kept, Failure> {
        if !self.key {
            return by_code(terminal, settings).await.map(Kept::Tokens);
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
        let server = client::server_address(&server)?;
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

/// What the person who confirms reads.
fn program_name(terminal: &Terminal) -> String {
    match &terminal.environment.host {
        Some(host) => format!("persguard on {host}"),
        None => "persguard".to_owned(),
    }
}

/// Shows a code, and waits until its person confirms it in a browser.
async fn by_code(terminal: &Terminal, settings: &Settings) -> Result<TokenPair, Failure> {
    let nobody = Client::new(settings.clone())?;
    // Before the person is troubled: may what they get be sent there at all?
    nobody.may_carry_credentials()?;
    let mut device = nobody.start_device(&program_name(terminal)).await?;
    let code = std::mem::take(&mut device.device_code);
    let output = &terminal.output;
    output.document(&json!({
        "user_code": device.user_code,
        "verification_uri": device.verification_uri,
        "verification_uri_complete": device.verification_uri_complete,
        "expires_in": device.expires_in,
    }))?;
    output.line(format!(
        "Open {} in a browser in which you are signed in, and confirm the code:\n\n    {}\n\nOr open {}",
        device.verification_uri, device.user_code, device.verification_uri_complete
    ))?;
    terminal.on_interrupt("Nobody was signed in.");
    let end = Instant::now() + Duration::from_secs(device.expires_in);
    let mut interval = Duration::from_secs(device.interval);
    while Instant::now() < end {
        tokio::time::sleep(interval).await;
        match nobody.collect_device_tokens(&code).await {
            Ok(pair) => return Ok(pair),
            Err(error) => interval += more_patience(error)?,
        }
    }
    Err(expired())
}

fn expired() -> Failure {
    Failure::SignedOut("Nobody confirmed the code in time. Run the command again.".into())
}

/// How much longer to wait between two questions; an error where asking again is of no use.
fn more_patience(error: client::Error) -> Result<Duration, Failure> {
    // RFC 8628, section 3.5: who cannot be reached, or has too much to do, is asked less often, too.
    let busy = match error.status() {
        Some(status) => status == 429 || status >= 500,
        None => matches!(error, client::Error::Unreachable { .. }),
    };
    match error.code() {
        Some(ErrorCode::AuthorizationPending) => Ok(Duration::ZERO),
        Some(ErrorCode::ExpiredToken) => Err(expired()),
        Some(ErrorCode::AccessDenied) => Err(Failure::SignedOut(
            "Whoever looked at the code turned this program away.".into(),
        )),
        Some(ErrorCode::SlowDown) => Ok(SLOWER),
        _ if busy => Ok(SLOWER),
        _ => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use shared::problem::Problem;

    use super::*;

    fn refused(code: ErrorCode) -> client::Error {
        client::Error::Refused(Box::new(Problem {
            kind: String::new(),
            title: String::new(),
            status: 400,
            detail: String::new(),
            instance: String::new(),
            code,
            request_id: String::new(),
            retryable: false,
            errors: Vec::new(),
        }))
    }

    #[test]
    fn program_asks_on_as_the_rfc_says() {
        let wait = |code| more_patience(refused(code)).ok();
        assert_eq!(wait(ErrorCode::AuthorizationPending), Some(Duration::ZERO));
        assert_eq!(wait(ErrorCode::SlowDown), Some(Duration::from_secs(5)));
        for last in [ErrorCode::AccessDenied, ErrorCode::ExpiredToken] {
            let failure = more_patience(refused(last)).unwrap_err();
            assert_eq!(failure.code(), 3);
        }
        assert_eq!(wait(ErrorCode::Invalid), None);
    }
}
