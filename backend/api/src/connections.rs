//! Takes connections: so many at once, each for so long until it says what it wants.
//!
//! Owns the bounds below HTTP. Refuses to know routes.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, extract::connect_info::IntoMakeServiceWithConnectInfo};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;
use tower::Service;

/// Longest wait for the head of a request, also of the next one of a connection. Above the 90 seconds for which usual
/// clients keep a connection that is idle, so that they end it and not we.
const HEAD: Duration = Duration::from_mins(2);
/// Connections where the system does not say how many files may be open.
const FEW: usize = 500;
/// Connections at most.
const MANY: usize = 10_000;
/// Rest after the system had no connection to give, such as for want of file descriptors.
const REST: Duration = Duration::from_secs(1);

/// Half of what may be open: pictures, children and the database need the rest.
fn most() -> usize {
    #[cfg(unix)]
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    #[cfg(not(unix))]
    let limit: Option<u64> = None;
    let half = limit.map(|limit| usize::try_from(limit / 2).unwrap_or(MANY));
    half.unwrap_or(FEW).clamp(100, MANY)
}

/// Answers until `stop`, then finishes what is under way.
pub(crate) async fn answer(listener: TcpListener, router: Router, stop: CancellationToken) {
    answer_within(HEAD, listener, router, stop).await;
}

async fn answer_within(
    head: Duration,
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
) {
    let mut makers = router.into_make_service_with_connect_info::<SocketAddr>();
    let places = Arc::new(Semaphore::new(most()));
    let open = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head);
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, accept(&listener).await)
        };
        let (place, (stream, address)) = tokio::select! {
            () = stop.cancelled() => break,
            next = next => next,
        };
        let service = TowerToHyperService::new(service(&mut makers, address).await);
        let connection = http.serve_connection(TokioIo::new(stream), service);
        let watched = open.watch(connection);
        tokio::spawn(async move {
            // How a connection ends is its client's affair.
            let _ = watched.await;
            drop(place);
        });
    }
    drop(listener);
    open.shutdown().await;
}

async fn service(
    makers: &mut IntoMakeServiceWithConnectInfo<Router, SocketAddr>,
    address: SocketAddr,
) -> <IntoMakeServiceWithConnectInfo<Router, SocketAddr> as Service<SocketAddr>>::Response {
    match makers.call(address).await {
        Ok(service) => service,
        Err(never) => match never {},
    }
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_the_client(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no connection could be taken");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

fn is_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

#[cfg(test)]
mod tests {
    use axum::{extract::ConnectInfo, routing::get};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn requests_are_answered_with_their_address_and_finished_at_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let slow = || async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            "late"
        };
        let who = |ConnectInfo(who): ConnectInfo<SocketAddr>| async move { who.ip().to_string() };
        let router = Router::new()
            .route("/who", get(who))
            .route("/slow", get(slow));
        let stop = CancellationToken::new();
        let server = tokio::spawn(answer(listener, router, stop.clone()));
        let url = |path: &str| format!("http://{address}{path}");
        let who = reqwest::get(url("/who")).await.unwrap();
        assert_eq!(who.text().await.unwrap(), "127.0.0.1");
        // A connection that says nothing holds nobody up.
        let mut silent = TcpStream::connect(address).await.unwrap();
        silent.write_all(b"GET / HT").await.unwrap();
        let late = tokio::spawn(reqwest::get(url("/slow")));
        tokio::time::sleep(Duration::from_millis(100)).await;
        stop.cancel();
        assert_eq!(late.await.unwrap().unwrap().text().await.unwrap(), "late");
        assert!(TcpStream::connect(address).await.is_err());
        drop(silent);
        server.await.unwrap();
    }

    #[tokio::test]
    async fn silent_connection_is_cut() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let head = Duration::from_millis(200);
        tokio::spawn(answer_within(head, listener, Router::new(), stop.clone()));
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut byte = [0];
        let ended = silent.read(&mut byte).await;
        assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
        stop.cancel();
    }

    #[test]
    fn number_of_connections_is_bounded() {
        assert!((100..=MANY).contains(&most()));
    }
}
