//! Training nodes.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "nodes")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub name: String,
    pub threads: i32,
    pub memory_bytes: i64,
    pub created_at: i64,
    pub seen_at: i64,
    pub families: Option<String>,
    pub origin: String,
    pub intake: String,
    pub join_hash: Option<String>,
    pub join_expires_at: Option<i64>,
    pub credential_hash: Option<String>,
    pub joined_at: Option<i64>,
    pub revoked_at: Option<i64>,
    pub facts: Option<String>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
