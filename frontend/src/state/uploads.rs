//! The upload queue: at most three files at once, across pages, each with its own fate.
//!
//! It lives at the application's root, so moving to another page does not stop an upload.

use leptos::{prelude::*, task::spawn_local};
use shared::{SetId, UploadId, image::ProtectedImage, problem::ErrorCode, upload::LeftOut};
use web_sys::File;

use crate::{
    api::{
        ApiError,
        transfer::{Sent, Stage, complete, is_undecided, send},
    },
    state::fetch::mark,
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
        self.lacks_session()
            || matches!(self, Self::Failed(error) if error.retryable() && !matches!(error, ApiError::Browser(_)))
    }

    /// Whether somebody has to sign in before this or any other file can be sent.
    pub(crate) fn lacks_session(&self) -> bool {
        matches!(self, Self::Failed(error) if error.code() == Some(ErrorCode::Unauthenticated))
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
    /// The upload whose bytes arrived, as long as it is not known to be completed.
    sent: ArcStoredValue<Option<UploadId>>,
}

impl QueuedFile {
    /// Sends it and hears what became of it. Bytes that arrived are not sent again where the last answer was lost.
    async fn upload(&self) -> Result<Sent, ApiError> {
        let state = self.state.clone();
        let report = move |stage| state.set(FileState::Active(stage));
        let id = match self.sent.get_value() {
            Some(id) => id,
            None => send(self.set, &self.file, report.clone()).await?,
        };
        report(Stage::Checking);
        let answer = complete(id).await;
        let undecided = answer.as_ref().is_err_and(is_undecided);
        self.sent.set_value(undecided.then_some(id));
        answer
    }
}

/// An image that finished here.
#[derive(Clone)]
struct Finished {
    set: SetId,
    /// When, as a [`mark`].
    at: u32,
    image: ProtectedImage,
}

/// Drops what an answer of the set, asked for under that mark, tells better: the image itself, or that it is gone.
fn outlast(finished: &mut Vec<Finished>, set: SetId, asked: u32) {
    finished.retain(|known| known.set != set || known.at > asked);
}

/// The queue; provided by the application's root.
#[derive(Clone, Copy)]
pub(crate) struct Uploads {
    files: RwSignal<Vec<QueuedFile>, LocalStorage>,
    /// Images that finished here and that a fetched set may not show yet.
    finished: RwSignal<Vec<Finished>>,
    /// Rises when sets hold what their pages may not know.
    changed: RwSignal<u32>,
    next_key: StoredValue<u32>,
}

