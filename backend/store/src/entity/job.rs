//! Jobs.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "jobs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub owner_id: Uuid,
    pub set_id: Uuid,
    pub model_id: Uuid,
    pub parent_id: Option<Uuid>,
    pub idempotency_key: Option<String>,
    pub kind: String,
    pub status: String,
    pub status_reason: String,
    pub spec: String,
    pub priority: i32,
    pub attempts: i32,
    pub token: i64,
    pub node_id: Option<Uuid>,
    pub lease_until: Option<i64>,
    pub finish_digest: Option<String>,
    pub last_sequence: i64,
    pub progress: String,
    pub resume_step: Option<i32>,
    pub resume_sha256: Option<String>,
    pub resume_size_bytes: Option<i64>,
    pub metrics: Option<String>,
    pub failure: Option<String>,
    pub created_at: i64,
    pub started_at: Option<i64>,
    pub completed_at: Option<i64>,
    pub required_memory_bytes: i64,
    pub traceparent: Option<String>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
