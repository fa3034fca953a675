//! A store that waits for its turn before every step, so that a test decides what happens in between.

use std::{
    fmt,
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use artifacts::{
    ArtifactStore, BoxFuture, Delivery, Error, LocalStore, Object, ObjectHash, ObjectInfo, Part,
    SignedRequest, Unfinished, Upload,
};
use bytes::Bytes;
use rand::Rng;
use tokio::{
    io::AsyncRead,
    sync::{Notify, oneshot},
};

/// Lets one waiting task go at a time.
#[derive(Default)]
pub(crate) struct Turns {
    waiting: Mutex<Vec<(u64, oneshot::Sender<()>)>>,
    running: AtomicUsize,
    quiet: Notify,
}

impl fmt::Debug for Turns {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Turns")
    }
}

tokio::task_local! {
    static ACTOR: u64;
}

/// Held while a task runs.
struct Running(Arc<Turns>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.rest();
    }
}

impl Turns {
    /// Starts a task under a number; it waits for its first turn.
    pub(crate) fn start(
        self: &Arc<Self>,
        number: u64,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> tokio::task::JoinHandle<()> {
        self.running.fetch_add(1, Ordering::SeqCst);
        let running = Running(Arc::clone(self));
        let turns = Arc::clone(self);
        tokio::spawn(ACTOR.scope(number, async move {
            let _running = running;
            turns.pass().await;
            task.await;
        }))
    }

    fn rest(&self) {
        self.running.fetch_sub(1, Ordering::SeqCst);
        self.quiet.notify_one();
    }

    /// Waits for a turn.
    pub(crate) async fn pass(&self) {
        let (go, turn) = oneshot::channel();
        let actor = ACTOR.try_with(|actor| *actor).unwrap_or_default();
        self.waiting.lock().expect("no panic").push((actor, go));
        self.rest();
        let _ = turn.await;
    }

    /// When every task waits or has ended, lets a random one go; gives its number, or nothing when all have ended.
    ///
    /// `killed` decides whether a task dies instead: then the caller must abort it.
    pub(crate) async fn next(
        &self,
        random: &mut (impl Rng + Send),
        killed: f64,
    ) -> Option<(u64, bool)> {
        while self.running.load(Ordering::SeqCst) > 0 {
            self.quiet.notified().await;
        }
        let mut waiting = self.waiting.lock().expect("no panic");
        if waiting.is_empty() {
            return None;
        }
        let chosen = random.random_range(0..waiting.len());
        let (actor, go) = waiting.swap_remove(chosen);
        let dies = random.random_bool(killed);
        self.running.fetch_add(1, Ordering::SeqCst);
        if dies {
            std::mem::forget(go); // it never gets its turn; aborting it drops what it holds
        } else {
            let _ = go.send(());
        }
        Some((actor, dies))
    }
}

/// A local store, step by step.
#[derive(Clone, Debug)]
pub(crate) struct Paced {
    pub(crate) inner: LocalStore,
    pub(crate) turns: Arc<Turns>,
}

impl Paced {
    fn paced<'a, T: Send + 'a>(
        &'a self,
        work: BoxFuture<'a, Result<T, Error>>,
    ) -> BoxFuture<'a, Result<T, Error>> {
        Box::pin(async move {
            self.turns.pass().await;
            work.await
        })
    }
}

impl ArtifactStore for Paced {
    fn put<'a>(
        &'a self,
        hash: ObjectHash,
        size_bytes: u64,
        body: &'a mut (dyn AsyncRead + Send + Unpin),
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.paced(self.inner.put(hash, size_bytes, body))
    }

    fn size(&self, hash: ObjectHash) -> BoxFuture<'_, Result<Option<u64>, Error>> {
        self.paced(self.inner.size(hash))
    }

    fn open(
        &self,
        hash: ObjectHash,
        range: Option<Range<u64>>,
    ) -> BoxFuture<'_, Result<Option<Object>, Error>> {
        self.paced(ArtifactStore::open(&self.inner, hash, range))
    }

    fn delete(&self, hash: ObjectHash) -> BoxFuture<'_, Result<bool, Error>> {
        self.paced(self.inner.delete(hash))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<ObjectInfo>, Error>> {
        self.paced(self.inner.list())
    }

    fn touch(&self, hash: ObjectHash) -> BoxFuture<'_, Result<bool, Error>> {
        self.paced(self.inner.touch(hash))
    }

    fn inspect(&self, hash: ObjectHash) -> BoxFuture<'_, Result<Option<ObjectInfo>, Error>> {
        self.paced(self.inner.inspect(hash))
    }

    fn sign_get(
        &self,
        hash: ObjectHash,
        lifetime: Duration,
    ) -> BoxFuture<'_, Result<Option<SignedRequest>, Error>> {
        self.paced(self.inner.sign_get(hash, lifetime))
    }

    fn sign_put<'a>(
        &'a self,
        delivery: &'a Delivery,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<Option<SignedRequest>, Error>> {
        self.paced(self.inner.sign_put(delivery, lifetime))
    }

    fn accept<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<bool, Error>> {
        self.paced(self.inner.accept(delivery))
    }

    fn begin<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<Upload, Error>> {
        self.paced(self.inner.begin(delivery))
    }

    fn sign_part<'a>(
        &'a self,
        upload: &'a Upload,
        number: u32,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<Option<SignedRequest>, Error>> {
        self.paced(self.inner.sign_part(upload, number, lifetime))
    }

    fn write_part<'a>(
        &'a self,
        upload: &'a Upload,
        number: u32,
        bytes: Bytes,
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.paced(self.inner.write_part(upload, number, bytes))
    }

    fn parts<'a>(&'a self, upload: &'a Upload) -> BoxFuture<'a, Result<Vec<Part>, Error>> {
        self.paced(self.inner.parts(upload))
    }

    fn complete<'a>(&'a self, upload: &'a Upload) -> BoxFuture<'a, Result<(), Error>> {
        self.paced(self.inner.complete(upload))
    }

    fn abort<'a>(&'a self, upload: &'a Upload) -> BoxFuture<'a, Result<(), Error>> {
        self.paced(self.inner.abort(upload))
    }

    fn unfinished(&self) -> BoxFuture<'_, Result<Vec<Unfinished>, Error>> {
        self.paced(self.inner.unfinished())
    }

    fn remove<'a>(&'a self, unfinished: &'a Unfinished) -> BoxFuture<'a, Result<(), Error>> {
        self.paced(self.inner.remove(unfinished))
    }
}
