//! Headers and query values of requests.

use std::net::IpAddr;

use api::untrusted;
use shared::{JobId, SetId, api_key::AddressBlock};

use crate::{
    Target,
    target::{choice, texts},
};

pub(super) const TARGETS: &[Target] = &[
    Target::new("range", range, || {
        texts(&[
            "100 bytes=10-19",
            "100 bytes=-5",
            "100 bytes= 90 - ",
            "0 bytes=0-0",
        ])
    })
    .words(&[
        "bytes=",
        "-",
        ",",
        " ",
        "\t",
        "18446744073709551615",
        "18446744073709551616",
        "+",
        "00",
    ]),
    Target::new("content_range", content_range, || {
        texts(&["bytes 10-19/100", "bytes 0-0/1"])
    })
    .words(&["bytes ", "/", "*", "-", "18446744073709551615", "+1", "00"]),
    Target::new("cursor", cursor, || {
        texts(&[
            "c2V0XzAxOThjMGRlMDAwMDcwMDA4MDAwMDAwMDAwMDAwMDAx",
            "am9iXzAxOThjMGRlMDAwMDcwMDA4MDAwMDAwMDAwMDAwMDAx",
        ])
    })
    .words(&["c2V0X", "am9iX", "=", "-", "_", "+"]),
    Target::new("request_headers", request_headers, || {
        texts(&[
            "A\"a-key\"",
            "Ba-key",
            "B\"a\", W/\"b\", \"tag\"",
            "B*",
            "CBearer pg_live_x",
            "Da=b; persguard_session=x; c",
        ])
    })
    .words(&[
        "\"",
        "W/\"",
        "*",
        ", ",
        "Bearer ",
        "persguard_session=",
        "; ",
        "\t",
        "\u{e9}",
    ]),
    Target::new("forwarded_for", forwarded_for, || {
        texts(&[
            "10.0.0.1\n198.51.100.7, 10.0.0.2\n10.0.0.0/8",
            "::1\n::ffff:10.0.0.2, fe80::1\n::1/128 ::ffff:10.0.0.0/104",
        ])
    })
    .words(&[
        "10.0.0.", ", ", "\n", "::ffff:", "/8", "unknown", "_hidden", "[::1]", ":80",
    ]),
    Target::new("traceparent", traceparent, || {
        texts(&[
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000001-0000000000000001-ff",
        ])
    })
    .words(&["00-", "-01", "ff", "0000000000000000", "+", "F"]),
];

/// The size, a blank, and the header.
fn range(bytes: &[u8]) {
    let Some(blank) = bytes.iter().position(|byte| *byte == b' ') else {
        return;
    };
    let size = std::str::from_utf8(&bytes[..blank])
        .ok()
        .and_then(|size| size.parse().ok());
    let (Some(size), value) = (size, &bytes[blank + 1..]) else {
        return;
    };
    let found = untrusted::range(value, size);
    assert_eq!(
        found,
        obvious_range(value, size),
        "{}",
        String::from_utf8_lossy(value)
    );
    if let Some((start, length)) = found {
        assert!(length > 0 && start.checked_add(length).is_some_and(|end| end <= size));
    }
}

/// RFC 9110, section 14.1.2, with numbers that are large enough.
fn obvious_range(value: &[u8], size: u64) -> Option<(u64, u64)> {
    let text = std::str::from_utf8(value)
        .ok()
        .filter(|text| !text.contains(|c: char| !matches!(c, ' '..='~' | '\t')))?;
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
        let value = text.trim_start_matches('0').parse().or_else(|_| {
            let zero = text.chars().all(|c| c == '0');
            if zero { Ok(0) } else { Err(()) }
        });
        digits
            .then_some(value.ok()?)
            .filter(|value: &u128| *value <= u128::from(u64::MAX))
    };
    let size = u128::from(size);
    let (start, end) = match (first.trim(), last.trim()) {
        ("", length) => (size - number(length)?.min(size), size),
        (start, "") => (number(start)?, size),
        // The largest number has none behind it, and then the whole file is an answer, too.
        (start, end) if number(end)? < u128::from(u64::MAX) => {
            (number(start)?, (number(end)? + 1).min(size))
        }
        _ => return None,
    };
    let narrow = |value: u128| u64::try_from(value).ok();
    let length = end.checked_sub(start).filter(|length| *length > 0)?;
    Some((narrow(start)?, narrow(length)?))
}

