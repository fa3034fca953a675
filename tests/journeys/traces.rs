//! One trace from a caller's request through the server to the node and back, as a collector of OTLP receives it.

use std::{collections::BTreeSet, net::TcpListener, time::Duration};

use anyhow::{Context, Result, ensure};
use e2e::{
    Collector, Person, Server,
    collector::Received,
    person::{PASSWORD, expect},
    wait::until,
};
use reqwest::{Method, StatusCode};
use serde_json::json;
use shared::{
    JobId,
    job::{Job, JobStatus},
};

const SERVER: &str = "persguard";
const NODE: &str = "persguard-node";
/// What the caller calls its own.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const EMAIL: &str = "traced@example.org";
/// What callers would like to pass on beside.
const SMUGGLED: &str = "smuggled-by-the-caller";
/// Nothing is shared under it.
const SHARED: &str = "Q0ZzbWlzdHlwZWRzaGFyZWxpbmtzZWNyZXQ";
const ENDPOINT: &str = "PERSGUARD_OTLP_ENDPOINT";
const ALONE: (&str, &str) = ("PERSGUARD_LOCAL_NODE", "false");
/// Milliseconds until spans are sent.
const SOON: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "100");
const NO_LIMIT: (&str, &str) = ("PERSGUARD_REQUESTS_PER_MINUTE", "100000");
const NEVER: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "3600000");
const METRICS_TOKEN: &str = "a token for whoever reads the metrics";
const LIMIT: Duration = Duration::from_secs(30);

fn traceparent() -> String {
    format!("00-{TRACE}-{CALLER}-01")
}

/// The first span of a program that is called so and is a part of that one.
fn part<'a>(
    spans: &'a [Received],
    (service, name): (&str, &str),
    of: &str,
) -> Result<&'a Received> {
    let mut fitting = spans
        .iter()
        .filter(|span| span.service() == service && span.name() == name && span.parent() == of);
    fitting.next().with_context(|| {
        let all = spans.iter().map(|span| {
            let (service, name) = (span.service(), span.name());
            format!("{service} {name}: {} of {}\n", span.id(), span.parent())
        });
        format!(
            "no {service} {name} of {of} in\n{}",
            all.collect::<String>()
        )
    })
}

/// Launches a job as part of the caller's trace, and waits for it and its evaluation.
async fn work(person: &Person) -> Result<[JobId; 2]> {
    let set = person.sealed_set(demo::SUBJECT).await?;
    let spec = person.short_spec(&set).await?;
    let launch = person
        .request(Method::POST, "/v1/jobs")
        .header("Idempotency-Key", "once")
        .header("traceparent", traceparent())
        .header("tracestate", format!("vendor={SMUGGLED}"))
        .header("baggage", format!("key={SMUGGLED}"));
    let answer = expect(launch.json(&spec).send().await?, StatusCode::ACCEPTED).await?;
    let job: Job = answer.json().await?;
    let done = person.wait_for(job.id, JobStatus::Succeeded, 240).await?;
    let evaluation = done.evaluation_id.context("it is evaluated")?;
    person
        .wait_for(evaluation, JobStatus::Succeeded, 240)
        .await?;
    Ok([job.id, evaluation])
}

/// Calls that are part of no trace of a caller.
async fn call_badly(server: &Server, person: &Person) -> Result<()> {
    for bad in [
        format!("00-{}-{CALLER}-01", TRACE.to_uppercase()),
        format!("00-{TRACE}-{CALLER}"),
        format!("cc-{TRACE}-{CALLER}-01"),
    ] {
        let request = person.request(Method::GET, "/v1/me?cursor=hidden-query");
        let answer = request.header("traceparent", bad).send().await?;
        expect(answer, StatusCode::OK).await?;
    }
    reqwest::get(server.url(&format!("/s/{SHARED}"))).await?;
    Ok(())
}

/// Waits until both attempts and what ended them arrived; gives everything.
async fn arrived(collector: &Collector, limit: Duration) -> Result<Vec<Received>> {
    until("the traces", limit, || async {
        let spans = collector.spans();
        let count = |name: &str| spans.iter().filter(|span| span.name() == name).count();
        let all = count("attempt") == 2
            && count("POST /v1/node/jobs/{id}/finish") == 2
            && count("GET /v1/me") >= 3;
        Ok(all.then_some(spans))
    })
    .await
}

