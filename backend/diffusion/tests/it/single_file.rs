//! Checkpoints of one file: names as diffusers converts them (`fixtures/single_file.py`).

use std::{collections::BTreeMap, fs, io::Write, ops::ControlFlow, path::Path};

use candle_core::{DType, Device, Tensor};
use diffusion::{
    inspect::{Layout, inspect},
    pipeline::{Pipeline, SingleFileOptions},
    sample::{SampleConfig, sample},
    schedule::PredictionType,
    unet::{PerLevel, UNetConfig},
    vae::Autoencoder,
    weights::Weights,
};
use serde_json::Value;

use crate::support::path;

const FAMILIES: [&str; 3] = ["sd1", "sd2", "sdxl"];

fn folder(family: &str) -> Pipeline {
    Pipeline::load(path("families").join(family), &Device::Cpu).unwrap()
}

/// Lines `NAME<tab>WHAT` of a fixture.
fn lines(name: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(path("single_file").join(name)).expect("fixture exists");
    let split = |line: &str| {
        line.split_once('\t')
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
    };
    text.lines()
        .map(|line| split(line).expect("two columns"))
        .collect()
}

/// A tensor of the original layout, made of those of a folder.
fn cook(recipe: &str, pipeline: &Pipeline) -> Tensor {
    let second = pipeline
        .second_text
        .as_ref()
        .map(|text| text.encoder.weights());
    let fetch = |place: &str| {
        let (part, name) = place.split_once('/').unwrap();
        let weights = match part {
            "unet" => &pipeline.unet_weights,
            "vae" => pipeline.autoencoder.weights().unwrap(),
            "text_encoder" => pipeline.text.weights(),
            _ => second.unwrap(),
        };
        weights
            .get(name)
            .unwrap_or_else(|| panic!("{place}"))
            .clone()
    };
    match recipe.split_at(1) {
        ("^", place) => fetch(place).t().unwrap().contiguous().unwrap(),
        ("#", place) => fetch(place).unsqueeze(2).unwrap().unsqueeze(3).unwrap(),
        _ => {
            let pieces: Vec<_> = recipe.split('+').map(fetch).collect();
            Tensor::cat(&pieces, 0).unwrap()
        }
    }
}

/// A folder's tensors in the original layout, with some that no part of it reads.
fn original(family: &str, pipeline: &Pipeline) -> Weights {
    let lines = lines(&format!("{family}.txt"));
    let mut weights: Weights = lines
        .into_iter()
        .map(|(name, recipe)| (name, cook(&recipe, pipeline)))
        .collect();
    weights.insert(
        "alphas_cumprod",
        Tensor::zeros(5, DType::F32, &Device::Cpu).unwrap(),
    );
    weights.insert(
        "model_ema.num_updates",
        Tensor::zeros((), DType::F32, &Device::Cpu).unwrap(),
    );
    if family == "sd2" {
        // The last layer, which the model does not use.
        let start = "cond_stage_model.model.transformer.resblocks.";
        for (name, tensor) in weights.clone().iter() {
            if let Some(rest) = name.strip_prefix(&format!("{start}1.")) {
                weights.insert(format!("{start}2.{rest}"), tensor.zeros_like().unwrap());
            }
        }
    }
    weights
}

/// What the published models have and these small ones have not.
fn options(pipeline: &Pipeline) -> SingleFileOptions {
    let Autoencoder::Kl(autoencoder) = &pipeline.autoencoder else {
        panic!("families have an AutoencoderKL")
    };
    SingleFileOptions {
        unet: Some(pipeline.unet_config.clone()),
        autoencoder: Some(autoencoder.config().clone()),
        text: Some(pipeline.text.config().clone()),
        second_text: pipeline
            .second_text
            .as_ref()
            .map(|text| text.encoder.config().clone()),
        tokenizer: Some(pipeline.tokenizer.clone()),
        schedule: Some(pipeline.schedule.clone()),
        prediction_type: Some(pipeline.schedule.prediction_type),
    }
}

