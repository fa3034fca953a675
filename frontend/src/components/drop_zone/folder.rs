//! What is in folders that are dropped or chosen: the files that a set takes, and a word about the rest.

use std::collections::VecDeque;

use js_sys::{Array, Promise, Reflect};
use shared::{
    limits::{MAX_ARCHIVE_FILES, MAX_IMAGES},
    upload::{ARCHIVE_MEDIA_TYPE, IMAGE_MEDIA_TYPES, is_clutter},
};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    DataTransfer, File, FileSystemDirectoryEntry, FileSystemDirectoryReader, FileSystemEntry,
    FileSystemFileEntry,
};

use crate::api::transfer::media_type;

/// What somebody dropped: files, and folders. The browser tells them apart while it drops them, and not later.
pub(super) fn dropped(data: &DataTransfer) -> (Vec<File>, Vec<FileSystemDirectoryEntry>) {
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    let items = data.items();
    for item in (0..items.length()).filter_map(|index| items.get(index)) {
        match item.webkit_get_as_entry() {
            Ok(Some(entry)) if entry.is_directory() => folders.push(entry.unchecked_into()),
            _ => files.extend(item.get_as_file().ok().flatten()),
        }
    }
    (files, folders)
}

/// A file in a folder.
struct Found<F> {
    /// Where it lies. It stays here: what is sent is the name of the file alone.
    path: String,
    media_type: String,
    file: F,
}

/// What was seen in folders.
pub(super) struct Folder<F> {
    found: Vec<Found<F>>,
    /// There is more than is looked at.
    is_cut: bool,
    /// Something could not be read.
    has_unread: bool,
}

impl Folder<File> {
    fn new() -> Self {
        Self {
            found: Vec::new(),
            is_cut: false,
            has_unread: false,
        }
    }

    fn add(&mut self, path: String, file: File) {
        self.is_cut |= self.found.len() >= MAX_ARCHIVE_FILES;
        if !self.is_cut {
            let media_type = media_type(&file);
            self.found.push(Found {
                path,
                media_type,
                file,
            });
        }
    }

    /// Of folders that were dropped, and of those inside them.
    pub(super) async fn read(dropped: Vec<FileSystemDirectoryEntry>) -> Self {
        let mut folder = Self::new();
        let mut waiting = VecDeque::from(dropped);
        let mut opened = 0;
        while let Some(next) = waiting.pop_front() {
            opened += 1;
            folder.is_cut |= opened > MAX_ARCHIVE_FILES;
            if folder.is_cut {
                break;
            }
            let reader = next.create_reader();
            // A browser hands a folder over in parts; the one behind the last is empty.
            loop {
                let Ok(part) = part(&reader).await else {
                    folder.has_unread = true;
                    break;
                };
                if part.is_empty() || folder.is_cut {
                    break;
                }
                folder.sort(part, &mut waiting).await;
            }
        }
        folder
    }

    async fn sort(
        &mut self,
        part: Vec<FileSystemEntry>,
        waiting: &mut VecDeque<FileSystemDirectoryEntry>,
    ) {
        for entry in part {
            if is_clutter(&entry.name()) {
                continue;
            }
            if entry.is_directory() {
                waiting.push_back(entry.unchecked_into());
                continue;
            }
            let path = entry.full_path();
            match file(entry.unchecked_ref()).await {
                Ok(file) => self.add(path, file),
                Err(_) => self.has_unread = true,
            }
            if self.is_cut {
                return;
            }
        }
    }

    /// Of a folder that was chosen, which the browser hands over flat.
    pub(super) fn chosen(files: Vec<File>) -> Self {
        let mut folder = Self::new();
        for file in files {
            let path = path_of(&file);
            if !is_clutter(&path) {
                folder.add(path, file);
            }
        }
        folder
    }
}

/// The path below the chosen folder, whose own name does not matter.
fn path_of(file: &File) -> String {
    let path = Reflect::get(file, &"webkitRelativePath".into());
    let path = path.ok().and_then(|path| path.as_string());
    path.and_then(|path| path.split_once('/').map(|(_, rest)| rest.to_owned()))
        .unwrap_or_else(|| file.name())
}

