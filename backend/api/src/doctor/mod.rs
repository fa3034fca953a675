//! `persguard config check` and `persguard doctor`: what is wrong with the settings, and with the machine, and what to do.
//!
//! `settings` reads and starts nothing; `machine` tries what a server would do, and leaves nothing behind.

mod machine;
mod settings;

use std::{
    io::Write,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use anyhow::bail;

use crate::config::Config;

/// Longest wait for the health of a server.
const PATIENCE: Duration = Duration::from_secs(4);

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Good,
    /// It works, but perhaps not as meant.
    Odd,
    /// The server would not start, or not do its work.
    Wrong,
}

/// Something that was looked at.
#[derive(Debug)]
struct Finding {
    mark: Mark,
    /// The variable, or the part of the machine.
    name: String,
    text: String,
}

impl Finding {
    fn new(mark: Mark, name: &str, text: impl Into<String>) -> Self {
        Self {
            mark,
            name: name.to_owned(),
            text: text.into(),
        }
    }

    fn good(name: &str, text: impl Into<String>) -> Self {
        Self::new(Mark::Good, name, text)
    }

    fn odd(name: &str, text: impl Into<String>) -> Self {
        Self::new(Mark::Odd, name, text)
    }

    fn wrong(name: &str, text: impl Into<String>) -> Self {
        Self::new(Mark::Wrong, name, text)
    }
}

/// Looks at the settings alone.
pub fn check_settings(config: &Config, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut findings = settings::check(config, &crate::config::unknown_variables());
    if findings.is_empty() {
        findings.push(Finding::good("settings", "Nothing is wrong with them."));
    }
    tell(&findings, out)
}

/// Looks at the settings, and tries what a server needs.
pub async fn examine(config: &Config, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    let mut findings = settings::check(config, &crate::config::unknown_variables());
    findings.extend(machine::examine(config).await);
    tell(&findings, out)
}

/// Asks a server of this machine whether it is ready.
pub async fn ask(mut address: SocketAddr) -> anyhow::Result<()> {
    // Who listens everywhere is reached here.
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    let client = reqwest::Client::builder().timeout(PATIENCE).build()?;
    let answer = client
        .get(format!("http://{address}/readyz"))
        .send()
        .await?;
    answer.error_for_status()?;
    Ok(())
}

fn tell(findings: &[Finding], out: &mut dyn Write) -> anyhow::Result<()> {
    let width = findings.iter().map(|finding| finding.name.len()).max();
    let width = width.unwrap_or_default();
    for Finding { mark, name, text } in findings {
        let mark = match mark {
            Mark::Good => "ok ",
            Mark::Odd => "?  ",
            Mark::Wrong => "FIX",
        };
        writeln!(out, "{mark} {name:<width$}  {text}")?;
    }
    let wrong = findings
        .iter()
        .filter(|finding| finding.mark == Mark::Wrong);
    match wrong.count() {
        0 => Ok(()),
        1 => bail!("one of these needs your attention"),
        count => bail!("{count} of these need your attention"),
    }
}
