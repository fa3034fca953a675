//! Numbers, sizes and times as people read them. Pure functions over plain values.

use shared::{
    Timestamp,
    job::{Concept, Job, JobKind, JobStatus, SecondsRange, SubjectKind},
    role::Role,
};

use crate::language::decimal;
pub(crate) use crate::language::{ago, moment};

/// `1.4 MB`, decimal units as file managers show them.
pub(crate) fn bytes(count: f64) -> String {
    const UNITS: [&str; 4] = ["B", "kB", "MB", "GB"];
    let mut value = count;
    let mut unit = 0;
    while value >= 1000.0 && unit < UNITS.len() - 1 {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 || value >= 100.0 {
        format!("{} {}", decimal(value, 0), UNITS[unit])
    } else {
        format!("{} {}", decimal(value, 1), UNITS[unit])
    }
}

/// `40 s`, `4 min 10 s`, `1 h 5 min`.
pub(crate) fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round();
    let (hours, rest) = ((whole / 3600.0).floor(), whole % 3600.0);
    let (minutes, rest) = ((rest / 60.0).floor(), rest % 60.0);
    match (hours > 0.0, minutes > 0.0, rest > 0.0) {
        (true, false, _) => say!("{hours} h", hours),
        (true, true, _) => say!("{hours} h {minutes} min", hours, minutes),
        (false, true, true) => say!("{minutes} min {seconds} s", minutes, seconds = rest),
        (false, true, false) => say!("{minutes} min", minutes),
        (false, false, _) => say!("{seconds} s", seconds = rest),
    }
}

/// `2 to 4 min`: as coarse as the estimate is.
pub(crate) fn duration_range(range: SecondsRange) -> String {
    let (low, high) = (coarse(range.low), coarse(range.high));
    if low == high {
        say!("about {time}", time = high)
    } else {
        say!("{low} to {high}", low, high)
    }
}

fn coarse(seconds: f64) -> String {
    if seconds < 90.0 {
        duration((seconds / 5.0).ceil() * 5.0)
    } else {
        duration((seconds / 30.0).round() * 30.0)
    }
}

/// What somebody would ask for: `a photo of sks dog`, `a painting in the style of sks`.
pub(crate) fn prompt(subject: SubjectKind, class: &str, identifier: &str) -> String {
    match subject {
        SubjectKind::Object | SubjectKind::Person => format!("a photo of {identifier} {class}"),
        SubjectKind::Style => {
            let vowel = class.starts_with(|first: char| "aeiouAEIOU".contains(first));
            let article = if vowel { "an" } else { "a" };
            format!("{article} {class} in the style of {identifier}")
        }
    }
}

/// `sks dog`, `painting in the style of sks`.
pub(crate) fn trigger(concept: &Concept) -> String {
    let (class, identifier) = (&concept.class_name, &concept.identifier);
    match concept.subject {
        SubjectKind::Object | SubjectKind::Person => format!("{identifier} {class}"),
        SubjectKind::Style => format!("{class} in the style of {identifier}"),
    }
}

/// `“sks dog”`, `“sks dog” and 2 more`: what a job is about.
pub(crate) fn subject_of(job: &Job) -> String {
    let one = |concept: &Concept| say!("“{words}”", words = trigger(concept));
    if matches!(job.kind, JobKind::Evaluate | JobKind::Study) && !job.spec.concepts.is_empty() {
        return one(job.spec.attacked());
    }
    let Some(first) = job.spec.concepts.first() else {
        return String::new();
    };
    match job.spec.concepts.len() - 1 {
        0 => one(first),
        more => say!("{first} and {more} more", first = one(first), more),
    }
}

/// The first digits of a hash, enough to compare by eye.
pub(crate) fn short_hash(hash: &str) -> String {
    hash.chars().take(12).collect()
}

/// `2026-11-24 10:35:12 UTC`: what everybody calls a moment, to the second.
pub(crate) fn utc(at: Timestamp) -> String {
    let text = at.rfc3339();
    let part = |range| text.get(range).unwrap_or_default();
    format!("{} {} UTC", part(0..10), part(11..19))
}

/// `14 %`.
pub(crate) fn percent(share: f64) -> String {
    say!("{value} %", value = decimal(100.0 * share, 0))
}

/// How a job stands, in a word.
pub(crate) fn status(status: JobStatus) -> &'static str {
    match status {
        JobStatus::Queued => say!("Queued"),
        JobStatus::Starting => say!("Starting"),
        JobStatus::Running => say!("Running"),
        JobStatus::Canceling => say!("Canceling"),
        JobStatus::Succeeded => say!("Succeeded"),
        JobStatus::Failed => say!("Failed"),
        JobStatus::Canceled => say!("Canceled"),
    }
}

/// What a member of an organisation is, in a word.
pub(crate) fn role(role: Role) -> &'static str {
    match role {
        Role::Owner => say!("owner"),
        Role::Admin => say!("admin"),
        Role::Editor => say!("editor"),
        Role::Reviewer => say!("reviewer"),
        Role::Viewer => say!("viewer"),
    }
}

/// `0.123`, `12.3`, `1.2e-5`: three figures that stay readable on an axis.
pub(crate) fn figure(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        "0".into()
    } else if size < 0.001 {
        format!("{value:.0e}")
    } else if size < 0.1 {
        decimal(value, 3)
    } else if size < 10.0 {
        decimal(value, 2)
    } else {
        decimal(value, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_keep_two_figures() {
        assert_eq!(bytes(812.0), "812 B");
        assert_eq!(bytes(1_432_000.0), "1.4 MB");
        assert_eq!(bytes(245_000.0), "245 kB");
    }

    #[test]
    fn times_are_as_coarse_as_people_need() {
        assert_eq!(duration(40.2), "40 s");
        assert_eq!(duration(250.0), "4 min 10 s");
        assert_eq!(duration(3_900.0), "1 h 5 min");
        let range = SecondsRange {
            low: 118.0,
            high: 247.0,
        };
        assert_eq!(duration_range(range), "2 min to 4 min");
    }

    #[test]
    fn moments_name_their_zone() {
        let at = Timestamp::from_milliseconds(1_798_761_600_123);
        assert_eq!(utc(at), "2027-01-01 00:00:00 UTC");
        // Without a browser there is no clock of the reader's.
        assert_eq!(moment(at), "1 Jan 2027, 00:00 UTC");
    }

    #[test]
    fn a_style_is_asked_for_in_its_own_words() {
        let style = prompt(SubjectKind::Style, "illustration", "sks");
        assert_eq!(style, "an illustration in the style of sks");
        let dog = prompt(SubjectKind::Object, "dog", "sks");
        assert_eq!(dog, "a photo of sks dog");
    }
}
