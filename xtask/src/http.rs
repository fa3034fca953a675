//! Requests to the server that we started, over the loopback.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Fetches a JSON document from `address`, such as `127.0.0.1:7740`.
pub(crate) fn get_json(address: &str, path: &str) -> Result<Value> {
    let body = exchange(address, &format!("GET {path}"), "application/json", "")?;
    Ok(serde_json::from_slice(&body)?)
}

/// Fetches a page.
pub(crate) fn get_text(address: &str, path: &str) -> Result<String> {
    let body = exchange(address, &format!("GET {path}"), "text/html", "")?;
    Ok(String::from_utf8(body)?)
}

/// Posts a JSON document; the answer is one too.
pub(crate) fn post_json(address: &str, path: &str, body: &Value) -> Result<Value> {
    let line = format!("POST {path}");
    let body = exchange(address, &line, "application/json", &body.to_string())?;
    Ok(serde_json::from_slice(&body)?)
}

fn exchange(address: &str, line: &str, kind: &str, body: &str) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).with_context(|| format!("reaching {address}"))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let length = body.len();
    // Version 1.0: the answer ends with the connection and is never sent in chunks.
    write!(
        stream,
        "{line} HTTP/1.0\r\nHost: {address}\r\nAccept: {kind}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    parse(&answer).with_context(|| line.to_owned())
}

fn parse(answer: &[u8]) -> Result<Vec<u8>> {
    let end = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .context("the answer has no header")?;
    let head = String::from_utf8_lossy(&answer[..end]);
    let status = head.split_whitespace().nth(1).unwrap_or_default();
    let body = &answer[end + 4..];
    if !matches!(status, "200" | "201") {
        bail!("status {status}: {}", String::from_utf8_lossy(body));
    }
    Ok(body.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_and_errors_are_told() {
        let ok = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n{\"a\":1}";
        assert_eq!(parse(ok).unwrap(), b"{\"a\":1}");
        let bad = parse(b"HTTP/1.1 503 Busy\r\n\r\nwait").unwrap_err();
        assert!(bad.to_string().contains("503: wait"));
    }
}
