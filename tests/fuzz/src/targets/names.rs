//! Ids, moments, blocks of addresses, typed codes, paths of model files, and words.

use std::{
    fmt::{Debug, Display},
    net::IpAddr,
    path::{Component, Path},
    str::FromStr,
};

use serde::de::DeserializeOwned;
use serde_json::Value;
use shared::{
    ApiKeyId, ArtifactId, AuditEventId, JobId, ModelId, SetId, Timestamp, UserId,
    api_key::AddressBlock, device::clean_user_code, model_file::check_model_file, words,
};

use crate::{Target, target::texts};

pub(super) const TARGETS: &[Target] = &[
    Target::new("ids", ids, || {
        texts(&[
            "set_0198c0de000070008000000000000001",
            "job_0198c0de000070008000000000000001",
            "usr_00000000000000000000000000000000",
        ])
    })
    .words(&[
        "set_",
        "job_",
        "usr_",
        "key_",
        "mdl_",
        "art_",
        "aud_",
        "{",
        "}",
        "urn:uuid:",
        "-",
    ]),
    Target::new("timestamp", timestamp, || {
        texts(&[
            "2027-01-01T00:00:00.123Z",
            "0000-01-01T00:00:00+00:00",
            "9999-12-31T23:59:59.999999999-23:59",
        ])
    })
    .words(&[
        "T",
        "Z",
        "+23:59",
        "-23:59",
        ".999999999",
        ":60",
        "0000-",
        "9999-",
        "t",
        "z",
    ]),
    Target::new("address_block", address_block, || {
        texts(&[
            "198.51.100.0/24\n198.51.100.7",
            "2001:db8::/32\n2001:db8::1",
            "198.51.100.7\n::ffff:198.51.100.7",
        ])
    })
    .words(&[
        "/", "/0", "/32", "/128", "::", "::ffff:", "0.0.0.0", "\n", "%eth0", "/+8", "/08",
    ]),
    Target::new("user_code", user_code, || {
        texts(&["BCDF-GHJK", "bcdf ghjk", "BCDF\u{2013}GHJK"])
    })
    .words(&["-", " ", "\u{2013}", "\u{a0}", "\u{212a}"]),
    Target::new("model_file", model_file, || {
        texts(&[
            "unet/config.json",
            "model_index.json",
            "text_encoder/model.safetensors",
            "vae/diffusion_pytorch_model.safetensors.index.json",
            "LICENSE.md",
        ])
    })
    .words(&[
        "/",
        "..",
        ".",
        ".safetensors",
        ".ckpt",
        ".index.json",
        "LICENSE",
        "NOTICE",
        "\\",
        "\0",
    ]),
    Target::new("words", trigger_words, || {
        texts(&["muslim", "Coca-Cola", "dogs", "sks", "girl"])
    })
    .words(&["-", "_", "@", "s", "girl", "woman", "coca", "cola"]),
];

fn ids(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let nouns = [
        id::<ApiKeyId>(text, ApiKeyId::PREFIX),
        id::<ArtifactId>(text, ArtifactId::PREFIX),
        id::<AuditEventId>(text, AuditEventId::PREFIX),
        id::<JobId>(text, JobId::PREFIX),
        id::<ModelId>(text, ModelId::PREFIX),
        id::<SetId>(text, SetId::PREFIX),
        id::<UserId>(text, UserId::PREFIX),
    ];
    assert!(nouns.iter().filter(|noun| **noun).count() <= 1, "{text}");
}

/// Whether the text is an id of this noun.
fn id<T>(text: &str, prefix: &str) -> bool
where
    T: FromStr + Display + Debug + DeserializeOwned + PartialEq,
    T::Err: Display,
{
    let digits = text.strip_prefix(prefix);
    let obvious = digits
        .is_some_and(|digits| digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit()));
    let read = text.parse::<T>();
    assert_eq!(read.is_ok(), obvious, "{text}");
    match read {
        Ok(id) => {
            assert_eq!(id.to_string(), text.to_ascii_lowercase());
            assert_eq!(serde_json::from_value::<T>(text.into()).ok(), Some(id));
        }
        Err(error) => assert!(error.to_string().len() < 512, "a long refusal of {text}"),
    }
    obvious
}

