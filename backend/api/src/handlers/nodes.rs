//! The node protocol: lease, heartbeat, upload, resume, finish.

use axum::{
    Json as Body,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use shared::{
    JobId,
    node::{
        CreateLease, CreateNodeUpload, FinishAttempt, Heartbeat, HeartbeatAnswer, JoinNode,
        JoinedNode, Lease, MissingParts, NodeDelivery, NodeUpload, SaveResume,
    },
};

use crate::{
    app::{App, nodes},
    dispatch,
    error::Error,
    extract::{Id, Json, NodeIdentity},
};

/// Turns a join token, which works once, into a node's credential.
#[utoipa::path(post, path = "/v1/node/joins", tag = "nodes", request_body = JoinNode,
    responses((status = 201, body = JoinedNode)))]
pub(crate) async fn join_node(
    State(app): State<App>,
    Json(request): Json<JoinNode>,
) -> Result<impl IntoResponse, Error> {
    let joined = nodes::join(&app, &request).await?;
    Ok((
        StatusCode::CREATED,
        [(header::CACHE_CONTROL, "no-store")],
        Body(joined),
    ))
}

/// Asks for work; waits up to ten seconds for some.
#[utoipa::path(post, path = "/v1/node/leases", tag = "nodes", request_body = CreateLease,
    responses((status = 200, body = Lease), (status = 204)))]
pub(crate) async fn create_lease(
    State(app): State<App>,
    NodeIdentity(node): NodeIdentity,
    Json(request): Json<CreateLease>,
) -> Result<Response, Error> {
    Ok(match dispatch::claim::wait(&app, node, &request).await? {
        Some(lease) => Body(lease).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

/// Renews the lease and carries progress.
#[utoipa::path(post, path = "/v1/node/jobs/{id}/heartbeats", tag = "nodes",
    params(("id" = JobId, Path)), request_body = Heartbeat,
    responses((status = 200, body = HeartbeatAnswer)))]
pub(crate) async fn create_heartbeat(
    State(app): State<App>,
    NodeIdentity(node): NodeIdentity,
    Id(id): Id<JobId>,
    Json(request): Json<Heartbeat>,
) -> Result<Body<HeartbeatAnswer>, Error> {
    dispatch::heartbeat::take(&app, node, id, request)
        .await
        .map(Body)
}

/// Announces an output or a resume checkpoint.
#[utoipa::path(post, path = "/v1/node/jobs/{id}/uploads", tag = "nodes",
    params(("id" = JobId, Path)), request_body = CreateNodeUpload,
    responses((status = 201, body = NodeUpload)))]
pub(crate) async fn create_upload(
    State(app): State<App>,
    NodeIdentity(node): NodeIdentity,
    Id(id): Id<JobId>,
    Json(request): Json<CreateNodeUpload>,
) -> Result<impl IntoResponse, Error> {
    let upload = dispatch::outputs::announce(&app, node, id, &request).await?;
    Ok((StatusCode::CREATED, Body(upload)))
}

/// The parts of an upload that are missing, each with an address signed just now.
#[utoipa::path(post, path = "/v1/node/jobs/{id}/uploads/missing", tag = "nodes",
    params(("id" = JobId, Path)), request_body = NodeDelivery,
    responses((status = 200, body = MissingParts)))]
pub(crate) async fn list_missing_parts(
    State(app): State<App>,
    NodeIdentity(node): NodeIdentity,
    Id(id): Id<JobId>,
    Json(request): Json<NodeDelivery>,
) -> Result<Body<MissingParts>, Error> {
    let missing = dispatch::outputs::missing(&app, node, id, &request).await?;
    Ok(Body(missing))
}

/// Puts the parts of an upload together: 204 once that is done, 202 while it goes on.
#[utoipa::path(post, path = "/v1/node/jobs/{id}/uploads/complete", tag = "nodes",
    params(("id" = JobId, Path)), request_body = NodeDelivery,
    responses((status = 202), (status = 204)))]
pub(crate) async fn complete_upload(
    State(app): State<App>,
    NodeIdentity(node): NodeIdentity,
    Id(id): Id<JobId>,
    Json(request): Json<NodeDelivery>,
) -> Result<StatusCode, Error> {
    let done = dispatch::outputs::complete(&app, node, id, &request).await?;
    Ok(if done {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::ACCEPTED
    })
}

/// Registers state from which another attempt can go on.
#[utoipa::path(post, path = "/v1/node/jobs/{id}/resume", tag = "nodes",
    params(("id" = JobId, Path)), request_body = SaveResume, responses((status = 204)))]
pub(crate) async fn save_resume(
    State(app): State<App>,
    NodeIdentity(node): NodeIdentity,
    Id(id): Id<JobId>,
    Json(request): Json<SaveResume>,
) -> Result<StatusCode, Error> {
    dispatch::outputs::save_resume(&app, node, id, &request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends an attempt; repeating an accepted finish changes nothing.
#[utoipa::path(post, path = "/v1/node/jobs/{id}/finish", tag = "nodes",
    params(("id" = JobId, Path)), request_body = FinishAttempt, responses((status = 204)))]
pub(crate) async fn finish_attempt(
    State(app): State<App>,
    NodeIdentity(node): NodeIdentity,
    Id(id): Id<JobId>,
    Json(request): Json<FinishAttempt>,
) -> Result<StatusCode, Error> {
    dispatch::finish::take(&app, node, id, request).await?;
    Ok(StatusCode::NO_CONTENT)
}
