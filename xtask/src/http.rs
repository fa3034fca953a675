//! One GET to the server that we started, over the loopback.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Fetches a JSON document from `address`, such as `127.0.0.1:7740`.
pub(crate) fn get_json(address: &str, path: &str) -> Result<Value> {
    let mut stream = TcpStream::connect(address).with_context(|| format!("reaching {address}"))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    // Version 1.0: the answer ends with the connection and is never sent in chunks.
    write!(
        stream,
        "GET {path} HTTP/1.0\r\nHost: {address}\r\nAccept: application/json\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    parse(&answer).with_context(|| format!("GET {path}"))
}

fn parse(answer: &[u8]) -> Result<Value> {
    let end = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .context("the answer has no header")?;
    let head = String::from_utf8_lossy(&answer[..end]);
    let status = head.split_whitespace().nth(1).unwrap_or_default();
    let body = &answer[end + 4..];
    if status != "200" {
        bail!("status {status}: {}", String::from_utf8_lossy(body));
    }
    Ok(serde_json::from_slice(body)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_and_errors_are_told() {
        let ok = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n{\"a\":1}";
        assert_eq!(parse(ok).unwrap()["a"], 1);
        let bad = parse(b"HTTP/1.1 503 Busy\r\n\r\nwait").unwrap_err();
        assert!(bad.to_string().contains("503: wait"));
    }
}