fn timestamp(bytes: &[u8]) {
    if let Some(first) = bytes.first_chunk() {
        // Years 0 to 9999, which is what the form can write.
        let milliseconds = i64::from_le_bytes(*first);
        if (-62_167_219_200_000..=253_402_300_799_999).contains(&milliseconds) {
            settles(Timestamp::from_milliseconds(milliseconds));
        }
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(moment) = serde_json::from_value(text.into()) {
        settles(moment);
    }
}

/// A moment is the same after it was written and read.
fn settles(moment: Timestamp) {
    let text = moment.rfc3339();
    let read: Result<Timestamp, _> = serde_json::from_value(Value::from(text.as_str()));
    assert_eq!(read.ok(), Some(moment), "{text}");
}

fn address_block(bytes: &[u8]) {
    let Some((block, address)) = std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| text.split_once('\n'))
    else {
        return;
    };
    let Ok(read) = block.parse::<AddressBlock>() else {
        assert!(
            block.parse::<IpAddr>().is_err(),
            "an address is refused: {block}"
        );
        return;
    };
    let (network, length) = block.split_once('/').unwrap_or((block, ""));
    let network: IpAddr = network.parse().expect("a block begins with an address");
    let bits = if network.is_ipv4() { 32 } else { 128 };
    let length: u32 = match length {
        "" => bits,
        length => length.parse().expect("a block ends with a number"),
    };
    assert!(length <= bits, "{block}");
    if let Ok(address) = address.parse::<IpAddr>() {
        assert_eq!(
            read.contains(address),
            holds(network, length, address),
            "{block} {address}"
        );
    }
    assert!(read.contains(network), "{block} lacks its own address");
}

/// Bit by bit, an IPv4 address inside IPv6 as the IPv4 address.
fn holds(network: IpAddr, length: u32, address: IpAddr) -> bool {
    let inside = network.is_ipv6() && network.to_canonical().is_ipv4();
    let length = if inside { length - 96 } else { length };
    same(network.to_canonical(), address.to_canonical(), length)
}

fn same(network: IpAddr, address: IpAddr, length: u32) -> bool {
    let bits = |address: IpAddr| -> Vec<bool> {
        let octets = match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let bit = |octet: u8| (0..8).rev().map(move |place| octet >> place & 1 == 1);
        octets.into_iter().flat_map(bit).collect()
    };
    let (network, address) = (bits(network), bits(address));
    network.len() == address.len() && (0..length as usize).all(|at| network[at] == address[at])
}

fn user_code(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Some(shown) = clean_user_code(&text) else {
        return;
    };
    assert_eq!(clean_user_code(&shown).as_ref(), Some(&shown));
    let typed: String = text.chars().filter(char::is_ascii_alphabetic).collect();
    assert_eq!(typed.to_ascii_uppercase(), shown.replace('-', ""), "{text}");
}

fn model_file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if check_model_file(text).is_err() {
        return;
    }
    let parts: Vec<_> = Path::new(text).components().collect();
    assert!((1..=2).contains(&parts.len()), "{text}");
    for part in parts {
        let Component::Normal(name) = part else {
            panic!("{text} leaves its folder");
        };
        let name = name.to_str().expect("the path is a text");
        assert!(!name.starts_with('.'), "{text} is hidden");
        assert!(
            name.is_ascii() && !name.contains(['\\', ':', ' ', '\0']),
            "{text}"
        );
    }
    let lower = text.to_ascii_lowercase();
    for pickle in [".bin", ".ckpt", ".pt", ".pth", ".pkl", ".pickle"] {
        assert!(!lower.ends_with(pickle), "{text} is a pickle");
    }
}

fn trigger_words(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let decorated: String = text
        .chars()
        .flat_map(|letter| ['_', letter.to_ascii_uppercase(), '-'])
        .collect();
    assert_eq!(
        words::refused_in_trigger(text).map(|(code, _)| code),
        words::refused_in_trigger(&decorated).map(|(code, _)| code),
        "{text}"
    );
    for rule in [
        words::is_tutorial_token,
        words::is_everyday,
        words::names_people,
    ] {
        assert_eq!(rule(text), rule(&decorated), "{text}");
    }
}
