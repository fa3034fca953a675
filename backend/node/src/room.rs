//! The memory of one device, and the jobs that share it.
//!
//! Owns how much is left, by what was planned for each job and not by what it takes. Lets one slot ask at a time: two that
//! asked for the same memory could both get a job for it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::MutexGuard;

/// What several jobs share.
#[derive(Debug)]
pub(crate) struct Room {
    memory_bytes: u64,
    slots: u32,
    taken_bytes: Mutex<u64>,
    turn: tokio::sync::Mutex<()>,
}

/// A job's part; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    room: Arc<Room>,
    bytes: u64,
}

impl Room {
    /// All of a device's memory, for so many jobs at most.
    pub(crate) fn new(memory_bytes: u64, slots: u32) -> Arc<Self> {
        Arc::new(Self {
            memory_bytes,
            slots,
            taken_bytes: Mutex::new(0),
            turn: tokio::sync::Mutex::new(()),
        })
    }

    /// Waits until no other slot of this device asks.
    pub(crate) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// What another job may take.
    pub(crate) fn free_bytes(&self) -> u64 {
        self.memory_bytes.saturating_sub(*self.taken())
    }

    /// Takes what was planned for a job; an even part where nobody planned.
    pub(crate) fn take(self: &Arc<Self>, planned_bytes: Option<u64>) -> Share {
        let even = self.memory_bytes / u64::from(self.slots);
        let bytes = planned_bytes.unwrap_or(even);
        let mut taken = self.taken();
        *taken = taken.saturating_add(bytes);
        drop(taken);
        Share {
            room: Arc::clone(self),
            bytes,
        }
    }

    fn taken(&self) -> std::sync::MutexGuard<'_, u64> {
        self.taken_bytes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.room.taken();
        *taken = taken.saturating_sub(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn jobs_take_what_was_planned_and_give_it_back() {
        let room = Room::new(1000, 4);
        assert_eq!(room.free_bytes(), 1000);
        let large = room.take(Some(600));
        let small = room.take(Some(300));
        assert_eq!(room.free_bytes(), 100);
        drop(large);
        assert_eq!(room.free_bytes(), 700);
        drop(small);
        assert_eq!(room.free_bytes(), 1000);
    }

    #[test]
    fn a_job_that_nobody_planned_takes_an_even_part() {
        let room = Room::new(1000, 4);
        let unplanned: Vec<Share> = (0..4).map(|_| room.take(None)).collect();
        assert_eq!(room.free_bytes(), 0);
        drop(unplanned);
        assert_eq!(room.free_bytes(), 1000);
    }

    #[test]
    fn more_than_there_is_leaves_nothing_and_comes_back_whole() {
        let room = Room::new(1000, 2);
        let (first, second) = (room.take(Some(900)), room.take(None));
        assert_eq!(room.free_bytes(), 0);
        drop(first);
        assert_eq!(room.free_bytes(), 500);
        drop(second);
        assert_eq!(room.free_bytes(), 1000);
    }

    #[tokio::test]
    async fn one_slot_asks_at_a_time() {
        let room = Room::new(1000, 2);
        let first = room.turn().await;
        assert!(room.turn().now_or_never().is_none());
        drop(first);
        assert!(room.turn().now_or_never().is_some());
    }
}