async fn part(reader: &FileSystemDirectoryReader) -> Result<Vec<FileSystemEntry>, JsValue> {
    let mut asked = Ok(());
    let answer = Promise::new(&mut |resolve, reject| {
        asked = reader.read_entries_with_callback_and_callback(&resolve, &reject);
    });
    asked?;
    let entries: Array = JsFuture::from(answer).await?.unchecked_into();
    Ok(entries.iter().map(JsCast::unchecked_into).collect())
}

async fn file(entry: &FileSystemFileEntry) -> Result<File, JsValue> {
    let answer = Promise::new(&mut |resolve, reject| {
        entry.file_with_callback_and_callback(&resolve, &reject);
    });
    Ok(JsFuture::from(answer).await?.unchecked_into())
}

fn is_taken(media_type: &str) -> bool {
    IMAGE_MEDIA_TYPES.contains(&media_type) || media_type == ARCHIVE_MEDIA_TYPE
}

impl<F> Folder<F> {
    /// The files that go into a set, by path, and what there is to say.
    pub(super) fn pick(mut self) -> (Vec<F>, String) {
        let files = self.found.len();
        self.found.retain(|found| is_taken(&found.media_type));
        let taken = self.found.len();
        let mut words = vec![match (taken, files - taken) {
            (0, 0) => say!("There are no files in the folder.").to_owned(),
            (0, _) => say!("No file in the folder is a picture.").to_owned(),
            (_, 0) => plural!(
                taken,
                "{count} file of the folder taken.",
                "{count} files of the folder taken."
            ),
            (_, rest) => plural!(
                rest,
                "{taken} of {files} files taken; {count} is no picture and was left out.",
                "{taken} of {files} files taken; {count} are no pictures and were left out.",
                taken,
                files
            ),
        }];
        if taken > MAX_IMAGES {
            words.push(say!(
                "A set holds {most} images: the first ones by name are added.",
                most = MAX_IMAGES
            ));
        }
        if self.is_cut {
            words.push(say!(
                "The folder holds more: the first {most} files were looked at.",
                most = MAX_ARCHIVE_FILES
            ));
        }
        if self.has_unread {
            words.push(say!("Some of the folder could not be read.").to_owned());
        }
        self.found.sort_by(|one, other| one.path.cmp(&other.path));
        let files = self.found.into_iter().take(MAX_IMAGES);
        (files.map(|found| found.file).collect(), words.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&'static str, &str)]) -> Folder<&'static str> {
        let found = |(path, media_type): &(&'static str, &str)| Found {
            path: (*path).to_owned(),
            media_type: (*media_type).to_owned(),
            file: *path,
        };
        Folder {
            found: files.iter().map(found).collect(),
            is_cut: false,
            has_unread: false,
        }
    }

    #[test]
    fn pictures_and_archives_are_taken_by_path() {
        let (files, words) = folder(&[
            ("/dog/z.zip", "application/zip"),
            ("/dog/b/1.png", "image/png"),
            ("/dog/notes.txt", "text/plain"),
            ("/dog/a.tiff", "image/tiff"),
            ("/dog/unknown", ""),
        ])
        .pick();
        assert_eq!(files, ["/dog/a.tiff", "/dog/b/1.png", "/dog/z.zip"]);
        assert_eq!(
            words,
            "3 of 5 files taken; 2 are no pictures and were left out."
        );
    }

    #[test]
    fn what_is_missing_is_said() {
        let words = |files: &[(&'static str, &str)]| folder(files).pick().1;
        assert_eq!(words(&[]), "There are no files in the folder.");
        assert_eq!(
            words(&[("/a.txt", "text/plain")]),
            "No file in the folder is a picture."
        );
        assert_eq!(
            words(&[("/a.png", "image/png")]),
            "1 file of the folder taken."
        );
        let mut partly = folder(&[("/a.png", "image/png")]);
        (partly.is_cut, partly.has_unread) = (true, true);
        assert_eq!(
            partly.pick().1,
            "1 file of the folder taken. The folder holds more: the first 500 files were looked at. \
             Some of the folder could not be read."
        );
    }

    #[test]
    fn no_more_are_added_than_a_set_holds() {
        let many = vec![("/a.png", "image/png"); MAX_IMAGES + 1];
        let (files, words) = folder(&many).pick();
        assert_eq!(files.len(), MAX_IMAGES);
        assert_eq!(
            words,
            "51 files of the folder taken. A set holds 50 images: the first ones by name are added."
        );
    }
}
