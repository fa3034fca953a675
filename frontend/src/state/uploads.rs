//! The upload queue: at most three files at once, across pages, each with its own fate.
//!
//! It lives at the application's root, so moving to another page does not stop an upload.

use leptos::{prelude::*, task::spawn_local};
use shared::{SetId, image::ProtectedImage, upload::LeftOut};
use web_sys::File;

use crate::api::{
    ApiError,
    transfer::{Sent, Stage, upload},
};

const PARALLEL: usize = 3;

/// What an archive held that the set did not take.
fn left_out(files: &[LeftOut]) -> ApiError {
    let each: Vec<String> = files
        .iter()
        .map(|file| format!("{}: {}", file.filename, file.detail))
        .collect();
    ApiError::Browser(say!(
        "Not taken from the archive: {reasons}",
        reasons = each.join(" ")
    ))
}

/// Where one file stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum FileState {
    /// In line.
    Waiting,
    /// Under way.
    Active(Stage),
    /// Part of its set.
    Done,
    /// Did not work out.
    Failed(ApiError),
}

impl FileState {
    /// Whether sending the same bytes again may work.
    pub(crate) fn can_retry(&self) -> bool {
        // `Browser` is the shared rules' verdict on the file itself: it will not change.
        matches!(self, Self::Failed(error) if error.retryable() && !matches!(error, ApiError::Browser(_)))
    }

    /// Whether it waits or moves.
    pub(crate) fn is_pending(&self) -> bool {
        matches!(self, Self::Waiting | Self::Active(_))
    }
}

/// One chosen file.
#[derive(Clone)]
pub(crate) struct QueuedFile {
    pub(crate) key: u32,
    pub(crate) set: SetId,
    pub(crate) name: String,
    pub(crate) size_bytes: f64,
    pub(crate) state: ArcRwSignal<FileState>,
    file: File,
}

/// The queue; provided by the application's root.
#[derive(Clone, Copy)]
pub(crate) struct Uploads {
    files: RwSignal<Vec<QueuedFile>, LocalStorage>,
    /// Images that finished here and that a fetched set may not show yet.
    finished: RwSignal<Vec<(SetId, ProtectedImage)>>,
    next_key: StoredValue<u32>,
}

impl Uploads {
    pub(crate) fn provide() -> Self {
        let uploads = Self {
            files: RwSignal::new_local(Vec::new()),
            finished: RwSignal::new(Vec::new()),
            next_key: StoredValue::new(0),
        };
        provide_context(uploads);
        uploads
    }

    pub(crate) fn expect() -> Self {
        expect_context()
    }

    /// The files of one set that are not done.
    pub(crate) fn of(self, set: SetId) -> Vec<QueuedFile> {
        self.files.with(|files| {
            files
                .iter()
                .filter(|file| file.set == set)
                .cloned()
                .collect()
        })
    }

    /// Images that finished since the set was fetched.
    pub(crate) fn finished(self, set: SetId) -> Vec<ProtectedImage> {
        self.finished.with(|finished| {
            finished
                .iter()
                .filter(|(owner, _)| *owner == set)
                .map(|(_, image)| image.clone())
                .collect()
        })
    }

    /// Whether anything would be lost by closing the tab.
    pub(crate) fn any_pending(self) -> bool {
        self.files.with_untracked(|files| {
            files
                .iter()
                .any(|file| file.state.with_untracked(FileState::is_pending))
        })
    }

    /// Adds files to the line.
    pub(crate) fn add(self, set: SetId, chosen: Vec<File>) {
        self.files.update(|files| {
            for file in chosen {
                let key = self.next_key.get_value();
                self.next_key.set_value(key + 1);
                files.push(QueuedFile {
                    key,
                    set,
                    name: file.name(),
                    size_bytes: file.size(),
                    state: ArcRwSignal::new(FileState::Waiting),
                    file,
                });
            }
        });
        self.pump();
    }

    /// Sends again what failed for a passing reason.
    pub(crate) fn retry_failed(self, set: SetId) {
        for file in self.files.get_untracked() {
            if file.set == set && file.state.with_untracked(FileState::can_retry) {
                file.state.set(FileState::Waiting);
            }
        }
        self.pump();
    }

    /// Takes a file off the list.
    pub(crate) fn dismiss(self, key: u32) {
        self.files
            .update(|files| files.retain(|file| file.key != key));
    }

    /// Forgets an image that was removed from its set.
    pub(crate) fn forget_image(self, image: &ProtectedImage) {
        self.finished
            .update(|finished| finished.retain(|(_, other)| other.id != image.id));
    }

    fn pump(self) {
        let files = self.files.get_untracked();
        let active = files
            .iter()
            .filter(|file| {
                file.state
                    .with_untracked(|state| matches!(state, FileState::Active(_)))
            })
            .count();
        let waiting = files
            .into_iter()
            .filter(|file| file.state.get_untracked() == FileState::Waiting);
        for file in waiting.take(PARALLEL.saturating_sub(active)) {
            file.state.set(FileState::Active(Stage::Hashing));
            spawn_local(async move {
                let state = file.state.clone();
                let answer = upload(file.set, &file.file, move |stage| {
                    state.set(FileState::Active(stage));
                })
                .await;
                self.settle(&file, answer);
                self.pump();
            });
        }
    }

    fn settle(self, file: &QueuedFile, answer: Result<Sent, ApiError>) {
        match answer {
            Ok(sent) => {
                let joined = sent.images.into_iter().map(|image| (file.set, image));
                self.finished.update(|finished| finished.extend(joined));
                if sent.left_out.is_empty() {
                    file.state.set(FileState::Done);
                    self.dismiss(file.key);
                } else {
                    file.state.set(FileState::Failed(left_out(&sent.left_out)));
                }
            }
            Err(error) => file.state.set(FileState::Failed(error)),
        }
    }
}
