//! Consent of a second person.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "approvals")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub owner_id: Uuid,
    pub requested_by: Uuid,
    pub job_id: Uuid,
    pub unet_sha256: String,
    pub reasons: String,
    pub reviewer_email: String,
    pub note: String,
    pub status: String,
    pub decision_note: Option<String>,
    pub decided_by: Option<Uuid>,
    pub created_at: i64,
    pub decided_at: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
