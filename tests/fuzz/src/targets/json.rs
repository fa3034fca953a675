//! Canonical JSON, and hashes of lists.

use serde_json::Value;
use sha2::{Digest, Sha256};
use shared::{canonical, merkle};

use crate::{Target, target::texts};

pub(super) const TARGETS: &[Target] = &[
    Target::new("canonical_json", canonical_json, || {
        texts(&[
            r#"{"b":[1,2.5,-0.0,1e300,9007199254740991],"a":{"\u20ac":null,"\ud83d\ude00":true}}"#,
            "1.7976931348623157e308",
            "[5e-324,0.30000000000000004,123456789012345680]",
        ])
    })
    .longest(2048)
    .words(&[
        "e308",
        "e-324",
        "1.7976931348623157e308",
        "9007199254740993",
        "-0.0",
        "\\ud83d\\ude00",
        "\\u0000",
        "\u{fb33}",
        "{\"\":",
        "null",
        "true",
        "[[[[",
        "18446744073709551615",
    ]),
    Target::new("merkle_root", merkle_root, || {
        texts(&["a\nb\nc\nd\ne", "a"])
    })
    .words(&["\n"]),
];

fn canonical_json(bytes: &[u8]) {
    let Ok(mut value) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    canonical::settle(&mut value);
    let Ok(text) = canonical::to_text(&value) else {
        return;
    };
    let mut again: Value = serde_json::from_str(&text).expect("the canonical form is JSON");
    assert_eq!(canonical::to_text(&again).ok().as_ref(), Some(&text));
    canonical::settle(&mut again);
    assert_eq!(
        canonical::to_text(&again).ok().as_ref(),
        Some(&text),
        "settling goes on"
    );
    let digest = hex::encode(Sha256::digest(text.as_bytes()));
    assert_eq!(canonical::sha256(&value).ok(), Some(digest));
    in_order(&value, &text);
}

/// Names stand in the order of their UTF-16 code units, at the top at least.
fn in_order(value: &Value, text: &str) {
    let Value::Object(map) = value else {
        return;
    };
    let mut names: Vec<Vec<u16>> = map
        .keys()
        .map(|name| name.encode_utf16().collect())
        .collect();
    names.sort();
    let mut rest = text.strip_prefix('{').expect("an object");
    for name in names {
        let name = String::from_utf16(&name).expect("it was a text");
        let start = format!("{}:", Value::from(name.as_str()));
        rest = rest.strip_prefix(&start).expect("the next name in order");
        let value = canonical::to_text(&map[&name]).expect("the whole was written");
        rest = rest.strip_prefix(&value).expect("its value");
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    assert_eq!(rest, "}");
}

/// As RFC 9162 computes it leaf by leaf (section 2.1.2).
fn merkle_root(bytes: &[u8]) {
    let leaves: Vec<&[u8]> = if bytes.is_empty() {
        Vec::new()
    } else {
        bytes.split(|byte| *byte == b'\n').collect()
    };
    let node = |left: &[u8], right: &[u8]| Sha256::digest([&[1], left, right].concat()).to_vec();
    let mut stack: Vec<Vec<u8>> = Vec::new();
    for (index, leaf) in leaves.iter().enumerate() {
        stack.push(Sha256::digest([&[0], *leaf].concat()).to_vec());
        for _ in 0..index.trailing_ones() {
            let right = stack.pop().expect("as many as there are ones");
            let left = stack.pop().expect("as many as there are ones");
            stack.push(node(&left, &right));
        }
    }
    let folded = stack
        .into_iter()
        .rev()
        .reduce(|right, left| node(&left, &right));
    let expected = folded.unwrap_or_else(|| Sha256::digest([]).to_vec());
    assert_eq!(merkle::root(&leaves), hex::encode(expected));
}
