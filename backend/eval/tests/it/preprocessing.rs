//! Preprocessing against transformers' processors over Pillow.

use candle_core::{DType, Device, Tensor};
use eval::net::Preprocessor;

use crate::support::{gap, json, tensors, values};

#[test]
fn processors_agree_with_transformers() {
    let fixture = tensors("preprocessing.safetensors");
    for (name, config) in json("preprocessing.json").as_object().unwrap() {
        let get = |part: &str| fixture.get(&format!("{name}.{part}")).unwrap();
        let processor = Preprocessor::from_json(config.to_string().as_bytes()).unwrap();
        let found = processor.apply(get("pixels")).unwrap();
        assert_eq!(found.dims(), get("expected").dims(), "{name}");
        let gap = gap(&values(&found), &values(get("expected")));
        // A byte that Pillow rounds otherwise would differ by 0.014.
        assert!(gap < 1e-5, "{name}: {gap}");
    }
}

#[test]
fn published_clip_files_mean_the_built_in_steps() {
    let json = br#"{"crop_size": 224, "do_center_crop": true, "do_normalize": true, "do_resize": true,
        "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711],
        "resample": 3, "size": {"shortest_edge": 224}}"#;
    assert_eq!(
        Preprocessor::from_json(json).unwrap(),
        Preprocessor::clip(224)
    );
    let dino = Preprocessor::dino(224);
    let pixels = Tensor::zeros((1, 3, 40, 40), DType::F32, &Device::Cpu).unwrap();
    assert_eq!(dino.apply(&pixels).unwrap().dims(), [1, 3, 224, 224]);
}

#[test]
fn steps_that_are_not_known_are_refused() {
    let good = r#"{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "resample": 3, "size": 8}"#;
    assert!(Preprocessor::from_json(good.as_bytes()).is_ok());
    for (from, to) in [
        ("\"resample\": 3", "\"resample\": 1"),
        ("\"size\": 8", "\"size\": 0"),
        ("\"size\": 8", "\"size\": 100000"),
        ("\"size\": 8", "\"size\": 8, \"do_resize\": false"),
        ("\"size\": 8", "\"size\": 8, \"rescale_factor\": 0.5"),
        ("\"size\": 8", "\"size\": 8, \"do_normalize\": 1"),
        (
            "\"image_std\": [0.5, 0.5, 0.5]",
            "\"image_std\": [0.5, 0.0, 0.5]",
        ),
        (
            "\"image_mean\": [0.5, 0.5, 0.5]",
            "\"image_mean\": [0.5, 0.5]",
        ),
        ("{", "["),
    ] {
        let bad = good.replacen(from, to, 1);
        assert!(Preprocessor::from_json(bad.as_bytes()).is_err(), "{bad}");
    }
    let processor = Preprocessor::clip(32);
    for shape in [(0, 3, 8, 8), (1, 1, 8, 8), (1, 3, 1, 5000), (1, 3, 8, 2000)] {
        let pixels = Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        assert!(processor.apply(&pixels).is_err(), "{shape:?}");
    }
}
