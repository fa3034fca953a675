//! The way out for letters: SMTP where a server is configured, else files in the data directory.
//!
//! Letters wait in the database; one that cannot be handed over is tried again, later each time.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
};
use shared::Timestamp;
use store::{EmailRecord, NewEmail};
use tokio::sync::Notify;

use super::{App, metrics::Sent};
use crate::{config::Config, error::Error, secret};

const ROUND: Duration = Duration::from_secs(5);
const BATCH: u64 = 20;
const MAX_ATTEMPTS: u32 = 12;
const FIRST_WAIT_MILLISECONDS: i64 = 30_000;
const LONGEST_WAIT_MILLISECONDS: i64 = 6 * 3_600_000;
/// How long a letter may still take once the server is to stop.
const LAST_WAIT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(20);

enum Transport {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    Outbox(PathBuf),
}

/// Hands letters over.
pub struct Mail {
    transport: Transport,
    sender: Mailbox,
    due: Notify,
}

/// Why a letter could not be handed over.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    /// It will never be taken.
    #[error("{0}")]
    Final(String),
    /// It may be taken later.
    #[error("{0}")]
    Later(String),
}

impl Mail {
    /// Reads how letters leave from the configuration.
    pub fn open(config: &Config) -> anyhow::Result<Self> {
        let transport = match &config.smtp_url {
            Some(url) => Transport::Smtp(
                AsyncSmtpTransport::<Tokio1Executor>::from_url(url)?
                    .timeout(Some(TIMEOUT))
                    .build(),
            ),
            None => Transport::Outbox(config.data_dir.join("outbox")),
        };
        Ok(Self {
            transport,
            sender: config.mail_sender.parse()?,
            due: Notify::new(),
        })
    }

    /// Says that a letter waits.
    pub(crate) fn wake(&self) {
        self.due.notify_one();
    }

    fn message(&self, letter: NewEmail) -> Result<Message, Refusal> {
        let unfit = |error: &dyn std::fmt::Display| Refusal::Final(error.to_string());
        Message::builder()
            .from(self.sender.clone())
            .to(letter.recipient.parse().map_err(|error| unfit(&error))?)
            .subject(letter.subject)
            .header(ContentType::TEXT_PLAIN)
            .body(letter.body)
            .map_err(|error| unfit(&error))
    }

    async fn hand_over(&self, record: EmailRecord) -> Result<(), Refusal> {
        let message = self.message(record.letter)?;
        match &self.transport {
            Transport::Smtp(server) => match server.send(message).await {
                Ok(_) => Ok(()),
                // "Permanent" is said of a wrong password and of an unknown sender too, which somebody mends.
                Err(error) => Err(Refusal::Later(error.to_string())),
            },
            Transport::Outbox(directory) => {
                let path = directory.join(format!("{}.eml", record.id));
                keep(directory, &path, &message.formatted())
                    .map_err(|error| Refusal::Later(error.to_string()))
            }
        }
    }
}

fn keep(directory: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    secret::write_private(path, bytes)
}

/// When a letter is tried again after so many attempts.
fn again(now: Timestamp, attempts: u32) -> Timestamp {
    let wait = (FIRST_WAIT_MILLISECONDS << attempts.min(10)).min(LONGEST_WAIT_MILLISECONDS);
    Timestamp::from_milliseconds(now.milliseconds() + wait)
}

/// Hands over what is due until the server stops.
pub async fn run(app: App) {
    let mut rounds = tokio::time::interval(ROUND);
    loop {
        tokio::select! {
            () = app.stop().cancelled() => return,
            _ = rounds.tick() => {}
            () = app.mail().due.notified() => {}
        }
        if let Err(error) = deliver(&app).await {
            tracing::error!(%error, cause = error.cause(), "letters could not be handed over");
        }
    }
}

async fn deliver(app: &App) -> Result<(), Error> {
    for letter in app.store().list_due_emails(app.now(), BATCH).await? {
        if app.stop().is_cancelled() {
            break;
        }
        let next = again(app.now(), letter.attempts);
        if app.store().begin_email(&letter, next).await? {
            try_one(app, letter).await?;
        }
    }
    Ok(())
}

/// Until the server stops, and a little longer.
async fn patience(app: &App) {
    app.stop().cancelled().await;
    tokio::time::sleep(LAST_WAIT).await;
}

async fn try_one(app: &App, letter: EmailRecord) -> Result<(), Error> {
    let (id, attempts) = (letter.id, letter.attempts + 1);
    let handed = tokio::select! {
        handed = app.mail().hand_over(letter) => handed,
        () = patience(app) => Err(Refusal::Later("the server is stopping".into())),
    };
    match handed {
        Ok(()) => {
            app.metrics().letter(Sent::Taken);
            tracing::info!(email.id = %id, "a letter was handed over");
            app.store().delete_email(id).await?;
        }
        Err(Refusal::Later(error)) if attempts < MAX_ATTEMPTS => {
            app.metrics().letter(Sent::PutOff);
            tracing::warn!(email.id = %id, attempts, error, "a letter will be tried again");
        }
        Err(error) => {
            app.metrics().letter(Sent::GivenUp);
            tracing::error!(email.id = %id, attempts, %error, "a letter was given up");
            app.store().delete_email(id).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_six_hours() {
        let now = Timestamp::from_milliseconds(0);
        let seconds =
            [0, 1, 2, 9, 10, 100].map(|attempts| again(now, attempts).milliseconds() / 1000);
        assert_eq!(seconds, [30, 60, 120, 15_360, 21_600, 21_600]);
    }
}