fn draw(pipeline: &Pipeline) -> Vec<f32> {
    let config = SampleConfig {
        steps: 3,
        guidance_scale: 3.0,
        ..SampleConfig::default()
    };
    let prompts = ["a photo of a dog".to_owned()];
    let unet = pipeline.unet().unwrap();
    let go_on = &mut |_, _| ControlFlow::Continue(());
    let image = sample(pipeline, &unet, &prompts, &[4], &config, go_on).unwrap();
    image.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn every_tensor_is_that_of_the_folder_bit_for_bit_and_so_is_the_image() {
    let scratch = tempfile::tempdir().unwrap();
    for family in FAMILIES {
        let expected = folder(family);
        let file = scratch.path().join(format!("{family}.safetensors"));
        let weights = original(family, &expected);
        weights.save(&file, DType::F32, &BTreeMap::new()).unwrap();
        let mut read =
            Pipeline::load_single_file(&file, &options(&expected), &Device::Cpu).unwrap();
        read.model_index.clone_from(&expected.model_index);
        if let (Some(read), Some(expected)) = (&mut read.second_text, &expected.second_text) {
            read.tokenizer = expected.tokenizer.clone();
        }
        let (read_files, files) = (
            read.to_files(DType::F32).unwrap(),
            expected.to_files(DType::F32).unwrap(),
        );
        assert_eq!(
            read_files.keys().collect::<Vec<_>>(),
            files.keys().collect::<Vec<_>>()
        );
        for (name, content) in files {
            assert!(read_files[&name] == content, "{family}: {name}");
        }
        assert_eq!(draw(&read), draw(&expected), "{family}");
    }
}

/// A file of the published size whose values take no room on the disk.
fn published(family: &str, scratch: &Path, metadata: &Value) -> std::path::PathBuf {
    let mut header = serde_json::Map::from_iter([("__metadata__".to_owned(), metadata.clone())]);
    let mut end = 0;
    for (name, shape) in lines(&format!("{family}_published.txt")) {
        let shape: Vec<usize> = shape.split('x').map(|dim| dim.parse().unwrap()).collect();
        let start = end;
        end += 2 * shape.iter().product::<usize>();
        let entry =
            serde_json::json!({ "dtype": "F16", "shape": shape, "data_offsets": [start, end] });
        header.insert(name, entry);
    }
    let header = Value::Object(header).to_string();
    let path = scratch.join(format!("{family}.safetensors"));
    let mut file = fs::File::create(&path).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes())
        .unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.set_len((8 + header.len() + end) as u64).unwrap();
    path
}

#[test]
fn published_sizes_give_the_published_configurations() {
    let scratch = tempfile::tempdir().unwrap();
    let facts = fs::read(path("single_file/published.json")).unwrap();
    let facts: Value = serde_json::from_slice(&facts).unwrap();
    let metadata = serde_json::json!({ "modelspec.architecture": "stable-diffusion-v2-768-v" });
    for (family, resolution) in FAMILIES.into_iter().zip([512, 768, 1024]) {
        let metadata = if family == "sd2" {
            metadata.clone()
        } else {
            serde_json::json!({})
        };
        let found = inspect(published(family, scratch.path(), &metadata)).unwrap();
        assert_eq!((found.family, found.layout), (family, Layout::SingleFile));
        assert_eq!(found.resolution, resolution);
        assert_eq!(found.dtypes, ["F16"]);
        let expected: UNetConfig = serde_json::from_value(facts[family]["unet"].clone()).unwrap();
        assert_eq!(found.unet, expected, "{family}");
        let count = |part: &str| {
            facts[family]["parameters"][part]
                .as_u64()
                .map(|count| usize::try_from(count).unwrap())
        };
        assert_eq!(Some(found.parameters.unet), count("unet"));
        assert_eq!(Some(found.parameters.vae), count("vae"));
        assert_eq!(found.parameters.text_encoder_2, count("text_encoder_2"));
        let unused = if family == "sd2" { 12_596_224 } else { 0 };
        assert_eq!(
            Some(found.parameters.text_encoder + unused),
            count("text_encoder")
        );
    }
}

