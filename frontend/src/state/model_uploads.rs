//! Models on their way to the server: they go on while other pages are looked at, and after a pause.

use leptos::{prelude::*, task::spawn_local};
use shared::{
    ImportId,
    model_import::{CreateImportSource, CreateModelImport, ImportStatus, ModelImport},
};

use crate::{
    api::{
        self, ApiError,
        model_transfer::{ModelFile, announce, send_part},
    },
    state::browser::random_key,
};

/// Where one model stands in this browser.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Phase {
    /// Bytes leave.
    Sending,
    /// The person asked to wait.
    Paused,
    /// It stopped; going on is possible.
    Stopped(ApiError),
}

/// A model whose files were chosen in this window.
#[derive(Clone)]
pub(crate) struct ModelUpload {
    pub(crate) id: ImportId,
    pub(crate) phase: ArcRwSignal<Phase>,
    /// Bytes that the server has or that just left.
    pub(crate) sent: ArcRwSignal<f64>,
    files: Vec<ModelFile>,
}

/// Every upload of this window.
#[derive(Clone, Copy)]
pub(crate) struct ModelUploads {
    uploads: StoredValue<Vec<ModelUpload>, LocalStorage>,
    /// Rises when the list or an import changed.
    pub(crate) changed: RwSignal<u32>,
}

impl ModelUploads {
    pub(crate) fn provide() -> Self {
        let uploads = Self {
            uploads: StoredValue::new_local(Vec::new()),
            changed: RwSignal::new(0),
        };
        provide_context(uploads);
        uploads
    }

    pub(crate) fn expect() -> Self {
        expect_context()
    }

    /// Whether leaving the page would stop something.
    pub(crate) fn any_active(self) -> bool {
        let active = |upload: &ModelUpload| upload.phase.get_untracked() == Phase::Sending;
        self.uploads
            .with_value(|uploads| uploads.iter().any(active))
    }

    /// The upload of an import, if its files were chosen here.
    pub(crate) fn of(self, id: ImportId) -> Option<ModelUpload> {
        self.changed.track();
        let mine = |upload: &&ModelUpload| upload.id == id;
        self.uploads
            .with_value(|uploads| uploads.iter().find(mine).cloned())
    }

    fn touch(self) {
        self.changed.try_update(|count| *count += 1);
    }

    /// Takes up the files of an import and sends what is missing.
    pub(crate) fn start(self, import: &ModelImport, files: Vec<ModelFile>) {
        self.forget(import.id);
        let upload = ModelUpload {
            id: import.id,
            phase: ArcRwSignal::new(Phase::Paused),
            sent: ArcRwSignal::new(import.received_bytes as f64),
            files,
        };
        self.uploads.update_value(|uploads| uploads.push(upload));
        self.touch();
        self.go_on(import.id);
    }

    /// Goes on after a pause or a fault.
    pub(crate) fn go_on(self, id: ImportId) {
        let Some(upload) = self.of(id) else { return };
        if upload.phase.get_untracked() == Phase::Sending {
            return;
        }
        upload.phase.set(Phase::Sending);
        spawn_local(async move {
            let answer = send_all(&upload).await;
            match answer {
                Ok(true) => self.forget(id),
                Ok(false) => {}
                Err(error) => upload.phase.set(Phase::Stopped(error)),
            }
            self.touch();
        });
    }

    /// Stops after the part that is on its way.
    pub(crate) fn pause(self, id: ImportId) {
        if let Some(upload) = self.of(id) {
            upload.phase.set(Phase::Paused);
        }
    }

    /// Drops the files of an import.
    pub(crate) fn forget(self, id: ImportId) {
        self.uploads.update_value(|uploads| {
            for upload in uploads.iter().filter(|upload| upload.id == id) {
                upload.phase.set(Phase::Paused);
            }
            uploads.retain(|upload| upload.id != id);
        });
        self.touch();
    }
}

/// Hashes the files and starts their import; `report` gets the share that was read.
pub(crate) async fn announce_all(
    files: &[ModelFile],
    mut request: CreateModelImport,
    report: impl Fn(f64),
) -> Result<ModelImport, ApiError> {
    let total: f64 = files.iter().map(|file| file.file.size()).sum();
    let read = std::cell::Cell::new(0.0);
    let mut announced = Vec::with_capacity(files.len());
    for file in files {
        let file = announce(file, |bytes| {
            read.set(read.get() + bytes);
            report(read.get() / total.max(1.0));
        });
        announced.push(file.await?);
    }
    request.source = CreateImportSource::Upload { files: announced };
    api::create_import(&request, &random_key()).await
}

/// Sends every missing part and completes; `false` where it was paused.
async fn send_all(upload: &ModelUpload) -> Result<bool, ApiError> {
    let import = api::model_import(upload.id).fetch(None).await?;
    if import.status != ImportStatus::Uploading {
        return Ok(true);
    }
    let mut before = 0.0;
    for target in &import.files {
        let mut received = target.received_bytes;
        let same = |file: &&ModelFile| {
            file.name == target.name && (file.file.size() - target.size_bytes as f64).abs() < 0.5
        };
        let Some(file) = upload.files.iter().find(same) else {
            return Err(ApiError::Browser(say!(
                "{name} of {size} bytes is not among the chosen files.",
                name = target.name,
                size = target.size_bytes
            )));
        };
        while !target.complete && received < target.size_bytes {
            if upload.phase.get_untracked() != Phase::Sending {
                return Ok(false);
            }
            let (sent, offset) = (upload.sent.clone(), before);
            let report = move |bytes: f64| sent.set(offset + bytes);
            received = send_part(target, received, &file.file, report).await?;
        }
        before += target.size_bytes as f64;
        upload.sent.set(before);
    }
    api::complete_import(upload.id).await?;
    Ok(true)
}
