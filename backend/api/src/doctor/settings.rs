//! Settings against each other and against the files that they name.

use reqwest::Url;
use shared::address::{is_guarded, is_here};

use super::Finding;
use crate::{
    app::mail::Mail,
    config::{Config, UnknownVariable, providers},
};

/// A token that is shorter can be guessed.
const LEAST_TOKEN: usize = 16;

/// What is wrong or odd; nothing where all is well.
pub(super) fn check(config: &Config, unknown: &[UnknownVariable]) -> Vec<Finding> {
    let mut found: Vec<Finding> = unknown.iter().map(misspelt).collect();
    let config = match config.clone().with_secrets() {
        Ok(config) => config,
        Err(error) => {
            found.push(Finding::wrong("secrets", format!("{error:#}")));
            config.clone()
        }
    };
    found.extend(database(&config));
    found.extend(public_url(&config));
    found.extend(files(&config));
    found.extend(letters(&config));
    found.extend(broker(&config));
    if let Err(error) = config.storage.settings() {
        found.push(Finding::wrong(
            "PERSGUARD_STORAGE_BUCKET",
            format!("{error:#}"),
        ));
    }
    if let Err(error) = config.traces.url() {
        found.push(Finding::wrong(
            "PERSGUARD_OTLP_ENDPOINT",
            format!("{error:#}"),
        ));
    }
    if let Err(error) = config.traces.client() {
        found.push(Finding::wrong(
            "PERSGUARD_OTLP_CA_FILE",
            format!("{error:#}"),
        ));
    }
    if let Err(error) = config.log.parse::<tracing_subscriber::EnvFilter>() {
        let text = format!("`{}` is no filter: {error}", config.log);
        found.push(Finding::wrong("PERSGUARD_LOG", text));
    }
    for address in &config.administrators {
        if !address.contains('@') {
            let text = format!("`{address}` is no e-mail address.");
            found.push(Finding::wrong("PERSGUARD_ADMINISTRATORS", text));
        }
    }
    if config
        .metrics_token
        .as_ref()
        .is_some_and(|token| token.len() < LEAST_TOKEN)
    {
        let text = format!("The token has fewer than {LEAST_TOKEN} characters.");
        found.push(Finding::wrong("PERSGUARD_METRICS_TOKEN_FILE", text));
    }
    found
}

fn misspelt(variable: &UnknownVariable) -> Finding {
    let text = match &variable.meant {
        Some(meant) => format!("No setting is called so. Did you mean {meant}?"),
        None => "No setting is called so; it changes nothing.".to_owned(),
    };
    Finding::wrong(&variable.name, text)
}

fn database(config: &Config) -> Option<Finding> {
    let url = config.database_url();
    let known = ["sqlite:", "postgres://", "postgresql://"];
    if known.iter().any(|scheme| url.starts_with(scheme)) {
        return None;
    }
    // The address may hold a password: it is not repeated.
    let text = "The address begins with neither `sqlite:` nor `postgres://`.";
    Some(Finding::wrong("PERSGUARD_DATABASE_URL", text))
}

fn public_url(config: &Config) -> Vec<Finding> {
    const NAME: &str = "PERSGUARD_PUBLIC_URL";
    let Some(text) = &config.public_url else {
        if config.address.ip().is_loopback() {
            return Vec::new();
        }
        let text = "It is not set: links in letters and to shared pages lead to the bound address.";
        return vec![Finding::odd(NAME, text)];
    };
    let mut found = Vec::new();
    match Url::parse(text) {
        Err(error) => found.push(Finding::wrong(
            NAME,
            format!("`{text}` is no address: {error}."),
        )),
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            found.push(Finding::wrong(
                NAME,
                format!("`{text}` begins with neither https:// nor http://."),
            ));
        }
        Ok(url) if url.path() != "/" || url.query().is_some() => {
            found.push(Finding::wrong(
                NAME,
                format!("`{text}` has a path: give scheme, host and port alone."),
            ));
        }
        Ok(url) => {
            let host = url.host_str().unwrap_or_default();
            if !is_guarded(url.as_str()) && !host.ends_with(".localhost") {
                let text = "It is not https: passwords and pictures travel readably, and cookies are not `Secure`.";
                found.push(Finding::odd(NAME, text));
            }
            if url.scheme() == "https" && config.trusted_proxies.is_empty() {
                let text = "The public address is https, which a proxy serves, but none is trusted: every caller has \
                            the proxy's address and its limits.";
                found.push(Finding::odd("PERSGUARD_TRUSTED_PROXIES", text));
            }
        }
    }
    found
}

