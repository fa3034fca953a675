//! A token bucket for each key, in memory: bounded in size, forgotten at restart.

use std::{collections::HashMap, net::IpAddr, sync::Mutex};

use sha2::{Digest, Sha256};
use shared::Timestamp;

use crate::error::Error;

const MAX_KEYS: usize = 10_000;

/// Who an address is: of IPv6 the network of 64 bits, within which everybody has as many addresses as they like.
pub(crate) fn household(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

/// What stands for a key: some hold what a stranger typed, which may be as long as a request.
type Fingerprint = [u8; 32];

fn fingerprint(key: &str) -> Fingerprint {
    Sha256::digest(key).into()
}

struct Bucket {
    tokens: f64,
    at: Timestamp,
}

/// What is left of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    name: &'static str,
    quota: u64,
    window_seconds: u64,
    remaining: u64,
    reset_seconds: u64,
}

impl Level {
    /// The bucket as `RateLimit-Policy` describes it.
    pub(crate) fn policy(&self) -> String {
        format!(
            "\"{}\";q={};w={}",
            self.name, self.quota, self.window_seconds
        )
    }

    /// What is left as `RateLimit` tells it, with requests that turned out to cost nothing.
    pub(crate) fn rest(&self, given_back: u64) -> String {
        let remaining = (self.remaining + given_back).min(self.quota);
        format!("\"{}\";r={remaining};t={}", self.name, self.reset_seconds)
    }
}

/// Lets `quota` through at once and as many more in every window, evenly spread.
pub struct RateLimit {
    name: &'static str,
    quota: u32,
    window_seconds: u32,
    buckets: Mutex<HashMap<Fingerprint, Bucket>>,
}

impl RateLimit {
    /// A limit without any history.
    pub fn new(name: &'static str, quota: u32, window_seconds: u32) -> Self {
        Self {
            name,
            quota,
            window_seconds,
            buckets: Mutex::new(HashMap::new()),
        }
    }

    fn burst(&self) -> f64 {
        f64::from(self.quota)
    }

    fn seconds_per_token(&self) -> f64 {
        f64::from(self.window_seconds) / f64::from(self.quota.max(1))
    }

    fn buckets(&self) -> std::sync::MutexGuard<'_, HashMap<Fingerprint, Bucket>> {
        self.buckets
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Takes one token of the key's bucket.
    pub fn take(&self, key: &str, now: Timestamp) -> Result<(), Error> {
        match self.measure(key, now) {
            (_, None) => Ok(()),
            (_, Some(refusal)) => Err(refusal),
        }
    }

    /// Takes one token of the key's bucket, or says when there is one again; and what is left.
    pub fn measure(&self, key: &str, now: Timestamp) -> (Level, Option<Error>) {
        let key = fingerprint(key);
        let mut buckets = self.buckets();
        if buckets.len() >= MAX_KEYS && !buckets.contains_key(&key) {
            buckets.retain(|_, bucket| self.level(bucket, now) < self.burst());
        }
        if buckets.len() >= MAX_KEYS && !buckets.contains_key(&key) {
            self.drop_fullest(&mut buckets, now);
        }
        let bucket = buckets.entry(key).or_insert(Bucket {
            tokens: self.burst(),
            at: now,
        });
        let level = self.level(bucket, now);
        if level < 1.0 {
            return (self.left(level), Some(self.refusal(level)));
        }
        *bucket = Bucket {
            tokens: level - 1.0,
            at: now,
        };
        (self.left(level - 1.0), None)
    }

    /// Forgets whoever took least: a stranger with many addresses must not keep everybody else out, and those who took too much stay known.
    fn drop_fullest(&self, buckets: &mut HashMap<Fingerprint, Bucket>, now: Timestamp) {
        let level = |bucket: &Bucket| self.level(bucket, now);
        let fullest = buckets
            .iter()
            .max_by(|(_, a), (_, b)| level(a).total_cmp(&level(b)))
            .map(|(key, _)| *key);
        if let Some(key) = fullest {
            buckets.remove(&key);
        }
    }

    /// Gives a token back that a request took and did not cost.
    pub fn give_back(&self, key: &str) {
        if let Some(bucket) = self.buckets().get_mut(&fingerprint(key)) {
            bucket.tokens = (bucket.tokens + 1.0).min(self.burst());
        }
    }

    fn level(&self, bucket: &Bucket, now: Timestamp) -> f64 {
        let elapsed = (now.milliseconds() - bucket.at.milliseconds()).max(0) as f64 / 1000.0;
        (bucket.tokens + elapsed / self.seconds_per_token()).min(self.burst())
    }

    fn left(&self, level: f64) -> Level {
        Level {
            name: self.name,
            quota: u64::from(self.quota),
            window_seconds: u64::from(self.window_seconds),
            remaining: whole(level.floor()),
            reset_seconds: whole(((self.burst() - level) * self.seconds_per_token()).ceil()),
        }
    }

    fn refusal(&self, level: f64) -> Error {
        let wait = ((1.0 - level) * self.seconds_per_token()).ceil().max(1.0);
        Error::RateLimited {
            retry_after_seconds: whole(wait),
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small, positive"
)]
const fn whole(number: f64) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_milliseconds(seconds * 1000)
    }

    #[test]
    fn burst_passes_then_waits_are_told() {
        let limit = RateLimit::new("test", 2, 20);
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
    fn level_is_told_and_given_back() {
        let limit = RateLimit::new("default", 600, 60);
        let (level, refusal) = limit.measure("a", at(0));
        assert!(refusal.is_none());
        assert_eq!(level.policy(), "\"default\";q=600;w=60");
        assert_eq!(level.rest(0), "\"default\";r=599;t=1");
        assert_eq!(level.rest(1), "\"default\";r=600;t=1");
        limit.give_back("a");
        limit.give_back("a");
        let (level, _) = limit.measure("a", at(0));
        assert_eq!(
            level.rest(0),
            "\"default\";r=599;t=1",
            "never above the quota"
        );
    }

    #[test]
    fn long_keys_take_no_more_room_than_short_ones() {
        let limit = RateLimit::new("test", 1, 60);
        let long = "x".repeat(1_000_000);
        assert!(limit.take(&long, at(0)).is_ok());
        assert!(limit.take(&long, at(0)).is_err());
        assert!(limit.take(&long[1..], at(0)).is_ok(), "another key");
        let kept: usize = limit.buckets().keys().map(size_of_val).sum();
        assert_eq!(kept, 2 * 32);
    }

    #[test]
    fn memory_is_bounded_and_keeps_nobody_out() {
        let limit = RateLimit::new("test", 2, 2);
        assert!(limit.take("greedy", at(0)).is_ok() && limit.take("greedy", at(0)).is_ok());
        for index in 0..2 * MAX_KEYS {
            assert!(limit.take(&index.to_string(), at(0)).is_ok());
        }
        assert_eq!(limit.buckets().len(), MAX_KEYS);
        assert!(
            limit.take("greedy", at(0)).is_err(),
            "whoever took most is known"
        );
        assert!(limit.take("new", at(5)).is_ok());
        assert_eq!(limit.buckets().len(), 1, "full ones went");
    }

    #[test]
    fn network_of_a_household_is_one() {
        let same = |a: &str, b: &str| {
            let [a, b] = [a, b].map(|text| household(text.parse().unwrap()));
            a == b
        };
        assert!(same("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert!(!same("2001:db8:1:2::1", "2001:db8:1:3::1"));
        assert!(!same("203.0.113.1", "203.0.113.2"));
    }
}
