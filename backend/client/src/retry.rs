//! How often a call is made again, and how long it waits before.

use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

/// How patient a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Tries of one call, the first one included.
    pub tries: u32,
    /// Pause before the second try; every further one doubles.
    pub first_pause: Duration,
    /// Longest pause of our own.
    pub longest_pause: Duration,
    /// Longest pause that a server may ask for; beyond it, the call fails at once.
    pub longest_asked: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            tries: 6,
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(8),
            longest_asked: Duration::from_mins(2),
        }
    }
}

impl Retry {
    /// How long to wait after `made` tries; `None` where another one is not worth it. `chance` lies in 0 to 1 and keeps
    /// clients that failed together from coming back together.
    pub(crate) fn pause(
        &self,
        made: u32,
        asked: Option<Duration>,
        chance: f64,
    ) -> Option<Duration> {
        if made >= self.tries {
            return None;
        }
        if let Some(asked) = asked {
            return (asked <= self.longest_asked).then_some(asked);
        }
        let doubled = self.first_pause.saturating_mul(
            1_u32
                .checked_shl(made.saturating_sub(1))
                .unwrap_or(u32::MAX),
        );
        Some(doubled.min(self.longest_pause).mul_f64(0.5 + chance / 2.0))
    }
}

/// The pause that an answer asks for, in either of its two forms; a date is read against the answer's own.
pub(crate) fn asked(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
    let wanted = text(&RETRY_AFTER)?;
    // Digits alone: the standard reader takes a sign, too.
    if wanted.bytes().all(|byte| byte.is_ascii_digit()) {
        return wanted.parse().ok().map(Duration::from_secs);
    }
    let until = httpdate::parse_http_date(wanted).ok()?;
    let now = httpdate::parse_http_date(text(&DATE)?).ok()?;
    Some(until.duration_since(now).unwrap_or_default())
}

/// A number in 0 to 1; the same one where the system has no randomness to give.
pub(crate) fn chance() -> f64 {
    let mut byte = [0; 1];
    match getrandom::fill(&mut byte) {
        Ok(()) => f64::from(byte[0]) / 255.0,
        Err(_) => 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn pauses_double_up_to_their_limit_and_end() {
        let retry = Retry {
            tries: 5,
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_millis(300),
            ..Retry::default()
        };
        let pauses: Vec<_> = (1..=5).map(|made| retry.pause(made, None, 1.0)).collect();
        let expected = [100, 200, 300, 300].map(|ms| Some(Duration::from_millis(ms)));
        assert_eq!(pauses[..4], expected);
        assert_eq!(pauses[4], None);
        assert_eq!(
            retry.pause(1, None, 0.0),
            Some(Duration::from_millis(50)),
            "chance shortens by half at most"
        );
        assert!(Retry { tries: 99, ..retry }.pause(98, None, 1.0).is_some());
    }

    #[test]
    fn server_is_obeyed_unless_it_asks_for_too_much() {
        let retry = Retry::default();
        let asked = Duration::from_secs(30);
        assert_eq!(retry.pause(1, Some(asked), 0.0), Some(asked));
        assert_eq!(retry.pause(1, Some(Duration::from_hours(1)), 0.0), None);
        assert_eq!(retry.pause(6, Some(asked), 0.0), None);
    }

    #[test]
    fn asked_pause_is_seconds_or_a_date() {
        assert_eq!(asked(&headers(&[])), None);
        for bad in ["soon", "", "+7", "-7", "18446744073709551616"] {
            assert_eq!(asked(&headers(&[(RETRY_AFTER, bad)])), None, "{bad}");
        }
        let seconds = asked(&headers(&[(RETRY_AFTER, " 7 ")]));
        assert_eq!(seconds, Some(Duration::from_secs(7)));
        let until = (RETRY_AFTER, "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(
            asked(&headers(std::slice::from_ref(&until))),
            None,
            "against what?"
        );
        let now = (DATE, "Sun, 06 Nov 1994 08:49:30 GMT");
        let dated = asked(&headers(&[until.clone(), now]));
        assert_eq!(dated, Some(Duration::from_secs(7)));
        let later = (DATE, "Sun, 06 Nov 1994 08:50:00 GMT");
        assert_eq!(asked(&headers(&[until, later])), Some(Duration::ZERO));
    }
}
