//! Images of protected sets.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "images")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub owner_id: Uuid,
    pub set_id: Uuid,
    pub filename: String,
    pub width: i32,
    pub height: i32,
    pub sha256: String,
    pub content_sha256: String,
    pub content_media_type: String,
    pub content_size_bytes: i64,
    pub exif_removed: bool,
    pub gps_removed: bool,
    pub created_at: i64,
    pub key_version: Option<i32>,
    pub stored_sha256: Option<String>,
    pub thumbnail_sha256: Option<String>,
    pub blur_hash: Option<String>,
    pub difference_hash: Option<String>,
    pub sharpness: Option<i32>,
    pub second_subject: Option<i32>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