#[test]
fn prediction_of_version_2_has_to_be_said() {
    let scratch = tempfile::tempdir().unwrap();
    let none = serde_json::json!({});
    let path = published("sd2", scratch.path(), &none);
    let found = inspect(&path).unwrap();
    assert_eq!(found.prediction_type, None);
    assert!(
        found
            .warnings
            .iter()
            .any(|warning| warning.contains("v_prediction"))
    );
    let error = Pipeline::load_single_file(&path, &SingleFileOptions::default(), &Device::Cpu);
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("choose v_prediction")
    );
    let said = serde_json::json!({ "modelspec.prediction_type": "epsilon", "modelspec.resolution": "512x512" });
    let found = inspect(published("sd2", scratch.path(), &said)).unwrap();
    assert_eq!(found.prediction_type, Some(PredictionType::Epsilon));
    assert_eq!(found.resolution, 512);
}

#[test]
fn files_that_are_no_whole_model_are_refused_by_name() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("file.safetensors");
    let refusal = |names: &[(&str, &[usize])]| {
        let tensor = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        let weights: Weights = names
            .iter()
            .map(|(name, shape)| ((*name).to_owned(), tensor(shape)))
            .collect();
        weights.save(&path, DType::F32, &BTreeMap::new()).unwrap();
        inspect(&path).unwrap_err().to_string()
    };
    let first = "model.diffusion_model.input_blocks.0.0.weight";
    assert!(refusal(&[(first, &[4, 9, 3, 3])]).contains("inpainting"));
    assert!(refusal(&[(first, &[4, 4, 3, 3])]).contains("without the text encoder"));
    assert!(refusal(&[("lora_unet_x.alpha", &[])]).contains("adapter"));
    assert!(refusal(&[("double_blocks.0.weight", &[1])]).contains("Flux"));
    assert!(
        refusal(&[("model.diffusion_model.joint_blocks.0.w", &[1])]).contains("Stable Diffusion 3")
    );
    assert!(refusal(&[("resnet.weight", &[1])]).contains("resnet.weight"));
    let text = ("cond_stage_model.transformer.text_model.x", &[1_usize][..]);
    let lacking = refusal(&[(first, &[4, 4, 3, 3]), text]);
    assert!(lacking.contains("lack the tensor"), "{lacking}");
}

#[test]
fn folder_of_another_kind_of_scheduler_is_refused_at_import() {
    let folder = tempfile::tempdir().unwrap();
    let model = Pipeline::load(path("pipeline"), &Device::Cpu).unwrap();
    model.save(folder.path(), DType::F32).unwrap();
    inspect(folder.path()).unwrap();
    let scheduler = folder.path().join("scheduler/scheduler_config.json");
    let config = r#"{"_class_name":"FlowMatchEulerDiscreteScheduler","num_train_timesteps":1000,"shift":3.0}"#;
    fs::write(scheduler, config).unwrap();
    let refusals = [
        inspect(folder.path()).unwrap_err(),
        Pipeline::load(folder.path(), &Device::Cpu).unwrap_err(),
    ];
    for error in refusals.map(|error| error.to_string()) {
        assert!(error.contains("FlowMatchEulerDiscreteScheduler"), "{error}");
    }
}

#[test]
fn folders_are_inspected_by_their_headers() {
    for family in FAMILIES {
        let found = inspect(path("families").join(family)).unwrap();
        assert_eq!((found.family, found.layout), (family, Layout::Diffusers));
        let pipeline = folder(family);
        let counts = found.parameters;
        assert_eq!(counts.unet, pipeline.unet_weights.value_count());
        assert_eq!(counts.text_encoder, pipeline.text.weights().value_count());
        assert_eq!(found.resolution, pipeline.image_side());
        assert!(found.files.contains(&"unet/config.json".to_owned()));
        assert_eq!(found.licence, None);
        assert_eq!(
            found.prediction_type,
            Some(pipeline.schedule.prediction_type)
        );
    }
    assert_eq!(
        inspect(path("pipeline")).unwrap().unet.attention_head_dim,
        PerLevel::Same(2)
    );
    let missing = inspect(path("families")).unwrap_err().to_string();
    assert!(missing.contains("vae/config.json"), "{missing}");
}
