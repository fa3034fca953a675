//! Seconds between two moments as the API writes them.

/// Seconds since 1970 of an RFC 3339 text in UTC, such as `2027-01-01T00:00:00.123Z`.
pub(crate) fn seconds(text: &str) -> Option<f64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let date: Vec<i64> = date
        .split('-')
        .map(str::parse)
        .collect::<Result<_, _>>()
        .ok()?;
    let time: Vec<&str> = time.split(':').collect();
    let (&[year, month, day], [hour, minute, second]) = (date.as_slice(), time.as_slice()) else {
        return None;
    };
    let hour: f64 = hour.parse().ok()?;
    let minute: f64 = minute.parse().ok()?;
    let second: f64 = second.parse().ok()?;
    let days = days_since_epoch(year, month, day) as f64;
    Some(days * 86_400.0 + hour * 3600.0 + minute * 60.0 + second)
}

/// Years begin in March here, so that the leap day is the last one of its year.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_calendar() {
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0.0));
        assert_eq!(seconds("2027-01-01T00:00:00.5Z"), Some(1_798_761_600.5));
        assert_eq!(seconds("2028-02-29T12:00:00Z"), Some(1_835_438_400.0));
        assert_eq!(seconds("tomorrow"), None);
    }
}
