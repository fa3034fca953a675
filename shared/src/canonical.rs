//! Canonical JSON (JSON Canonicalization Scheme, RFC 8785) and hashes of it: equal content, equal bytes.
//!
//! Owns the form. Refuses numbers that a reader in double precision would not see as they are: integers beyond
//! 2^53 - 1, infinities and what is no number.

use serde::Serialize;
use serde_json::{Number, Value};
use sha2::{Digest, Sha256};

/// Largest integer that every reader of JSON keeps (RFC 7493, section 2.2).
pub const LARGEST_INTEGER: u64 = (1 << 53) - 1;

/// Why there is no canonical form.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The value has no JSON form.
    #[error("this has no JSON form: {0}")]
    Json(#[from] serde_json::Error),
    /// A number that readers in double precision would change.
    #[error("the number {0} lies outside what every reader of JSON keeps")]
    Number(Number),
}

/// Canonical JSON: sorted keys, no white space, one way to write each text and number.
pub fn to_text(value: &impl Serialize) -> Result<String, Error> {
    let mut text = String::new();
    write(&serde_json::to_value(value)?, &mut text)?;
    Ok(text)
}

/// SHA-256 of the canonical form, hexadecimal.
pub fn sha256(value: &impl Serialize) -> Result<String, Error> {
    Ok(sha256_hex(to_text(value)?.as_bytes()))
}

/// SHA-256 of bytes, hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// A value of at most nine decimals, so that every reader of JSON reads the same double.
///
/// Up to 10^6 it has at most 15 digits, which a division by an exact power of ten reads without error, however
/// simple the reader. What is not finite stays as it is and has no canonical form.
pub fn nine_decimals(value: f64) -> f64 {
    let rounded = (value * 1e9).round() / 1e9;
    // No negative zero: it is written as 0 and would come back as another value.
    if rounded == 0.0 { 0.0 } else { rounded }
}

/// Replaces every number that a simple reader of JSON would not read back by the nearest of 15 digits, which it does;
/// where even that has an exponent too far from 0, by a double beside it.
///
/// The reader used here may miss the nearest double by one in the last place where a text has 16 or 17 digits, or an
/// exponent whose power of ten is no double.
pub fn settle(value: &mut Value) {
    match value {
        Value::Object(map) => map.values_mut().for_each(settle),
        Value::Array(items) => items.iter_mut().for_each(settle),
        Value::Number(number) if number.is_f64() => {
            let float = number.as_f64().unwrap_or_default();
            if !reads_back(float) {
                let short: Option<f64> = format!("{float:.14e}").parse().ok();
                let mut others = short.into_iter().chain(beside(float));
                *value = Value::from(others.find(|other| reads_back(*other)).unwrap_or(float));
            }
        }
        _ => {}
    }
}

/// Whether the simple reader finds this double again in its own text.
fn reads_back(float: f64) -> bool {
    let read = || serde_json::from_str::<f64>(&float_text(float)).ok();
    float.is_finite() && read().is_some_and(|read| read.to_bits() == float.to_bits())
}

/// The doubles around this one, the nearest first.
fn beside(float: f64) -> impl Iterator<Item = f64> {
    let bits = float.to_bits();
    let both = move |steps: u64| [bits.wrapping_sub(steps), bits.wrapping_add(steps)];
    (1..=64).flat_map(both).map(f64::from_bits)
}

fn write(value: &Value, text: &mut String) -> Result<(), Error> {
    match value {
        Value::Object(map) => {
            let mut members: Vec<(&String, &Value)> = map.iter().collect();
            // RFC 8785, section 3.2.3: by UTF-16 code units, not by bytes.
            members.sort_by(|(l, _), (r, _)| l.encode_utf16().cmp(r.encode_utf16()));
            let members = members.into_iter().map(|(name, value)| (Some(name), value));
            write_all(['{', '}'], members, text)
        }
        Value::Array(items) => write_all(['[', ']'], items.iter().map(|item| (None, item)), text),
        Value::Number(number) => {
            text.push_str(&number_text(number)?);
            Ok(())
        }
        // The short escapes and lower-case \u00xx of section 3.2.2.2 are what serde_json writes.
        Value::String(_) | Value::Bool(_) | Value::Null => {
            text.push_str(&value.to_string());
            Ok(())
        }
    }
}

fn write_all<'a>(
    [open, close]: [char; 2],
    items: impl Iterator<Item = (Option<&'a String>, &'a Value)>,
    text: &mut String,
) -> Result<(), Error> {
    text.push(open);
    for (index, (name, item)) in items.enumerate() {
        if index > 0 {
            text.push(',');
        }
        if let Some(name) = name {
            text.push_str(&Value::from(name.as_str()).to_string());
            text.push(':');
        }
        write(item, text)?;
    }
    text.push(close);
    Ok(())
}

fn number_text(number: &Number) -> Result<String, Error> {
    let kept = |integer: u64| integer <= LARGEST_INTEGER;
    match (number.as_u64(), number.as_i64(), number.as_f64()) {
        (Some(integer), _, _) if kept(integer) => Ok(integer.to_string()),
        (None, Some(integer), _) if kept(integer.unsigned_abs()) => Ok(integer.to_string()),
        (None, None, Some(float)) if float.is_finite() && !looks_too_large(float) => {
            Ok(float_text(float))
        }
        _ => Err(Error::Number(number.clone())),
    }
}

