//! A folder becomes a protected set. What was sent stays sent: the same command goes on where an earlier one stopped.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use client::{Client, ImageFile, Uploaded};
use futures::{StreamExt, stream};
use indicatif::ProgressBar;
use serde_json::json;
use shared::{
    SetId,
    canonical::sha256_hex,
    limits::{MAX_IMAGES, MIN_IMAGES},
    problem::ErrorCode,
    protected_set::{CreateAttestation, ProtectedSet, SetStatus},
};

use crate::{Common, Terminal, failure::Failure, output::note};

mod declaration;

use declaration::Declaration;

/// Files on their way at once.
const AT_ONCE: usize = 4;
const BAR: &str = "{msg} {bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}";

/// Makes a protected set of the pictures in a folder.
#[derive(Args, Debug)]
pub struct Upload {
    /// The folder; its JPEG, PNG and WebP files are taken, folders inside it are not.
    folder: PathBuf,
    /// What to call the set; the folder's name unless told.
    #[arg(long)]
    name: Option<String>,
    /// Go on with this draft; the one that an interrupted run began is found without.
    #[arg(long, value_name = "ID")]
    set: Option<SetId>,
    /// Leave the set a draft: declare and seal it later.
    #[arg(long)]
    draft: bool,
    #[command(flatten)]
    declaration: Declaration,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// What a folder holds.
#[derive(Debug, Default)]
struct Found {
    files: Vec<ImageFile>,
    /// Names, and why they are left out.
    others: Vec<(String, String)>,
}

fn look(folder: &Path) -> Result<Found, Failure> {
    let failed = |error| Failure::Here(format!("{}: {error}", folder.display()));
    let entries = fs::read_dir(folder).map_err(failed)?;
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if !hidden && entry.path().is_file() {
            paths.push(entry.path());
        }
    }
    paths.sort();
    let mut found = Found::default();
    for path in paths {
        match ImageFile::read(&path) {
            Ok(file) => found.files.push(file),
            Err(client::Error::Unusable { path, reason }) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                found.others.push((name.into_owned(), reason));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

/// Remembers the draft that a run over a folder began.
struct Memory(PathBuf);

impl Memory {
    fn of(terminal: &Terminal, server: &str, folder: &Path) -> Result<Self, Failure> {
        let folder = fs::canonicalize(folder)?;
        let name = sha256_hex(format!("{server} {}", folder.display()).as_bytes());
        let uploads = terminal.environment.state_home()?.join("uploads");
        fs::create_dir_all(&uploads)?;
        Ok(Self(uploads.join(name)))
    }

    fn recall(&self) -> Option<SetId> {
        fs::read_to_string(&self.0).ok()?.trim().parse().ok()
    }

    fn keep(&self, set: SetId) -> Result<(), Failure> {
        Ok(fs::write(&self.0, set.to_string())?)
    }

    fn forget(&self) {
        // One that stays is found to be sealed or gone by the next run.
        let _ = fs::remove_file(&self.0);
    }
}

impl Upload {
    pub(crate) async fn run(&self, terminal: &Terminal) -> Result<(), Failure> {
        let client = terminal.client()?;
        let found = look(&self.folder)?;
        let output = &terminal.output;
        for (name, reason) in &found.others {
            note(&format!("left out: {name}: {reason}"));
        }
        self.check_count(found.files.len())?;
        let declaration = if self.draft {
            None
        } else {
            Some(self.declaration.complete(terminal).await?)
        };
        let memory = Memory::of(terminal, client.server(), &self.folder)?;
        let set = self.draft_set(&client, &memory).await?;
        memory.keep(set.id)?;
        terminal.on_interrupt("What was sent stays sent: run the same command again to go on.");
        let refused = send(terminal, &client, &set, found.files).await;
        if refused.count > 0 {
            return Err(Failure::FilesRefused {
                files: refused.count,
                all: refused.all,
                set: set.id,
            });
        }
        let set = match &declaration {
            Some(declaration) => seal(&client, set.id, declaration).await?,
            None => client.find_set(set.id).await?,
        };
        if declaration.is_some() {
            memory.forget();
        }
        let state = match set.status {
            SetStatus::Draft => "a draft",
            SetStatus::Sealed => "sealed",
        };
        output.line(format!(
            "{}: {} pictures, {state}.",
            set.id,
            set.images.len()
        ))?;
        output.document(&set)?;
        Ok(())
    }

    fn check_count(&self, files: usize) -> Result<(), Failure> {
        let least = if self.draft || self.set.is_some() {
            1
        } else {
            MIN_IMAGES
        };
        if (least..=MAX_IMAGES).contains(&files) {
            return Ok(());
        }
        Err(Failure::Usage(format!(
            "{} holds {files} pictures; a set takes {least} to {MAX_IMAGES}.",
            self.folder.display()
        )))
    }

    /// The draft to fill: the one that was named, or that an earlier run began, or a new one.
    async fn draft_set(&self, client: &Client, memory: &Memory) -> Result<ProtectedSet, Failure> {
        if let Some(id) = self.set {
            return Ok(client.find_set(id).await?);
        }
        if let Some(id) = memory.recall() {
            match client.find_set(id).await {
                Ok(set) if set.status == SetStatus::Draft => return Ok(set),
                Ok(_) => {}
                Err(error) if error.code() == Some(ErrorCode::NotFound) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let folder = fs::canonicalize(&self.folder)?;
        let usual = folder
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let name = self.name.clone().or(usual);
        let name = name.ok_or_else(|| Failure::Usage("Give the set a --name.".into()))?;
        Ok(client.create_set(&name).await?)
    }
}

/// Declares and seals; a set whose answer got lost is sealed already.
async fn seal(
    client: &Client,
    id: SetId,
    declaration: &CreateAttestation,
) -> Result<ProtectedSet, Failure> {
    let refused = match client.seal_set(id, declaration).await {
        Err(error) if error.code() == Some(ErrorCode::Conflict) => error,
        sealed => return Ok(sealed?),
    };
    let set = client.find_set(id).await?;
    let same = set
        .attestation
        .as_ref()
        .is_some_and(|made| made.declaration == *declaration);
    if same { Ok(set) } else { Err(refused.into()) }
}

struct Refused {
    count: usize,
    all: usize,
}

async fn send(
    terminal: &Terminal,
    client: &Client,
    set: &ProtectedSet,
    files: Vec<ImageFile>,
) -> Refused {
    let all = files.len();
    let there = |file: &ImageFile| set.images.iter().any(|image| image.sha256 == file.sha256);
    let files: Vec<ImageFile> = files.into_iter().filter(|file| !there(file)).collect();
    let total = files.iter().map(|file| file.size_bytes).sum();
    let bar = Arc::new(terminal.output.bar(total, BAR));
    bar.set_message(format!("{} files", files.len()));
    let mut sent = stream::iter(files)
        .map(|file| bring(client, set.id, file, bar.clone()))
        .buffer_unordered(AT_ONCE);
    let mut count = 0;
    while let Some((file, result)) = sent.next().await {
        let line = match &result {
            Ok(Uploaded::Added(_)) => None,
            Ok(Uploaded::AlreadyThere) => Some(format!("already there: {}", file.filename)),
            Err(error) => Some(format!("not accepted: {}: {error}", file.filename)),
        };
        count += usize::from(result.is_err());
        let code = result.as_ref().err().and_then(client::Error::code);
        let told = json!({ "file": file.filename, "accepted": result.is_ok(),
            "code": code, "detail": line });
        let _ = terminal.output.document(&told);
        if let Some(line) = line {
            bar.suspend(|| note(&line));
        }
    }
    bar.finish_and_clear();
    Refused { count, all }
}

async fn bring(
    client: &Client,
    set: SetId,
    file: ImageFile,
    bar: Arc<ProgressBar>,
) -> (ImageFile, client::Result<Uploaded>) {
    // The bar counts all files; each tells how far it is itself, and again from zero when its line broke.
    let last = std::sync::atomic::AtomicU64::new(0);
    let sent = move |now: u64| {
        let before = last.swap(now, std::sync::atomic::Ordering::Relaxed);
        bar.set_position((bar.position() + now).saturating_sub(before));
    };
    let result = client.upload_image(set, &file, sent).await;
    (file, result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_is_looked_through_by_content() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        write("b.jpg", b"\x89PNG");
        write("a.png", b"\xff\xd8\xff");
        write("notes.txt", b"hello");
        write(".hidden.png", b"\x89PNG");
        fs::create_dir(folder.path().join("more")).unwrap();
        let found = look(folder.path()).unwrap();
        let names: Vec<&str> = found
            .files
            .iter()
            .map(|file| file.filename.as_str())
            .collect();
        assert_eq!(names, ["a.png", "b.jpg"]);
        assert_eq!(found.others.len(), 1);
        assert_eq!(found.others[0].0, "notes.txt");
        assert!(look(&folder.path().join("missing")).is_err());
    }
}
