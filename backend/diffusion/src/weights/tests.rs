//! Hostile files and honest ones.

use std::fs;

use super::*;
use crate::Error;

fn file(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(data);
    bytes
}

fn refusal(bytes: &[u8]) -> String {
    let error = WeightsFile::from_bytes(bytes).expect_err("refused");
    error.to_string()
}

/// The refusal of a header before eight bytes of data.
fn header_refusal(header: &str) -> String {
    refusal(&file(header, &[0; 8]))
}

fn weights() -> Weights {
    let values = Tensor::new(&[[1.0f32, -2.5], [0.0, 1e-3]], &Device::Cpu).unwrap();
    let mut weights = Weights::new();
    weights.insert("b", values.clone());
    weights.insert("a", values.t().unwrap());
    weights
}

#[test]
fn absurd_header_length_is_refused() {
    let mut bytes = u64::MAX.to_le_bytes().to_vec();
    bytes[0] = 0x7f;
    bytes.extend_from_slice(&[0; 64]);
    assert!(refusal(&bytes).contains("header of"));
    assert!(refusal(&[1, 2]).contains("shorter than 8 bytes"));
    assert!(refusal(&[200, 0, 0, 0, 0, 0, 0, 0, b'{']).contains("header of 200 bytes"));
    let mut long = ((16_u64 << 20) + 1).to_le_bytes().to_vec();
    long.resize((16 << 20) + 64, b' ');
    assert!(refusal(&long).contains("header of 16777217 bytes"));
}

#[test]
fn files_of_other_kinds_are_refused_with_advice() {
    assert!(refusal(b"PK\x03\x04 and then some").contains("pickle"));
    assert!(refusal(&[0x80, 2, 0, 0, 0, 0, 0, 0, 0]).contains("pickle"));
    assert!(refusal(b"GGUF\x03\0\0\0 and then some").contains("GGUF"));
    assert!(refusal(b"version https://git-lfs.github.com").contains("git lfs pull"));
    assert!(refusal(b"<!DOCTYPE html><html>").contains("web page"));
}

#[test]
fn offsets_outside_the_file_name_the_tensor() {
    let beyond = header_refusal(r#"{"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#);
    assert!(beyond.contains("tensor w: offsets 0..16"), "{beyond}");
    let reversed = header_refusal(r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#);
    assert!(reversed.contains("tensor w: offsets 8..0"), "{reversed}");
    let negative = header_refusal(r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}}"#);
    assert!(negative.contains("tensor w: invalid value"), "{negative}");
}

#[test]
fn shapes_that_lie_name_the_tensor() {
    let header = r#"{"w":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}}"#;
    assert!(header_refusal(header).contains("tensor w: shape"));
    let header = r#"{"w":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#;
    assert!(header_refusal(header).contains("tensor w: shape [3] of F32 in 8 bytes"));
    let header = r#"{"w":{"dtype":"U8","shape":[8,1,1,1,1,1,1,1,1],"data_offsets":[0,8]}}"#;
    assert!(header_refusal(header).contains("tensor w: 9 dimensions"));
}

#[test]
fn unknown_dtypes_name_the_tensor() {
    let header = r#"{"w":{"dtype":"F13","shape":[2],"data_offsets":[0,8]}}"#;
    assert!(header_refusal(header).contains("tensor w: unknown dtype F13"));
    let header = r#"{"w":{"dtype":7,"shape":[2],"data_offsets":[0,8]}}"#;
    assert!(header_refusal(header).contains("tensor w: invalid type"));
}

#[test]
fn gaps_overlaps_and_trailing_bytes_are_refused() {
    let overlap = r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[6],"data_offsets":[2,8]}}"#;
    assert!(header_refusal(overlap).contains("tensor b: starts at 2"));
    let gap = r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[2],"data_offsets":[6,8]}}"#;
    assert!(header_refusal(gap).contains("tensor b: starts at 6"));
    let late = r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}"#;
    assert!(header_refusal(late).contains("tensor a: starts at 4"));
    let trailing = r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#;
    assert!(header_refusal(trailing).contains("8 bytes of data, 4 described"));
}

