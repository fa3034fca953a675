//! Complaints.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "notices")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub category: String,
    pub object: String,
    pub object_id: Uuid,
    pub owner_id: Uuid,
    pub explanation: String,
    pub name: String,
    pub email: String,
    pub receipt_hash: String,
    pub status: String,
    pub statement: Option<String>,
    pub counter_notice: Option<String>,
    pub appeal: Option<String>,
    pub decided_by: Option<Uuid>,
    pub created_at: i64,
    pub due_at: i64,
    pub decided_at: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
