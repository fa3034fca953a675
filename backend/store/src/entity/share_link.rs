//! Links that show a gallery, by the hash of their secret.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "share_links")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub owner_id: Uuid,
    pub gallery_id: Uuid,
    pub user_id: Option<Uuid>,
    pub token_hash: String,
    pub hint: String,
    pub recipient: String,
    pub title: String,
    pub password_hash: Option<String>,
    pub download: bool,
    pub watermark: bool,
    pub show_references: bool,
    pub pairs: Option<String>,
    pub embed_origins: String,
    pub created_at: i64,
    pub expires_at: i64,
    pub revoked_at: Option<i64>,
    pub views: i64,
    pub last_viewed_at: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
