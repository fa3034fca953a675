//! When to stop: a signal, or the end of standard input where the parent holds its other end.

use std::io::Read;

use tokio::sync::watch;

/// Becomes true once this process must stop.
pub(crate) fn requested(watch_stdin: bool) -> watch::Receiver<bool> {
    let (sender, receiver) = watch::channel(false);
    if watch_stdin {
        let sender = sender.clone();
        // A thread of its own: an async read of standard input would keep the runtime from ending.
        std::thread::spawn(move || {
            let mut buffer = [0; 64];
            while std::io::stdin()
                .read(&mut buffer)
                .is_ok_and(|count| count > 0)
            {}
            sender.send_replace(true);
        });
    }
    tokio::spawn(async move {
        wait_for_signal().await;
        sender.send_replace(true);
    });
    receiver
}

#[cfg(unix)]
async fn wait_for_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        _ => std::future::pending().await,
    }
}

#[cfg(not(unix))]
async fn wait_for_signal() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
