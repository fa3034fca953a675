//! Imports of base models.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "model_imports")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub owner_id: Uuid,
    pub name: String,
    pub licence: String,
    pub classes: String,
    pub pinned_sha256: Option<String>,
    pub source: String,
    pub status: String,
    pub failure: Option<String>,
    pub model_id: Option<Uuid>,
    pub created_at: i64,
    pub touched_at: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
