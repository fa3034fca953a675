//! Deltas: exact both ways, small, and refused with the wrong files.

use std::{collections::BTreeMap, fs};

use candle_core::{DType, Device, Tensor};
use tempfile::TempDir;

use super::{Error, PathBuf, apply, make};
use crate::weights::{Weights, WeightsFile};

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(TempDir::new().expect("a directory can be made"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file of tensors with these values.
    fn save(&self, name: &str, tensors: &[(&str, f32, usize)]) -> PathBuf {
        let mut weights = Weights::new();
        for (name, value, rows) in tensors {
            let tensor = Tensor::full(*value, (*rows, 33), &Device::Cpu).unwrap();
            weights.insert(*name, tensor);
        }
        let path = self.path(name);
        weights.save(&path, DType::F32, &BTreeMap::new()).unwrap();
        path
    }
}

#[test]
fn applied_delta_gives_the_result_byte_by_byte() {
    let files = Files::new();
    let base = files.save(
        "base",
        &[
            ("a", 1.0, 64),
            ("b", 2.0, 64),
            ("c", 3.0, 64),
            ("gone", 0.0, 64),
        ],
    );
    let result = files.save(
        "result",
        &[
            ("a", 1.0, 64),
            ("b", 2.5, 64),
            ("c", 3.0, 32),
            ("new", 7.0, 64),
        ],
    );
    let (delta, made) = (files.path("delta"), files.path("made"));
    let summary = make(&base, &result, &delta).unwrap();
    assert_eq!((summary.changed, summary.tensors), (3, 4));
    assert_eq!(summary.delta_bytes, fs::metadata(&delta).unwrap().len());
    assert!(summary.delta_bytes < summary.result_bytes);
    let applied = apply(&base, &delta, &made).unwrap();
    assert_eq!(applied, summary);
    assert_eq!(fs::read(&made).unwrap(), fs::read(&result).unwrap());
    let stored = WeightsFile::open(&delta).unwrap();
    let names: Vec<&str> = stored.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["b", "c", "new"], "a delta is a safetensors file");
}

#[test]
fn nothing_changed_costs_a_header() {
    let files = Files::new();
    let base = files.save("base", &[("a", 1.0, 64), ("b", f32::NAN, 64)]);
    let delta = files.path("delta");
    let summary = make(&base, &base, &delta).unwrap();
    assert_eq!(summary.changed, 0, "bytes are compared, not numbers");
    assert!(summary.delta_bytes < 1_000);
    apply(&base, &delta, &files.path("made")).unwrap();
    assert_eq!(
        fs::read(files.path("made")).unwrap(),
        fs::read(&base).unwrap()
    );
}

#[test]
fn wrong_base_damaged_delta_and_other_files_are_refused() {
    let files = Files::new();
    let base = files.save("base", &[("a", 1.0, 64), ("b", 2.0, 64)]);
    let other = files.save("other", &[("a", 1.5, 64), ("b", 2.0, 64)]);
    let delta = files.path("delta");
    make(&base, &other, &delta).unwrap();
    let made = files.path("made");
    let refused = apply(&other, &delta, &made);
    assert!(
        matches!(refused, Err(Error::OtherFile { what: "base", .. })),
        "{refused:?}"
    );
    let mut damaged = fs::read(&delta).unwrap();
    *damaged.last_mut().unwrap() ^= 1;
    fs::write(&delta, damaged).unwrap();
    let refused = apply(&base, &delta, &made);
    assert!(
        matches!(refused, Err(Error::OtherFile { what: "result", .. })),
        "{refused:?}"
    );
    let refused = apply(&base, &other, &made);
    assert!(
        matches!(refused, Err(Error::MalformedWeights { .. })),
        "{refused:?}"
    );
    fs::write(&delta, b"short").unwrap();
    assert!(apply(&base, &delta, &made).is_err());
    assert!(!made.exists());
    let left = fs::read_dir(files.0.path()).unwrap();
    assert_eq!(left.count(), 3, "no partial file stays");
}
