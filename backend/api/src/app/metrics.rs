//! What an operator's Prometheus reads: requests as they are answered, jobs and nodes as they are when it asks.
//!
//! Labels are routes as the router knows them, never addresses or ids: their number is bounded.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text::encode},
    metrics::{
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::Gauge,
        histogram::Histogram,
    },
    registry::Registry,
};

use shared::job::JobStatus;

use super::{App, nodes};
use crate::{config::Config, dispatch::broker::Link, error::Error, secret};

/// Seconds, from a read of the database to a long wait for a lease.
const SECONDS: [f64; 8] = [0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 30.0, 120.0];

const LETTER: &str = "letter";
const WEBHOOK: &str = "webhook";

/// Of jobs, as rows name them.
const KINDS: [&str; 4] = ["protect", "evaluate", "probe", "study"];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    method: String,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct JobState {
    kind: String,
    status: String,
}

/// What was sent away, and how that ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Sending {
    kind: &'static str,
    outcome: &'static str,
}

/// How one attempt to send a letter or to call a webhook ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It was taken.
    Taken,
    /// It is tried again.
    PutOff,
    /// It is not.
    GivenUp,
}

impl Sent {
    const ALL: [Self; 3] = [Self::Taken, Self::PutOff, Self::GivenUp];

    const fn outcome(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::PutOff => "put_off",
            Self::GivenUp => "given_up",
        }
    }
}

/// Spans as `telemetry` counts them when it is asked.
#[derive(Debug)]
struct Spans;

impl Collector for Spans {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counts = telemetry::counts();
        for (name, help, count) in [
            ("spans_ended", "Spans that are to be kept", counts.ended),
            ("spans_sent", "Spans that the collector took", counts.sent),
            (
                "spans_lost",
                "Spans that the collector did not take",
                counts.lost,
            ),
        ] {
            let counter = ConstCounter::new(count);
            let kind = counter.metric_type();
            counter.encode(encoder.encode_descriptor(name, help, None, kind)?)?;
        }
        Ok(())
    }
}

/// Counters of this process.
pub struct Metrics {
    /// Digest of the token that a reader shows; without one nobody reads.
    token: Option<String>,
    registry: Registry,
    answers: Family<Answer, Counter>,
    seconds: Family<Route, Histogram>,
    sendings: Family<Sending, Counter>,
    jobs: Family<JobState, Gauge>,
    nodes: Gauge,
    memory: Gauge,
    leads: Gauge,
    broker: Gauge,
}

impl Metrics {
    /// Starts from nothing.
    pub(crate) fn new(config: &Config, link: &Link) -> Self {
        let mut registry = Registry::with_prefix("persguard");
        let answers = Family::<Answer, Counter>::default();
        registry.register("http_requests", "Answered requests", answers.clone());
        let seconds = Family::<Route, Histogram>::new_with_constructor(|| Histogram::new(SECONDS));
        let help = "Seconds until a request was answered";
        registry.register("http_request_seconds", help, seconds.clone());
        let sendings = Family::<Sending, Counter>::default();
        for kind in [LETTER, WEBHOOK] {
            for outcome in Sent::ALL.map(Sent::outcome) {
                drop(sendings.get_or_create(&Sending { kind, outcome }));
            }
        }
        let help = "Attempts to send letters and to call webhooks, by outcome";
        registry.register("sendings", help, sendings.clone());
        let jobs = Family::<JobState, Gauge>::default();
        registry.register("jobs", "Jobs by kind and state", jobs.clone());
        let nodes = Gauge::default();
        let help = "Nodes that gave a sign of life in the last 30 seconds";
        registry.register("nodes_online", help, nodes.clone());
        let memory = Gauge::default();
        let help = "Resident memory of this process";
        registry.register("resident_memory_bytes", help, memory.clone());
        let leads = Gauge::default();
        let help = "1 where this server makes the rounds for all of its database";
        registry.register("leader", help, leads.clone());
        let broker = Gauge::default();
        let help = "1 where the broker is configured and there";
        registry.register("broker_connected", help, broker.clone());
        for (name, help, counter) in [
            ("broker_sent", "Wake-ups told to other servers", &link.sent),
            (
                "broker_heard",
                "Wake-ups told by other servers",
                &link.heard,
            ),
            (
                "broker_connections",
                "Connections made to the broker",
                &link.connections,
            ),
        ] {
            registry.register(name, help, counter.clone());
        }
        if telemetry::tracer().is_some() {
            registry.register_collector(Box::new(Spans));
        }
        Self {
            token: config.metrics_token.as_deref().map(secret::digest),
            registry,
            answers,
            seconds,
            sendings,
            jobs,
            nodes,
            memory,
            leads,
            broker,
        }
    }

    /// Counts an attempt to hand a letter over.
    pub(crate) fn letter(&self, sent: Sent) {
        self.sending(LETTER, sent);
    }

    /// Counts an attempt to call a webhook.
    pub(crate) fn webhook(&self, sent: Sent) {
        self.sending(WEBHOOK, sent);
    }

    fn sending(&self, kind: &'static str, sent: Sent) {
        let outcome = sent.outcome();
        self.sendings
            .get_or_create(&Sending { kind, outcome })
            .inc();
    }

    /// Counts an answer.
    pub fn answered(&self, method: &str, route: &str, status: u16, seconds: f64) {
        let answer = Answer {
            method: method.to_owned(),
            route: route.to_owned(),
            status,
        };
        self.answers.get_or_create(&answer).inc();
        let route = Route {
            route: route.to_owned(),
        };
        self.seconds.get_or_create(&route).observe(seconds);
    }
}

/// Everything in Prometheus' text form, for whoever shows the token. Without one configured there is nothing here.
pub async fn read(app: &App, shown: Option<&str>) -> Result<String, Error> {
    let metrics = app.metrics();
    let token = metrics.token.as_ref().ok_or(Error::NotFound)?;
    if shown.map(secret::digest).as_ref() != Some(token) {
        return Err(Error::Unauthenticated);
    }
    // Zeros, too: what appears for the first time at one shows no rise.
    for kind in KINDS {
        for status in JobStatus::ALL {
            let state = JobState {
                kind: kind.to_owned(),
                status: status.as_str().to_owned(),
            };
            metrics.jobs.get_or_create(&state).set(0);
        }
    }
    for group in app.store().count_jobs().await? {
        let state = JobState {
            kind: group.kind,
            status: group.status,
        };
        metrics.jobs.get_or_create(&state).set(group.count);
    }
    let kinds = nodes::kinds_online(app).await?;
    let online: u64 = kinds.iter().map(|kind| kind.nodes).sum();
    metrics.nodes.set(i64::try_from(online).unwrap_or(i64::MAX));
    metrics.leads.set(app.leading().get().into());
    metrics.broker.set(app.link().is_connected().into());
    metrics.memory.set(resident_memory_bytes());
    let mut text = String::new();
    encode(&mut text, &metrics.registry).map_err(Error::internal)?;
    Ok(text)
}

/// 0 where the system does not say.
fn resident_memory_bytes() -> i64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<i64>().ok());
    kilobytes.unwrap_or_default() * 1024
}
