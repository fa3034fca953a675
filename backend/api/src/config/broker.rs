//! By which broker several servers of one database wake each other: without one they look by themselves.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use async_nats::{ConnectOptions, ServerAddr};
use clap::Args;
use percent_encoding::percent_decode_str;
use reqwest::Url;

/// A half-open connection is noticed after two of them.
const PING: Duration = Duration::from_secs(5);
const SHORTEST_PAUSE_MILLISECONDS: u64 = 100;
const LONGEST_PAUSE_MILLISECONDS: u64 = 2000;

/// A NATS broker, by flags or environment. The ids are its own: a bucket has a file of credentials, too.
#[derive(Args, Clone, Debug, Default)]
pub struct BrokerConfig {
    /// NATS servers by which several servers of one database wake each other, such as `tls://nats.example.org:4222`, with
    /// commas between them; by default none.
    #[arg(
        id = "nats_url",
        long = "nats-url",
        env = "PERSGUARD_NATS_URL",
        hide_env_values = true
    )]
    pub url: Option<String>,
    /// File that holds these addresses, with a user and password perhaps, instead of the addresses.
    #[arg(
        id = "nats_url_file",
        long = "nats-url-file",
        env = "PERSGUARD_NATS_URL_FILE"
    )]
    pub url_file: Option<PathBuf>,
    /// File of NATS credentials (`.creds`), instead of a user and password.
    #[arg(
        id = "nats_credentials_file",
        long = "nats-credentials-file",
        env = "PERSGUARD_NATS_CREDENTIALS_FILE"
    )]
    pub credentials_file: Option<PathBuf>,
    /// File of the certificates (PEM) that sign those of the NATS servers; by default the system's.
    #[arg(
        id = "nats_ca_file",
        long = "nats-ca-file",
        env = "PERSGUARD_NATS_CA_FILE"
    )]
    pub ca_file: Option<PathBuf>,
    /// What the subjects begin with; instances that share a broker have different ones.
    #[arg(
        id = "nats_subject",
        long = "nats-subject",
        env = "PERSGUARD_NATS_SUBJECT",
        default_value = "persguard",
        value_parser = subject
    )]
    pub subject: String,
}

/// Words with dots between them, without the broker's wildcards.
fn subject(text: &str) -> Result<String, String> {
    let word = |word: &str| {
        let letter = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
        !word.is_empty() && word.chars().all(letter)
    };
    if text.split('.').all(word) {
        Ok(text.to_owned())
    } else {
        Err("give words such as persguard or guard.staging".to_owned())
    }
}

fn readable(path: &Path) -> io::Result<()> {
    std::fs::File::open(path).map(|_| ())
}

/// Who a server is to the broker.
#[derive(Debug, Default, PartialEq, Eq)]
enum Account {
    /// Whoever the credentials name, or nobody in particular.
    #[default]
    Unnamed,
    Token(String),
    Password(String, String),
}

/// The account in an address, as NATS' own programs read it: what stands alone is a token.
fn account(url: &Url) -> anyhow::Result<Account> {
    let plain = |text: &str| -> anyhow::Result<String> {
        let decoded = percent_decode_str(text).decode_utf8();
        // Neither is repeated.
        Ok(decoded
            .ok()
            .context("a user or password is no UTF-8")?
            .into_owned())
    };
    Ok(match (url.username(), url.password()) {
        ("", None) => Account::Unnamed,
        (token, None) => Account::Token(plain(token)?),
        (user, Some(password)) => Account::Password(plain(user)?, plain(password)?),
    })
}

impl BrokerConfig {
    /// Every address with its account.
    fn accounts(&self) -> anyhow::Result<Vec<(ServerAddr, Account)>> {
        let Some(url) = &self.url else {
            return Ok(Vec::new());
        };
        url.split(',').map(|text| server(text.trim())).collect()
    }

    /// The servers, without their secrets; none where no broker is asked for. Secret files were read before.
    pub fn servers(&self) -> anyhow::Result<Vec<ServerAddr>> {
        let accounts = self.accounts()?.into_iter();
        Ok(accounts.map(|(server, _)| server).collect())
    }

