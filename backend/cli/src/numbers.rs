//! Numbers for people: shares with their intervals, and ranges of time.

use shared::{evaluation::Estimate, job::SecondsRange};

/// `0.42 [0.28, 0.55] n=16`.
pub(crate) fn estimate(value: &Estimate) -> String {
    let Estimate {
        value,
        low,
        high,
        n,
    } = value;
    format!("{value:.2} [{low:.2}, {high:.2}] n={n}")
}

/// `2 to 4 min`, in the unit of the longer one.
pub(crate) fn range(seconds: SecondsRange) -> String {
    let (unit, name) = match seconds.high {
        high if high < 100.0 => (1.0, "s"),
        high if high < 5400.0 => (60.0, "min"),
        _ => (3600.0, "h"),
    };
    let (low, high) = ((seconds.low / unit).round(), (seconds.high / unit).round());
    if (low - high).abs() < 0.5 {
        return format!("{high:.0} {name}");
    }
    format!("{low:.0} to {high:.0} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_with_what_is_known_of_them() {
        let value = Estimate {
            value: 0.416,
            low: 0.28,
            high: 0.55,
            n: 16,
        };
        assert_eq!(estimate(&value), "0.42 [0.28, 0.55] n=16");
        for (low, high, text) in [
            (3.0, 8.0, "3 to 8 s"),
            (50.0, 130.0, "1 to 2 min"),
            (119.0, 121.0, "2 min"),
            (3600.0, 10_800.0, "1 to 3 h"),
        ] {
            assert_eq!(range(SecondsRange { low, high }), text);
        }
    }
}
