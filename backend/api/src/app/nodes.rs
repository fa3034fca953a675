//! Training nodes as operators manage them: a line to paste, presence, drain, removal.

use shared::{
    NodeId, OrganisationId,
    node::{JoinNode, JoinedNode},
    page::Page,
    training_node::{
        CreateNode, CreatedNode, NodeAttempt, NodeOrigin, NodeStatus, TrainingNode, UpdateNode,
    },
};
use store::{NewNode, NodeChange, NodeKind, NodeRecord, TrainingNodeRecord};

use super::{App, paging::Paging, principal::Principal};
use crate::{
    error::Error,
    etag::{self, IfMatch},
    secret,
};

/// What a join token starts with.
const JOIN: &str = "pgj_";
/// What a node's credential starts with.
const CREDENTIAL: &str = "pgn_";
/// 62^40 is above 2^238.
const RANDOM_CHARACTERS: usize = 40;
/// Longest text that is looked at as a token, as the document says.
const MAX_TOKEN_CHARACTERS: usize = 200;
const MINUTE_MILLISECONDS: i64 = 60_000;
/// A node that asked within this time is there: it asks every ten seconds.
pub(crate) const ONLINE_MILLISECONDS: i64 = 30_000;

/// Whether a bearer token is a node's credential, and not one of this server's own signed tokens.
pub(crate) fn looks_like_credential(token: &str) -> bool {
    token.starts_with(CREDENTIAL)
}

fn status(app: &App, record: &TrainingNodeRecord) -> NodeStatus {
    let now = app.now();
    let since = now.milliseconds() - ONLINE_MILLISECONDS;
    if record.revoked_at.is_some() {
        return NodeStatus::Removed;
    }
    if record.origin == NodeOrigin::Joined && record.joined_at.is_none() {
        let works = record.join_expires_at.is_some_and(|end| end > now);
        return if works {
            NodeStatus::Waiting
        } else {
            NodeStatus::Expired
        };
    }
    match record.seen_at {
        Some(seen) if seen.milliseconds() >= since => NodeStatus::Online,
        _ => NodeStatus::Offline,
    }
}

fn view(app: &App, record: TrainingNodeRecord, current: Vec<NodeAttempt>) -> TrainingNode {
    TrainingNode {
        status: status(app, &record),
        id: record.node.id,
        name: record.node.name,
        origin: record.origin,
        intake: record.intake,
        join_expires_at: record.join_expires_at,
        created_at: record.created_at,
        joined_at: record.joined_at,
        last_seen_at: record.seen_at,
        threads: record.node.threads,
        memory_bytes: record.node.memory_bytes,
        families: record.node.families,
        facts: record.node.facts.unwrap_or_default(),
        current,
    }
}

/// What operators decide about a node: signs of life and jobs come and go, and change nothing of it.
fn definition(
    id: NodeId,
    name: &str,
    intake: shared::training_node::NodeIntake,
) -> impl serde::Serialize {
    (id, name.to_owned(), intake)
}

/// The strong `ETag` of a node, which is that of its [`definition`].
pub(crate) fn tag(node: &TrainingNode) -> Result<String, Error> {
    let bytes = serde_json::to_vec(&definition(node.id, &node.name, node.intake));
    Ok(etag::of_bytes(&bytes.map_err(Error::internal)?))
}

/// The line to paste. Plain HTTP to another machine has to be asked for, here as on the node.
fn command(app: &App, token: &str) -> String {
    let url = app.public_url();
    let flag = if shared::address::is_guarded(url) {
        ""
    } else {
        " --plain-http"
    };
    format!("persguard-node join {url} {token}{flag} --run")
}

/// The nodes that gave a sign of life just now.
pub(crate) async fn online(app: &App) -> Result<Vec<NodeRecord>, Error> {
    let since = app.later(-ONLINE_MILLISECONDS);
    Ok(app.store().list_nodes_online(since).await?)
}

/// The same, by what they can do.
pub(crate) async fn kinds_online(app: &App) -> Result<Vec<NodeKind>, Error> {
    let since = app.later(-ONLINE_MILLISECONDS);
    Ok(app.store().kinds_of_nodes_online(since).await?)
}

/// Makes a node that can join; its token is in this answer alone.
pub async fn create(
    app: &App,
    maker: &Principal,
    request: CreateNode,
) -> Result<CreatedNode, Error> {
    Error::unless_valid(request.validate())?;
    let join_token = format!("{JOIN}{}", secret::random_base62(RANDOM_CHARACTERS));
    let new = NewNode {
        name: request.name.trim().to_owned(),
        join_hash: secret::digest(&join_token),
        join_expires_at: app.later(i64::from(request.expires_in_minutes) * MINUTE_MILLISECONDS),
    };
    let made = app
        .store()
        .create_node(maker.organisation, new, app.now())
        .await?;
    tracing::info!(node.id = %made.node.id, user.id = %maker.user, "a node may join");
    Ok(CreatedNode {
        command: command(app, &join_token),
        node: view(app, made, Vec::new()),
        join_token,
    })
}

