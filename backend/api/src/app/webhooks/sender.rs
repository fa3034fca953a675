//! Sends what is due: a claim in the database, one request to a pinned address, a verdict.
//!
//! Reads no answer's body, follows no redirect, and holds at most [`MAX_SENDING`] requests.

use std::time::{Duration, Instant};

use reqwest::{Client, Response, header, redirect::Policy};
use shared::Timestamp;
use store::{Attempted, ClaimedDelivery, Verdict};
use tokio::task::JoinSet;

use super::{
    addresses::{self, Pinned},
    schedule::{self, Meaning},
};
use crate::{
    app::{App, metrics::Sent},
    error::Error,
    secret,
};

/// Requests at once.
pub const MAX_SENDING: usize = 32;
const INTERVAL: Duration = Duration::from_millis(500);
/// Longest wait for an answer (Standard Webhooks: 15 to 30 seconds).
const TIMEOUT: Duration = Duration::from_secs(20);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A claim outlives its attempt, and a lost sender's delivery is tried again soon.
const CLAIM_MILLISECONDS: i64 = 60_000;

/// Sends until the server stops; what was under way then is tried again.
pub async fn run(app: App) {
    let mut ticks = tokio::time::interval(INTERVAL);
    let mut sending = JoinSet::new();
    loop {
        tokio::select! {
            () = app.stop().cancelled() => return,
            _ = ticks.tick() => {}
            Some(_) = sending.join_next(), if !sending.is_empty() => {}
        }
        if let Err(error) = start(&app, &mut sending).await {
            tracing::error!(%error, cause = error.cause(), "webhooks could not be looked at");
        }
    }
}

async fn start(app: &App, sending: &mut JoinSet<()>) -> Result<(), Error> {
    let free = MAX_SENDING.saturating_sub(sending.len());
    if free == 0 {
        return Ok(());
    }
    let now = app.now();
    let until = Timestamp::from_milliseconds(now.milliseconds() + CLAIM_MILLISECONDS);
    let limit = u32::try_from(free).unwrap_or(1);
    for delivery in app.store().claim_deliveries(now, until, limit).await? {
        sending.spawn(deliver(app.clone(), delivery));
    }
    Ok(())
}

async fn deliver(app: App, delivery: ClaimedDelivery) {
    let attempted = attempt(&app, &delivery).await;
    if let Some(error) = &attempted.error {
        tracing::info!(webhook.id = %delivery.webhook.id, error, "a delivery did not arrive");
    }
    app.metrics().webhook(match attempted.verdict {
        Verdict::Delivered => Sent::Taken,
        Verdict::Retry { .. } => Sent::PutOff,
        Verdict::Disable { .. } => Sent::GivenUp,
    });
    let noted = app
        .store()
        .finish_delivery_attempt(&delivery, attempted, app.now());
    if let Err(error) = noted.await {
        tracing::error!(%error, "an attempt was not noted; it is repeated");
    }
}

async fn attempt(app: &App, delivery: &ClaimedDelivery) -> Attempted {
    let (at, start) = (app.now(), Instant::now());
    let answer = ask(app, delivery, at).await;
    let milliseconds = u32::try_from(start.elapsed().as_millis()).unwrap_or(u32::MAX);
    let now = app.now();
    let (response_status, retry_after) = match &answer {
        Ok(response) => (Some(response.status().as_u16()), wish(response, now)),
        Err(_) => (None, None),
    };
    let meaning = response_status.map_or(Meaning::Failed, schedule::meaning);
    Attempted {
        at,
        milliseconds,
        error: complaint(&answer),
        verdict: verdict(delivery, meaning, retry_after, now),
        response_status,
    }
}

fn wish(response: &Response, now: Timestamp) -> Option<Duration> {
    let value = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    schedule::retry_after(value, now)
}

fn complaint(answer: &Result<Response, String>) -> Option<String> {
    match answer {
        Err(why) => Some(why.clone()),
        Ok(response) => match response.status().as_u16() {
            200..=299 => None,
            300..=399 => Some("Redirects are not followed: give the final address.".into()),
            status => Some(format!("The receiver answered {status}.")),
        },
    }
}

fn verdict(
    delivery: &ClaimedDelivery,
    meaning: Meaning,
    retry_after: Option<Duration>,
    now: Timestamp,
) -> Verdict {
    match meaning {
        Meaning::Delivered => return Verdict::Delivered,
        Meaning::Unwanted => {
            return Verdict::Disable {
                reason: "The receiver answered 410: it wants nothing more.".into(),
            };
        }
        Meaning::Overloaded | Meaning::Failed => {}
    }
    let attempts = usize::try_from(delivery.attempts).unwrap_or(usize::MAX);
    match schedule::next(attempts.saturating_add(1), now, retry_after, chance()) {
        Some(at) => Verdict::Retry {
            at,
            paused_until: (meaning == Meaning::Overloaded)
                .then(|| schedule::rest(now, retry_after)),
        },
        None => Verdict::Disable {
            reason: format!(
                "{} attempts at one delivery failed.",
                schedule::MAX_ATTEMPTS
            ),
        },
    }
}

/// From 0 to 1.
fn chance() -> f64 {
    f64::from(u32::from_le_bytes(secret::random_bytes())) / f64::from(u32::MAX)
}

/// Why no answer came, in words that tell nothing about this server's network.
async fn ask(app: &App, delivery: &ClaimedDelivery, now: Timestamp) -> Result<Response, String> {
    let webhook = &delivery.webhook;
    let pinned = addresses::pin(&webhook.url, app.config().webhook_loopback)
        .await
        .map_err(|refusal| refusal.to_string())?;
    let signature = app
        .webhook_secrets()
        .sign(webhook, delivery.event_id, &delivery.body, now)
        .map_err(|error| error.to_string())?;
    let client = client(&pinned).map_err(|_| "The address cannot be called.".to_owned())?;
    client
        .post(pinned.url)
        .header(header::CONTENT_TYPE, "application/json")
        .header("webhook-id", delivery.event_id.to_string())
        .header("webhook-timestamp", now.milliseconds() / 1000)
        .header("webhook-signature", signature)
        .body(delivery.body.clone())
        .send()
        .await
        .map_err(|error| reason(&error).to_owned())
}

/// One client a request: it knows the pinned addresses and no other way.
fn client(pinned: &Pinned) -> reqwest::Result<Client> {
    Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .timeout(TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_max_idle_per_host(0)
        .user_agent(concat!("PersGuard/", env!("CARGO_PKG_VERSION")))
        .resolve_to_addrs(&pinned.host, &pinned.addresses)
        .build()
}

fn reason(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "No answer came in time."
    } else if error.is_connect() {
        "No connection could be made."
    } else {
        "The receiver broke off."
    }
}
