//! When a delivery is tried again, and what an answer means.

use std::time::Duration;

use shared::Timestamp;

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
/// Waits before each attempt (Standard Webhooks 1.0.0, "deliverability and reliability"); the first is at once.
const DELAYS: [i64; 10] = [
    0,
    5 * SECOND,
    5 * MINUTE,
    30 * MINUTE,
    2 * HOUR,
    5 * HOUR,
    10 * HOUR,
    14 * HOUR,
    20 * HOUR,
    24 * HOUR,
];
/// Attempts at one delivery.
pub const MAX_ATTEMPTS: usize = DELAYS.len();
/// Share of a wait that chance adds, so that what failed together does not come back together.
const JITTER: f64 = 0.1;
/// Longest wait that a receiver may ask for.
const MAX_WAIT: i64 = 24 * HOUR;
/// Shortest rest of an overloaded receiver.
const REST: i64 = MINUTE;

/// What an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// 2xx: it arrived.
    Delivered,
    /// 410: the receiver wants nothing more.
    Unwanted,
    /// 429, 502, 504: everything to this receiver waits.
    Overloaded,
    /// Anything else, a redirect too.
    Failed,
}

/// What a status means.
pub const fn meaning(status: u16) -> Meaning {
    match status {
        200..=299 => Meaning::Delivered,
        410 => Meaning::Unwanted,
        429 | 502 | 504 => Meaning::Overloaded,
        _ => Meaning::Failed,
    }
}

/// When the attempt after `attempts` failed ones is due; `None` after the last. `chance` is from 0 to 1.
pub fn next(
    attempts: usize,
    now: Timestamp,
    retry_after: Option<Duration>,
    chance: f64,
) -> Option<Timestamp> {
    let delay = *DELAYS.get(attempts)?;
    let asked = retry_after.map_or(0, milliseconds);
    let wait = delay.max(asked);
    #[expect(clippy::cast_possible_truncation, reason = "at most a tenth of a day")]
    let jitter = (wait as f64 * JITTER * chance.clamp(0.0, 1.0)) as i64;
    Some(Timestamp::from_milliseconds(
        now.milliseconds() + wait + jitter,
    ))
}

/// Until when an overloaded receiver gets nothing.
pub fn rest(now: Timestamp, retry_after: Option<Duration>) -> Timestamp {
    let wait = retry_after.map_or(0, milliseconds).max(REST);
    Timestamp::from_milliseconds(now.milliseconds() + wait)
}

fn milliseconds(wait: Duration) -> i64 {
    i64::try_from(wait.as_millis()).map_or(MAX_WAIT, |wait| wait.min(MAX_WAIT))
}

/// The header `Retry-After` as seconds or as a date (RFC 9110, 10.2.3).
pub fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value.trim()).ok()?;
    let date = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    let now = Duration::from_millis(u64::try_from(now.milliseconds()).ok()?);
    Some(date.saturating_sub(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_milliseconds(1_800_000_000_000);

    fn wait(attempts: usize, asked: Option<u64>, chance: f64) -> Option<i64> {
        let next = next(attempts, NOW, asked.map(Duration::from_secs), chance)?;
        Some(next.milliseconds() - NOW.milliseconds())
    }

    #[test]
    fn waits_follow_the_table_with_at_most_a_tenth_more() {
        assert_eq!(wait(1, None, 0.0), Some(5 * SECOND));
        assert_eq!(wait(1, None, 1.0), Some(5 * SECOND + 500));
        assert_eq!(wait(9, None, 0.0), Some(24 * HOUR));
        assert_eq!(wait(10, None, 0.0), None);
        let mut all = (1..MAX_ATTEMPTS).map(|at| wait(at, None, 0.5).unwrap());
        assert!(all.clone().is_sorted());
        assert_eq!(all.next(), Some(5 * SECOND + 250));
    }

    #[test]
    fn receivers_may_ask_for_more_time_but_not_for_ever() {
        assert_eq!(wait(1, Some(60), 0.0), Some(MINUTE));
        assert_eq!(wait(2, Some(60), 0.0), Some(5 * MINUTE));
        assert_eq!(wait(1, Some(u64::MAX), 0.0), Some(24 * HOUR));
        assert_eq!(rest(NOW, None).milliseconds() - NOW.milliseconds(), MINUTE);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after("120", NOW), Some(Duration::from_mins(2)));
        let date = retry_after("Fri, 15 Jan 2027 08:00:30 GMT", NOW);
        assert_eq!(date, Some(Duration::from_secs(30)));
        let past = retry_after("Fri, 15 Jan 2021 08:00:30 GMT", NOW);
        assert_eq!(past, Some(Duration::ZERO));
        for bad in ["", "-1", "soon", "1.5"] {
            assert_eq!(retry_after(bad, NOW), None, "{bad}");
        }
    }

    #[test]
    fn redirects_are_failures_and_410_is_an_end() {
        assert_eq!(meaning(204), Meaning::Delivered);
        assert_eq!(meaning(302), Meaning::Failed);
        assert_eq!(meaning(410), Meaning::Unwanted);
        assert_eq!(meaning(429), Meaning::Overloaded);
        assert_eq!(meaning(503), Meaning::Failed);
    }
}
