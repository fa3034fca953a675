//! Two servers share one database and a broker: what a node tells one is seen on the other, and neither the broker nor the
//! leader is missed for long.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use e2e::{
    Collector, Machine, Nats, Person, Postgres, Server,
    collector::Received,
    machine::{ADMINISTRATOR, administrator},
    person::expect,
    processes::trainers,
    wait::until,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use shared::{
    JobId,
    job::{Job, JobStatus},
    progress::{JobEvent, JobEventBody, Progress},
};
use tempfile::TempDir;

const TOKEN: &str = "read by the tests of replicas";
/// From what a node says to one server until the other's stream shows it.
const LAG: Duration = Duration::from_secs(2);
const LIMIT: Duration = Duration::from_mins(1);

/// A gauge or counter of one server.
async fn metric(server: &Server, name: &str) -> Result<u64> {
    let request = reqwest::Client::new().get(server.url("/metrics"));
    let answer = expect(request.bearer_auth(TOKEN).send().await?, StatusCode::OK).await?;
    let text = answer.text().await?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(&format!("persguard_{name} ")));
    Ok(line.context(name.to_owned())?.parse()?)
}

async fn becomes(server: &Server, name: &str, wanted: u64) -> Result<()> {
    until(&format!("{name} {wanted}"), LIMIT, || async {
        Ok((metric(server, name).await? == wanted).then_some(()))
    })
    .await
}

async fn readiness(server: &Server) -> Result<String> {
    let answer = reqwest::get(server.url("/readyz")).await?;
    Ok(expect(answer, StatusCode::OK).await?.text().await?)
}

fn now_milliseconds() -> Result<i64> {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed()?;
    Ok(i64::try_from(since.as_millis())?)
}

/// A job's stream, as one server sends it.
struct Stream {
    answer: reqwest::Response,
    text: String,
    /// How late the latest event came.
    lag: Duration,
}

impl Stream {
    async fn open(person: &Person, job: JobId) -> Result<Self> {
        let path = format!("/v1/jobs/{job}/events");
        let answer = person.request(Method::GET, &path).send().await?;
        Ok(Self {
            answer: expect(answer, StatusCode::OK).await?,
            text: String::new(),
            lag: Duration::ZERO,
        })
    }

    /// The next event, unless the stream has ended.
    async fn next(&mut self) -> Result<Option<JobEvent>> {
        loop {
            while let Some((frame, rest)) = self.text.split_once("\n\n") {
                let data = frame.lines().find_map(|line| line.strip_prefix("data: "));
                let event = data.map(serde_json::from_str::<JobEvent>).transpose()?;
                self.text = rest.into();
                if let Some(event) = event {
                    let late = now_milliseconds()? - event.at.milliseconds();
                    let late = Duration::from_millis(u64::try_from(late).unwrap_or(0));
                    self.lag = self.lag.max(late);
                    return Ok(Some(event));
                }
            }
            let Some(bytes) = self.answer.chunk().await? else {
                return Ok(None);
            };
            self.text.push_str(&String::from_utf8_lossy(&bytes));
        }
    }
}

/// Launches a probe at one server and follows it there, while its node talks to the other; how late events came.
async fn probe(person: &Person, spec: &Value, key: &str) -> Result<Duration> {
    let request = person.request(Method::POST, "/v1/probes");
    let request = request.header("Idempotency-Key", key).json(spec);
    let answer = expect(request.send().await?, StatusCode::ACCEPTED).await?;
    let job: Job = answer.json().await?;
    let mut stream = Stream::open(person, job.id).await?;
    let mut events = 0;
    while stream.next().await?.is_some() {
        events += 1;
    }
    let done = person.job(job.id).await?;
    assert_eq!(done.status, JobStatus::Succeeded, "{key}: {:?}", done.error);
    ensure!(
        events >= 4,
        "{key}: {events} events from queued to succeeded"
    );
    tell(key, stream.lag);
    Ok(stream.lag)
}

#[expect(clippy::print_stdout, reason = "the figures are worth a look")]
fn tell(what: &str, lag: Duration) {
    println!("{what}: the latest event {lag:?} late");
}

/// Follows a job at one server while its node trains for the other, and cancels it there; how late events came.
async fn losses(person: &Person, spec: &Value) -> Result<Duration> {
    let job = person.launch(spec, "by-the-broker").await?.id;
    let mut stream = Stream::open(person, job).await?;
    let mut losses = 0;
    while losses < 3 {
        let event = stream.next().await?.context("it goes on")?;
        let told = matches!(event.event, JobEventBody::Progress(Progress::Losses(_)));
        losses += u32::from(told);
    }
    let cancel = person.request(Method::POST, &format!("/v1/jobs/{job}/cancel"));
    expect(cancel.send().await?, StatusCode::ACCEPTED).await?;
    while stream.next().await?.is_some() {}
    person.wait_for(job, JobStatus::Canceled, 1).await?;
    tell("by-the-broker", stream.lag);
    Ok(stream.lag)
}