fn check_trace(trace: &[Received], [job, evaluation]: [JobId; 2]) -> Result<()> {
    let created = part(trace, (SERVER, "POST /v1/jobs"), CALLER)?;
    assert_eq!(created.kind(), "SPAN_KIND_SERVER");
    assert_eq!(created.attribute("http.request.method"), "POST");
    assert_eq!(created.attribute("http.route"), "/v1/jobs");
    assert_eq!(created.attribute("http.response.status_code"), "202");
    assert_eq!(created.attribute("persguard.job.id"), job.to_string());
    ensure!(
        created
            .attribute("persguard.request.id")
            .starts_with("req_")
    );

    let attempt = part(trace, (NODE, "attempt"), &created.id())?;
    assert_eq!(attempt.kind(), "SPAN_KIND_CONSUMER");
    assert_eq!(attempt.attribute("persguard.job.id"), job.to_string());
    assert_eq!(attempt.attribute("persguard.job.attempt"), "1");
    assert_eq!(attempt.attribute("persguard.job.outcome"), "succeeded");
    let prepare = part(trace, (NODE, "prepare"), &attempt.id())?;
    let download = part(trace, (NODE, "download"), &prepare.id())?;
    part(trace, (NODE, "train"), &attempt.id())?;
    let upload = part(trace, (NODE, "upload"), &attempt.id())?;

    // What the node asks of its server is part of what it does.
    let read = trace.iter().find(|span| span.parent() == download.id());
    assert_eq!(read.context("nothing was read")?.service(), SERVER);
    let uploads = (SERVER, "POST /v1/node/jobs/{id}/uploads");
    part(trace, uploads, &upload.id())?;
    let beats = (SERVER, "POST /v1/node/jobs/{id}/heartbeats");
    part(trace, beats, &attempt.id())?;
    let finish = (SERVER, "POST /v1/node/jobs/{id}/finish");
    let finished = part(trace, finish, &attempt.id())?;
    assert_eq!(finished.attribute("http.response.status_code"), "204");

    // What follows belongs to it.
    let judged = part(trace, (NODE, "attempt"), &finished.id())?;
    assert_eq!(judged.attribute("persguard.job.id"), evaluation.to_string());
    part(trace, finish, &judged.id())?;
    Ok(())
}

#[tokio::test]
async fn one_trace_leads_from_the_caller_to_the_nodes_result() -> Result<()> {
    let collector = Collector::start().await?;
    let url = collector.url();
    let server = Server::start(&[(ENDPOINT, &url), SOON, ("PERSGUARD_LOG", "info,api=debug")])?;
    let person = Person::sign_up(&server, EMAIL).await?;
    let jobs = work(&person).await?;
    call_badly(&server, &person).await?;
    let spans = arrived(&collector, LIMIT).await?;

    let (trace, others): (Vec<_>, Vec<_>) = spans
        .iter()
        .cloned()
        .partition(|span| span.trace() == TRACE);
    check_trace(&trace, jobs)?;
    let called = others.iter().filter(|span| span.name() == "GET /v1/me");
    for span in called {
        ensure!(
            span.parent().is_empty(),
            "a bad name was followed: {span:?}"
        );
    }
    let line = format!("\"trace_id\":\"{TRACE}\"");
    ensure!(
        server.whole_log()?.contains(&line),
        "the log names no trace"
    );

    let mut instances = BTreeSet::new();
    for span in &spans {
        ensure!(!span.resource("service.version").is_empty());
        instances.insert((span.service(), span.resource("service.instance.id")));
    }
    assert_eq!(instances.len(), 2, "a server and its node: {instances:?}");
    check_silence(&spans, &person)
}

/// Nothing that anybody wrote is in any span.
fn check_silence(spans: &[Received], person: &Person) -> Result<()> {
    let sets = demo::sample_sets();
    let sample = sets.iter().find(|set| set.name == demo::SUBJECT);
    let sample = sample.context("no such sample")?;
    let mut words = vec![
        person.token(),
        PASSWORD,
        EMAIL,
        SMUGGLED,
        SHARED,
        "A Person",
        "Utopia",
        "hidden-query",
        "signature",
        ".png",
        ".safetensors",
        sample.title,
    ];
    words.extend(sample.images.iter().map(|(name, _)| *name));
    for span in spans {
        let text = format!("{span:?}");
        for word in &words {
            ensure!(!text.contains(word), "`{word}` is in {text}");
        }
    }
    let shared = spans.iter().filter(|span| span.name().contains("/s/"));
    let routes: BTreeSet<&str> = shared.map(Received::name).collect();
    ensure!(routes.len() == 1, "{routes:?}");
    Ok(())
}

