//! The trainer's process: started, listened to, stopped.
//!
//! It has a process group of its own and a pipe as standard input: when the pipe ends, whether we
//! close it or die, it stops. What it does to itself never reaches the heartbeat.

use std::{
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use shared::job::Failure;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::watch,
};

use crate::{
    Error, Result,
    failure::{self, Ending},
    heart::{Order, interruption},
    machine,
    message::Message,
};

/// Time to end by itself after a cancel.
const GRACE: Duration = Duration::from_secs(5);
/// The same when the node itself must go.
const SHORT_GRACE: Duration = Duration::from_secs(2);

/// The signal that the kernel ends a process by.
const KILL: i32 = 9;

/// How a trainer ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// With a last word: `Succeeded`, `Failed` or `Stopped`.
    Said(Message),
    /// Without one.
    Died(Failure),
}

/// Runs a trainer to its end; orders stop it.
pub(crate) async fn run(
    mut command: Command,
    orders: &mut watch::Receiver<Order>,
    mut hear: impl FnMut(Message),
) -> Result<Ended> {
    let kills_before = machine::memory_kills();
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    #[cfg(unix)]
    command.process_group(0);
    let mut child = command.spawn().map_err(Error::Trainer)?;
    let group = Group(child.id());
    let last_line = Arc::new(Mutex::new(String::new()));
    if let Some(errors) = child.stderr.take() {
        tokio::spawn(keep_last_line(errors, Arc::clone(&last_line)));
    }
    let last_word = listen(&mut child, &group, orders, &mut hear).await?;
    let status = child.wait().await.map_err(Error::Trainer)?;
    if let Some(message) = last_word {
        return Ok(Ended::Said(message));
    }
    // The line reader ends with the pipe, a moment after the process.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let last_line = last_line
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    Ok(Ended::Died(failure::of_ending(&Ending {
        status,
        memory_kill: failure::killed_by(status) == Some(KILL) && is_memory_kill(kills_before),
        last_line: &last_line,
    })))
}

/// Whether the kernel killed for memory since a trainer started, and no other trainer's end is explained by that.
fn is_memory_kill(kills_before: u64) -> bool {
    static EXPLAINED: Mutex<u64> = Mutex::new(0);
    let mut explained = EXPLAINED.lock().unwrap_or_else(PoisonError::into_inner);
    explains(&mut explained, kills_before, machine::memory_kills())
}

/// Of the kills so far, each explains one end.
fn explains(explained: &mut u64, before: u64, now: u64) -> bool {
    let known = before.max(*explained);
    let is_left = now > known;
    if is_left {
        *explained = known + 1;
    }
    is_left
}

/// Hears every message until the pipe ends; gives the last word.
async fn listen(
    child: &mut Child,
    group: &Group,
    orders: &mut watch::Receiver<Order>,
    hear: &mut impl FnMut(Message),
) -> Result<Option<Message>> {
    let mut input = child.stdin.take();
    let output = child
        .stdout
        .take()
        .ok_or_else(|| Error::Trainer(std::io::ErrorKind::BrokenPipe.into()))?;
    let mut lines = BufReader::new(output).lines();
    let mut last_word = None;
    let mut deadline = None;
    loop {
        let line = tokio::select! {
            line = lines.next_line() => line.map_err(Error::Trainer)?,
            order = interruption(orders), if deadline.is_none() => {
                drop(input.take());
                let grace = if order == Order::Cancel { GRACE } else { SHORT_GRACE };
                deadline = Some(tokio::time::Instant::now() + grace);
                continue;
            }
            () = until(deadline) => {
                group.kill();
                return Ok(last_word);
            }
        };
        let Some(line) = line else {
            return Ok(last_word);
        };
        match serde_json::from_str(&line) {
            Ok(
                message @ (Message::Succeeded { .. } | Message::Failed { .. } | Message::Stopped),
            ) => {
                last_word = Some(message);
            }
            Ok(message) => hear(message),
            Err(error) => tracing::warn!(%error, line, "the trainer said something unknown"),
        }
    }
}

async fn until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

async fn keep_last_line(errors: impl AsyncRead + Unpin, last_line: Arc<Mutex<String>>) {
    let mut lines = BufReader::new(errors).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        tracing::warn!(line, "trainer");
        if !line.trim().is_empty() && !line.starts_with("note:") {
            *last_line.lock().unwrap_or_else(PoisonError::into_inner) = line;
        }
    }
}

/// The trainer's process group; whatever of it is left when this is dropped is killed.
struct Group(Option<u32>);

impl Group {
    fn kill(&self) {
        #[cfg(unix)]
        if let Some(pid) = self
            .0
            .and_then(|id| i32::try_from(id).ok())
            .and_then(rustix::process::Pid::from_raw)
        {
            // It fails where the group is gone, which is what we want.
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(all(test, unix))]
mod tests;
