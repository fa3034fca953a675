//! Against a store in this process that breaks lines and refuses addresses as a test tells it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
};

use serde_json::json;
use sha2::{Digest, Sha256};
use shared::node::LARGE_UPLOAD_BYTES;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use uuid::Uuid;

use super::*;
use crate::config::Token;

const PART: usize = 1000;

/// What happens to the next part that is sent.
#[derive(Clone, Copy)]
enum Fault {
    None,
    /// The line breaks after so many bytes of it.
    CutAfter(usize),
    /// The answer has this status, and nothing is kept.
    Status(u16),
}

#[derive(Default)]
struct Kept {
    size: usize,
    part: usize,
    parts: BTreeMap<u32, Vec<u8>>,
    faults: VecDeque<Fault>,
    /// Numbers of the parts whose sending began, in order.
    sent: Vec<u32>,
    /// Announcements, and whether they asked for parts.
    announced: Vec<bool>,
    signed: u32,
    completed: u32,
    /// Answers to completions before the last, which is 204.
    completions: VecDeque<(u16, &'static str)>,
}

#[derive(Clone)]
struct Store {
    kept: Arc<Mutex<Kept>>,
    client: Client,
}

impl Store {
    async fn of(size: usize, part: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("it is bound");
        let kept = Arc::new(Mutex::new(Kept {
            size,
            part,
            ..Kept::default()
        }));
        let store = Self {
            kept,
            client: Client::new(&format!("http://{address}"), Token::new("secret"))
                .expect("a client"),
        };
        let serving = store.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = serving.answer(stream).await;
            }
        });
        store
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("no test panics here")
    }

    async fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let (head, mut body) = read_head(&mut stream).await?;
        let line = head.lines().next().unwrap_or_default();
        let length = length(&head);
        let place = line.split(' ').nth(1).unwrap_or_default();
        if let Some(number) = place.strip_prefix("/part/") {
            let number = number.split('?').next().and_then(|text| text.parse().ok());
            return self
                .take_part(stream, number.expect("a number"), body, length)
                .await;
        }
        while body.len() < length {
            let mut buffer = vec![0; 4096];
            let count = stream.read(&mut buffer).await?;
            body.extend_from_slice(&buffer[..count]);
        }
        let (status, text) = self.told(place, &body);
        write(&mut stream, status, &text).await
    }

    /// Takes one part, as far as the line goes.
    async fn take_part(
        &self,
        mut stream: TcpStream,
        number: u32,
        mut body: Vec<u8>,
        length: usize,
    ) -> std::io::Result<()> {
        let fault = {
            let mut kept = self.kept();
            kept.sent.push(number);
            kept.faults.pop_front().unwrap_or(Fault::None)
        };
        let until = match fault {
            Fault::CutAfter(bytes) => bytes,
            _ => length,
        };
        let mut buffer = vec![0; 64 * 1024];
        while body.len() < until {
            let count = stream.read(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            body.extend_from_slice(&buffer[..count]);
        }
        match fault {
            Fault::CutAfter(_) => Ok(()),
            Fault::Status(status) => write(&mut stream, status, "").await,
            Fault::None => {
                self.kept().parts.insert(number, body);
                write(&mut stream, 200, "").await
            }
        }
    }

    fn told(&self, place: &str, body: &[u8]) -> (u16, String) {
        let request: serde_json::Value = serde_json::from_slice(body).expect("JSON");
        let mut kept = self.kept();
        let count = kept.size.div_ceil(kept.part);
        if place.ends_with("/missing") {
            kept.signed += 1;
            let missing = (1..=count).filter(|number| {
                let number = u32::try_from(*number).expect("few");
                !kept.parts.contains_key(&number)
            });
            let parts: Vec<_> = missing
                .map(|number| {
                    let offset = (number - 1) * kept.part;
                    let size = kept.part.min(kept.size - offset);
                    let url = format!("/part/{number}?signed={}", kept.signed);
                    json!({ "number": number, "offset": offset, "size_bytes": size, "url": url })
                })
                .collect();
            return (200, json!({ "parts": parts }).to_string());
        }
        if place.ends_with("/complete") {
            kept.completed += 1;
            let (status, code) = kept.completions.pop_front().unwrap_or((204, ""));
            if code.is_empty() {
                return (status, String::new());
            }
            // The store throws away what it finds wrong.
            kept.parts.clear();
            let problem = json!({ "type": "x", "title": "x", "status": status, "code": code,
                "detail": "x", "instance": "x", "request_id": "x", "retryable": false });
            return (status, problem.to_string());
        }
        let asked = request["in_parts"] == true;
        kept.announced.push(asked);
        let answer = if asked {
            json!({ "url": null, "parts": { "upload_id": "up", "count": count } })
        } else {
            json!({ "url": "/part/1" })
        };
        (201, answer.to_string())
    }

    /// All that was kept, in order.
    fn bytes(&self) -> Vec<u8> {
        self.kept().parts.values().flatten().copied().collect()
    }

    async fn send_parts(&self, file: &File) -> Result<()> {
        send(&self.client, job(), &file.delivery(), &file.path).await
    }
}