impl Uploads {
    pub(crate) fn provide() -> Self {
        let uploads = Self {
            files: RwSignal::new_local(Vec::new()),
            finished: RwSignal::new(Vec::new()),
            changed: RwSignal::new(0),
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
                .filter(|known| known.set == set)
                .map(|known| known.image.clone())
                .collect()
        })
    }

    /// A number that rises when it is time to fetch the set again.
    pub(crate) fn changed(self) -> u32 {
        self.changed.get()
    }

    /// Takes note of an answer of the set, asked for under that mark.
    pub(crate) fn reconcile(self, set: SetId, asked: u32) {
        let stale = |known: &Finished| known.set == set && known.at <= asked;
        if self
            .finished
            .with_untracked(|finished| finished.iter().any(stale))
        {
            self.finished
                .update(|finished| outlast(finished, set, asked));
        }
    }

    /// Whether the line waits for somebody to sign in.
    pub(crate) fn lacks_session(self) -> bool {
        let lacks = |file: &QueuedFile| file.state.with(FileState::lacks_session);
        self.files.with(|files| files.iter().any(lacks))
    }

    /// Whether anything would be lost by closing the tab.
    pub(crate) fn any_pending(self) -> bool {
        untrack(|| self.lacks_session()) || self.has_pending(|_| true)
    }

    fn has_pending(self, wanted: impl Fn(&QueuedFile) -> bool) -> bool {
        let pending = |file: &QueuedFile| file.state.with_untracked(FileState::is_pending);
        self.files
            .with_untracked(|files| files.iter().any(|file| wanted(file) && pending(file)))
    }

    /// Adds files to the line.
    pub(crate) fn add(self, set: SetId, chosen: Vec<File>) {
        self.revive(|_, state| state.lacks_session());
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
                    sent: ArcStoredValue::new(None),
                });
            }
        });
        self.pump();
    }

    /// Sends again what failed for a passing reason, and whatever waited for a session.
    pub(crate) fn retry_failed(self, set: SetId) {
        self.revive(|file, state| state.lacks_session() || file.set == set && state.can_retry());
        self.pump();
    }

    /// Sends what waited for somebody to sign in.
    pub(crate) fn resume(self) {
        self.revive(|_, state| state.lacks_session());
        self.pump();
    }

    /// Puts files that failed back in line.
    fn revive(self, wanted: impl Fn(&QueuedFile, &FileState) -> bool) {
        for file in self.files.get_untracked() {
            if file.state.with_untracked(|state| wanted(&file, state)) {
                file.state.set(FileState::Waiting);
            }
        }
    }

    /// Takes a file off the list.
    pub(crate) fn dismiss(self, key: u32) {
        self.files
            .update(|files| files.retain(|file| file.key != key));
        self.pump();
    }

    /// Forgets an image that was removed from its set.
    pub(crate) fn forget_image(self, image: &ProtectedImage) {
        self.finished
            .update(|finished| finished.retain(|known| known.image.id != image.id));
    }

    fn pump(self) {
        // Every other file would be refused for the same reason.
        if untrack(|| self.lacks_session()) {
            return;
        }
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
                let answer = file.upload().await;
                self.settle(&file, answer);
                self.pump();
            });
        }
    }

    fn settle(self, file: &QueuedFile, answer: Result<Sent, ApiError>) {
        let duplicate = |error: &ApiError| error.code() == Some(ErrorCode::DuplicateImage);
        // What came in an archive, or some other way, is known to the set alone.
        let unseen = match &answer {
            Ok(Sent::Picture(_)) => false,
            Ok(Sent::Archive(_)) => true,
            Err(error) => duplicate(error),
        };
        match answer {
            Ok(Sent::Picture(image)) => {
                let (set, at) = (file.set, mark());
                self.finished
                    .update(|finished| finished.push(Finished { set, at, image }));
                self.finish(file);
            }
            Ok(Sent::Archive(files)) if files.is_empty() => self.finish(file),
            Ok(Sent::Archive(files)) => file.state.set(FileState::Failed(left_out(&files))),
            Err(error) => file.state.set(FileState::Failed(error)),
        }
        if unseen || !self.has_pending(|other| other.set == file.set) {
            self.changed.update(|count| *count += 1);
        }
    }

    fn finish(self, file: &QueuedFile) {
        file.state.set(FileState::Done);
        self.files
            .update(|files| files.retain(|other| other.key != file.key));
    }
}

#[cfg(test)]
mod tests {
    use shared::{ImageId, Timestamp};

    use super::*;
    use crate::api::error::tests::refused;

    fn image() -> ProtectedImage {
        ProtectedImage {
            id: ImageId::nil(),
            filename: String::new(),
            width: 64,
            height: 64,
            size_bytes: 1,
            sha256: String::new(),
            exif_removed: false,
            gps_removed: false,
            url: String::new(),
            thumbnail_url: String::new(),
            blur_hash: None,
            hints: Vec::new(),
            created_at: Timestamp::from_milliseconds(0),
        }
    }

    #[test]
    fn an_image_that_finished_waits_for_an_answer_asked_for_afterwards() {
        let owner = Owner::new();
        owner.with(|| {
            let uploads = Uploads::provide();
            let (set, before) = (SetId::nil(), mark());
            let known = Finished {
                set,
                at: mark(),
                image: image(),
            };
            uploads.finished.update(|finished| finished.push(known));
            uploads.reconcile(set, before);
            assert_eq!(untrack(|| uploads.finished(set)), [image()]);
            uploads.reconcile(set, mark());
            assert_eq!(untrack(|| uploads.finished(set)), []);
        });
    }

    #[test]
    fn a_lost_session_is_a_passing_reason() {
        let failed = |code| FileState::Failed(refused(code, false));
        let lost = failed(ErrorCode::Unauthenticated);
        assert!(lost.lacks_session() && lost.can_retry());
        let no = failed(ErrorCode::DuplicateImage);
        assert!(!no.lacks_session() && !no.can_retry());
        assert!(FileState::Failed(ApiError::Unreachable).can_retry());
        assert!(!FileState::Failed(ApiError::Browser("too large".into())).can_retry());
    }
}
