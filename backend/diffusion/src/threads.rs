//! The one way to bound the processor threads of this package.

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::{Error, Result};

/// A number of threads for training and sampling.
///
/// Every operator of this package hands its work to the rayon pool that it is called in, so that
/// whatever runs inside [`Threads::run`] takes these threads and no other. Results are the same
/// bits whatever their number: work and sums are cut by shape, never by scheduling.
///
/// The few operators that candle computes itself have a pool of their own, which candle sizes by
/// the environment alone, once. A program sets [`Threads::CANDLE`] for itself or for the program
/// that it starts.
#[derive(Debug)]
pub struct Threads {
    pool: ThreadPool,
}

impl Threads {
    /// The variable that sizes candle's own pool, and the value under which it has no thread that
    /// spins beside ours.
    pub const CANDLE: (&'static str, &'static str) = ("CANDLE_NUM_THREADS", "1");

    /// Starts `count` threads, which wait until they are given work.
    pub fn new(count: usize) -> Result<Self> {
        let invalid = |reason: String| Error::InvalidConfig(format!("{count} threads: {reason}"));
        if count == 0 {
            return Err(invalid("at least one is needed".to_owned()));
        }
        let builder = ThreadPoolBuilder::new().num_threads(count);
        let name = |index| format!("diffusion-{index}");
        match builder.thread_name(name).build() {
            Ok(pool) => Ok(Self { pool }),
            Err(error) => Err(invalid(error.to_string())),
        }
    }

    /// How many threads there are.
    pub fn count(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Runs `body` on one of the threads; its operators use all of them.
    pub fn run<R: Send>(&self, body: impl FnOnce() -> R + Send) -> R {
        self.pool.install(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_inside_sees_the_bound_and_no_bound_of_zero_exists() {
        for count in [1, 3] {
            let threads = Threads::new(count).expect("a small pool starts");
            assert_eq!(threads.run(rayon::current_num_threads), count);
            assert_eq!(threads.count(), count);
        }
        assert!(Threads::new(0).is_err());
    }
}