/// Whether a double is written as an integer that would not be read: below 10^21 it has no exponent.
fn looks_too_large(float: f64) -> bool {
    (LARGEST_INTEGER as f64) < float.abs() && float.abs() < 1e21
}

/// As ECMAScript's `Number::toString` writes it (RFC 8785, section 3.2.2.3). Finite values.
fn float_text(value: f64) -> String {
    // Rust's own shortest text breaks ties the other way.
    ryu_js::Buffer::new().format_finite(value).to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// RFC 8785, appendix B.
    #[test]
    fn numbers_are_written_as_the_rfc_lists_them() {
        for (bits, text) in [
            (0x0000_0000_0000_0000, "0"),
            (0x8000_0000_0000_0000, "0"),
            (0x0000_0000_0000_0001, "5e-324"),
            (0x8000_0000_0000_0001, "-5e-324"),
            (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
            (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
            (0x4340_0000_0000_0000, "9007199254740992"),
            (0xc340_0000_0000_0000, "-9007199254740992"),
            (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
            (0x44b5_2d02_c7e1_4af6, "1e+23"),
            (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
            (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
            (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
            (0x444b_1ae4_d6e2_ef50, "1e+21"),
            (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
            (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
            (0x41b3_de43_5555_5553, "333333333.3333332"),
            (0x41b3_de43_5555_5554, "333333333.33333325"),
            (0x41b3_de43_5555_5555, "333333333.3333333"),
            (0x41b3_de43_5555_5556, "333333333.3333334"),
            (0x41b3_de43_5555_5557, "333333333.33333343"),
            (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
            (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
        ] {
            assert_eq!(float_text(f64::from_bits(bits)), text, "{bits:x}");
        }
    }

    /// RFC 8785, sections 3.2.2 and 3.2.3.
    #[test]
    fn the_rfcs_examples_come_out_byte_by_byte() {
        let mut value: Value = serde_json::from_str(
            r#"{"string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}"#,
        )
        .unwrap();
        value["numbers"] = json!([
            333_333_333.333_333_3,
            1E30,
            4.50,
            2e-3,
            0.000_000_000_000_000_000_000_000_001
        ]);
        assert_eq!(
            to_text(&value).unwrap(),
            r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}"#
        );
        let keys = json!({"\u{20ac}": 1, "\r": 2, "\u{fb33}": 3, "1": 4, "\u{1f600}": 5, "\u{80}": 6, "\u{f6}": 7});
        assert_eq!(
            to_text(&keys).unwrap(),
            "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"\u{1f600}\":5,\"\u{fb33}\":3}"
        );
    }

    #[test]
    fn numbers_that_readers_would_change_are_refused() {
        assert_eq!(to_text(&LARGEST_INTEGER).unwrap(), "9007199254740991");
        assert_eq!(to_text(&1e21).unwrap(), "1e+21");
        let written = [json!(1e16), json!(-9.9e20)];
        for bad in [json!(LARGEST_INTEGER + 1), json!(i64::MIN), json!(u64::MAX)]
            .into_iter()
            .chain(written)
        {
            assert!(matches!(to_text(&bad), Err(Error::Number(_))), "{bad}");
        }
        // serde_json writes these as null, which is another content.
        assert_eq!(to_text(&f64::NAN).unwrap(), "null");
    }

    #[test]
    fn settled_numbers_survive_writing_and_reading() {
        let mut state = 77_u64;
        for _ in 0..20_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let float = (state >> 11) as f64 / (1_u64 << 53) as f64 * 200.0 - 100.0;
            let mut value = json!({ "numbers": [float, 1e-4] });
            settle(&mut value);
            let text = to_text(&value).unwrap();
            let back: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(to_text(&back).unwrap(), text);
            assert!((value["numbers"][0].as_f64().unwrap() - float).abs() <= 1e-14 * float.abs());
        }
    }

    #[test]
    fn settled_numbers_of_any_size_survive_writing_and_reading() {
        let mut state = 77_u64;
        let mut floats = vec![
            1.797_623_158e304,
            6.01e70,
            f64::MAX,
            f64::MIN_POSITIVE,
            5e-324,
            3e-310,
        ];
        for _ in 0..20_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            floats.push(f64::from_bits(state));
        }
        for float in floats.into_iter().filter(|float| float.is_finite()) {
            let mut value = json!(float);
            settle(&mut value);
            let Ok(text) = to_text(&value) else {
                assert!(looks_too_large(float), "{float:e}");
                continue;
            };
            let mut back: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(to_text(&back).unwrap(), text);
            settle(&mut back);
            assert_eq!(to_text(&back).unwrap(), text);
            let distance = (value.as_f64().unwrap() - float).abs();
            let least = 64.0 * f64::from_bits(1);
            assert!(
                distance <= (1e-13 * float.abs()).max(least),
                "{float:e} became {text}"
            );
        }
    }

    #[test]
    fn nine_decimals_survive_writing_and_reading() {
        let mut state = 0x1234_5678_9abc_def1_u64;
        for _ in 0..200_000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let scale = [1.0, 1e3, 1e5][(state % 3) as usize];
            let value = nine_decimals((state as f64 / u64::MAX as f64 - 0.5) * scale);
            let text = to_text(&value).unwrap();
            let back: f64 = serde_json::from_str(&text).unwrap();
            assert_eq!(back.to_bits(), value.to_bits(), "{text}");
        }
        assert_eq!(nine_decimals(-1e-12).to_bits(), 0.0_f64.to_bits());
    }
}
