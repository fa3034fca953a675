//! Programs that wait to be signed in, by the hashes of their codes.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "device_authorizations")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub device_hash: String,
    pub user_hash: String,
    pub name: String,
    pub address: String,
    pub created_at: i64,
    pub expires_at: i64,
    pub interval_milliseconds: i64,
    pub asked_at: Option<i64>,
    pub denied: bool,
    pub user_id: Option<Uuid>,
    pub organisation_id: Option<Uuid>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
