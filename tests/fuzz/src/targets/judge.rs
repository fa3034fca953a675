//! Files of the judge: recipes, captions, preprocessors, networks.

use eval::{
    Encoder, Error,
    attack::recipe,
    metric::domain::{CAPTION_CHARACTERS, parse_captions},
    net::{
        face::{Manifest, ManifestFiles},
        preprocess::{Preprocessor, Resize, SIDE},
    },
};
use serde_json::{Value, json};
use shared::attack::AttackRecipe;

use crate::{Target, target::texts};

pub(super) const TARGETS: &[Target] = &[
    Target::new("recipe", attack_recipe, || {
        texts(&[
            include_str!("../../../../backend/eval/recipes/lora-r4.toml"),
            include_str!("../../../../backend/eval/recipes/min-snr.toml"),
            include_str!("../../../../backend/eval/recipes/class-swapped.toml"),
        ])
    })
    .longest(4096)
    .words(&[
        "name = \"", "[family]", "[adaptive]", "kind = \"lora\"", "kind = \"dreambooth_unet\"", "rank = 4", "learning_rates = [",
        "stock_learning_rate = ", "checkpoints = [", "1e-3", "inf", "nan", "0x", "1_0", "'''", "\"\"\"", "[[", "]]", "1979-05-27",
        "a.b.c = ", "\u{feff}", "\r\n", "#",
    ]),
    Target::new("captions", captions, || {
        texts(&["a photo of a dog\n\n  a cat \r\n", "\u{feff}one\ttwo"])
    })
    .words(&["\n", "\r\n", "\u{feff}", "\t", "\u{85}", "\u{2028}", "\u{0}"]),
    Target::new("preprocessor", preprocessor, || {
        texts(&[
            r#"{"size":{"shortest_edge":224},"resample":3,"crop_size":{"height":224,"width":224},"image_mean":[0.5,0.5,0.5],"image_std":[0.5,0.5,0.5],"do_center_crop":true,"rescale_factor":0.00392156862745098}"#,
            r#"{"size":224,"resample":2,"image_mean":[0,0,0],"image_std":[1,1,1],"do_center_crop":false}"#,
        ])
    })
    .longest(1024)
    .words(&["null", "\"height\":", "\"width\":", "4096", "\"do_rescale\":", "\"do_resize\":false", "1e-300", "\"crop_size\":224"]),
    Target::new("network_manifest", network_manifest, || {
        let entry = |name: &str, quantization: Value| {
            json!({"name": name, "shape": [1, 2], "dtype": "float32", "quantization": quantization})
        };
        let plain = json!([{"weights": [entry("a", Value::Null)], "paths": ["x"]}]);
        let byte = json!({"dtype": "uint8", "scale": 0.5, "min": -1.0});
        let both = json!([{"weights": [entry("a", byte), entry("b", Value::Null)]}]);
        vec![format!("{plain}\0aaaabbbb").into_bytes(), format!("{both}\0aabbbbcccc").into_bytes()]
    })
    .longest(2048)
    .words(&["\"float32\"", "\"uint8\"", "\"shape\":[", "4294967296", "18446744073709551615", "\0", "1e39", "null", "\"weights\":["]),
    Target::new("encoder_file", encoder_file, || {
        let config = json!({"embedding": 4, "attributes": [{"name": "a", "values": ["b"]}], "text": {}});
        let header = json!({"__metadata__": {"encoder": config.to_string()},
            "image.projection.weight": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}});
        let header = header.to_string();
        vec![[&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat()]
    })
    .longest(4096)
    .words(&["\\\"embedding\\\":", "\\\"attributes\\\":[", "\"data_offsets\":[", "4294967296", "18446744073709551615", "text."]),
];

/// What is accepted is what TOML says, and valid; what is refused is refused in a line that there is.
fn attack_recipe(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let obvious = toml::from_str::<AttackRecipe>(text).ok();
    let obvious = obvious.filter(|recipe| recipe.validate().is_empty());
    match recipe::parse(text) {
        Ok(read) => assert_eq!(obvious.as_ref(), Some(&read)),
        Err(Error::Recipe {
            line,
            field,
            message,
        }) => {
            assert!(obvious.is_none(), "{message}");
            assert!(
                (1..=1 + text.matches('\n').count()).contains(&line),
                "{line}: {message}"
            );
            assert!(!field.is_empty() && !message.is_empty());
        }
        Err(other) => panic!("{other}"),
    }
}

fn captions(bytes: &[u8]) {
    match parse_captions(bytes) {
        Ok(captions) => {
            assert!(!captions.is_empty());
            let text = std::str::from_utf8(bytes).expect("it was read as text");
            let text = text.strip_prefix('\u{feff}').unwrap_or(text);
            let lines = text
                .split('\n')
                .map(str::trim)
                .filter(|line| !line.is_empty());
            assert!(lines.eq(captions.iter().map(String::as_str)));
            let fits = |caption: &String| {
                let controls = caption.chars().any(|c| c.is_control() && c != '\t');
                caption.chars().count() <= CAPTION_CHARACTERS && !controls
            };
            assert!(captions.iter().all(fits));
        }
        Err(Error::Captions { line, .. }) => {
            assert!(line <= bytes.split(|byte| *byte == b'\n').count());
        }
        Err(other) => panic!("{other}"),
    }
}

fn preprocessor(bytes: &[u8]) {
    let Ok(read) = Preprocessor::from_json(bytes) else {
        return;
    };
    let (height, width) = match read.resize {
        Resize::ShortestEdge(side) => (side, side),
        Resize::Exact(height, width) => (height, width),
    };
    let (tall, wide) = read.crop.unwrap_or((height, width));
    for side in [height, width, tall, wide] {
        assert!((1..=SIDE).contains(&side));
    }
    assert!(read.deviation.iter().all(|deviation| *deviation > 0.0));
    assert!(
        read.deviation
            .iter()
            .all(|deviation| (1.0 / deviation).is_finite())
    );
}

/// The manifest, a zero byte, and the shards, which it must use exactly.
fn network_manifest(bytes: &[u8]) {
    let Some(end) = bytes.iter().position(|byte| *byte == 0) else {
        return;
    };
    let (manifest, shards) = (&bytes[..end], &bytes[end + 1..]);
    if Manifest::read(ManifestFiles { manifest, shards }).is_err() {
        return;
    }
    // Only this reader looks into what the other one skips.
    let Ok(groups) = serde_json::from_slice::<Vec<Value>>(manifest) else {
        return;
    };
    let entries = groups
        .iter()
        .filter_map(|group| group["weights"].as_array())
        .flatten();
    let size = |entry: &Value| -> u64 {
        let sides = entry["shape"].as_array().expect("a shape");
        let count: u64 = sides
            .iter()
            .map(|side| side.as_u64().expect("a side"))
            .product();
        if entry["quantization"].is_null() {
            4 * count
        } else {
            count
        }
    };
    assert_eq!(entries.map(size).sum::<u64>(), shards.len() as u64);
}

/// Nothing this small is an encoder.
fn encoder_file(bytes: &[u8]) {
    assert!(Encoder::load(bytes).is_err());
}
