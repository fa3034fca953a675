//! The broker between servers of one database: whoever is woken here is woken there, too.
//!
//! It carries wake-ups and no data: everything that may not be lost is in the database, numbered, and who is woken reads it
//! there. So nothing has to be replayed, a broker that lost its memory loses no job, and one that is away costs a
//! second (`look`).

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use async_nats::{Client, Event, HeaderMap};
use futures::StreamExt;
use prometheus_client::metrics::counter::Counter;
use telemetry::{Span, TRACEPARENT};
use tokio::sync::{broadcast, mpsc};

use super::hub::{Signal, Told};
use crate::app::App;

/// After a connection was made, until every subscription of everybody is there for certain.
const SETTLING: Duration = Duration::from_secs(2);
/// Longest wait for room in a broken connection.
const PATIENCE: Duration = Duration::from_secs(1);
/// Pause after a connection that could not even be tried.
const PAUSE: Duration = Duration::from_secs(5);

/// How the connection to the broker stands.
#[derive(Debug, Default)]
pub(crate) struct Link {
    connected: AtomicBool,
    settled: AtomicBool,
    /// Wake-ups that others were told.
    pub(crate) sent: Counter,
    /// Wake-ups that others told.
    pub(crate) heard: Counter,
    /// Connections that were made.
    pub(crate) connections: Counter,
}

impl Link {
    /// Whether the broker is there.
    pub(crate) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    /// Whether it has been for long enough that nobody needs to look by themselves.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Relaxed)
    }

    fn set(&self, connected: bool) {
        self.connected.store(connected, Ordering::Relaxed);
        self.settled.store(false, Ordering::Relaxed);
    }
}

/// Passes wake-ups on in both directions until the server stops; nothing to do where no broker is configured.
pub(crate) async fn run(app: App) {
    if app.config().broker.url.is_none() {
        return;
    }
    // Before the connection: what happens in between is told.
    let signals = app.hub().signals();
    let (sender, events) = mpsc::unbounded_channel();
    let client = tokio::select! {
        client = connect(&app, &sender) => client,
        () = app.stop().cancelled() => return,
    };
    tokio::select! {
        () = watch(&app, events) => {}
        () = tell(&app, &client, signals) => {}
        () = hear(&app, &client) => {}
        () = app.stop().cancelled() => {}
    }
    app.link().set(false);
}

fn subject(app: &App) -> String {
    format!("{}.wake", app.config().broker.subject)
}

/// A connection that is made in the background, and again whenever it breaks.
async fn connect(app: &App, events: &mpsc::UnboundedSender<Event>) -> Client {
    loop {
        match try_connect(app, events.clone()).await {
            Ok(client) => return client,
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "the broker cannot be tried");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn try_connect(app: &App, events: mpsc::UnboundedSender<Event>) -> anyhow::Result<Client> {
    let broker = &app.config().broker;
    let options = broker.options().await?;
    let options = options
        .retry_on_initial_connect()
        .event_callback(move |event| {
            let _ = events.send(event);
            std::future::ready(())
        });
    Ok(options.connect(broker.servers()?).await?)
}

/// Keeps the state of the connection, and makes everybody look once it is there: something may have been missed.
async fn watch(app: &App, mut events: mpsc::UnboundedReceiver<Event>) {
    let link = app.link();
    loop {
        let settling = async {
            if !link.is_connected() || link.is_settled() {
                return std::future::pending().await;
            }
            tokio::time::sleep(SETTLING).await;
        };
        let event = tokio::select! {
            event = events.recv() => event,
            () = settling => {
                link.settled.store(true, Ordering::Relaxed);
                app.hub().hear(Signal::Look);
                continue;
            }
        };
        match event {
            None => return,
            Some(Event::Connected) => {
                tracing::info!("the broker is there");
                link.connections.inc();
                link.set(true);
                app.hub().hear(Signal::Look);
            }
            Some(Event::Disconnected) => {
                tracing::warn!("the broker is away; servers look by themselves every second");
                link.set(false);
            }
            Some(other) => tracing::warn!(event = %other, "the broker"),
        }
    }
}

/// Tells others what happened here.
async fn tell(app: &App, client: &Client, mut signals: broadcast::Receiver<Told>) {
    let subject = subject(app);
    loop {
        let told = match signals.recv().await {
            Ok(told) => told,
            Err(broadcast::error::RecvError::Lagged(_)) => Signal::Look.into(),
            Err(broadcast::error::RecvError::Closed) => return,
        };
        if !app.link().is_connected() {
            continue; // they look by themselves
        }
        let mut headers = HeaderMap::new();
        if let Some(traceparent) = told.traceparent {
            headers.insert(TRACEPARENT, traceparent.as_str());
        }
        let text = told.signal.to_string();
        // Without any this is an ordinary message.
        let sent = client.publish_with_headers(subject.clone(), headers, text.into());
        if matches!(tokio::time::timeout(PATIENCE, sent).await, Ok(Ok(()))) {
            app.link().sent.inc();
        }
    }
}

/// Wakes those here for whom something happened elsewhere.
async fn hear(app: &App, client: &Client) {
    loop {
        let mut messages = match client.subscribe(subject(app)).await {
            Ok(messages) => messages,
            Err(error) => {
                tracing::error!(%error, "the broker takes no subscription");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        while let Some(message) = messages.next().await {
            app.link().heard.inc();
            let _span = woken_by(message.headers.as_ref());
            let signal = std::str::from_utf8(&message.payload);
            // What a later version says and this one does not know is answered by looking.
            let signal = signal.ok().and_then(|text| text.parse().ok());
            app.hub().hear(signal.unwrap_or(Signal::Look));
        }
    }
}

/// A span for a wake-up that was told as part of a trace.
fn woken_by(headers: Option<&HeaderMap>) -> Option<Span> {
    let traceparent = headers?.get(TRACEPARENT)?;
    let span = Span::handed_over("wake", Some(traceparent.as_str()));
    span.set("messaging.system", "nats");
    Some(span)
}

/// The version of a broker that answers, for who only asks.
pub(crate) async fn ask(config: &crate::config::broker::BrokerConfig) -> anyhow::Result<String> {
    let client = config.options().await?.connect(config.servers()?).await?;
    client.flush().await?;
    Ok(client.server_info().version)
}
