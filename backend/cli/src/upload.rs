//! A folder or an archive becomes a protected set. What was sent stays sent: the same command goes on where an earlier one stopped.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use client::{Client, UploadFile, Uploaded};
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
mod find;

use declaration::Declaration;
use find::{Found, find, is_picture_name};

/// Files on their way at once.
const AT_ONCE: usize = 4;
const BAR: &str = "{msg} {bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}";

/// Makes a protected set of the pictures in a folder, or of those in a ZIP archive.
#[derive(Args, Debug)]
pub struct Upload {
    /// The folder; JPEG, PNG, WebP, TIFF and ZIP files in it and in the folders inside it are taken. Or such a file.
    #[arg(value_name = "FOLDER OR FILE")]
    path: PathBuf,
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

/// Remembers the draft that a run over a folder or file began.
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
        let found = find(&self.path)?;
        let output = &terminal.output;
        for (name, reason) in &found.others {
            note(&format!("left out: {name}: {reason}"));
        }
        self.check_count(&found)?;
        let declaration = if self.draft {
            None
        } else {
            Some(self.declaration.complete(terminal).await?)
        };
        let memory = Memory::of(terminal, client.server(), &self.path)?;
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

    /// Refuses what no set takes; how many pictures an archive holds is told when it was unpacked.
    fn check_count(&self, found: &Found) -> Result<(), Failure> {
        let pictures = found.pictures();
        let archives = found.files.len() - pictures;
        let least = match (self.draft || self.set.is_some(), archives) {
            (true, 0) => 1,
            (false, 0) => MIN_IMAGES,
            _ => 0,
        };
        if (least..=MAX_IMAGES).contains(&pictures) {
            return Ok(());
        }
        let many = if pictures > MAX_IMAGES {
            format!("more than {MAX_IMAGES}")
        } else {
            pictures.to_string()
        };
        Err(Failure::Usage(format!(
            "{} holds {many} pictures; a set takes {least} to {MAX_IMAGES}.",
            self.path.display()
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
        let path = fs::canonicalize(&self.path)?;
        let usual = if path.is_dir() {
            path.file_name()
        } else {
            path.file_stem()
        };
        let usual = usual.map(|name| name.to_string_lossy().into_owned());
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
    files: Vec<UploadFile>,
) -> Refused {
    let all = files.len();
    let there = |file: &UploadFile| set.images.iter().any(|image| image.sha256 == file.sha256);
    let (archives, pictures): (Vec<_>, Vec<_>) = files
        .into_iter()
        .filter(|file| !there(file))
        .partition(UploadFile::is_archive);
    // Archives come last: what is in them and in the folder, too, is in the set by then.
    let files: Vec<UploadFile> = pictures.into_iter().chain(archives).collect();
    let total = files.iter().map(|file| file.size_bytes).sum();
    let bar = Arc::new(terminal.output.bar(total, BAR));
    bar.set_message(format!("{} files", files.len()));
    let mut sent = stream::iter(files)
        .map(|file| bring(client, set.id, file, bar.clone()))
        .buffer_unordered(AT_ONCE);
    let mut refused = Refused { count: 0, all };
    while let Some((file, result)) = sent.next().await {
        let lines = tell(&file, &result, &mut refused);
        let code = result.as_ref().err().and_then(client::Error::code);
        let unpacked = match &result {
            Ok(Uploaded::Unpacked(unpacked)) => Some(unpacked),
            _ => None,
        };
        let told = json!({ "file": file.filename, "accepted": result.is_ok(),
            "code": code, "detail": lines.first(), "unpacked": unpacked });
        let _ = terminal.output.document(&told);
        for line in lines {
            bar.suspend(|| note(&line));
        }
    }
    bar.finish_and_clear();
    refused
}

/// What there is to say of a file, and whether it or files in it were refused.
fn tell(
    file: &UploadFile,
    result: &client::Result<Uploaded>,
    refused: &mut Refused,
) -> Vec<String> {
    match result {
        Ok(Uploaded::Added(_)) => Vec::new(),
        Ok(Uploaded::AlreadyThere) => vec![format!("already there: {}", file.filename)],
        Ok(Uploaded::Unpacked(unpacked)) => {
            let pictures = unpacked.left_out.iter();
            let pictures = pictures.filter(|left| is_picture_name(&left.filename));
            let pictures = pictures.count();
            refused.count += pictures;
            refused.all += unpacked.added.len() + pictures;
            refused.all -= 1; // the archive itself
            let left = unpacked.left_out.iter();
            let left = left.map(|left| {
                format!(
                    "left out: {}/{}: {}",
                    file.filename, left.filename, left.detail
                )
            });
            left.collect()
        }
        Err(error) => {
            refused.count += 1;
            vec![format!("not accepted: {}: {error}", file.filename)]
        }
    }
}

async fn bring(
    client: &Client,
    set: SetId,
    file: UploadFile,
    bar: Arc<ProgressBar>,
) -> (UploadFile, client::Result<Uploaded>) {
    // The bar counts all files; each tells how far it is itself, and again from zero when its line broke.
    let last = std::sync::atomic::AtomicU64::new(0);
    let sent = move |now: u64| {
        let before = last.swap(now, std::sync::atomic::Ordering::Relaxed);
        bar.set_position((bar.position() + now).saturating_sub(before));
    };
    let result = client.upload_file(set, &file, sent).await;
    (file, result)
}
