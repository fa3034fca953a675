//! Durable commits on SQLite, many with one write to the disk (group commit).
//!
//! SQLite itself syncs its log inside the commit, while it holds the one write lock: a disk that takes a millisecond
//! then takes at most a thousand commits a second, whoever waits. Here the writer runs with `synchronous = NORMAL`,
//! which keeps the order of commits and never harms the file, and whoever committed waits until the log is on the disk:
//! one sync serves all that committed before it began. A reader may see a commit a moment before it is durable; what a
//! power cut takes away is always the end of the log, never something before a commit that was acknowledged.

use std::{
    fs::File,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use sea_orm::DbErr;
use tokio::sync::{mpsc, oneshot};

type Answer = Result<(), Arc<io::Error>>;

/// Brings what was committed to the disk. Clones share the work; the thread ends with the last of them.
#[derive(Clone, Debug)]
pub(crate) struct Flusher {
    waiting: mpsc::UnboundedSender<oneshot::Sender<Answer>>,
}

impl Flusher {
    /// Serves the database at a path.
    pub(crate) fn start(database: &Path) -> io::Result<Self> {
        let mut log = database.as_os_str().to_owned();
        log.push("-wal");
        let mut disk = Disk {
            log: log.into(),
            known: None,
        };
        Self::with(move || disk.sync())
    }

    fn with(sync: impl FnMut() -> io::Result<()> + Send + 'static) -> io::Result<Self> {
        let (waiting, asked) = mpsc::unbounded_channel();
        std::thread::Builder::new()
            .name("database-sync".into())
            .spawn(move || serve(asked, sync))?;
        Ok(Self { waiting })
    }

    /// Returns once everything that was committed before the call is on the disk.
    pub(crate) async fn flush(&self) -> Result<(), DbErr> {
        let (answer, answered) = oneshot::channel();
        let stopped = || DbErr::Custom("nobody writes the log to the disk any more".into());
        self.waiting.send(answer).map_err(|_| stopped())?;
        let answer = answered.await.map_err(|_| stopped())?;
        answer
            .map_err(|error| DbErr::Custom(format!("the log was not written to the disk: {error}")))
    }
}

fn serve(
    mut asked: mpsc::UnboundedReceiver<oneshot::Sender<Answer>>,
    mut sync: impl FnMut() -> io::Result<()>,
) {
    let mut broken: Option<Arc<io::Error>> = None;
    while let Some(first) = asked.blocking_recv() {
        let mut group = vec![first];
        while let Ok(more) = asked.try_recv() {
            group.push(more);
        }
        // After a failure the system may have dropped what it could not write: no later success would mean anything.
        let answer = match &broken {
            Some(error) => Err(Arc::clone(error)),
            None => sync().map_err(Arc::new),
        };
        broken = answer.as_ref().err().cloned();
        for one in group {
            let _ = one.send(answer.clone());
        }
    }
}

/// The log's file, which SQLite makes anew when the last connection was closed.
struct Disk {
    log: PathBuf,
    /// The file whose entry in its folder is on the disk.
    known: Option<(u64, u64)>,
}

impl Disk {
    fn sync(&mut self) -> io::Result<()> {
        let file = match File::open(&self.log) {
            Ok(file) => file,
            // The last connection was closed: SQLite moved the log into the database, and synced that.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        file.sync_data()?;
        let found = file.metadata()?;
        let found = Some((found.dev(), found.ino()));
        if self.known != found {
            let folder = self
                .log
                .parent()
                .filter(|path| !path.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
            self.known = found;
        }
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
        std::fs::remove_file(log).unwrap();
        flusher.flush().await.unwrap();
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
        for _ in 0..2 {
            let refused = flusher.flush().await.unwrap_err().to_string();
            assert!(refused.contains("the disk is gone"), "{refused}");
        }
        assert_eq!(times.load(Ordering::SeqCst), 1);
    }
}
