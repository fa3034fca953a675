//! A token bucket for each key, in memory: bounded in size, forgotten at restart.

use std::{collections::HashMap, sync::Mutex};

use shared::Timestamp;

use crate::error::Error;

const MAX_KEYS: usize = 10_000;

struct Bucket {
    tokens: f64,
    at: Timestamp,
}

/// Lets `burst` through at once and one more every `seconds_per_token`.
pub struct RateLimit {
    burst: f64,
    seconds_per_token: f64,
    buckets: Mutex<HashMap<String, Bucket>>,
}

impl RateLimit {
    /// A limit without any history.
    pub fn new(burst: u32, seconds_per_token: f64) -> Self {
        Self {
            burst: f64::from(burst),
            seconds_per_token,
            buckets: Mutex::new(HashMap::new()),
        }
    }

    /// Takes one token of the key's bucket.
    pub fn take(&self, key: &str, now: Timestamp) -> Result<(), Error> {
        let mut buckets = self
            .buckets
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if buckets.len() >= MAX_KEYS && !buckets.contains_key(key) {
            buckets.retain(|_, bucket| self.level(bucket, now) < self.burst);
        }
        if buckets.len() >= MAX_KEYS && !buckets.contains_key(key) {
            return Err(self.refusal(0.0));
        }
        let bucket = buckets.entry(key.to_owned()).or_insert(Bucket {
            tokens: self.burst,
            at: now,
        });
        let level = self.level(bucket, now);
        if level < 1.0 {
            return Err(self.refusal(level));
        }
        *bucket = Bucket {
            tokens: level - 1.0,
            at: now,
        };
        Ok(())
    }

    fn level(&self, bucket: &Bucket, now: Timestamp) -> f64 {
        let elapsed = (now.milliseconds() - bucket.at.milliseconds()).max(0) as f64 / 1000.0;
        (bucket.tokens + elapsed / self.seconds_per_token).min(self.burst)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small, positive"
    )]
    fn refusal(&self, level: f64) -> Error {
        let wait = ((1.0 - level) * self.seconds_per_token).ceil().max(1.0);
        Error::RateLimited {
            retry_after_seconds: wait as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_milliseconds(seconds * 1000)
    }

    #[test]
    fn burst_passes_then_waits_are_told() {
        let limit = RateLimit::new(2, 10.0);
        assert!(limit.take("a", at(0)).is_ok());
        assert!(limit.take("a", at(0)).is_ok());
        let Err(Error::RateLimited {
            retry_after_seconds,
        }) = limit.take("a", at(0))
        else {
            panic!("third attempt passed");
        };
        assert_eq!(retry_after_seconds, 10);
        assert!(limit.take("b", at(0)).is_ok(), "keys are independent");
        assert!(limit.take("a", at(10)).is_ok());
        assert!(limit.take("a", at(10)).is_err());
    }

    #[test]
    fn memory_is_bounded_and_full_buckets_make_room() {
        let limit = RateLimit::new(1, 1.0);
        for index in 0..MAX_KEYS {
            assert!(limit.take(&index.to_string(), at(0)).is_ok());
        }
        assert!(limit.take("new", at(0)).is_err());
        assert!(limit.take("new", at(5)).is_ok());
    }
}
