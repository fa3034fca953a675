//! `persguard-node model inspect`: what a model on disk is, told without reading its tensors.
//!
//! Exit code 0 for a model that can be used, 1 with one sentence for anything else.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use diffusion::{
    inspect::{self, FileHash, Inspection},
    schedule::PredictionType,
};
use serde_json::{Value, json};

/// Questions about models on disk.
#[derive(Parser)]
#[command(name = "persguard-node model", bin_name = "persguard-node model")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Tell what a model is: a folder of diffusers, or one safetensors file.
    Inspect {
        /// The folder or the file.
        path: PathBuf,
        /// Print JSON instead of lines.
        #[arg(long)]
        json: bool,
        /// Give up every other file and every address first, where the kernel can see to it: for models of strangers.
        #[arg(long)]
        confined: bool,
    },
}

/// Runs what follows `model` on the command line.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let name = OsString::from("persguard-node model");
    let arguments = Arguments::parse_from(std::iter::once(name).chain(arguments));
    let Command::Inspect {
        path,
        json,
        confined,
    } = arguments.command;
    if confined {
        sandbox::enter([path.as_path()], []);
    }
    let (code, answer) = answer(&path, json);
    match io::stdout().write_all(answer.as_bytes()) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

fn answer(path: &Path, json: bool) -> (ExitCode, String) {
    let found = inspect::inspect(path).and_then(|inspection| {
        let files = inspect::hash_files(&inspection.root, &inspection.files)?;
        Ok((inspection, files))
    });
    match found {
        Ok((inspection, files)) => {
            let answer = if json {
                format!("{}\n", as_json(&inspection, &files))
            } else {
                as_lines(&inspection, &files)
            };
            (ExitCode::SUCCESS, answer)
        }
        Err(error) if json => (
            ExitCode::FAILURE,
            format!("{}\n", json!({ "error": error.to_string() })),
        ),
        Err(error) => (ExitCode::FAILURE, format!("refused: {error}\n")),
    }
}

fn as_json(inspection: &Inspection, files: &[FileHash]) -> Value {
    let counts = &inspection.parameters;
    let mut parameters = json!({
        "unet": counts.unet,
        "vae": counts.vae,
        "text_encoder": counts.text_encoder,
        "total": counts.total(),
    });
    if let Some(count) = counts.text_encoder_2 {
        parameters["text_encoder_2"] = json!(count);
    }
    let file = |file: &FileHash| json!({ "name": file.name, "size_bytes": file.size_bytes, "sha256": file.sha256 });
    json!({
        "family": inspection.family,
        "layout": inspection.layout.name(),
        "prediction_type": prediction(inspection),
        "resolution": inspection.resolution,
        "parameters": parameters,
        "dtypes": inspection.dtypes,
        "files": files.iter().map(file).collect::<Vec<_>>(),
        "manifest_sha256": inspect::manifest(files),
        "licence": inspection.licence,
        "warnings": inspection.warnings,
    })
}

/// As diffusers writes it; `unknown` where the model does not say.
fn prediction(inspection: &Inspection) -> &'static str {
    match inspection.prediction_type {
        Some(PredictionType::Epsilon) => "epsilon",
        Some(PredictionType::VPrediction) => "v_prediction",
        Some(PredictionType::Sample) => "sample",
        None => "unknown",
    }
}

fn as_lines(inspection: &Inspection, files: &[FileHash]) -> String {
    let counts = &inspection.parameters;
    let mut lines = vec![
        format!("family      {}", inspection.family),
        format!("layout      {}", inspection.layout.name()),
        format!("prediction  {}", prediction(inspection)),
        format!("resolution  {0} x {0}", inspection.resolution),
        format!("parameters  {} in all", counts.total()),
        format!("            {} unet", counts.unet),
        format!("            {} vae", counts.vae),
        format!("            {} text_encoder", counts.text_encoder),
    ];
    let second = counts.text_encoder_2;
    lines.extend(second.map(|count| format!("            {count} text_encoder_2")));
    lines.push(format!("dtypes      {}", inspection.dtypes.join(", ")));
    let licence = inspection.licence.as_deref().unwrap_or("none found");
    lines.push(format!("licence     {licence}"));
    let file = |file: &FileHash| {
        format!(
            "file        {}  {} bytes  {}",
            file.sha256, file.size_bytes, file.name
        )
    };
    lines.extend(files.iter().map(file));
    lines.push(format!("manifest    {}", inspect::manifest(files)));
    let warnings = inspection.warnings.iter();
    lines.extend(warnings.map(|warning| format!("warning     {warning}")));
    lines.push(String::new());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A small model of the diffusion package's tests.
    fn model() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../diffusion/tests/fixtures/families/sdxl")
    }

    #[test]
    fn a_model_is_told_in_json_and_in_lines() {
        let (code, answer) = super::answer(&model(), true);
        assert_eq!(code, ExitCode::SUCCESS);
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(
            (&answer["family"], &answer["layout"]),
            (&json!("sdxl"), &json!("diffusers"))
        );
        assert_eq!(answer["prediction_type"], "epsilon");
        assert_eq!(answer["dtypes"], json!(["F32"]));
        assert_eq!(answer["licence"], Value::Null);
        assert_eq!(answer["manifest_sha256"].as_str().unwrap().len(), 64);
        let parameters = answer["parameters"].as_object().unwrap();
        let of = |part: &str| parameters[part].as_u64().unwrap();
        let parts = ["unet", "vae", "text_encoder", "text_encoder_2"];
        assert_eq!(parts.map(of).iter().sum::<u64>(), of("total"));
        let files = answer["files"].as_array().unwrap();
        let index = files
            .iter()
            .find(|file| file["name"] == "model_index.json")
            .unwrap();
        let bytes = fs::metadata(model().join("model_index.json"))
            .unwrap()
            .len();
        assert_eq!(index["size_bytes"], bytes);
        let (_, lines) = super::answer(&model(), false);
        assert!(lines.contains("licence     none found"), "{lines}");
        assert!(lines.contains("unet/config.json"), "{lines}");
    }

    #[test]
    fn a_refusal_is_one_sentence_that_names_the_tensor() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let header = r#"{"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#;
        let length = (header.len() as u64).to_le_bytes();
        fs::write(&path, [&length[..], header.as_bytes()].concat()).unwrap();
        let (code, answer) = super::answer(&path, true);
        assert_eq!(code, ExitCode::FAILURE);
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let error = answer["error"].as_str().unwrap();
        assert!(error.starts_with("tensor w: offsets 0..16"), "{error}");
        fs::write(folder.path().join("model.ckpt"), b"PK\x03\x04 zip").unwrap();
        let (_, answer) = super::answer(&folder.path().join("model.ckpt"), false);
        assert!(answer.contains("pickle"), "{answer}");
    }
}