/// Gives whoever holds a join token its node's credential.
pub async fn join(app: &App, request: &JoinNode) -> Result<JoinedNode, Error> {
    if request.token.is_empty() || request.token.chars().count() > MAX_TOKEN_CHARACTERS {
        let detail = "Give the token as it was shown when the node was made.";
        return Err(Error::field("#/token", "invalid_length", detail));
    }
    let credential = format!("{CREDENTIAL}{}", secret::random_base62(RANDOM_CHARACTERS));
    let token = secret::digest(request.token.trim());
    let joined = app
        .store()
        .join_node(&token, &secret::digest(&credential), app.now())
        .await?
        .ok_or_else(|| {
            Error::Gone(
                "This join token is unknown, used, or has expired. Make another under Nodes."
                    .into(),
            )
        })?;
    tracing::info!(node.id = %joined.node.id, "a node joined");
    Ok(JoinedNode {
        node_id: joined.node.id,
        name: joined.node.name,
        credential,
    })
}

/// The nodes that were not removed, newest first.
pub async fn list(
    app: &App,
    viewer: OrganisationId,
    paging: &Paging,
) -> Result<Page<TrainingNode>, Error> {
    let records = app
        .store()
        .list_nodes_any(paging.after()?, paging.rows())
        .await?;
    let ids: Vec<NodeId> = records.iter().map(|record| record.node.id).collect();
    let mut current = app.store().current_attempts_any(viewer, &ids).await?;
    let nodes = records.into_iter().map(|record| {
        let held = current.remove(&record.node.id).unwrap_or_default();
        view(app, record, held)
    });
    Ok(paging.page(nodes.collect(), |node| node.id))
}

async fn record(app: &App, id: NodeId) -> Result<TrainingNodeRecord, Error> {
    let found = app.store().find_node_any(id).await?;
    found.ok_or(Error::NotFound)
}

async fn with_current(
    app: &App,
    viewer: OrganisationId,
    record: TrainingNodeRecord,
) -> Result<TrainingNode, Error> {
    let id = record.node.id;
    let mut current = app.store().current_attempts_any(viewer, &[id]).await?;
    Ok(view(app, record, current.remove(&id).unwrap_or_default()))
}

/// A node, removed or not.
pub async fn find(app: &App, viewer: OrganisationId, id: NodeId) -> Result<TrainingNode, Error> {
    let record = record(app, id).await?;
    with_current(app, viewer, record).await
}

/// Changes a node, if it still is what the caller read.
pub async fn update(
    app: &App,
    maker: &Principal,
    id: NodeId,
    condition: &IfMatch,
    request: UpdateNode,
) -> Result<TrainingNode, Error> {
    Error::unless_valid(request.validate())?;
    let seen = record(app, id).await?;
    condition.check(&definition(id, &seen.node.name, seen.intake))?;
    let change = NodeChange {
        name: request.name.map(|name| name.trim().to_owned()),
        intake: request.intake,
    };
    let seen = condition.names_one().then_some(&seen);
    let changed = app
        .store()
        .update_node(maker.organisation, (id, seen), change, app.now())
        .await?
        .ok_or_else(|| Error::Conflict("This node was removed. Make another.".into()))?;
    tracing::info!(node.id = %id, user.id = %maker.user, intake = ?changed.intake, "a node was changed");
    // It may take jobs again.
    app.hub().work_arrived();
    with_current(app, maker.organisation, changed).await
}

/// Removes a node: its credential is worth nothing from now on, and its jobs go on elsewhere. Again is no harm.
pub async fn remove(app: &App, maker: &Principal, id: NodeId) -> Result<(), Error> {
    let removed = app
        .store()
        .revoke_node(maker.organisation, id, app.now())
        .await?;
    if !removed {
        return Err(Error::NotFound);
    }
    tracing::info!(node.id = %id, user.id = %maker.user, "a node was removed");
    app.hub().work_arrived();
    Ok(())
}

/// What a node did, newest first.
pub async fn attempts(
    app: &App,
    viewer: OrganisationId,
    id: NodeId,
    paging: &Paging,
) -> Result<Page<NodeAttempt>, Error> {
    record(app, id).await?;
    let found = app
        .store()
        .list_attempts_any(viewer, id, paging.after()?, paging.rows())
        .await?;
    Ok(paging.page(found, |attempt| attempt.id))
}
