//! What is left of a request that was answered before it was read.
//!
//! The rest of a body lies in the way of the next request on its connection. A short rest is read and thrown away, so
//! that the connection stays; where the rest is long or slow the answer says that the connection ends (RFC 9112, 9.6).
//! Without that a caller takes it for an open one, sends its next request, and meets a closed door.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, BodyDataStream, Bytes, HttpBody},
    extract::Request,
    http::{HeaderValue, Version, header},
    middleware::Next,
    response::Response,
};
use futures::StreamExt;
use http_body::{Frame, SizeHint};

/// Most that is read for nothing: what a caller sends before it looks at the answer.
const MAX_REST: usize = 256 * 1024;
/// Longest wait for it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where a body goes that is dropped before its end; empty while somebody holds it, and once it was read.
type Rest = Arc<Mutex<Option<Body>>>;

/// A request's body that is given back.
struct Lent {
    body: Body,
    rest: Rest,
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        *rest = Some(std::mem::take(&mut self.body));
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Reads what is left, or says that nobody will.
pub(crate) async fn settle(request: Request, next: Next) -> Response {
    if request.version() > Version::HTTP_11 || request.body().is_end_stream() {
        return next.run(request).await;
    }
    // Whoever waits to be told to go on sends nothing before; reading would tell it to.
    let waits = request.headers().contains_key(header::EXPECT);
    let rest = Rest::default();
    let lent = Arc::clone(&rest);
    let request = request.map(|body| Body::new(Lent { body, rest: lent }));
    let mut response = next.run(request).await;
    let left = rest.lock().unwrap_or_else(PoisonError::into_inner).take();
    let settled = match left {
        Some(body) => body.is_end_stream() || !waits && is_short(body).await,
        None => false,
    };
    if !settled {
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Reads to the end, if that is near.
async fn is_short(body: Body) -> bool {
    if body.size_hint().lower() > MAX_REST as u64 {
        return false;
    }
    let read = to_end(body.into_data_stream());
    tokio::time::timeout(PATIENCE, read).await.unwrap_or(false)
}

async fn to_end(mut body: BodyDataStream) -> bool {
    let mut length = 0;
    while let Some(chunk) = body.next().await {
        length += chunk.map_or(MAX_REST, |chunk| chunk.len());
        if length > MAX_REST {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use axum::{Router, extract::DefaultBodyLimit, middleware::from_fn, routing::post};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    /// A server that refuses at `/refuse` without a look, and reads at `/read`.
    async fn connection() -> TcpStream {
        let router = Router::new()
            .route("/refuse", post(async || "refused"))
            .route("/read", post(async |body: String| body.len().to_string()))
            .layer(DefaultBodyLimit::max(1000))
            .layer(from_fn(settle));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, router).into_future());
        TcpStream::connect(address).await.unwrap()
    }

    /// Reads one answer: its head, in lower case, and its body.
    async fn answer(stream: &mut TcpStream) -> (String, String) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let (_, length) = head.split_once("content-length: ").unwrap();
        let length = length.lines().next().unwrap().parse().unwrap();
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        (head, String::from_utf8(body).unwrap())
    }

    fn request(path: &str, length: usize, more: &str) -> String {
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{more}\r\n")
    }

    async fn send(stream: &mut TcpStream, path: &str, length: usize) -> (String, String) {
        let mut bytes = request(path, length, "").into_bytes();
        bytes.resize(bytes.len() + length, b'x');
        stream.write_all(&bytes).await.unwrap();
        answer(stream).await
    }

    #[tokio::test]
    async fn refused_bodies_leave_the_connection_open() {
        let mut stream = connection().await;
        for length in [1, 100_000, MAX_REST] {
            for path in ["/refuse", "/read", "/refuse"] {
                let (head, _) = send(&mut stream, path, length).await;
                assert!(!head.contains("connection: close"), "{length}: {head}");
            }
        }
        let (_, body) = send(&mut stream, "/read", 500).await;
        assert_eq!(body, "500");
    }

    #[tokio::test]
    async fn long_rest_ends_the_connection_and_the_answer_says_so() {
        let mut stream = connection().await;
        let head = request("/refuse", MAX_REST + 1, "");
        stream.write_all(head.as_bytes()).await.unwrap();
        let (head, body) = answer(&mut stream).await;
        assert!(head.contains("connection: close"), "{head}");
        assert_eq!(body, "refused");
    }

    #[tokio::test]
    async fn rest_that_does_not_come_ends_the_connection() {
        let mut stream = connection().await;
        let mut text = request("/refuse", 1000, "");
        text.push('x');
        stream.write_all(text.as_bytes()).await.unwrap();
        let (head, _) = answer(&mut stream).await;
        assert!(head.contains("connection: close"), "{head}");
    }

    #[tokio::test]
    async fn endless_chunks_end_the_connection() {
        let mut stream = connection().await;
        let head = "POST /refuse HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
        for _ in 0..5 {
            stream.write_all(chunk.as_bytes()).await.unwrap();
        }
        let (head, _) = answer(&mut stream).await;
        assert!(head.contains("connection: close"), "{head}");
    }

    #[tokio::test]
    async fn whoever_asks_first_is_not_told_to_go_on() {
        let mut stream = connection().await;
        let text = request("/refuse", 1000, "Expect: 100-continue\r\n");
        stream.write_all(text.as_bytes()).await.unwrap();
        let (head, _) = answer(&mut stream).await;
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert!(head.contains("connection: close"), "{head}");
    }
}
