//! Durable commits on SQLite, many with one write to the disk (group commit).
//!
//! SQLite itself syncs its log inside the commit, while it holds the one write lock: a disk that takes a millisecond
//! then takes at most a thousand commits a second, whoever waits. Here the writer runs with `synchronous = NORMAL`,
//! which keeps the order of commits and never harms the file, and whoever committed waits until the log is on the disk:
//! one sync serves all that committed before it began. A reader may see a commit a moment before it is durable; what a
//! power cut takes away is always the end of the log, never something before a commit that was acknowledged.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use sea_orm::DbErr;
use tokio::sync::{mpsc, oneshot};

type Answer = Result<(), Arc<str>>;

fn refusal(reason: &str) -> DbErr {
    DbErr::Custom(format!("the log was not written to the disk: {reason}"))
}

/// Brings what was committed to the disk. Clones share the work; the thread ends with the last of them.
#[derive(Clone, Debug)]
pub(crate) struct Flusher {
    waiting: mpsc::UnboundedSender<oneshot::Sender<Answer>>,
    /// Why nothing is written any more. After a failed sync the system may have dropped what it could not write: no
    /// later success would mean anything, and whoever writes has to be told before, not after.
    broken: Arc<OnceLock<String>>,
}

impl Flusher {
    /// Serves the database at the path that SQLite itself names: its log lies beside the file, not beside a link to it.
    pub(crate) fn start(database: &Path) -> io::Result<Self> {
        let mut log = database.as_os_str().to_owned();
        log.push("-wal");
        let mut disk = Disk {
            log: log.into(),
            open: None,
        };
        Self::with(move || disk.sync())
    }

    fn with(sync: impl FnMut() -> io::Result<()> + Send + 'static) -> io::Result<Self> {
        let (waiting, asked) = mpsc::unbounded_channel();
        let broken = Arc::new(OnceLock::new());
        let told = Arc::clone(&broken);
        std::thread::Builder::new()
            .name("database-sync".into())
            .spawn(move || serve(asked, sync, &told))?;
        Ok(Self { waiting, broken })
    }

    /// Refuses to write where nothing would reach the disk.
    pub(crate) fn check(&self) -> Result<(), DbErr> {
        match self.broken.get() {
            None => Ok(()),
            Some(reason) => Err(refusal(reason)),
        }
    }

    /// Returns once everything that was committed before the call is on the disk.
    pub(crate) async fn flush(&self) -> Result<(), DbErr> {
        let (answer, answered) = oneshot::channel();
        let stopped = || DbErr::Custom("nobody writes the log to the disk any more".into());
        self.waiting.send(answer).map_err(|_| stopped())?;
        let answer = answered.await.map_err(|_| stopped())?;
        answer.map_err(|reason| refusal(&reason))
    }
}

fn serve(
    mut asked: mpsc::UnboundedReceiver<oneshot::Sender<Answer>>,
    mut sync: impl FnMut() -> io::Result<()>,
    broken: &OnceLock<String>,
) {
    while let Some(first) = asked.blocking_recv() {
        let mut group = vec![first];
        while let Ok(more) = asked.try_recv() {
            group.push(more);
        }
        let answer = match broken.get() {
            Some(reason) => Err(Arc::from(reason.as_str())),
            None => sync().map_err(|error| {
                let reason = error.to_string();
                tracing::error!(
                    reason,
                    "the database's log cannot be written: nothing is accepted any more"
                );
                Arc::from(broken.get_or_init(|| reason).as_str())
            }),
        };
        for one in group {
            let _ = one.send(answer.clone());
        }
    }
}

/// The log's file, which SQLite makes anew when the last connection was closed.
struct Disk {
    log: PathBuf,
    /// Kept open: a failure that the system met in between is told to descriptors that were there before it.
    open: Option<File>,
}

fn identity(metadata: &fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

impl Disk {
    fn sync(&mut self) -> io::Result<()> {
        let present = match fs::metadata(&self.log) {
            Ok(metadata) => identity(&metadata),
            // The last connection was closed: SQLite moved the log into the database, and synced that.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.open.is_some() => {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if let Some(file) = &self.open
            && identity(&file.metadata()?) == present
        {
            return file.sync_data();
        }
        let file = File::open(&self.log)?;
        file.sync_data()?;
        let folder = self
            .log
            .parent()
            .filter(|path| !path.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        self.open = Some(file);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use super::*;

    /// A disk that takes its time, and how often it was asked.
    fn slow() -> (Flusher, Arc<AtomicUsize>) {
        let times = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&times);
        let sync = move || {
            std::thread::sleep(Duration::from_millis(50));
            counted.fetch_add(1, Ordering::SeqCst);
            Ok(())
        };
        (Flusher::with(sync).unwrap(), times)
    }

    #[tokio::test]
    async fn one_sync_serves_everybody_who_waits() {
        let (flusher, times) = slow();
        let all: Vec<_> = (0..100)
            .map(|_| {
                let flusher = flusher.clone();
                tokio::spawn(async move { flusher.flush().await })
            })
            .collect();
        for one in all {
            one.await.unwrap().unwrap();
        }
        assert!(times.load(Ordering::SeqCst) < 100);
    }

    #[tokio::test]
    async fn nobody_is_served_by_a_sync_that_began_before() {
        let (flusher, times) = slow();
        let ask = || {
            let flusher = flusher.clone();
            tokio::spawn(async move { flusher.flush().await })
        };
        let first = ask();
        tokio::time::sleep(Duration::from_millis(20)).await;
        let second = ask();
        first.await.unwrap().unwrap();
        let before = times.load(Ordering::SeqCst);
        second.await.unwrap().unwrap();
        assert!(times.load(Ordering::SeqCst) > before, "its own sync");
    }

    #[tokio::test]
    async fn log_is_synced_where_there_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("x.sqlite-wal");
        std::fs::write(&log, "log").unwrap();
        let flusher = Flusher::start(&folder.path().join("x.sqlite")).unwrap();
        flusher.flush().await.unwrap();
        std::fs::remove_file(&log).unwrap();
        flusher.flush().await.unwrap();
        std::fs::write(&log, "another").unwrap();
        flusher.flush().await.unwrap();
        let elsewhere = Flusher::start(&folder.path().join("y.sqlite")).unwrap();
        assert!(
            elsewhere.flush().await.is_err(),
            "a log that never was there"
        );
    }

    #[tokio::test]
    async fn failure_stays() {
        let times = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&times);
        let sync = move || match counted.fetch_add(1, Ordering::SeqCst) {
            0 => Err(io::Error::other("the disk is gone")),
            _ => Ok(()),
        };
        let flusher = Flusher::with(sync).unwrap();
        assert!(flusher.check().is_ok());
        for _ in 0..2 {
            let refused = flusher.flush().await.unwrap_err().to_string();
            assert!(refused.contains("the disk is gone"), "{refused}");
            let refused = flusher.check().unwrap_err().to_string();
            assert!(refused.contains("the disk is gone"), "{refused}");
        }
        assert_eq!(times.load(Ordering::SeqCst), 1);
    }
}
