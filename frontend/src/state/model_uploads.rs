//! Models on their way to the server: they go on while other pages are looked at, and after a pause.

use std::{cell::Cell, rc::Rc};

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
    /// The server has every byte.
    Done,
}

/// A model whose files were chosen in this window.
#[derive(Clone)]
struct ModelUpload {
    id: ImportId,
    phase: ArcRwSignal<Phase>,
    /// Bytes that the server has or that just left.
    sent: ArcRwSignal<f64>,
    files: Rc<Vec<ModelFile>>,
    /// Whether parts are sent now: after a pause the part under way goes on to its end.
    running: Rc<Cell<bool>>,
}

impl ModelUpload {
    fn new(id: ImportId, received_bytes: u64, files: Vec<ModelFile>) -> Self {
        Self {
            id,
            phase: ArcRwSignal::new(Phase::Paused),
            sent: ArcRwSignal::new(received_bytes as f64),
            files: Rc::new(files),
            running: Rc::default(),
        }
    }

    /// Wants bytes to leave; whether somebody has to begin with it, because nobody is at it.
    fn wake(&self) -> bool {
        self.phase.set(Phase::Sending);
        !self.running.replace(true)
    }

    /// What was begun has ended.
    fn rest(&self, end: Result<bool, ApiError>) {
        self.running.set(false);
        match end {
            Ok(true) => self.phase.set(Phase::Done),
            Ok(false) => {}
            Err(error) => self.phase.set(Phase::Stopped(error)),
        }
    }
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

    /// Where the upload of an import stands, if its files were chosen here.
    pub(crate) fn phase(self, id: ImportId) -> Option<Phase> {
        self.changed.track();
        self.of(id).map(|upload| upload.phase.get())
    }

    /// Bytes of it that the server has or that just left.
    pub(crate) fn sent(self, id: ImportId) -> Option<f64> {
        self.changed.track();
        self.of(id).map(|upload| upload.sent.get())
    }

    fn of(self, id: ImportId) -> Option<ModelUpload> {
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
        let upload = ModelUpload::new(import.id, import.received_bytes, files);
        self.uploads.update_value(|uploads| uploads.push(upload));
        self.touch();
        self.go_on(import.id);
    }

    /// Goes on after a pause or a fault.
    pub(crate) fn go_on(self, id: ImportId) {
        let Some(upload) = self.of(id).filter(ModelUpload::wake) else {
            return;
        };
        spawn_local(async move {
            let end = send_all(&upload).await;
            upload.rest(end);
            self.touch();
        });
    }

    /// Stops after the part that is on its way.
    pub(crate) fn pause(self, id: ImportId) {
        if let Some(upload) = self.of(id) {
            upload.phase.set(Phase::Paused);
        }
    }

    /// Drops the files of an import, if there are any.
    pub(crate) fn forget(self, id: ImportId) {
        let Some(upload) = self.of(id) else { return };
        upload.phase.set(Phase::Paused);
        self.uploads
            .update_value(|uploads| uploads.retain(|upload| upload.id != id));
        self.touch();
    }
}

/// Hashes the files and starts their import; `report` gets the share that was read. Whoever changes their mind is asked
/// for with `stopped` after every slice, and then nothing is left of it.
pub(crate) async fn announce_all(
    files: &[ModelFile],
    mut request: CreateModelImport,
    report: impl Fn(f64),
    stopped: impl Fn() -> bool,
) -> Result<ModelImport, ApiError> {
    let total: f64 = files.iter().map(|file| file.file.size()).sum();
    let read = std::cell::Cell::new(0.0);
    let mut announced = Vec::with_capacity(files.len());
    for file in files {
        let file = announce(file, &stopped, |bytes| {
            read.set(read.get() + bytes);
            report(read.get() / total.max(1.0));
        });
        announced.push(file.await?);
    }
    request.source = CreateImportSource::Upload { files: announced };
    let import = api::create_import(&request, &random_key()).await?;
    if stopped() {
        api::delete_import(import.id).await?;
        return Err(ApiError::Aborted);
    }
    Ok(import)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn going_on_during_the_last_part_begins_no_second_round() {
        let owner = Owner::new();
        owner.with(|| {
            let upload = ModelUpload::new(ImportId::nil(), 0, Vec::new());
            assert!(upload.wake(), "nobody is at it");
            upload.phase.set(Phase::Paused);
            assert!(!upload.wake(), "the part under way goes on");
            assert_eq!(upload.phase.get_untracked(), Phase::Sending);
            upload.phase.set(Phase::Paused);
            upload.rest(Ok(false));
            assert_eq!(upload.phase.get_untracked(), Phase::Paused);
            assert!(upload.wake(), "the pause was kept");
            upload.rest(Err(ApiError::Unreachable));
            assert!(upload.wake(), "after a fault");
            upload.rest(Ok(true));
            assert_eq!(upload.phase.get_untracked(), Phase::Done);
        });
    }

    #[test]
    fn an_import_that_nobody_sends_is_none_and_forgetting_it_is_no_news() {
        let owner = Owner::new();
        owner.with(|| {
            let uploads = ModelUploads::provide();
            uploads.forget(ImportId::nil());
            assert_eq!(uploads.changed.get_untracked(), 0);
            assert_eq!(untrack(|| uploads.phase(ImportId::nil())), None);
        });
    }
}
