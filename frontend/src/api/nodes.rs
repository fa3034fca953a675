//! Training nodes, for those who operate the server.

use shared::{
    NodeId,
    page::Page,
    training_node::{CreateNode, CreatedNode, NodeAttempt, TrainingNode, UpdateNode},
};

use super::{
    Endpoint,
    http::{Call, Method},
};

/// The newest nodes, as many as one page holds.
pub(crate) fn all() -> Endpoint<Page<TrainingNode>> {
    Endpoint::new("/v1/nodes?limit=100".into())
}

/// What a node did last.
pub(crate) fn attempts(id: NodeId) -> Endpoint<Page<NodeAttempt>> {
    Endpoint::new(format!("/v1/nodes/{id}/attempts?limit=20"))
}

pub(crate) fn create(body: &CreateNode, key: &str) -> Call<CreatedNode> {
    Call::new(Method::Post, "/v1/nodes")
        .json(body)
        .once(key)
        .by_person()
}

pub(crate) fn update(id: NodeId, body: &UpdateNode) -> Call<TrainingNode> {
    Call::new(Method::Patch, format!("/v1/nodes/{id}"))
        .json(body)
        .by_person()
}

pub(crate) fn remove(id: NodeId) -> Call<()> {
    Call::unread(Method::Delete, format!("/v1/nodes/{id}")).by_person()
}
