//! Training nodes, for those who operate this server.

use axum::{
    Json as Body,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use shared::{
    NodeId,
    page::Page,
    training_node::{CreateNode, CreatedNode, NodeAttempt, TrainingNode, UpdateNode},
};

use super::location;
use crate::{
    app::{App, nodes, paging::Paging, principal::Principal},
    error::Error,
    etag::IfMatch,
    extract::{Id, Json, Listing, MergePatch, VersionHeader},
};

/// With the tag of what can be changed about it: a sign of life is no change.
fn tagged(node: TrainingNode) -> Result<impl IntoResponse, Error> {
    Ok(([(header::ETAG, nodes::tag(&node)?)], Body(node)))
}

/// Makes a node that can join; its token and the line to paste are shown this once.
#[utoipa::path(post, path = "/v1/nodes", tag = "nodes", request_body = CreateNode,
    responses((status = 201, body = CreatedNode)))]
pub(crate) async fn create_node(
    State(app): State<App>,
    caller: Principal,
    Json(request): Json<CreateNode>,
) -> Result<impl IntoResponse, Error> {
    let made = nodes::create(&app, &caller, request).await?;
    Ok((
        StatusCode::CREATED,
        location(format!("/v1/nodes/{}", made.node.id)),
        [(header::CACHE_CONTROL, "no-store")],
        Body(made),
    ))
}

/// The nodes that were not removed, newest first, with the jobs that they hold.
#[utoipa::path(get, path = "/v1/nodes", tag = "nodes", params(Paging),
    responses((status = 200, body = Page<TrainingNode>)))]
pub(crate) async fn list_nodes(
    State(app): State<App>,
    caller: Principal,
    paging: Paging,
) -> Result<Listing<TrainingNode>, Error> {
    nodes::list(&app, caller.organisation, &paging)
        .await
        .map(Listing)
}

/// One node, removed or not.
#[utoipa::path(get, path = "/v1/nodes/{id}", tag = "nodes", params(("id" = NodeId, Path)),
    responses((status = 200, body = TrainingNode)))]
pub(crate) async fn find_node(
    State(app): State<App>,
    caller: Principal,
    Id(id): Id<NodeId>,
) -> Result<impl IntoResponse, Error> {
    tagged(nodes::find(&app, caller.organisation, id).await?)
}

/// Renames a node, or says whether it takes jobs: `paused` lets it end what it has, `draining` has it give that back.
#[utoipa::path(patch, path = "/v1/nodes/{id}", tag = "nodes",
    params(("id" = NodeId, Path), VersionHeader),
    request_body(content = UpdateNode, content_type = "application/merge-patch+json"),
    responses((status = 200, body = TrainingNode)))]
pub(crate) async fn update_node(
    State(app): State<App>,
    caller: Principal,
    Id(id): Id<NodeId>,
    condition: IfMatch,
    MergePatch(request): MergePatch<UpdateNode>,
) -> Result<impl IntoResponse, Error> {
    tagged(nodes::update(&app, &caller, id, &condition, request).await?)
}

/// Removes a node: its credential is worth nothing from now on, and its jobs go on elsewhere.
#[utoipa::path(delete, path = "/v1/nodes/{id}", tag = "nodes", params(("id" = NodeId, Path)),
    responses((status = 204)))]
pub(crate) async fn remove_node(
    State(app): State<App>,
    caller: Principal,
    Id(id): Id<NodeId>,
) -> Result<StatusCode, Error> {
    nodes::remove(&app, &caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a node did, newest first: which jobs it held, and how that ended.
#[utoipa::path(get, path = "/v1/nodes/{id}/attempts", tag = "nodes",
    params(("id" = NodeId, Path), Paging), responses((status = 200, body = Page<NodeAttempt>)))]
pub(crate) async fn list_attempts(
    State(app): State<App>,
    caller: Principal,
    Id(id): Id<NodeId>,
    paging: Paging,
) -> Result<Listing<NodeAttempt>, Error> {
    nodes::attempts(&app, caller.organisation, id, &paging)
        .await
        .map(Listing)
}
