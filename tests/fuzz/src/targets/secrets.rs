//! What proves who somebody is or what they may do: access tokens, API keys, signed addresses.

use std::sync::LazyLock;

use api::{
    app::tokens::{Audience, Tokens},
    untrusted,
};
use artifacts::{Grant, Method, ObjectHash, Signer};
use shared::Timestamp;

use crate::{Target, target::texts};

pub(super) const TARGETS: &[Target] = &[
    Target::new("access_token", access_token, || texts(&[&TOKEN.1]))
        .words(&[".", "none", "HS256", "eyJ", "=", "-", "_"]),
    Target::new("api_key", api_key, || {
        texts(&["pg_live_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1yLcDB", "pg_live_"])
    })
    .words(&["pg_live_", "pg_test_"]),
    Target::new("signed_url", signed_url, || {
        vec![URL.1.clone().into_bytes()]
    })
    .words(&[
        "?",
        "&",
        "=",
        "+",
        "%2B",
        "0",
        "method=put",
        "size=",
        "expires=",
        "signature=",
    ]),
];

const NOW: Timestamp = Timestamp::from_milliseconds(1_800_000_000_000);

static TOKEN: LazyLock<(Tokens, String)> = LazyLock::new(|| {
    let tokens = Tokens::from_seed(&[1; 32]).expect("any seed is a key");
    let token = tokens.issue(Audience::Api, "usr_1", NOW);
    (tokens, token.expect("a token can be made"))
});

/// Only what was issued is believed, for what it was issued, and as long as it was.
fn access_token(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (tokens, issued) = &*TOKEN;
    let believed = tokens.verify(Audience::Api, &text, NOW).is_ok();
    assert_eq!(believed, text == issued.as_str(), "{text}");
    assert!(tokens.verify(Audience::Node, &text, NOW).is_err());
    let later = Timestamp::from_milliseconds(NOW.milliseconds() + 86_400_000);
    assert!(tokens.verify(Audience::Api, &text, later).is_err());
}

fn api_key(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    assert_eq!(untrusted::is_api_key(&text), is_api_key(&text), "{text}");
}

/// The checksum bit by bit.
fn is_api_key(text: &str) -> bool {
    let Some(rest) = text
        .strip_prefix("pg_live_")
        .filter(|rest| rest.len() == 36)
    else {
        return false;
    };
    let (random, sum) = rest.as_bytes().split_at(30);
    let crc = !random.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ ((crc & 1) * 0xEDB8_8320)
        })
    });
    let digit = |byte: &u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'Z' => Some(byte - b'A' + 10),
        b'a'..=b'z' => Some(byte - b'a' + 36),
        _ => None,
    };
    let digits: Option<Vec<u8>> = sum.iter().map(digit).collect();
    let sum = digits.map(|digits| digits.iter().fold(0_u64, |sum, d| sum * 62 + u64::from(*d)));
    rest.is_ascii() && sum == Some(u64::from(crc))
}

static URL: LazyLock<(Signer, String)> = LazyLock::new(|| {
    let signer = Signer::new(&[1; 32]);
    let url = signer.sign(&Grant {
        method: Method::Get,
        hash: ObjectHash::of(b"content"),
        size_bytes: 7,
        expires_at: Timestamp::from_milliseconds(NOW.milliseconds() + 1000),
        subject: "upl_1".into(),
    });
    let path = url.strip_prefix("/blobs/").expect("the path of a blob");
    let path = path.to_owned();
    (signer, path)
});

/// Only the address that was signed permits anything, and each spelling of it but one is another address.
fn signed_url(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Some((hash, query)) = text.split_once('?') else {
        return;
    };
    let (signer, signed) = &*URL;
    let permitted = signer.verify(Method::Get, hash, query, NOW).is_ok();
    assert_eq!(permitted, text == signed.as_str(), "{text}");
    assert!(signer.verify(Method::Put, hash, query, NOW).is_err());
    let later = Timestamp::from_milliseconds(NOW.milliseconds() + 1000);
    assert!(signer.verify(Method::Get, hash, query, later).is_err());
}
