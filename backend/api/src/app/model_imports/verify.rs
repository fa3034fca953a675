//! Verification: the files are read by a program of its own, then pinned and registered.

use std::{collections::HashMap, path::Path};

use serde::Deserialize;
use shared::{base_model::ModelFacts, node::InputRole};
use store::{BaseModelFile, ImportFileRecord, ModelImportRecord, NewBaseModel};

use super::{
    failure,
    inspector::{self, Inspection, InspectionError},
    work::Stop,
};
use crate::{
    app::{App, base_models, blobs, embedded},
    error::Error,
};

/// What a model says of itself to PersGuard.
const CARD: &str = "persguard.json";
/// Largest card that is read.
const MAX_CARD_BYTES: u64 = 64 * 1024;
/// Name of the metric encoder among an imported model's files; no path inside a model has a blank.
const ENCODER: &str = "metric encoder.safetensors";

#[derive(Default, Deserialize)]
struct Card {
    #[serde(default)]
    identifiers: Vec<String>,
}

/// Checks the files of an import and makes them a base model.
pub(super) async fn run(app: &App, import: &ModelImportRecord) -> Result<(), Stop> {
    let records = app.store().import_files(import.owner_id, import.id).await?;
    let files = model_files(&records)?;
    let manifest = base_models::manifest(&files);
    if let Some(pinned) = import
        .pinned_sha256
        .as_ref()
        .filter(|pinned| **pinned != manifest)
    {
        let cause =
            format!("The model's content hash is {manifest}, not {pinned} as the import demands.");
        let fix =
            "Find out which one you want, and start the import again with its files or its hash.";
        return Err(Stop::Failed(failure(
            "manifest_mismatch",
            cause,
            fix,
            false,
        )));
    }
    let inspection = inspect(app, &files).await?;
    compare(&inspection, &files)?;
    let new = registration(app, import, files, manifest, inspection).await?;
    let _publishing = app.publishing().await?;
    if let Some(model) = app
        .store()
        .finish_import(import.id, &new, app.now())
        .await?
    {
        tracing::info!(import.id = %import.id, model.id = %model.id, "a model was imported");
    }
    Ok(())
}

fn model_files(records: &[ImportFileRecord]) -> Result<Vec<BaseModelFile>, Stop> {
    let file = |record: &ImportFileRecord| {
        let sha256 = record.sha256.clone().filter(|_| record.stored);
        let missing = || Stop::Fault(Error::Internal(format!("{} is not stored", record.name)));
        Ok(BaseModelFile {
            name: record.name.clone(),
            role: InputRole::ModelFile,
            sha256: sha256.ok_or_else(missing)?,
            size_bytes: record.size_bytes,
        })
    };
    records.iter().map(file).collect()
}

/// Reads the model in a folder of its own; one at a time, since it takes memory.
async fn inspect(app: &App, files: &[BaseModelFile]) -> Result<Inspection, Stop> {
    let Ok(_permit) = app.imports().inspections.acquire().await else {
        return Err(Stop::Fault(Error::Internal("the server stops".into())));
    };
    let mut named = Vec::new();
    for file in files {
        let hash = file.sha256.parse().map_err(Error::internal)?;
        named.push((file.name.clone(), hash));
    }
    let folder = blobs::lay_out(app, named).await?;
    let whole = files.iter().any(|file| file.name == "model_index.json");
    let checkpoint = files
        .iter()
        .find(|file| file.name.ends_with(".safetensors"));
    let path = match checkpoint.filter(|_| !whole) {
        Some(file) => folder.path().join(&file.name),
        None => folder.path().to_owned(),
    };
    let program = inspector::program(app.config()).map_err(Error::internal)?;
    inspector::inspect(&program, Path::new(&path))
        .await
        .map_err(|error| refusal(&error))
}

fn refusal(error: &InspectionError) -> Stop {
    let (code, fix, retryable) = match error {
        InspectionError::Refused(_) => (
            "model_refused",
            "Import another version of the model, with complete files.",
            false,
        ),
        InspectionError::TooSlow { .. } | InspectionError::Died(_) => (
            "inspection_failed",
            "Retry when the server is less busy. If it fails again, the model is too large for this server.",
            true,
        ),
        InspectionError::Missing(_) | InspectionError::Unreadable(_) => (
            "inspector_missing",
            "The server's operator must install persguard-node of the same version beside the server. Then retry.",
            true,
        ),
    };
    Stop::Failed(failure(code, error.to_string(), fix, retryable))
}

/// What was read must be what was stored.
fn compare(inspection: &Inspection, files: &[BaseModelFile]) -> Result<(), Stop> {
    let stored: HashMap<&str, &str> = files
        .iter()
        .map(|file| (file.name.as_str(), file.sha256.as_str()))
        .collect();
    for file in &inspection.files {
        if stored
            .get(file.name.as_str())
            .is_some_and(|known| *known != file.sha256)
        {
            let cause = format!("`{}` changed on the server's disk.", file.name);
            let fix = "Ask the server's operator to check the disk, then import the model again.";
            return Err(Stop::Failed(failure("damaged", cause, fix, false)));
        }
    }
    Ok(())
}

async fn registration(
    app: &App,
    import: &ModelImportRecord,
    mut files: Vec<BaseModelFile>,
    manifest_sha256: String,
    inspection: Inspection,
) -> Result<NewBaseModel, Stop> {
    let identifiers = identifiers(app, &files).await?;
    let encoder = embedded::files(app).await?;
    let encoder = encoder
        .into_iter()
        .find(|file| file.role == InputRole::Encoder);
    files.extend(encoder.map(|file| BaseModelFile {
        name: ENCODER.to_owned(),
        ..file
    }));
    Ok(NewBaseModel {
        name: import.name.clone(),
        family: inspection.family,
        resolution: inspection.resolution,
        licence: import.licence.clone(),
        manifest_sha256,
        classes: import.classes.clone(),
        targets: demo::TARGETS
            .iter()
            .map(|word| (*word).to_owned())
            .collect(),
        identifiers,
        facts: Some(ModelFacts {
            layout: inspection.layout,
            prediction_type: inspection.prediction_type,
            parameters: inspection.parameters,
            dtypes: inspection.dtypes,
            licence_file: inspection.licence,
            warnings: inspection.warnings,
        }),
        files,
    })
}

/// The identifiers that the model's card names; none where it has no card that can be read.
async fn identifiers(app: &App, files: &[BaseModelFile]) -> Result<Vec<String>, Stop> {
    let card = files.iter().find(|file| file.name == CARD);
    let Some(card) = card.filter(|file| file.size_bytes <= MAX_CARD_BYTES) else {
        return Ok(Vec::new());
    };
    let bytes = blobs::read(app, &card.sha256, MAX_CARD_BYTES).await?;
    let card: Card = serde_json::from_slice(&bytes).unwrap_or_default();
    let word =
        |word: &String| (1..=32).contains(&word.len()) && word.chars().all(char::is_alphanumeric);
    Ok(card
        .identifiers
        .into_iter()
        .filter(word)
        .take(1000)
        .collect())
}
