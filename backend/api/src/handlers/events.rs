//! A job's events: a stream that replays and follows, or pages for those who poll.

use std::{convert::Infallible, time::Duration};

use axum::{
    Json as Body,
    extract::{Query, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::StreamExt;
use serde::Deserialize;
use shared::{JobId, page::Page, progress::JobEvent};
use utoipa::IntoParams;

use crate::{
    app::{App, events, principal::Principal},
    error::Error,
    extract::OwnedJob,
};

const HEARTBEAT: Duration = Duration::from_secs(8);

/// Where to begin and in which form.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// Sequence after which to begin; the header `Last-Event-ID` wins.
    after: Option<String>,
    /// `json` for a page instead of a stream.
    format: Option<String>,
    /// Events of one page, 1 to 1000; 500 unless told.
    limit: Option<u32>,
}

/// What happened to a job: `text/event-stream` with `id` = sequence and `data` = `JobEvent`, or one
/// page of the same with `Accept: application/json`.
#[utoipa::path(get, path = "/v1/jobs/{id}/events", tag = "jobs",
    params(("id" = JobId, Path), EventsQuery, ("Last-Event-ID" = Option<String>, Header)),
    responses((status = 200, content(
        (JobEvent = "text/event-stream"), (Page<JobEvent> = "application/json")))))]
pub(crate) async fn follow_events(
    State(app): State<App>,
    OwnedJob { owner, job }: OwnedJob,
    caller: Principal,
    query: Result<Query<EventsQuery>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let Query(query) = query.map_err(|error| Error::Malformed(error.body_text()))?;
    let after = start(&headers, &query)?;
    let json = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("application/json"));
    if json || query.format.as_deref() == Some("json") {
        let limit = query.limit.unwrap_or(500).clamp(1, 1000);
        let page = events::page(&app, owner, job.id, after, limit).await?;
        return Ok(Body(page).into_response());
    }
    let stream = events::follow(app, caller, job.id, after)?.map(|event| Ok(frame(&event)));
    let stream: futures::stream::BoxStream<'static, Result<Event, Infallible>> = stream.boxed();
    let mut response = Sse::new(stream)
        .keep_alive(KeepAlive::new().interval(HEARTBEAT).text("waiting"))
        .into_response();
    let unbuffered = HeaderName::from_static("x-accel-buffering");
    response
        .headers_mut()
        .insert(unbuffered, HeaderValue::from_static("no"));
    Ok(response)
}

fn start(headers: &HeaderMap, query: &EventsQuery) -> Result<i64, Error> {
    let last = headers
        .get("last-event-id")
        .and_then(|value| value.to_str().ok());
    match last.or(query.after.as_deref()) {
        None | Some("") => Ok(0),
        Some(text) => text.parse().map_err(|_| {
            Error::Malformed("Last-Event-ID and `after` take the sequence of an event.".into())
        }),
    }
}

fn frame(event: &JobEvent) -> Event {
    let data = serde_json::to_string(event).unwrap_or_default();
    Event::default()
        .event("message")
        .id(event.sequence.to_string())
        .data(data)
}