fn files(config: &Config) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(folder) = &config.frontend_dir
        && !folder.join("index.html").is_file()
    {
        let text = format!("{} holds no index.html.", folder.display());
        found.push(Finding::wrong("PERSGUARD_FRONTEND_DIR", text));
    }
    if let Some(program) = &config.inspector
        && !program.is_file()
    {
        let text = format!("{} is no file.", program.display());
        found.push(Finding::wrong("PERSGUARD_INSPECTOR", text));
    }
    if let Some(path) = &config.identity_providers
        && let Err(error) = providers::read(path)
    {
        found.push(Finding::wrong(
            "PERSGUARD_IDENTITY_PROVIDERS",
            format!("{error:#}"),
        ));
    }
    found
}

fn broker(config: &Config) -> Vec<Finding> {
    let mut found = Vec::new();
    let broker = &config.broker;
    match broker.servers() {
        Err(error) => found.push(Finding::wrong("PERSGUARD_NATS_URL", format!("{error:#}."))),
        Ok(servers) => {
            let open =
                |server: &async_nats::ServerAddr| !server.tls_required() && !is_here(server.host());
            if servers.iter().any(open) {
                let text = "An address is not tls://: whoever is between reads passwords and the ids of jobs, unless \
                            the broker itself asks for TLS.";
                found.push(Finding::odd("PERSGUARD_NATS_URL", text));
            }
            if !servers.is_empty() && config.database_url().starts_with("sqlite:") {
                let text =
                    "A broker is for several servers of one PostgreSQL; SQLite has one server.";
                found.push(Finding::odd("PERSGUARD_NATS_URL", text));
            }
        }
    }
    let files = [
        ("PERSGUARD_NATS_CA_FILE", &broker.ca_file),
        ("PERSGUARD_NATS_CREDENTIALS_FILE", &broker.credentials_file),
    ];
    for (name, file) in files {
        if let Some(path) = file
            && let Err(error) = std::fs::File::open(path)
        {
            let text = format!("{} cannot be read: {error}.", path.display());
            found.push(Finding::wrong(name, text));
        }
    }
    found
}

