//! Lockout: what fails to be proved again and again waits, from wherever it is tried: an address that signs in, an account's password or code.
//!
//! Counted by the hash of what was typed, whether or not it has an account: the wait tells nothing.

use super::App;
use crate::{error::Error, secret};

/// Failures in a row that cost nothing: a person who mistypes never sees the lock.
const FREE_FAILURES: u32 = 20;
const FIRST_WAIT_MILLISECONDS: i64 = 60_000;
/// An hour: long enough against guessing, short enough for somebody who is locked out by a stranger.
const LONGEST_WAIT_MILLISECONDS: i64 = 3_600_000;

fn digest(subject: &str) -> String {
    secret::digest(subject)
}

/// What an address is locked by when somebody signs in: nothing that is typed there locks anything else.
pub(crate) fn of_address(email: &str) -> String {
    format!("address {email}")
}

/// How long so many failures in a row lock: a minute, doubled with each one.
fn wait(failures: u32) -> i64 {
    let over = match failures.checked_sub(FREE_FAILURES) {
        None => return 0,
        Some(over) => over.min(10),
    };
    (FIRST_WAIT_MILLISECONDS << over).min(LONGEST_WAIT_MILLISECONDS)
}

/// Refuses what is locked now.
pub(crate) async fn ensure_open(app: &App, subject: &str) -> Result<(), Error> {
    let now = app.now();
    let Some(until) = app.store().find_lock(&digest(subject), now).await? else {
        return Ok(());
    };
    let left = (until.milliseconds() - now.milliseconds()).max(0);
    Err(Error::RateLimited {
        retry_after_seconds: left.unsigned_abs().div_ceil(1000),
    })
}

/// Counts a failure.
pub(crate) async fn count(app: &App, subject: &str) -> Result<(), Error> {
    let subject = digest(subject);
    Ok(app.store().count_failure(&subject, app.now(), wait).await?)
}

/// Forgets the failures of what was proved.
pub(crate) async fn clear(app: &App, subject: &str) -> Result<(), Error> {
    Ok(app.store().clear_failures(&digest(subject)).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_an_hour() {
        let seconds: Vec<i64> = [1, 19, 20, 21, 25, 26, 1000, u32::MAX]
            .map(|failures| wait(failures) / 1000)
            .to_vec();
        assert_eq!(seconds, [0, 0, 60, 120, 1920, 3600, 3600, 3600]);
    }
}
