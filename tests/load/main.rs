//! Load on the REST API with wrk, beside a bare axum server in the same run. `cargo xtask bench api` builds the server
//! as it is released, installs wrk and starts this.
//!
//! The last line is measured: `read_rps` and `p99_ms` of reads by 32 connections that ask for the same while nothing is
//! written, `read_ratio` to the bare server under the same requests,
//! `job_creates_per_s` of durable job creations by 8, `rss_mb` of the server at the end.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::{fs, io::Write, net::SocketAddr, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use axum::Router;
use e2e::{Person, Server};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Builder;

/// Rotates over the given paths.
const READS: &str = r#"
local at, requests = 0, {}
init = function()
    for number, path in ipairs(paths) do requests[number] = wrk.format("GET", path) end
end
request = function()
    at = at % #requests + 1
    return requests[at]
end
"#;

/// Creates jobs with a key of their own each time.
const CREATES: &str = r#"
local at = 0
request = function()
    at = at + 1
    local headers = {}
    for name, value in pairs(wrk.headers) do headers[name] = value end
    headers["Idempotency-Key"] = "load-" .. at
    headers["Content-Type"] = "application/json"
    return wrk.format("POST", "/v1/jobs", headers, spec)
end
"#;

/// What wrk found.
struct Found {
    requests_per_second: f64,
    p99_milliseconds: f64,
}

/// One run of wrk.
struct Load<'a> {
    seconds: u32,
    connections: u32,
    /// Lua; nothing for plain requests.
    script: &'a str,
    token: &'a str,
}

impl Load<'_> {
    fn run(&self, folder: &Path, url: &str) -> Result<Found> {
        let script = folder.join("load.lua");
        fs::File::create(&script)?.write_all(self.script.as_bytes())?;
        let output = Command::new("wrk")
            .args(["-t1", "--latency", &format!("-c{}", self.connections)])
            .arg(format!("-d{}s", self.seconds))
            .arg("-s")
            .arg(&script)
            .args(["-H", &format!("Authorization: Bearer {}", self.token)])
            .arg(url)
            .output()
            .context("wrk")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "wrk: {text}{said}");
        ensure!(
            !text.contains("Non-2xx") && !text.contains("Socket errors"),
            "requests failed:\n{text}"
        );
        let after = |mark: &str| {
            let line = text.lines().find_map(|line| line.trim().strip_prefix(mark));
            line.map(|rest| rest.trim().to_owned())
                .with_context(|| format!("wrk says no {mark}\n{text}"))
        };
        Ok(Found {
            requests_per_second: after("Requests/sec:")?.parse()?,
            p99_milliseconds: milliseconds(&after("99%")?)?,
        })
    }
}

/// `412.00us`, `3.05ms` or `1.20s`.
fn milliseconds(text: &str) -> Result<f64> {
    let units = [("us", 1e-3), ("ms", 1.0), ("s", 1e3)];
    let read = |(unit, factor): &(&str, f64)| {
        let value: f64 = text.strip_suffix(unit)?.parse().ok()?;
        Some(value * factor)
    };
    units
        .iter()
        .find_map(read)
        .with_context(|| format!("{text:?} is no time"))
}

/// A server that does nothing, on a thread of its own.
fn bare() -> Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || -> Result<()> {
        Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?
            .block_on(async {
                let hello = Router::new().fallback(|| async { "hello" });
                let listener = tokio::net::TcpListener::from_std(listener)?;
                Ok(axum::serve(listener, hello).await?)
            })
    });
    Ok(address)
}

/// A server with somebody who has a job there.
struct Side {
    server: Server,
    person: Person,
    spec: Value,
    /// What is read.
    paths: Vec<String>,
}

impl Side {
    /// Starts a server that keeps answers in as many bytes.
    fn open(kept: &str) -> Result<Self> {
        let server = Server::start(&[
            ("PERSGUARD_LOCAL_NODE", "false"),
            ("PERSGUARD_REQUESTS_PER_MINUTE", "100000000"),
            ("PERSGUARD_ACTIVE_JOBS", "100000000"),
            ("PERSGUARD_RESPONSE_CACHE_BYTES", kept),
            ("PERSGUARD_LOG", "warn"),
        ])?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (person, spec, paths) = runtime.block_on(async {
            let person = Person::sign_up(&server, "load@example.org").await?;
            let set = person.sealed_set(demo::SUBJECT).await?;
            let spec = person.short_spec(&set).await?;
            let job = person.launch(&spec, "first").await?;
            let paths = vec![
                format!("/v1/jobs/{}", job.id),
                "/v1/jobs".to_owned(),
                format!("/v1/protected-sets/{}", set.id),
                "/v1/me".to_owned(),
            ];
            anyhow::Ok((person, spec, paths))
        })?;
        Ok(Self {
            server,
            person,
            spec,
            paths,
        })
    }

    fn reads(&self) -> String {
        let quoted: Vec<String> = self.paths.iter().map(|path| format!("{path:?}")).collect();
        format!("paths = {{{}}}\n{READS}", quoted.join(", "))
    }
}

fn main() -> Result<()> {
    let seconds: u32 = match std::env::args().nth(1) {
        Some(seconds) => seconds.parse().context("seconds of each load")?,
        None => 10,
    };
    let side = Side::open("16777216")?;
    let (server, person) = (&side.server, &side.person);
    let folder = TempDir::new()?;
    let bare = format!("http://{}", bare()?);
    let load_as = |person: &Person, connections, script: &str, url: &str| {
        let load = Load {
            seconds,
            connections,
            script,
            token: person.token(),
        };
        load.run(folder.path(), url)
    };
    let load = |connections, script: &str, url: &str| load_as(person, connections, script, url);
    let reads = side.reads();
    let url = server.url("");
    // Once to warm up, then in turns with the bare server: the machine is shared.
    load(32, &reads, &url)?;
    let hello = load(32, &reads, &bare)?;
    let read = load(32, &reads, &url)?;
    let hello_again = load(32, &reads, &bare)?;
    let hello = hello
        .requests_per_second
        .midpoint(hello_again.requests_per_second);
    println!("bare axum: {hello:.0} requests/s");
    {
        let side = Side::open("0")?;
        let computed = load_as(&side.person, 32, &side.reads(), &side.server.url(""))?;
        println!(
            "no answer kept: {:.0} requests/s, {:.2} of bare axum, p99 {:.1} ms",
            computed.requests_per_second,
            computed.requests_per_second / hello,
            computed.p99_milliseconds
        );
    }
    // The same doors and layers with nothing behind them: what the database leaves room for.
    let constant = load(32, "", &server.url("/healthz"))?.requests_per_second;
    println!(
        "an answer without the database: {constant:.0} requests/s, {:.2} of bare axum",
        constant / hello
    );
    let before = server.resident_megabytes()?;
    let body = serde_json::to_string(&side.spec)?;
    let creates = format!("spec = {body:?}\n{CREATES}");
    let created = load(8, &creates, &url)?;
    println!(
        "job creation: p99 {:.1} ms; memory before it {before:.0} MB",
        created.p99_milliseconds
    );
    println!(
        "read_rps={:.0} read_ratio={:.2} p99_ms={:.1} job_creates_per_s={:.0} rss_mb={:.0}",
        read.requests_per_second,
        read.requests_per_second / hello,
        read.p99_milliseconds,
        created.requests_per_second,
        server.resident_megabytes()?,
    );
    Ok(())
}