#[test]
fn fields_given_twice_name_the_tensor() {
    let entry = r#"{"dtype":"U8","shape":[8],"data_offsets":[0,8]}"#;
    let twice = format!(r#"{{"w":{entry},"w":{entry}}}"#);
    assert!(header_refusal(&twice).contains("tensor w: listed twice"));
    let field = r#"{"w":{"dtype":"U8","dtype":"I8","shape":[8],"data_offsets":[0,8]}}"#;
    assert!(header_refusal(field).contains("tensor w: duplicate field"));
    let metadata = format!(r#"{{"__metadata__":{{"a":"1","a":"2"}},"w":{entry}}}"#);
    assert!(header_refusal(&metadata).contains("a is listed twice"));
    let metadata = format!(r#"{{"__metadata__":{{}},"__metadata__":{{}},"w":{entry}}}"#);
    assert!(header_refusal(&metadata).contains("__metadata__: listed twice"));
}

#[test]
fn headers_of_another_structure_are_refused() {
    let deep = format!(r#"{{"w":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert!(header_refusal(&deep).contains("tensor w:"));
    let deep = format!(
        r#"{{"w":{{"dtype":"U8","shape":{}8{},"data_offsets":[0,8]}}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    assert!(header_refusal(&deep).contains("tensor w: invalid type"));
    let more = r#"{"w":{"dtype":"U8","shape":[8],"data_offsets":[0,8],"file":"/etc/passwd"}}"#;
    assert!(header_refusal(more).contains("tensor w: unknown field `file`"));
    let less = r#"{"w":{"dtype":"U8","shape":[8]}}"#;
    assert!(header_refusal(less).contains("tensor w: missing field `data_offsets`"));
    assert!(header_refusal(r#"{"w":{"dtype":"U8","sha"#).contains("tensor w: EOF"));
    assert!(header_refusal("[]").contains("header is not JSON"));
    assert!(header_refusal("{} {}").contains("header is not JSON"));
    assert!(header_refusal(r#"{"__metadata__":{"a":{}}}"#).contains("__metadata__: invalid type"));
}

#[test]
fn hostile_names_are_refused_and_not_repeated_to_a_terminal() {
    let entry = r#"{"dtype":"U8","shape":[8],"data_offsets":[0,8]}"#;
    let escape = header_refusal(&format!(r#"{{"\u001b[2J":{entry}}}"#));
    assert!(escape.contains("control characters"), "{escape}");
    assert!(!escape.contains('\u{1b}'));
    let long = header_refusal(&format!(r#"{{"{}":{entry}}}"#, "w".repeat(5000)));
    assert!(long.contains("5000 bytes") && long.len() < 400, "{long}");
    assert!(header_refusal(&format!(r#"{{"":{entry}}}"#)).contains("0 bytes"));
}

#[test]
fn truncated_files_are_refused() {
    let bytes = weights().to_bytes(DType::F32, &BTreeMap::new()).unwrap();
    for length in 0..bytes.len() {
        refusal(&bytes[..length]);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    fs::write(&path, &bytes).unwrap();
    let opened = WeightsFile::open(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let error = opened.load(DType::F32, &Device::Cpu).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
}

#[test]
fn things_that_are_not_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = WeightsFile::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("is not a file"), "{error}");
    let error = WeightsFile::open("/dev/zero").unwrap_err().to_string();
    assert!(error.contains("is not a file"), "{error}");
}

#[test]
fn types_without_a_reader_are_listed_and_not_read() {
    let header = r#"{"w":{"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]}}"#;
    let bytes = file(header, &[0; 8]);
    let listed = WeightsFile::from_bytes(&bytes).unwrap();
    assert_eq!(listed.get("w").unwrap().element().name(), "F8_E4M3");
    let error = listed.load(DType::F32, &Device::Cpu).unwrap_err();
    assert!(error.to_string().starts_with("tensor w:"), "{error}");
}

#[test]
fn every_readable_type_is_read() {
    let header = concat!(
        r#"{"a":{"dtype":"F64","shape":[],"data_offsets":[0,8]},"#,
        r#""b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},"#,
        r#""c":{"dtype":"F16","shape":[1,1],"data_offsets":[12,14]},"#,
        r#""d":{"dtype":"BF16","shape":[1],"data_offsets":[14,16]},"#,
        r#""e":{"dtype":"I64","shape":[1],"data_offsets":[16,24]},"#,
        r#""f":{"dtype":"I32","shape":[1],"data_offsets":[24,28]},"#,
        r#""g":{"dtype":"U32","shape":[1],"data_offsets":[28,32]},"#,
        r#""h":{"dtype":"U8","shape":[1],"data_offsets":[32,33]},"#,
        r#""i":{"dtype":"F32","shape":[0,7],"data_offsets":[33,33]}}"#
    );
    let mut data = Vec::new();
    data.extend_from_slice(&(-1.5_f64).to_le_bytes());
    data.extend_from_slice(&2.5_f32.to_le_bytes());
    data.extend_from_slice(&half::f16::from_f32(3.5).to_le_bytes());
    data.extend_from_slice(&half::bf16::from_f32(-4.5).to_le_bytes());
    data.extend_from_slice(&(-5_i64).to_le_bytes());
    data.extend_from_slice(&(-6_i32).to_le_bytes());
    data.extend_from_slice(&7_u32.to_le_bytes());
    data.push(8);
    let bytes = file(header, &data);
    let expected = [-1.5, 2.5, 3.5, -4.5, -5.0, -6.0, 7.0, 8.0];
    for dtype in [DType::F32, DType::F64, DType::BF16] {
        let read = Weights::from_bytes(&bytes, dtype, &Device::Cpu).unwrap();
        let values: Vec<f32> = read
            .iter()
            .flat_map(|(_, tensor)| {
                assert_eq!(tensor.dtype(), dtype);
                let tensor = tensor.to_dtype(DType::F32).unwrap();
                tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap()
            })
            .collect();
        assert_eq!(values, expected);
    }
}

#[test]
fn saved_bytes_are_stable_and_read_back() {
    let metadata = BTreeMap::from([("seed".to_owned(), "7".to_owned())]);
    let bytes = weights().to_bytes(DType::F32, &metadata).unwrap();
    // The very bytes that the package wrote before it wrote tensor by tensor.
    let header = concat!(
        r#"{"__metadata__":{"format":"pt","seed":"7"},"#,
        r#""a":{"data_offsets":[0,16],"dtype":"F32","shape":[2,2]},"#,
        r#""b":{"data_offsets":[16,32],"dtype":"F32","shape":[2,2]}}"#,
    );
    let values = [1.0_f32, 0.0, -2.5, 1e-3, 1.0, -2.5, 0.0, 1e-3];
    let data: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let padding = " ".repeat(header.len().next_multiple_of(8) - header.len());
    assert_eq!(bytes, file(&format!("{header}{padding}"), &data));
    let read = Weights::from_bytes(&bytes, DType::F32, &Device::Cpu).unwrap();
    assert_eq!(read.len(), 2);
    let transposed = read.get("a").unwrap().to_vec2::<f32>().unwrap();
    assert_eq!(transposed, vec![vec![1.0, 0.0], vec![-2.5, 1e-3]]);
}

#[test]
fn saved_files_hold_the_same_bytes_and_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        weights().save(&path, dtype, &BTreeMap::new()).unwrap();
        let bytes = weights().to_bytes(dtype, &BTreeMap::new()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), bytes);
        let read = Weights::load(&path, DType::F32, &Device::Cpu).unwrap();
        assert_eq!(read.value_count(), 8);
    }
    let error = weights().save(&path, DType::F64, &BTreeMap::new());
    assert!(matches!(error, Err(Error::Unsupported { .. })));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    Weights::load(&path, DType::F32, &Device::Cpu).expect("a failed save leaves the old file");
}

fn shards(index: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        let part: Weights = weights()
            .iter()
            .filter(|(tensor, _)| *tensor == name)
            .map(|(name, tensor)| (name.to_owned(), tensor.clone()))
            .collect();
        let path = folder.path().join(format!("{name}.safetensors"));
        part.save(path, DType::F32, &BTreeMap::new()).unwrap();
    }
    let path = folder.path().join("model.safetensors.index.json");
    fs::write(&path, index).unwrap();
    (folder, path)
}

#[test]
fn sharded_weights_are_one_listing() {
    let index =
        r#"{"metadata":{"total_size":32},"weight_map":{"a":"a.safetensors","b":"b.safetensors"}}"#;
    let (_folder, path) = shards(index);
    let read = Weights::load(path, DType::F32, &Device::Cpu).unwrap();
    let expected = weights().to_bytes(DType::F32, &BTreeMap::new()).unwrap();
    assert_eq!(
        read.to_bytes(DType::F32, &BTreeMap::new()).unwrap(),
        expected
    );
}

#[test]
fn indices_that_lie_are_refused() {
    let refusal = |index: &str| {
        let (_folder, path) = shards(index);
        WeightsFile::open(path).expect_err("refused").to_string()
    };
    let elsewhere = refusal(r#"{"weight_map":{"a":"../a.safetensors"}}"#);
    assert!(elsewhere.contains("not one beside it"), "{elsewhere}");
    let absolute = refusal(r#"{"weight_map":{"a":"/etc/passwd"}}"#);
    assert!(absolute.contains("not one beside it"), "{absolute}");
    let swapped = refusal(r#"{"weight_map":{"a":"b.safetensors","b":"a.safetensors"}}"#);
    assert!(swapped.contains("tensor a:"), "{swapped}");
    let more = r#"{"weight_map":{"a":"a.safetensors","b":"b.safetensors","c":"b.safetensors"}}"#;
    assert!(refusal(more).contains("tensor c: the index names it"));
    let twice = refusal(r#"{"weight_map":{"a":"a.safetensors","a":"b.safetensors"}}"#);
    assert!(twice.contains("a is listed twice"), "{twice}");
    let absent = refusal(r#"{"weight_map":{"a":"c.safetensors"}}"#);
    assert!(absent.contains("c.safetensors"), "{absent}");
    assert!(refusal(r#"{"weight_map":{}}"#).contains("0 files"));
}

#[test]
fn bytes_are_saved_as_they_are() {
    let mut weights = weights();
    weights.insert("codes", Tensor::new(&[7_u8, 255], &Device::Cpu).unwrap());
    let bytes = weights.to_bytes(DType::BF16, &BTreeMap::new()).unwrap();
    let listed = WeightsFile::from_bytes(&bytes).unwrap();
    assert_eq!(listed.get("codes").unwrap().element().name(), "U8");
    assert_eq!(listed.get("a").unwrap().element().name(), "BF16");
    let codes = listed.read("codes", DType::U8, &Device::Cpu).unwrap();
    assert_eq!(codes.to_vec1::<u8>().unwrap(), [7, 255]);
}
