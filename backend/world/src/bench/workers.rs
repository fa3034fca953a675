//! Several runs at once, each computed on one thread: two of them beat one run on two threads. Refuses to know what a
//! run is.

use std::sync::Mutex;

use crate::lock::lock;

/// Calls `work` once on each of `count` threads (at least one), each the whole pool of its own tensors. The first error
/// is the result; `stop` hears of every one, so that the other workers can end.
pub(super) fn in_workers(
    count: usize,
    work: &(dyn Fn() -> anyhow::Result<()> + Sync),
    stop: &(dyn Fn() + Sync),
) -> anyhow::Result<()> {
    let failure = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..count.max(1) {
            scope.spawn(|| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
                let ended = pool
                    .map_err(anyhow::Error::from)
                    .and_then(|pool| pool.install(work));
                if let Err(error) = ended {
                    stop();
                    lock(&failure).get_or_insert(error);
                }
            });
        }
    });
    failure.into_inner().ok().flatten().map_or(Ok(()), Err)
}
