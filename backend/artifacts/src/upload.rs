//! Objects on their way in over several requests: their names, their parts, and what was never finished.

use std::{collections::BTreeMap, str::FromStr};

use shared::Timestamp;

use crate::{Error, ObjectHash};

/// Smallest part but the last, and what this process itself sends at once: every S3 service takes 5 MiB and more.
pub const PART_BYTES: u64 = 8 * 1024 * 1024;
/// Most parts of an upload on every S3 service.
const MOST_PARTS: u64 = 10_000;

/// An object that somebody else sends: what it must become, and on whose behalf it comes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Delivery {
    /// Hash of the complete object.
    pub hash: ObjectHash,
    /// Its size.
    pub size_bytes: u64,
    /// Keeps deliveries of the same object by different senders apart: letters, digits, `_` and `-`; may be empty.
    pub subject: String,
}

impl Delivery {
    /// Size of every part but the last.
    pub fn part_bytes(&self) -> u64 {
        let least = self.size_bytes.div_ceil(MOST_PARTS);
        PART_BYTES.max(least.next_multiple_of(1024 * 1024))
    }

    /// How many parts it has; an empty object has an empty one.
    pub fn parts(&self) -> u32 {
        let parts = self.size_bytes.div_ceil(self.part_bytes()).max(1);
        u32::try_from(parts).expect("at most as many as MOST_PARTS")
    }

    /// Size of a part; parts count from 1.
    pub fn part_size(&self, number: u32) -> Option<u64> {
        if number == 0 || number > self.parts() {
            return None;
        }
        let start = u64::from(number - 1) * self.part_bytes();
        Some((self.size_bytes - start).min(self.part_bytes()))
    }

    /// The last part of a key or path.
    pub(crate) fn name(&self) -> Result<String, Error> {
        if !is_subject(&self.subject) {
            let text = format!("{:?} is no name of a delivery", self.subject);
            return Err(Error::Settings(text));
        }
        Ok(format!(
            "{}.{}.{}",
            self.hash, self.size_bytes, self.subject
        ))
    }

    /// Reads what [`Self::name`] wrote.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let mut parts = name.splitn(3, '.');
        let mut next = || parts.next();
        let (hash, size, subject) = (next()?, next()?, next()?);
        is_subject(subject).then_some(())?;
        let size_bytes: u64 = size.parse().ok()?;
        // The standard reader takes a sign and leading zeros, too.
        (size_bytes.to_string() == size).then_some(())?;
        Some(Self {
            hash: ObjectHash::from_str(hash).ok()?,
            size_bytes,
            subject: subject.to_owned(),
        })
    }
}

fn is_subject(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    text.len() <= 100 && text.bytes().all(plain)
}

/// A delivery in parts that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// What is being delivered.
    pub delivery: Delivery,
    /// The store's name for this attempt.
    pub id: String,
}

/// A part that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Counts from 1.
    pub number: u32,
    /// Its size.
    pub size_bytes: u64,
}

/// Something that was begun and never finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// When it was begun, or when its last byte came.
    pub started_at: Timestamp,
    /// Where it lies; the store's to read.
    pub(crate) place: String,
    /// The store's name for it, where it has one.
    pub(crate) id: Option<String>,
}

/// A request that somebody else may send once it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRequest {
    /// Its whole address.
    pub url: String,
    /// Headers that were signed and must be sent.
    pub headers: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(size_bytes: u64) -> Delivery {
        Delivery {
            hash: ObjectHash::of(b"x"),
            size_bytes,
            subject: "job_1-2".into(),
        }
    }

    #[test]
    fn parts_cover_every_byte_once() {
        for size in [0, 1, PART_BYTES, PART_BYTES + 1, 5 << 30, 1 << 40, 5 << 40] {
            let delivery = delivery(size);
            let sizes = (1..=delivery.parts()).map(|number| delivery.part_size(number).unwrap());
            assert_eq!(sizes.sum::<u64>(), size);
            assert!(delivery.parts() <= 10_000);
            assert_eq!(delivery.part_size(0), None);
            assert_eq!(delivery.part_size(delivery.parts() + 1), None);
        }
    }

    #[test]
    fn name_leads_back() {
        let delivery = delivery(7);
        let name = delivery.name().unwrap();
        assert_eq!(Delivery::from_name(&name), Some(delivery.clone()));
        for bad in [
            "",
            "x.7.",
            &name.replace(".7.", ".x."),
            &name.replace(".7.", ".+7."),
            &name.replace(".7.", ".07."),
            &format!("{name}/"),
        ] {
            assert_eq!(Delivery::from_name(bad), None, "{bad}");
        }
        let subject = "../x".to_owned();
        assert!(
            Delivery {
                subject,
                ..delivery
            }
            .name()
            .is_err()
        );
    }
}