    /// How to connect to them; files that cannot be read are told now.
    pub async fn options(&self) -> anyhow::Result<ConnectOptions> {
        let mut options = ConnectOptions::new()
            .name("persguard")
            .no_echo()
            .ping_interval(PING)
            .reconnect_delay_callback(|failures| {
                let doubled = SHORTEST_PAUSE_MILLISECONDS << failures.min(8);
                Duration::from_millis(doubled.min(LONGEST_PAUSE_MILLISECONDS))
            });
        // The servers of one broker know the same accounts.
        let mut accounts = self.accounts()?.into_iter().map(|(_, account)| account);
        options = match accounts.find(|account| *account != Account::Unnamed) {
            None | Some(Account::Unnamed) => options,
            Some(Account::Token(token)) => options.token(token),
            Some(Account::Password(user, password)) => options.user_and_password(user, password),
        };
        if let Some(path) = &self.ca_file {
            readable(path).with_context(|| path.display().to_string())?;
            options = options.add_root_certificates(path.clone());
        }
        if let Some(path) = &self.credentials_file {
            let read = options.credentials_file(path).await;
            options = read.with_context(|| path.display().to_string())?;
        }
        Ok(options)
    }
}

/// An address and its account. It may hold a password: it is not repeated.
fn server(text: &str) -> anyhow::Result<(ServerAddr, Account)> {
    const NONE: &str = "an address is none, such as nats://nats.example.org:4222";
    let mut url: Url = text.parse().ok().context(NONE)?;
    if !matches!(url.scheme(), "nats" | "tls") {
        bail!("the addresses begin with nats:// or tls://");
    }
    if url.host_str().is_none_or(str::is_empty) {
        bail!(NONE);
    }
    let account = account(&url)?;
    let cleared = url.set_username("").and_then(|()| url.set_password(None));
    cleared.ok().context(NONE)?;
    Ok((ServerAddr::from_url(url)?, account))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> BrokerConfig {
        BrokerConfig {
            url: Some(url.to_owned()),
            ..BrokerConfig::default()
        }
    }

    #[test]
    fn addresses_are_nats_or_tls_and_passwords_stay_untold() {
        assert!(BrokerConfig::default().servers().unwrap().is_empty());
        let two = config("tls://me:hidden@a.example:4222, nats://127.0.0.1:4333");
        let two = two.servers().unwrap();
        assert_eq!(two.len(), 2);
        assert!(two[0].tls_required() && !two[1].tls_required());
        for server in &two {
            assert!(!format!("{server:?}").contains("hidden"), "{server:?}");
        }
        for bad in [
            "https://me:hidden@a.example",
            "ws://a",
            "nats://me:hidden@:x",
        ] {
            let error = config(bad).servers().unwrap_err();
            assert!(!format!("{error:#}").contains("hidden"), "{error:#}");
        }
    }

    #[test]
    fn accounts_are_read_as_they_are_meant() {
        let account = |url: &str| server(url).unwrap().1;
        assert_eq!(account("nats://a.example"), Account::Unnamed);
        let token = account("nats://s3cret@a.example");
        assert_eq!(token, Account::Token("s3cret".into()));
        let password = account("tls://me:a%20b%2F@a.example");
        assert_eq!(password, Account::Password("me".into(), "a b/".into()));
    }

    #[test]
    fn subjects_have_no_wildcards() {
        assert!(subject("guard.staging-2").is_ok());
        for bad in ["", "a..b", "a.*", ">", "a b", "$SYS"] {
            assert!(subject(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn files_are_read_at_the_start() {
        let absent = Some(PathBuf::from("/nowhere/file"));
        let ca = BrokerConfig {
            ca_file: absent.clone(),
            ..BrokerConfig::default()
        };
        let credentials = BrokerConfig {
            credentials_file: absent,
            ..BrokerConfig::default()
        };
        for config in [ca, credentials] {
            let error = config.options().await.unwrap_err();
            assert!(error.to_string().contains("/nowhere/file"), "{error:#}");
        }
    }
}
