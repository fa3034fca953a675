//! Base models.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "base_models")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub name: String,
    pub family: String,
    pub resolution: i32,
    pub licence: String,
    pub manifest_sha256: String,
    pub size_bytes: i64,
    pub classes: String,
    pub targets: String,
    pub identifiers: String,
    pub created_at: i64,
    pub owner_id: Option<Uuid>,
    pub facts: Option<String>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