fn letters(config: &Config) -> Option<Finding> {
    if Mail::open(config).is_ok() {
        let sender = config.mail_sender.parse::<lettre::message::Mailbox>();
        let local = sender.is_ok_and(|sender| sender.email.domain() == "localhost");
        let unnamed = config.smtp_url.is_some() && local;
        return unnamed.then(|| {
            let text = format!(
                "`{}` is nobody to other mail servers, which refuse such letters unless yours writes another sender. Name one of your own domain, such \
                 as `PersGuard <guard@example.org>`.",
                config.mail_sender
            );
            Finding::odd("PERSGUARD_MAIL_SENDER", text)
        });
    }
    if config
        .mail_sender
        .parse::<lettre::message::Mailbox>()
        .is_err()
    {
        let text = format!(
            "`{}` is no sender, such as `PersGuard <guard@example.org>`.",
            config.mail_sender
        );
        return Some(Finding::wrong("PERSGUARD_MAIL_SENDER", text));
    }
    // The address may hold a password: it is not repeated.
    let text = "It is no address such as `smtps://user:password@mail.example.org`.";
    Some(Finding::wrong("PERSGUARD_SMTP_URL", text))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        config: Config,
    }

    fn findings(flags: &[&str]) -> Vec<Finding> {
        let words = std::iter::once("persguard").chain(flags.iter().copied());
        let config = Program::try_parse_from(words).expect("flags").config;
        check(&config, &[])
    }

    #[test]
    fn defaults_are_fine() {
        assert!(findings(&[]).is_empty(), "{:?}", findings(&[]));
    }

    #[test]
    fn every_fault_is_named_with_its_variable_and_no_secret() {
        let cases: [(&[&str], &str); 14] = [
            (
                &["--database-url", "mysql://me:hidden@host"],
                "PERSGUARD_DATABASE_URL",
            ),
            (
                &["--public-url", "guard.example.org"],
                "PERSGUARD_PUBLIC_URL",
            ),
            (
                &["--public-url", "https://a.example/guard"],
                "PERSGUARD_PUBLIC_URL",
            ),
            (
                &["--public-url", "http://a.example"],
                "PERSGUARD_PUBLIC_URL",
            ),
            (&["--frontend-dir", "/nowhere"], "PERSGUARD_FRONTEND_DIR"),
            (&["--administrators", "ada"], "PERSGUARD_ADMINISTRATORS"),
            (&["--smtp-url", "me:hidden@host"], "PERSGUARD_SMTP_URL"),
            (&["--storage-bucket", "b"], "PERSGUARD_STORAGE_BUCKET"),
            (&["--log", "api=loud"], "PERSGUARD_LOG"),
            (
                &["--nats-url", "https://me:hidden@host"],
                "PERSGUARD_NATS_URL",
            ),
            (&["--nats-ca-file", "/nowhere"], "PERSGUARD_NATS_CA_FILE"),
            (&["--otlp-ca-file", "/nowhere"], "PERSGUARD_OTLP_CA_FILE"),
            (
                &["--otlp-endpoint", "http://me:hidden@host"],
                "PERSGUARD_OTLP_ENDPOINT",
            ),
            (
                &["--nats-credentials-file", "/nowhere"],
                "PERSGUARD_NATS_CREDENTIALS_FILE",
            ),
        ];
        for (flags, name) in cases {
            let found = findings(flags);
            assert_eq!(found.len(), 1, "{flags:?}: {found:?}");
            assert_eq!(found[0].name, name, "{found:?}");
            assert!(!found[0].text.contains("hidden"), "{found:?}");
        }
    }

    #[test]
    fn secrets_come_from_files_and_two_of_one_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let place = folder.path().join(name);
            std::fs::write(&place, text).expect("a file");
            place.display().to_string()
        };
        let short = write("short", "abc\n");
        let url = write("url", "postgres://me:hidden@host/db\n");
        let found = findings(&["--metrics-token-file", &short]);
        assert_eq!(found[0].name, "PERSGUARD_METRICS_TOKEN_FILE");
        assert!(findings(&["--database-url-file", &url]).is_empty());
        let found = findings(&[
            "--database-url-file",
            &url,
            "--database-url",
            "sqlite::memory:",
        ]);
        assert!(
            found[0].text.contains("PERSGUARD_DATABASE_URL_FILE"),
            "{found:?}"
        );
        let nats = write("nats", "nats://me:hidden@a.example");
        let found = findings(&["--nats-url-file", &nats]);
        assert_eq!(found.len(), 2, "readable, and beside SQLite: {found:?}");
        assert!(!format!("{found:?}").contains("hidden"), "{found:?}");
        let found = findings(&["--smtp-url", "smtps://me:hidden@mail.example.org"]);
        assert_eq!(found[0].name, "PERSGUARD_MAIL_SENDER", "{found:?}");
        let found = findings(&["--smtp-url-file", "/nowhere/smtp"]);
        assert!(found[0].text.contains("/nowhere/smtp"), "{found:?}");
    }
}
