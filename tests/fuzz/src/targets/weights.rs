//! Files of weights: safetensors, deltas, adapters, inversions, checkpoints of one file.

use std::{fs, sync::LazyLock};

use candle_core::{DType, Device, Tensor};
use diffusion::{
    inspect::inspect,
    lora::{Component, load as load_lora},
    text::TextualInversion,
    weights::{Weights, WeightsFile, delta},
};
use safetensors::SafeTensors;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::Target;

pub(super) const TARGETS: &[Target] = &[
    Target::new("safetensors", listing, || {
        vec![
            file(&json!({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
                "b": {"dtype": "BF16", "shape": [1, 2], "data_offsets": [8, 12]}, "__metadata__": {"format": "pt"}}), 12),
            file(&json!({"e": {"dtype": "I64", "shape": [0], "data_offsets": [0, 0]}}), 0),
        ]
    })
    .longest(4096)
    .words(WORDS),
    Target::new("delta", changes, || vec![DELTA.1.clone()]).longest(4096).words(WORDS),
    Target::new("weights_index", weights_index, || {
        let index = json!({"metadata": {"total_size": 8}, "weight_map": {"a": "x.safetensors", "b": "y.safetensors"}});
        vec![index.to_string().into_bytes()]
    })
    .longest(1024)
    .words(&["\"weight_map\":{", "x.safetensors", "../x.safetensors", "/", "\"a\":", "\\u0000", ".safetensors", "null"]),
    Target::new("lora_file", lora, || {
        let named = |names: [&str; 3]| {
            file(&json!({
                (names[0]): {"dtype": "F32", "shape": [1, 4], "data_offsets": [0, 16]},
                (names[1]): {"dtype": "F32", "shape": [4, 1], "data_offsets": [16, 32]},
                (names[2]): {"dtype": "F32", "shape": [], "data_offsets": [32, 36]},
                "__metadata__": {"lora_adapter_metadata": "{\"unet.lora_alpha\":2,\"unet.alpha_pattern\":{\"to_q\":4}}"},
            }), 36)
        };
        vec![
            named(["unet.down.to_q.lora_A.weight", "unet.down.to_q.lora_B.weight", "text_encoder.x"]),
            named(["lora_unet_down_to_q.lora_down.weight", "lora_unet_down_to_q.lora_up.weight", "lora_unet_down_to_q.alpha"]),
        ]
    })
    .longest(4096)
    .words(WORDS),
    Target::new("inversion_file", inversion, || {
        vec![file(&json!({"<dog>": {"dtype": "F16", "shape": [2, 2], "data_offsets": [0, 8]}}), 8)]
    })
    .longest(1024)
    .words(WORDS),
    Target::new("single_checkpoint", single_checkpoint, || {
        let tensor = |shape: &[usize]| json!({"dtype": "F16", "shape": shape, "data_offsets": [0, 0]});
        let names = [
            "model.diffusion_model.input_blocks.0.0.weight",
            "model.diffusion_model.time_embed.0.weight",
            "first_stage_model.decoder.conv_in.weight",
            "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight",
            "conditioner.embedders.1.model.token_embedding.weight",
            "model_ema.decay",
        ];
        let all = |names: &[&str]| -> Value {
            names.iter().map(|name| ((*name).to_owned(), tensor(&[0, 4]))).collect::<serde_json::Map<_, _>>().into()
        };
        vec![file(&all(&names), 0), file(&all(&names[..4]), 0)]
    })
    .longest(4096)
    .words(WORDS),
];

const WORDS: &[&str] = &[
    "\"dtype\":\"F32\"",
    "\"F64\"",
    "\"BF16\"",
    "\"F8_E4M3\"",
    "\"BOOL\"",
    "\"shape\":[",
    "\"data_offsets\":[",
    "\"__metadata__\":{",
    "9223372036854775808",
    "18446744073709551615",
    "4611686018427387904",
    "[0,",
    ",0]",
    "lora_A.weight",
    ".lora.down.weight",
    ".alpha",
    "unet.",
    "lora_te_",
    "use_dora",
    "\\u0000",
    "PK\u{3}\u{4}",
    "GGUF",
];

/// A safetensors file of this header and so many bytes of data.
fn file(header: &Value, data: u8) -> Vec<u8> {
    let mut header = header.to_string();
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    let length = (header.len() as u64).to_le_bytes();
    let data: Vec<u8> = (0..data).collect();
    [&length, header.as_bytes(), &data].concat()
}

