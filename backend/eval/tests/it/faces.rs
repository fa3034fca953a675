//! The face networks against face-api on made-up weights under its own manifests.

use candle_core::{Device, Tensor};
use eval::net::face::{Descriptor, Detector, Landmarks, ManifestFiles};
use serde_json::Value;

use crate::support::{bytes, floats, gap, json, values};

/// Bytes for every tensor of a manifest, all quantized.
fn shards(manifest: &Value, seed: u32) -> Vec<u8> {
    let size = |entry: &Value| -> usize {
        floats(&entry["shape"])
            .into_iter()
            .map(|side| side as usize)
            .product()
    };
    let weights = manifest[0]["weights"].as_array().unwrap();
    bytes(weights.iter().map(size).sum(), seed)
}

fn with<T>(name: &str, seed: u32, load: impl FnOnce(ManifestFiles<'_>) -> eval::Result<T>) -> T {
    let manifest = &json("faces.json")["manifests"][name];
    let text = manifest.to_string();
    let files = ManifestFiles {
        manifest: text.as_bytes(),
        shards: &shards(manifest, seed),
    };
    load(files).unwrap()
}

/// Bytes row by row, as `[1, 3, height, width]` in `[0, 255]`.
fn picture(height: usize, width: usize, seed: u32) -> Tensor {
    let raw: Vec<f32> = bytes(height * width * 3, seed)
        .into_iter()
        .map(f32::from)
        .collect();
    let rows = Tensor::from_vec(raw, (1, height, width, 3), &Device::Cpu).unwrap();
    rows.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap()
}

#[test]
fn the_detector_agrees_with_face_api() {
    let reference = json("faces.json");
    let detector = with("tiny_face_detector_model", 50, Detector::load);
    let picture = picture(60, 80, 4);
    let numbers = detector
        .forward(&Detector::prepare(&picture).unwrap())
        .unwrap();
    // The library's axes: rows, columns, numbers.
    let numbers = numbers.permute((0, 2, 3, 1)).unwrap();
    let found: Vec<f32> = values(&numbers).into_iter().step_by(97).collect();
    let difference = gap(&found, &floats(&reference["detector"]));
    assert!(difference < 1e-4, "{difference}");
    let boxes = detector.detect(&picture).unwrap();
    let expected = reference["boxes"].as_array().unwrap();
    assert!(boxes.len() >= expected.len());
    for (found, expected) in boxes.iter().zip(expected) {
        let found = [
            found.left,
            found.top,
            found.width,
            found.height,
            found.score,
        ];
        let difference = gap(&found, &floats(expected));
        assert!(difference < 1e-4, "{found:?} {expected}");
    }
}

#[test]
fn landmarks_and_their_square_agree_with_face_api() {
    let reference = json("faces.json");
    let landmarks = with("face_landmark_68_tiny_model", 51, Landmarks::load);
    let points = landmarks.points(&picture(90, 70, 5)).unwrap();
    let expected = reference["points"].as_array().unwrap();
    assert_eq!((points.len(), expected.len()), (68, 68));
    for (found, expected) in points.iter().zip(expected) {
        let difference = gap(&found.map(|value| value as f32), &floats(expected));
        assert!(difference < 1e-4, "{found:?} {expected}");
    }
    let square = eval::net::face::aligned(&points, (3.0, 4.0), (70, 90));
    assert_eq!(
        square.map(|value| value as f32).to_vec(),
        floats(&reference["aligned"])
    );
}

#[test]
fn descriptors_agree_with_face_api() {
    let reference = json("faces.json");
    let descriptor = with("face_recognition_model", 52, Descriptor::load);
    let found = descriptor.describe(&picture(90, 70, 5)).unwrap();
    let difference = gap(&found, &floats(&reference["descriptor"]));
    assert!(difference < 1e-4, "{difference}");
}
