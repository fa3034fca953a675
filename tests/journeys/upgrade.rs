//! Programs are replaced under load: callers wait a moment, and nothing is lost.

use std::{
    collections::BTreeSet,
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use e2e::{Person, Server, person::expect, wait::until};
use reqwest::{Client, StatusCode};
use serde_json::json;
use shared::{
    job::JobStatus,
    page::Page,
    progress::{JobEventBody, Progress},
    protected_set::ProtectedSet,
};
use tokio::{task::JoinSet, time::sleep};

const SETTINGS: &[(&str, &str)] = &[
    ("PERSGUARD_LEASE_SECONDS", "3"),
    ("PERSGUARD_REQUESTS_PER_MINUTE", "100000"),
];
const CALLERS: usize = 4;
const STEPS: u32 = 60;

/// Somebody who creates one set after the other.
struct Caller {
    number: usize,
    http: Client,
    url: String,
    token: String,
    /// Whether each request has a connection of its own. On a connection that is used again, a server may hang up just
    /// as a request is sent: that is sent once more (RFC 9112, 9.3.1), as its idempotency key allows.
    fresh: bool,
}

impl Caller {
    /// The names of the sets it was told are there.
    async fn call(self, over: Arc<AtomicBool>) -> Result<Vec<String>> {
        let mut made = Vec::new();
        while !over.load(Ordering::Relaxed) {
            let name = format!("Set {} of caller {}", made.len(), self.number);
            let set: ProtectedSet = match self.create(&name).await {
                Err(_) if !self.fresh => self.create(&name).await?,
                answer => answer?,
            };
            ensure!(set.name == name, "{} instead of {name}", set.name);
            made.push(name);
            sleep(Duration::from_millis(10)).await;
        }
        Ok(made)
    }

    async fn create(&self, name: &str) -> Result<ProtectedSet> {
        let request = self
            .http
            .post(format!("{}/v1/protected-sets", self.url))
            .bearer_auth(&self.token)
            .header("Idempotency-Key", name.replace(' ', "-"))
            .json(&json!({ "name": name }));
        let answer = expect(request.send().await?, StatusCode::CREATED).await?;
        Ok(answer.json().await?)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_under_load_loses_no_request_and_no_job() -> Result<()> {
    let mut server = Server::start_on(TcpListener::bind("127.0.0.1:0")?, SETTINGS)?;
    let person = Person::sign_up(&server, "person@example.org").await?;
    let set = person.sealed_set(demo::SUBJECT).await?;
    let mut spec = person.short_spec(&set).await?;
    spec["injection"]["steps"] = json!(STEPS);
    let job = person.launch(&spec, "once").await?;
    until("the job to run", Duration::from_mins(2), || async {
        Ok((person.job(job.id).await?.status == JobStatus::Running).then_some(()))
    })
    .await?;

    let over = Arc::new(AtomicBool::new(false));
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        let fresh = number % 2 == 0;
        let idle = if fresh { 0 } else { 4 };
        let caller = Caller {
            number,
            http: Client::builder().pool_max_idle_per_host(idle).build()?,
            url: server.url(""),
            token: person.token().to_owned(),
            fresh,
        };
        callers.spawn(caller.call(Arc::clone(&over)));
    }
    for _ in 0..2 {
        sleep(Duration::from_secs(2)).await;
        let start = Instant::now();
        let address = server.url("");
        // On this thread, which stays: servers end with the thread that started them. Callers have threads of their own.
        server = server.restart(SETTINGS)?;
        ensure!(server.url("") == address, "it listens elsewhere");
        eprintln!("started anew after {:?}", start.elapsed());
    }
    sleep(Duration::from_secs(2)).await;
    over.store(true, Ordering::Relaxed);

    let mut told = BTreeSet::from([set.name.clone()]);
    while let Some(caller) = callers.join_next().await {
        told.extend(caller??);
    }
    ensure!(told.len() > 10 * CALLERS, "{} sets are no load", told.len());
    let mut there = Vec::new();
    let mut after = String::new();
    loop {
        let page: Page<ProtectedSet> = person
            .get(&format!("/v1/protected-sets?limit=100{after}"))
            .await?;
        there.extend(page.data.into_iter().map(|set| set.name));
        match page.next_cursor {
            Some(cursor) => after = format!("&after={cursor}"),
            None => break,
        }
    }
    assert_eq!(there.len(), told.len(), "a set is lost, or there twice");
    assert_eq!(there.into_iter().collect::<BTreeSet<_>>(), told);

    let done = person.wait_for(job.id, JobStatus::Succeeded, 240).await?;
    ensure!(done.attempts > 1, "nothing interrupted the job");
    let events = person.events(job.id).await?;
    let losses = events.iter().filter_map(|event| match &event.event {
        JobEventBody::Progress(Progress::Losses(losses)) => Some(losses.step),
        _ => None,
    });
    let steps: BTreeSet<u32> = losses.collect();
    assert_eq!(steps, (1..=STEPS).collect(), "every step told its losses");
    done.evaluation_id.context("no evaluation follows")?;
    Ok(())
}