/// On threads: while a server stops nobody else would answer it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn last_spans_are_sent_at_the_end_and_callers_do_not_say_what_is_kept() -> Result<()> {
    let collector = Collector::start().await?;
    let url = collector.url();
    let http = reqwest::Client::new();
    let mut server = Server::start(&[(ENDPOINT, &url), ALONE, NEVER])?;
    for ratio in ["0", "1"] {
        let request = http.get(server.url("/healthz"));
        let answer = request.header("traceparent", traceparent()).send().await?;
        expect(answer, StatusCode::OK).await?;
        let sampling = ("PERSGUARD_OTLP_SAMPLING_RATIO", ratio);
        let before = collector.spans().len();
        server = server.restart(&[(ENDPOINT, &url), ALONE, NEVER, sampling])?;
        let after = collector.spans();
        if ratio == "0" {
            let kept = after.iter().filter(|span| span.name() == "GET /healthz");
            assert_eq!((before, kept.count()), (0, 1), "{after:?}");
        } else {
            assert_eq!(before, after.len(), "it kept what it was told not to");
        }
    }
    Ok(())
}

async fn read_metrics(server: &Server) -> Result<String> {
    let request = reqwest::Client::new().get(server.url("/metrics"));
    let answer = request.bearer_auth(METRICS_TOKEN).send().await?;
    Ok(expect(answer, StatusCode::OK).await?.text().await?)
}

fn metric(text: &str, name: &str) -> Result<u64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(name));
    let value = lines
        .next()
        .with_context(|| format!("no {name} in {text}"))?;
    Ok(value.trim().parse()?)
}

#[tokio::test]
async fn collector_behind_tls_is_trusted_by_the_file_that_names_its_authority() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let authority = folder.path().join("ca.pem");
    let collector = Collector::start_signed(&authority).await?;
    let (url, file) = (collector.url(), authority.display().to_string());
    let server = Server::start(&[(ENDPOINT, &url), ALONE, SOON])?;
    ask(&server, 1).await?;
    until("a complaint", LIMIT, || async {
        Ok((complaints(&server)? > 0).then_some(()))
    })
    .await?;
    ensure!(
        collector.spans().is_empty(),
        "it was trusted without a word"
    );

    let trusted = ("PERSGUARD_OTLP_CA_FILE", file.as_str());
    let server = server.restart(&[(ENDPOINT, &url), ALONE, SOON, trusted])?;
    ask(&server, 1).await?;
    until("the spans", LIMIT, || async {
        let spans = collector.spans();
        Ok(spans
            .iter()
            .any(|span| span.name() == "GET /healthz")
            .then_some(()))
    })
    .await
}

/// How often a server told of a collector that takes nothing.
fn complaints(server: &Server) -> Result<usize> {
    let log = server.whole_log()?;
    Ok(log.matches("the collector takes no traces").count())
}

async fn ask(server: &Server, times: usize) -> Result<()> {
    let http = reqwest::Client::new();
    for _ in 0..times {
        let answer = http.get(server.url("/healthz")).send().await?;
        expect(answer, StatusCode::OK).await?;
    }
    Ok(())
}

#[tokio::test]
async fn dead_and_hanging_collectors_harm_nothing() -> Result<()> {
    let closed = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let dead = format!("http://{closed}");
    // The kernel takes connections, and nobody ever reads from them.
    let mute = TcpListener::bind("127.0.0.1:0")?;
    let hanging = format!("http://{}", mute.local_addr()?);

    let server = Server::start(&[(ENDPOINT, &dead), ALONE, SOON, NO_LIMIT])?;
    ask(&server, 200).await?;
    until("a complaint", LIMIT, || async {
        Ok((complaints(&server)? > 0).then_some(()))
    })
    .await?;
    for _ in 0..3 {
        ask(&server, 200).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(complaints(&server)?, 1, "once a minute is enough");

    // More than the queue holds.
    let folder = tempfile::tempdir()?;
    let token = folder.path().join("token").display().to_string();
    std::fs::write(&token, METRICS_TOKEN)?;
    let metered = ("PERSGUARD_METRICS_TOKEN_FILE", token.as_str());
    let server = server.restart(&[(ENDPOINT, &hanging), ALONE, SOON, NO_LIMIT, metered])?;
    ask(&server, 3000).await?;
    let metrics = read_metrics(&server).await?;
    let ended: u64 = metric(&metrics, "persguard_spans_ended_total")?;
    ensure!(ended >= 3000, "{ended} spans ended");
    assert_eq!(metric(&metrics, "persguard_spans_sent_total")?, 0);
    let person = Person::sign_up(&server, EMAIL).await?;
    let name = json!({ "name": "Still here" });
    let path = "/v1/protected-sets";
    let _: serde_json::Value = person
        .send(Method::POST, path, &name, StatusCode::CREATED)
        .await?;
    // It stops in time, too.
    let server = server.restart(&[ALONE])?;
    ask(&server, 1).await
}