/// A node dies at its job: whoever leads takes it back, and the node goes on.
async fn is_taken_back(person: &Person, machine: &mut Machine, spec: &Value) -> Result<()> {
    let job = person.launch(spec, "taken-back").await?.id;
    until("the node to train", LIMIT, || async {
        Ok((!trainers(machine.path()).is_empty()).then_some(()))
    })
    .await?;
    machine.kill()?;
    person.wait_for(job, JobStatus::Queued, 30).await?;
    machine.start()?;
    until("the node to train again", LIMIT, || async {
        Ok((person.job(job).await?.attempts == 2).then_some(()))
    })
    .await
}

/// A wake-up on one server is a part of what created the job on the other.
async fn is_traced(collector: &Collector) -> Result<()> {
    let instance = |span: &Received| span.resource("service.instance.id");
    until("a wake-up in a trace", LIMIT, || async {
        let spans = collector.spans();
        let by = |wake: &Received| {
            let mut parents = spans.iter().filter(|span| span.id() == wake.parent());
            parents.any(|span| span.name() == "POST /v1/jobs" && instance(span) != instance(wake))
        };
        let mut wakes = spans.iter().filter(|span| span.name() == "wake");
        Ok(wakes.any(by).then_some(()))
    })
    .await
}

#[tokio::test]
async fn servers_wake_each_other_and_survive_their_broker_and_their_leader() -> Result<()> {
    let (postgres, mut broker) = (Postgres::start()?, Nats::start()?);
    let folder = TempDir::new()?;
    let token = folder.path().join("token");
    fs::write(&token, TOKEN)?;
    let (database, token) = (postgres.url(), token.display().to_string());
    let collector = Collector::start().await?;
    let traces = collector.url();
    let mut settings = vec![
        ("PERSGUARD_DATABASE_URL", database.as_str()),
        ("PERSGUARD_METRICS_TOKEN_FILE", &token),
        ("PERSGUARD_LEASE_SECONDS", "3"),
        ("PERSGUARD_LOCAL_NODE", "false"),
        ("PERSGUARD_ADMINISTRATORS", ADMINISTRATOR),
        ("PERSGUARD_OTLP_ENDPOINT", &traces),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ];
    let broker_settings = broker.settings();
    settings.extend(
        broker_settings
            .iter()
            .map(|(name, value)| (*name, value.as_str())),
    );
    let mut first = Server::start(&settings)?;
    becomes(&first, "leader", 1).await?;
    let second = first.beside(&settings)?;
    for server in [&first, &second] {
        becomes(server, "broker_connected", 1).await?;
        assert_eq!(readiness(server).await?, "ready\n");
    }
    assert_eq!(metric(&second, "leader").await?, 0, "one leads");

    // The node knows the second server alone, the person the first.
    let admin = administrator(&first).await?.at(&second);
    let mut machine = Machine::join(&admin, "one", &[("PERSGUARD_NODE_THREADS", "2")]).await?;
    let person = Person::sign_up(&first, "person@example.org").await?;
    let set = person.sealed_set(demo::SUBJECT).await?;
    let spec = person.short_spec(&set).await?;
    until("the node to be online", LIMIT, || async {
        Ok(machine.seen(&admin).await?.last_seen_at)
    })
    .await?;
    let mut long = spec.clone();
    long["injection"]["steps"] = json!(60);
    let lag = losses(&person, &long).await?;
    ensure!(lag <= LAG, "{lag:?}");
    ensure!(metric(&first, "broker_heard_total").await? > 0);
    ensure!(metric(&second, "broker_heard_total").await? > 0);
    is_traced(&collector).await?;

    // The broker is gone: only time is lost.
    broker.kill()?;
    for server in [&first, &second] {
        becomes(server, "broker_connected", 0).await?;
        assert_eq!(readiness(server).await?, "ready without its broker\n");
    }
    let lag = probe(&person, &spec, "without-the-broker").await?;
    ensure!(lag <= 2 * LAG, "{lag:?}");
    broker.start_again()?;
    for server in [&first, &second] {
        becomes(server, "broker_connected", 1).await?;
    }
    let heard = metric(&first, "broker_heard_total").await?;
    let lag = probe(&person, &spec, "by-an-empty-broker").await?;
    ensure!(lag <= LAG, "{lag:?}");
    ensure!(metric(&first, "broker_heard_total").await? > heard);

    // The leader dies, and then a node: the other server leads, and takes the job back.
    first.kill()?;
    becomes(&second, "leader", 1).await?;
    is_taken_back(&person.at(&second), &mut machine, &long).await
}
