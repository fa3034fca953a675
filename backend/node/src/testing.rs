//! A socket that answers what a test tells it to.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{client::Client, config::Token};

/// A server of one answer after the other; the last one repeats.
pub(crate) struct Server {
    pub(crate) client: Client,
    bodies: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Answers with a status and a body.
    pub(crate) async fn answering(answers: Vec<(u16, &'static [u8])>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("the loopback works");
        let address = listener.local_addr().expect("it is bound");
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&bodies);
        tokio::spawn(async move {
            let mut answers = answers.into_iter().peekable();
            while let Ok((mut stream, _)) = listener.accept().await {
                let body = read(&mut stream).await;
                seen.lock().expect("no test panics here").push(body);
                let (status, body) = answers.peek().copied().expect("at least one answer");
                let head = format!(
                    "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(head.as_bytes()).await;
                let _ = stream.write_all(body).await;
                if answers.len() > 1 {
                    answers.next();
                }
            }
        });
        let client = Client::new(&format!("http://{address}"), Token::new("secret"));
        Self {
            client: client.expect("a client"),
            bodies,
        }
    }

    /// Bodies of the requests so far.
    pub(crate) fn bodies(&self) -> Vec<String> {
        self.bodies.lock().expect("no test panics here").clone()
    }
}

/// The body of a request.
async fn read(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).await.unwrap_or(0);
        text.push_str(&String::from_utf8_lossy(&buffer[..count]));
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            if count == 0 {
                return String::new();
            }
            continue;
        };
        let length = head.lines().find_map(|line| {
            line.to_lowercase()
                .strip_prefix("content-length: ")?
                .parse()
                .ok()
        });
        if count == 0 || body.len() >= length.unwrap_or(0) {
            return body.to_owned();
        }
    }
}
