//! A line to the server that can break, crawl, or damage what it carries.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// No fault is due.
const NEVER: u64 = u64::MAX;

/// What happens to the bytes of one direction.
pub(crate) struct Direction {
    /// Bytes until the line breaks, once.
    breaks_after: AtomicU64,
    /// Bytes until one of them is changed, once.
    damages_after: AtomicU64,
}

impl Default for Direction {
    fn default() -> Self {
        Self {
            breaks_after: AtomicU64::new(NEVER),
            damages_after: AtomicU64::new(NEVER),
        }
    }
}

/// What happens to the bytes between a client and the server.
#[derive(Default)]
pub(crate) struct Line {
    pub(crate) up: Direction,
    pub(crate) down: Direction,
    /// Pause after every piece, in milliseconds.
    pub(crate) pause: AtomicU64,
}

impl Direction {
    pub(crate) fn break_after(&self, bytes: u64) {
        self.breaks_after.store(bytes, Ordering::SeqCst);
    }

    pub(crate) fn damage_after(&self, bytes: u64) {
        self.damages_after.store(bytes, Ordering::SeqCst);
    }

    /// Whether every fault that was due has happened.
    pub(crate) fn is_quiet(&self) -> bool {
        self.breaks_after.load(Ordering::SeqCst) == NEVER
            && self.damages_after.load(Ordering::SeqCst) == NEVER
    }

    /// How much of a piece passes.
    fn pass(&self, piece: &mut [u8]) -> usize {
        let count = piece.len() as u64;
        if let Some(position) = due(&self.damages_after, count) {
            piece[position] ^= 0x55;
        }
        due(&self.breaks_after, count).unwrap_or(piece.len())
    }
}

/// Counts down; the position inside this piece where the fault is due.
fn due(left: &AtomicU64, count: u64) -> Option<usize> {
    let now = left.load(Ordering::SeqCst);
    if now == NEVER {
        return None;
    }
    let happens = now < count;
    left.store(if happens { NEVER } else { now - count }, Ordering::SeqCst);
    happens.then(|| usize::try_from(now).expect("inside a piece"))
}

/// Lays a line to a server; gives where it begins.
pub(crate) async fn lay(server: SocketAddr, line: Arc<Line>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(carry(client, server, Arc::clone(&line)));
        }
    });
    address
}

/// Carries one connection until either side ends or the line breaks.
async fn carry(client: TcpStream, server: SocketAddr, line: Arc<Line>) {
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let up = carry_one_way(from_client, to_server, &line.up, &line.pause);
    let down = carry_one_way(from_server, to_client, &line.down, &line.pause);
    tokio::select! {
        () = up => {}
        () = down => {}
    }
}

async fn carry_one_way(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    direction: &Direction,
    pause: &AtomicU64,
) {
    let mut piece = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut piece).await {
        let fits = direction.pass(&mut piece[..count]);
        if to.write_all(&piece[..fits]).await.is_err() || fits < count {
            return;
        }
        let pause = pause.load(Ordering::SeqCst);
        if pause > 0 {
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }
}