/// The format's own crate lists the same, and what is read can be written and read again.
fn listing(bytes: &[u8]) {
    let Ok(file) = WeightsFile::from_bytes(bytes) else {
        return;
    };
    let known = SafeTensors::deserialize(bytes).expect("the format's own reader accepts it, too");
    assert_eq!(known.len(), file.len());
    for (name, stored) in file.iter() {
        let view = known.tensor(name).expect("the same names");
        assert_eq!(view.shape(), stored.shape(), "{name}");
        assert_eq!(
            view.data().len(),
            stored.value_count() * stored.element().size_in_bytes(),
            "{name}"
        );
    }
    let Ok(weights) = file.load(DType::F32, &Device::Cpu) else {
        return;
    };
    let written = |weights: &Weights| {
        weights
            .to_bytes(DType::F32, file.metadata())
            .expect("what was read can be written")
    };
    let first = written(&weights);
    let again = Weights::from_bytes(&first, DType::F32, &Device::Cpu);
    assert_eq!(written(&again.expect("what was written is read")), first);
}

const BASE: &str = "base";

/// A folder for readers that take paths, gone with the input.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder can be made");
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).expect("the folder can be written");
    }
    folder
}

/// The base of all deltas, and one delta of it.
static DELTA: LazyLock<(Vec<u8>, Vec<u8>)> = LazyLock::new(|| {
    let tensors = json!({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]},
        "b": {"dtype": "U8", "shape": [2], "data_offsets": [4, 6]}});
    let base = file(&tensors, 6);
    let mut changed = base.clone();
    *changed.last_mut().expect("it has data") ^= 1;
    let folder = folder(&[(BASE, &base), ("result", &changed)]);
    let at = |name: &str| folder.path().join(name);
    delta::make(&at(BASE), &at("result"), &at("delta")).expect("both are files of weights");
    let delta = fs::read(at("delta")).expect("it was just written");
    (base, delta)
});

/// What a delta makes is what it says, or nothing.
fn changes(bytes: &[u8]) {
    let folder = folder(&[(BASE, &DELTA.0), ("delta", bytes)]);
    let at = |name: &str| folder.path().join(name);
    if delta::apply(&at(BASE), &at("delta"), &at("made")).is_err() {
        let left = fs::read_dir(folder.path()).expect("the folder can be listed");
        assert_eq!(left.count(), 2, "a refused delta leaves something");
        return;
    }
    let result = fs::read(at("made")).expect("the result");
    let file = WeightsFile::from_bytes(bytes).expect("a delta is a file of weights");
    assert_eq!(
        file.metadata()["result_sha256"],
        hex::encode(Sha256::digest(&result))
    );
    WeightsFile::from_bytes(&result).expect("the result is a file of weights");
}

/// An index names what its files hold, all of it, and nothing outside of its folder.
fn weights_index(bytes: &[u8]) {
    let shard = |name: &str| {
        file(
            &json!({(name): {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}),
            1,
        )
    };
    let index = "model.safetensors.index.json";
    let folder = folder(&[
        (index, bytes),
        ("x.safetensors", &shard("a")),
        ("y.safetensors", &shard("b")),
    ]);
    // The other reader looks into what this one skips.
    if let Ok(file) = WeightsFile::open(folder.path().join(index))
        && let Ok(index) = serde_json::from_slice::<Value>(bytes)
    {
        let map = index["weight_map"].as_object().expect("a map");
        assert!(
            map.keys()
                .map(String::as_str)
                .eq(file.iter().map(|(name, _)| name))
        );
        assert!(
            map.values()
                .all(|file| file == "x.safetensors" || file == "y.safetensors")
        );
    }
}

static MODEL: LazyLock<Weights> = LazyLock::new(|| {
    let zeros =
        |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).expect("a small tensor");
    let layers = [
        ("down.to_q.weight", vec![4, 4]),
        ("conv.weight", vec![2, 2, 3, 3]),
    ];
    layers
        .map(|(name, shape)| (name.to_owned(), zeros(&shape)))
        .into_iter()
        .collect()
});

/// An adapter that is accepted fits the model.
fn lora(bytes: &[u8]) {
    let folder = folder(&[("lora.safetensors", bytes)]);
    let path = folder.path().join("lora.safetensors");
    for component in [Component::UNet, Component::TextEncoder] {
        if let Ok(Some(lora)) = load_lora(&path, component, &MODEL) {
            let merged = lora
                .merged(&MODEL)
                .expect("an adapter that was accepted fits");
            assert_eq!(merged.len(), MODEL.len());
        }
    }
}

fn inversion(bytes: &[u8]) {
    let folder = folder(&[("inversion.safetensors", bytes)]);
    let at = |name: &str| folder.path().join(name);
    if let Ok(read) = TextualInversion::load(at("inversion.safetensors"), &Device::Cpu) {
        assert!(!read.token().is_empty() && read.token().trim() == read.token());
        let again = at("again.safetensors");
        read.save(&again, DType::F32)
            .expect("what was read can be saved");
        let again = TextualInversion::load(&again, &Device::Cpu).expect("what was saved is read");
        assert_eq!(again.token(), read.token());
    }
}

/// Nothing this small is a whole model.
fn single_checkpoint(bytes: &[u8]) {
    let folder = folder(&[("single.safetensors", bytes)]);
    let read = inspect(folder.path().join("single.safetensors"));
    let error = read.expect_err("no model has a few thousand bytes");
    assert!(error.to_string().len() < 4096, "a long refusal");
}