async fn read_head(stream: &mut TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let count = stream.read(&mut buffer).await?;
        bytes.extend_from_slice(&buffer[..count]);
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            return Ok((head, bytes.split_off(end + 4)));
        }
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn length(head: &str) -> usize {
    let lengths = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    lengths.unwrap_or(0)
}

async fn write(stream: &mut TcpStream, status: u16, text: &str) -> std::io::Result<()> {
    let length = text.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
    );
    stream.write_all(head.as_bytes()).await
}

struct File {
    _folder: tempfile::TempDir,
    path: std::path::PathBuf,
    bytes: Vec<u8>,
}

impl File {
    fn of(size: usize) -> Self {
        let folder = tempfile::tempdir().expect("a test folder");
        let path = folder.path().join("weights");
        let bytes: Vec<u8> = (0..size).map(|at| (at % 251).to_le_bytes()[0]).collect();
        std::fs::write(&path, &bytes).expect("a test file");
        Self {
            _folder: folder,
            path,
            bytes,
        }
    }

    fn delivery(&self) -> NodeDelivery {
        NodeDelivery {
            token: 3,
            sha256: hex::encode(Sha256::digest(&self.bytes)),
            size_bytes: self.bytes.len() as u64,
            upload_id: "up".into(),
        }
    }
}

fn job() -> JobId {
    JobId::from_uuid(Uuid::nil())
}

#[tokio::test]
async fn line_that_breaks_within_a_part_costs_that_part_alone() {
    let file = File::of(4 * PART + 7);
    let store = Store::of(file.bytes.len(), PART).await;
    store.kept().faults = [Fault::None, Fault::None, Fault::CutAfter(400)].into();
    store.send_parts(&file).await.unwrap();
    assert_eq!(store.kept().sent, [1, 2, 3, 3, 4, 5]);
    assert_eq!(store.bytes(), file.bytes);
}

#[tokio::test]
async fn address_that_expired_is_signed_anew_and_what_arrived_stays() {
    let file = File::of(3 * PART);
    let store = Store::of(file.bytes.len(), PART).await;
    for expired in [403, 410] {
        {
            let mut kept = store.kept();
            kept.parts.clear();
            kept.sent.clear();
            kept.signed = 0;
            kept.faults = [Fault::None, Fault::Status(expired)].into();
        }
        store.send_parts(&file).await.unwrap();
        assert_eq!(store.kept().sent, [1, 2, 2, 3]);
        assert_eq!(
            store.kept().signed,
            3,
            "what is missing, again, and nothing"
        );
        assert_eq!(store.bytes(), file.bytes);
    }
}

#[tokio::test]
async fn upload_goes_on_where_an_earlier_try_ended() {
    let file = File::of(3 * PART + 1);
    let store = Store::of(file.bytes.len(), PART).await;
    for number in [1, 3] {
        let start = (number as usize - 1) * PART;
        let part = file.bytes[start..start + PART].to_vec();
        store.kept().parts.insert(number, part);
    }
    store.send_parts(&file).await.unwrap();
    assert_eq!(store.kept().sent, [2, 4]);
    assert_eq!(store.bytes(), file.bytes);
}

#[tokio::test]
async fn parts_that_are_being_put_together_are_waited_for() {
    let file = File::of(2 * PART);
    let store = Store::of(file.bytes.len(), PART).await;
    store.kept().completions = [(202, ""), (202, "")].into();
    store.send_parts(&file).await.unwrap();
    assert_eq!(store.kept().completed, 3);
    assert_eq!(store.kept().sent, [1, 2]);
}

#[tokio::test]
async fn store_that_refuses_for_ever_is_given_up() {
    let file = File::of(2 * PART);
    let store = Store::of(file.bytes.len(), PART).await;
    store.kept().faults = [Fault::Status(403); 50].into();
    let refused = store.send_parts(&file).await;
    assert!(
        matches!(refused, Err(Error::Refused { status: 403, .. })),
        "{refused:?}"
    );
    assert!(store.kept().sent.len() <= 1 + ROUNDS as usize);
}

#[tokio::test]
async fn large_files_come_in_parts_and_begin_anew_when_their_bytes_were_wrong() {
    let large = usize::try_from(LARGE_UPLOAD_BYTES).unwrap();
    let file = File::of(large + 9);
    let store = Store::of(file.bytes.len(), large).await;
    store.kept().completions = [(422, "checksum_mismatch")].into();
    let sent = crate::transfer::send(&store.client, job(), 3, &file.path).await;
    assert_eq!(sent.unwrap().0, file.delivery().sha256);
    assert_eq!(store.kept().announced, [true, true]);
    assert_eq!(store.kept().sent, [1, 2, 1, 2]);
    assert!(store.bytes() == file.bytes);
}

#[tokio::test]
async fn small_files_are_announced_as_earlier_servers_know_it() {
    let file = File::of(PART);
    let store = Store::of(PART, PART).await;
    let sent = crate::transfer::send(&store.client, job(), 3, &file.path).await;
    assert_eq!(sent.unwrap().1, PART as u64);
    assert_eq!(store.kept().announced, [false]);
    assert_eq!(store.bytes(), file.bytes);
}