fn traceparent(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let fits = |(at, byte): (usize, &u8)| match at {
        0 | 1 => *byte == b'0',
        2 | 35 | 52 => *byte == b'-',
        _ => b"0123456789abcdef".contains(byte),
    };
    let named = |part: &[u8]| part.iter().any(|byte| *byte != b'0');
    let valid = bytes.len() == 55
        && bytes.iter().enumerate().all(fits)
        && named(&bytes[3..35])
        && named(&bytes[36..52]);
    let expected = valid.then(|| {
        let sampled = b"13579bdf".contains(&bytes[54]);
        format!("{}-0{}", &text[..52], u8::from(sampled))
    });
    assert_eq!(telemetry::untrusted::traceparent(text), expected, "{text}");
}

fn content_range(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Some((start, end, total)) = untrusted::content_range(text) else {
        return;
    };
    assert!(start < end, "{text}");
    let numbers = text.strip_prefix("bytes ").expect("the unit");
    let numbers: Vec<&str> = numbers.split(['-', '/']).collect();
    let bare = |text: &str| match text.trim_start_matches('0') {
        "" => "0".to_owned(),
        bare => bare.to_owned(),
    };
    let numbers: Vec<String> = numbers.into_iter().map(bare).collect();
    assert_eq!(
        numbers,
        [start, end - 1, total].map(|number| number.to_string()),
        "{text}"
    );
}

fn cursor(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let set = untrusted::cursor::<SetId>(&text);
    let job = untrusted::cursor::<JobId>(&text);
    assert!(text.is_empty() || set.is_err() || job.is_err(), "{text}");
    if text.is_empty() {
        assert_eq!((set, job), (Ok(None), Ok(None)));
    }
}

fn request_headers(bytes: &[u8]) {
    let Some((choice, rest)) = choice(bytes) else {
        return;
    };
    match choice {
        0 => idempotency_key(rest),
        1 => if_match(&String::from_utf8_lossy(rest)),
        2 => {
            if let Some(token) = untrusted::bearer(rest) {
                assert_eq!(token.trim(), token);
                assert!(rest.to_ascii_lowercase().starts_with(b"bearer "));
            }
        }
        _ => {
            if let Some(token) = untrusted::session_cookie(rest) {
                assert!(!token.contains(';'), "{token}");
                let pair = format!("persguard_session={token}");
                assert!(String::from_utf8_lossy(rest).contains(&pair), "{token}");
            }
        }
    }
}

fn idempotency_key(bytes: &[u8]) {
    let Some(key) = untrusted::idempotency_key(bytes) else {
        return;
    };
    assert!((1..=255).contains(&key.len()), "{key}");
    assert!(
        key.bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'"'),
        "{key}"
    );
    let quoted = format!("\"{key}\"");
    assert_eq!(untrusted::idempotency_key(quoted.as_bytes()), Some(key));
    assert_eq!(untrusted::idempotency_key(key.as_bytes()), Some(key));
}

fn if_match(text: &str) {
    let (formed, named) = untrusted::if_match(text, "\"tag\"");
    if formed {
        let known = |c: char| matches!(c, '!'..='~') || c.is_whitespace();
        assert!(text.chars().all(known), "{text}");
    }
    let tags: Vec<&str> = text.split(',').map(str::trim).collect();
    assert_eq!(
        named,
        tags.contains(&"\"tag\"") || tags.contains(&"*"),
        "{text}"
    );
}

/// The connection's other end, the header, and the trusted blocks, a line each.
fn forwarded_for(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let lines: Vec<&str> = text.splitn(3, '\n').collect();
    let &[peer, forwarded, blocks] = lines.as_slice() else {
        return;
    };
    let Ok(peer) = peer.parse::<IpAddr>() else {
        return;
    };
    let trusted: Vec<AddressBlock> = blocks
        .split(' ')
        .filter_map(|block| block.parse().ok())
        .collect();
    let client = untrusted::client(peer, forwarded, &trusted);
    assert_eq!(client, client.to_canonical());
    assert_eq!(
        client,
        behind(peer, &forwarded.split(',').collect::<Vec<_>>(), &trusted).to_canonical()
    );
}

/// Whoever is trusted is believed about the one before.
fn behind(speaker: IpAddr, chain: &[&str], trusted: &[AddressBlock]) -> IpAddr {
    let believed = trusted.iter().any(|block| block.contains(speaker));
    match chain.split_last() {
        Some((last, rest)) if believed => match last.trim().parse() {
            Ok(before) => behind(before, rest, trusted),
            Err(_) => speaker,
        },
        _ => speaker,
    }
}
