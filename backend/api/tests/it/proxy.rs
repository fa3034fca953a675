//! A line between a client and the server that breaks as a test tells it.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What happens to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing, for one request.
    None,
    /// It closes before the request reaches the server.
    Cut,
    /// The server gets the request; its answer is lost.
    LoseAnswer,
    /// Only so many bytes of the answer arrive.
    CutAfter(usize),
    /// Somebody between says that the server is busy.
    Busy,
}

const BUSY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy";

/// The line. Each connection carries one request and takes the next fault; without one it works.
pub(crate) struct Proxy {
    address: SocketAddr,
    faults: Arc<Mutex<VecDeque<Fault>>>,
    task: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    pub(crate) async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let faults = Arc::new(Mutex::new(VecDeque::new()));
        let next = faults.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let fault = take(&next);
                tokio::spawn(carry(client, server, fault));
            }
        });
        Self {
            address,
            faults,
            task,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What happens to the next connections.
    pub(crate) fn next(&self, faults: &[Fault]) {
        let mut next = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        *next = faults.iter().copied().collect();
    }

    /// Faults that have not happened yet.
    pub(crate) fn left(&self) -> usize {
        let faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.len()
    }
}

fn take(faults: &Mutex<VecDeque<Fault>>) -> Fault {
    let mut faults = faults.lock().unwrap_or_else(PoisonError::into_inner);
    faults.pop_front().unwrap_or(Fault::None)
}

/// The start of a request, with the wish that its connection carries no other.
fn closing(start: &[u8]) -> Vec<u8> {
    let line = start
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    [&start[..line], b"Connection: close\r\n", &start[line..]].concat()
}

async fn carry(mut client: TcpStream, server: SocketAddr, fault: Fault) {
    if matches!(fault, Fault::Cut | Fault::Busy) {
        let mut request = vec![0; 4096];
        let _ = client.read(&mut request).await;
        if fault == Fault::Busy {
            let _ = client.write_all(BUSY).await;
            let _ = client.shutdown().await;
        }
        return;
    }
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let forward = tokio::spawn(async move {
        let mut piece = vec![0; 16 * 1024];
        let mut first = true;
        while let Ok(size @ 1..) = from_client.read(&mut piece).await {
            if std::mem::take(&mut first)
                && to_server.write_all(&closing(&piece[..size])).await.is_ok()
            {
                continue;
            }
            if to_server.write_all(&piece[..size]).await.is_err() {
                return;
            }
        }
    });
    let mut room = match fault {
        Fault::LoseAnswer => 0,
        Fault::CutAfter(bytes) => bytes,
        _ => usize::MAX,
    };
    let mut piece = vec![0; 16 * 1024];
    while let Ok(size @ 1..) = from_server.read(&mut piece).await {
        let kept = size.min(room);
        room -= kept;
        if to_client.write_all(&piece[..kept]).await.is_err() || room == 0 {
            break;
        }
    }
    forward.abort();
}
