//! Files that lie: they are refused by name, quickly, and without the memory they ask for.

use std::{collections::BTreeMap, fs};

use candle_core::{DType, Device};
use diffusion::{
    Error,
    pipeline::Pipeline,
    unet::{PerLevel, UNetConfig},
    weights::{Weights, WeightsFile},
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::support::path;

/// Most address space in kiB that reading damaged files of a few kB may add: 4 GiB, for the allocator reserves some
/// for every thread of the tests beside this one; what damaged files ask for is far beyond.
const BOUND: u64 = 4 << 20;

/// The highest size of the process so far, in kiB; 0 where the system does not say.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:"));
    let digits = line.unwrap_or("0").trim().trim_end_matches(" kB");
    digits.parse().expect("a number of kB")
}

/// Header and data of a small honest file.
fn honest() -> Vec<u8> {
    fs::read(path("pipeline/text_encoder/model.safetensors")).expect("fixture exists")
}

fn damage(bytes: &mut Vec<u8>, header: usize, rng: &mut ChaCha8Rng) {
    for _ in 0..rng.random_range(1..4) {
        let at = rng.random_range(0..8 + header);
        match rng.random_range(0..5) {
            0 => bytes[at] ^= 1 << rng.random_range(0..8),
            1 => bytes[at] = b"0123456789{}[]\",:-eE\\u"[rng.random_range(0..22)],
            2 => {
                bytes.insert(at, b'9');
            }
            3 => {
                bytes.remove(at);
            }
            _ => bytes.truncate(rng.random_range(1..=bytes.len())),
        }
        if bytes.len() < 8 + header {
            return;
        }
    }
}

#[test]
fn damaged_files_neither_panic_nor_take_memory() {
    let honest = honest();
    let header = u64::from_le_bytes(honest[..8].try_into().unwrap());
    let header = usize::try_from(header).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let before = peak();
    let mut accepted = 0;
    for _ in 0..4000 {
        let mut bytes = honest.clone();
        damage(&mut bytes, header, &mut rng);
        let read = Weights::from_bytes(&bytes, DType::F32, &Device::Cpu);
        accepted += u32::from(read.is_ok());
        if let Err(error) = read {
            assert!(error.to_string().len() < 2000, "{error}");
        }
    }
    let added = peak() - before;
    assert!(added < BOUND, "{added} kiB were added");
    // A changed letter of a name is no error of the format.
    assert!((100..2000).contains(&accepted), "{accepted} were accepted");
}

fn small() -> (UNetConfig, Weights) {
    let file = "pipeline/unet/diffusion_pytorch_model.safetensors";
    let weights = Weights::load(path(file), DType::F32, &Device::Cpu).unwrap();
    let config = fs::read(path("pipeline/unet/config.json")).unwrap();
    (serde_json::from_slice(&config).unwrap(), weights)
}

#[test]
fn absurd_configurations_cost_no_more_than_their_file() {
    let (config, weights) = small();
    let bytes = weights.to_bytes(DType::F16, &BTreeMap::default()).unwrap();
    let file = WeightsFile::from_bytes(&bytes).unwrap();
    config.check_file(&file).expect("the honest one fits");
    let before = peak();
    let huge = 1 << 40;
    let absurd = [
        UNetConfig {
            block_out_channels: vec![huge, huge],
            ..config.clone()
        },
        UNetConfig {
            layers_per_block: huge,
            ..config.clone()
        },
        UNetConfig {
            transformer_layers_per_block: PerLevel::Same(huge),
            ..config.clone()
        },
        UNetConfig {
            cross_attention_dim: usize::MAX,
            ..config.clone()
        },
        UNetConfig {
            in_channels: usize::MAX,
            ..config.clone()
        },
        UNetConfig {
            block_out_channels: vec![0, 0],
            ..config.clone()
        },
        UNetConfig {
            norm_num_groups: 0,
            ..config.clone()
        },
    ];
    for config in absurd {
        let error = config.load(&file, &Device::Cpu).expect_err("refused");
        let named = matches!(
            error,
            Error::ShapeMismatch { .. } | Error::MissingTensor { .. } | Error::InvalidConfig(_)
        );
        assert!(named, "{error}");
    }
    assert!(peak() - before < BOUND);
}

#[test]
fn whole_numbers_are_no_weights() {
    let (config, weights) = small();
    let name = "conv_in.weight";
    let mut changed = weights;
    let quantised = changed.get(name).unwrap().to_dtype(DType::U8).unwrap();
    changed.insert(name, quantised);
    let bytes = changed.to_bytes(DType::F32, &BTreeMap::default()).unwrap();
    let file = WeightsFile::from_bytes(&bytes).unwrap();
    let error = config.check_file(&file).unwrap_err().to_string();
    assert!(
        error.starts_with("tensor conv_in.weight: its values are U8"),
        "{error}"
    );
}

#[test]
fn tensors_that_no_configuration_implies_are_left_in_the_file() {
    let (config, weights) = small();
    let mut more = weights.clone();
    more.insert("stray", weights.get("conv_in.bias").unwrap().clone());
    let bytes = more.to_bytes(DType::F32, &BTreeMap::default()).unwrap();
    let file = WeightsFile::from_bytes(&bytes).unwrap();
    let read = config.load(&file, &Device::Cpu).unwrap();
    assert_eq!(read.len(), weights.len());
    assert!(read.get("stray").is_none());
}

#[test]
fn folder_with_pickles_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::load(path("pipeline"), &Device::Cpu).unwrap();
    pipeline.save(folder.path(), DType::F32).unwrap();
    let unet = folder.path().join("unet");
    let weights = unet.join("diffusion_pytorch_model.safetensors");
    fs::rename(&weights, unet.join("diffusion_pytorch_model.bin")).unwrap();
    let error = Pipeline::load(folder.path(), &Device::Cpu).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("unet/diffusion_pytorch_model.bin is a PyTorch pickle"),
        "{error}"
    );
}

#[test]
fn sharded_folders_load() {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::load(path("pipeline"), &Device::Cpu).unwrap();
    pipeline.save(folder.path(), DType::F32).unwrap();
    let unet = folder.path().join("unet");
    fs::remove_file(unet.join("diffusion_pytorch_model.safetensors")).unwrap();
    let mut map = serde_json::Map::new();
    for half in ["down", "rest"] {
        let name = format!("diffusion_pytorch_model-{half}.safetensors");
        let part: Weights = pipeline
            .unet_weights
            .iter()
            .filter(|(tensor, _)| tensor.starts_with("down") == (half == "down"))
            .map(|(tensor, values)| (tensor.to_owned(), values.clone()))
            .collect();
        map.extend(
            part.iter()
                .map(|(tensor, _)| (tensor.to_owned(), name.clone().into())),
        );
        part.save(unet.join(&name), DType::F32, &BTreeMap::default())
            .unwrap();
    }
    let index = serde_json::json!({ "metadata": {}, "weight_map": map }).to_string();
    fs::write(
        unet.join("diffusion_pytorch_model.safetensors.index.json"),
        index,
    )
    .unwrap();
    let again = Pipeline::load(folder.path(), &Device::Cpu).unwrap();
    assert_eq!(
        again.to_files(DType::F32).unwrap(),
        pipeline.to_files(DType::F32).unwrap()
    );
}
