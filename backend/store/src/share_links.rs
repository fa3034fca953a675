//! Links that show one gallery to somebody without an account, and the log of their visits.

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect,
    sea_query::{Expr, ExprTrait, LockType},
};
use shared::{
    GalleryId, OrganisationId, ShareLinkId, ShareViewId, Timestamp, UserId,
    limits::MAX_SHARE_LINKS,
    share_link::{ShareView, ViewOutcome},
};
use uuid::Uuid;

use crate::{
    Error, GalleryRecord, Store,
    audit::{self, Deed},
    database::{insert, new_uuid, page},
    entity::{
        gallery,
        share_link::{Column, Entity, Model},
        share_view,
    },
    galleries,
    text::{from_json, from_json_opt, from_name, number, to_json, to_name},
};

/// Visits of one link that are kept: a stranger with the address cannot fill the disk.
const KEPT_VIEWS: u64 = 500;
/// For how long visits from one network are one visit.
const ONE_VISIT_MILLISECONDS: i64 = 30 * 60 * 1000;
/// How long visits are kept: 90 days.
pub(crate) const KEPT_MILLISECONDS: i64 = 90 * 24 * 3_600_000;

/// What a link is made of.
#[derive(Clone, Debug)]
pub struct NewShareLink {
    /// What it shows.
    pub gallery_id: GalleryId,
    /// Who makes it.
    pub user_id: UserId,
    /// Hash of the secret part of its address.
    pub token_hash: String,
    /// How that begins.
    pub hint: String,
    /// Who gets it.
    pub recipient: String,
    /// The page's heading.
    pub title: String,
    /// Hash of the password.
    pub password_hash: Option<String>,
    /// Whether there is an archive to save.
    pub download: bool,
    /// Whether every picture carries the recipient's name.
    pub watermark: bool,
    /// Whether the protected pictures are shown.
    pub references: bool,
    /// Positions of the shown pairs; `None`: all.
    pub pairs: Option<Vec<u32>>,
    /// Sites that may show it in a frame.
    pub embed_origins: Vec<String>,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A link without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareLinkRecord {
    /// Identifies the link.
    pub id: ShareLinkId,
    /// Whose it is.
    pub owner_id: OrganisationId,
    /// What it shows.
    pub gallery_id: GalleryId,
    /// Who made it.
    pub user_id: Option<UserId>,
    /// How the secret begins.
    pub hint: String,
    /// Who gets it.
    pub recipient: String,
    /// The page's heading.
    pub title: String,
    /// Hash of the password.
    pub password_hash: Option<String>,
    /// Whether there is an archive to save.
    pub download: bool,
    /// Whether every picture carries the recipient's name.
    pub watermark: bool,
    /// Whether the protected pictures are shown.
    pub references: bool,
    /// Positions of the shown pairs; `None`: all.
    pub pairs: Option<Vec<u32>>,
    /// Sites that may show it in a frame.
    pub embed_origins: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When somebody ended it.
    pub revoked_at: Option<Timestamp>,
    /// How often it was shown.
    pub views: u64,
    /// When it was shown last.
    pub last_viewed_at: Option<Timestamp>,
}

/// What changes; `None` stays.
#[derive(Clone, Debug, Default)]
pub struct ShareLinkChange {
    /// Who gets it.
    pub recipient: Option<String>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// Hash of the password.
    pub password_hash: Option<Option<String>>,
    /// Whether there is an archive to save.
    pub download: Option<bool>,
}

impl TryFrom<Model> for ShareLinkRecord {
    type Error = Error;

    fn try_from(row: Model) -> Result<Self, Error> {
        Ok(Self {
            id: ShareLinkId::from_uuid(row.id),
            owner_id: OrganisationId::from_uuid(row.owner_id),
            gallery_id: GalleryId::from_uuid(row.gallery_id),
            user_id: row.user_id.map(UserId::from_uuid),
            hint: row.hint,
            recipient: row.recipient,
            title: row.title,
            password_hash: row.password_hash,
            download: row.download,
            watermark: row.watermark,
            references: row.show_references,
            pairs: from_json_opt("pairs", row.pairs.as_deref())?,
            embed_origins: from_json("origins", &row.embed_origins)?,
            created_at: Timestamp::from_milliseconds(row.created_at),
            expires_at: Timestamp::from_milliseconds(row.expires_at),
            revoked_at: row.revoked_at.map(Timestamp::from_milliseconds),
            views: number("views", row.views)?,
            last_viewed_at: row.last_viewed_at.map(Timestamp::from_milliseconds),
        })
    }
}

impl ShareLinkRecord {
    /// Whether it opens nothing any more: its time is over, or somebody ended it.
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.revoked_at.is_some() || self.expires_at <= now
    }
}

fn owned(owner: OrganisationId) -> sea_orm::Select<Entity> {
    Entity::find().filter(Column::OwnerId.eq(owner.uuid()))
}

/// A link of this owner, locked until the transaction ends.
async fn lock(
    connection: &impl ConnectionTrait,
    owner: OrganisationId,
    id: ShareLinkId,
) -> Result<Option<Model>, Error> {
    let query = owned(owner)
        .filter(Column::Id.eq(id.uuid()))
        .lock(LockType::NoKeyUpdate);
    Ok(query.one(connection).await?)
}

/// Whether somebody came from the same network, in the same way, a moment ago.
async fn came_lately(
    connection: &impl ConnectionTrait,
    visit: &share_view::Model,
) -> Result<bool, Error> {
    let since = visit.at - ONE_VISIT_MILLISECONDS;
    let earlier = share_view::Entity::find()
        .filter(share_view::Column::LinkId.eq(visit.link_id))
        .filter(share_view::Column::At.gt(since))
        .filter(share_view::Column::Outcome.eq(&visit.outcome))
        .filter(share_view::Column::Network.eq(&visit.network))
        .count(connection)
        .await?;
    Ok(earlier > 0)
}

/// Keeps the newest visits of a link.
async fn trim(connection: &impl ConnectionTrait, link: Uuid) -> Result<(), Error> {
    let of_link = || share_view::Entity::find().filter(share_view::Column::LinkId.eq(link));
    let first_too_many = of_link()
        .order_by_desc(share_view::Column::Id)
        .offset(KEPT_VIEWS)
        .limit(1)
        .one(connection)
        .await?;
    if let Some(row) = first_too_many {
        share_view::Entity::delete_many()
            .filter(share_view::Column::LinkId.eq(link))
            .filter(share_view::Column::Id.lte(row.id))
            .exec(connection)
            .await?;
    }
    Ok(())
}

impl Store {
    /// Makes a link; `None` where this owner has no such gallery, and [`Error::TooManyShareLinks`] at its limit.
    pub async fn create_share_link(
        &self,
        owner: OrganisationId,
        new: NewShareLink,
        now: Timestamp,
    ) -> Result<Option<ShareLinkRecord>, Error> {
        let row = Model {
            id: new_uuid(now),
            owner_id: owner.uuid(),
            gallery_id: new.gallery_id.uuid(),
            user_id: Some(new.user_id.uuid()),
            token_hash: new.token_hash,
            hint: new.hint,
            recipient: new.recipient,
            title: new.title,
            password_hash: new.password_hash,
            download: new.download,
            watermark: new.watermark,
            show_references: new.references,
            pairs: new
                .pairs
                .map(|pairs| to_json("pairs", &pairs))
                .transpose()?,
            embed_origins: to_json("origins", &new.embed_origins)?,
            created_at: now.milliseconds(),
            expires_at: new.expires_at.milliseconds(),
            revoked_at: None,
            views: 0,
            last_viewed_at: None,
        };
        let transaction = self.begin().await?;
        let gallery = gallery::Entity::find_by_id(new.gallery_id.uuid())
            .filter(gallery::Column::OwnerId.eq(owner.uuid()))
            .lock(LockType::NoKeyUpdate)
            .one(&transaction)
            .await?;
        if gallery.is_none() {
            transaction.rollback().await?;
            return Ok(None);
        }
        let usable = Entity::find()
            .filter(Column::GalleryId.eq(new.gallery_id.uuid()))
            .filter(Column::RevokedAt.is_null())
            .filter(Column::ExpiresAt.gt(now.milliseconds()));
        if usable.count(&transaction).await? >= MAX_SHARE_LINKS {
            transaction.rollback().await?;
            return Err(Error::TooManyShareLinks);
        }
        insert(&transaction, row.clone()).await?;
        let deed = Deed::new("share_link.created", ShareLinkId::from_uuid(row.id))
            .detail(format!("gallery {}", new.gallery_id));
        audit::record(&transaction, owner, deed, now).await?;
        transaction.commit().await?;
        row.try_into().map(Some)
    }

    /// The owner's links, of one gallery or of all, newest first, from below `after`.
    pub async fn list_share_links(
        &self,
        owner: OrganisationId,
        gallery: Option<GalleryId>,
        after: Option<ShareLinkId>,
        limit: u64,
    ) -> Result<Vec<ShareLinkRecord>, Error> {
        let query = match gallery {
            Some(gallery) => owned(owner).filter(Column::GalleryId.eq(gallery.uuid())),
            None => owned(owner),
        };
        page(query, Column::Id, after.map(ShareLinkId::uuid), limit)
            .all(&self.reader)
            .await?
            .into_iter()
            .map(ShareLinkRecord::try_from)
            .collect()
    }

    /// Finds a link of this owner.
    pub async fn find_share_link(
        &self,
        owner: OrganisationId,
        id: ShareLinkId,
    ) -> Result<Option<ShareLinkRecord>, Error> {
        owned(owner)
            .filter(Column::Id.eq(id.uuid()))
            .one(&self.reader)
            .await?
            .map(ShareLinkRecord::try_from)
            .transpose()
    }

    /// The link behind a secret, used up or not.
    async fn find_share_link_any(
        &self,
        token_hash: &str,
    ) -> Result<Option<ShareLinkRecord>, Error> {
        Entity::find()
            .filter(Column::TokenHash.eq(token_hash))
            .one(&self.reader)
            .await?
            .map(ShareLinkRecord::try_from)
            .transpose()
    }

    /// The link behind a secret, used up or not, and the gallery that it shows; none where a notice suspended that.
    pub async fn find_shared_any(
        &self,
        token_hash: &str,
    ) -> Result<Option<(ShareLinkRecord, GalleryRecord)>, Error> {
        let Some(link) = self.find_share_link_any(token_hash).await? else {
            return Ok(None);
        };
        let gallery = gallery::Entity::find_by_id(link.gallery_id.uuid())
            .filter(galleries::is_not_suspended())
            .one(&self.reader)
            .await?;
        gallery
            .map(|gallery| Ok((link, gallery.try_into()?)))
            .transpose()
    }

    /// Changes a link that still is what the caller saw; `None` where there is none, or it has ended.
    pub async fn update_share_link(
        &self,
        owner: OrganisationId,
        (id, seen): (ShareLinkId, Option<&ShareLinkRecord>),
        change: ShareLinkChange,
        now: Timestamp,
    ) -> Result<Option<ShareLinkRecord>, Error> {
        let transaction = self.begin().await?;
        let found = lock(&transaction, owner, id).await?;
        let Some(mut row) = found else {
            transaction.rollback().await?;
            return Ok(None);
        };
        let present = ShareLinkRecord::try_from(row.clone())?;
        if present.has_ended(now) {
            transaction.rollback().await?;
            return Ok(None);
        }
        // A visit in between changes what is counted, and nothing of what the caller decided about.
        let same = |seen: &ShareLinkRecord| {
            (
                &seen.recipient,
                seen.expires_at,
                &seen.password_hash,
                seen.download,
            ) == (
                &present.recipient,
                present.expires_at,
                &present.password_hash,
                present.download,
            )
        };
        if !seen.is_none_or(same) {
            transaction.rollback().await?;
            return Err(Error::Changed);
        }
        if let Some(recipient) = change.recipient {
            row.recipient = recipient;
        }
        if let Some(end) = change.expires_at {
            row.expires_at = end.milliseconds();
        }
        if let Some(hash) = change.password_hash {
            row.password_hash = hash;
        }
        if let Some(download) = change.download {
            row.download = download;
        }
        Entity::update_many()
            .col_expr(Column::Recipient, Expr::value(row.recipient.clone()))
            .col_expr(Column::ExpiresAt, Expr::value(row.expires_at))
            .col_expr(Column::PasswordHash, Expr::value(row.password_hash.clone()))
            .col_expr(Column::Download, Expr::value(row.download))
            .filter(Column::Id.eq(row.id))
            .exec(&transaction)
            .await?;
        audit::record(
            &transaction,
            owner,
            Deed::new("share_link.updated", id),
            now,
        )
        .await?;
        transaction.commit().await?;
        row.try_into().map(Some)
    }

    /// Ends a link; `false` where there is none. Again is no harm.
    pub async fn revoke_share_link(
        &self,
        owner: OrganisationId,
        id: ShareLinkId,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let transaction = self.begin().await?;
        let Some(row) = lock(&transaction, owner, id).await? else {
            transaction.rollback().await?;
            return Ok(false);
        };
        if row.revoked_at.is_none() {
            Entity::update_many()
                .col_expr(Column::RevokedAt, Expr::value(now.milliseconds()))
                .filter(Column::Id.eq(row.id))
                .exec(&transaction)
                .await?;
            audit::record(
                &transaction,
                owner,
                Deed::new("share_link.revoked", id),
                now,
            )
            .await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// Notes a visit; whoever has the address makes one.
    pub async fn record_share_view_any(
        &self,
        id: ShareLinkId,
        outcome: ViewOutcome,
        network: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        let row = share_view::Model {
            id: new_uuid(now),
            link_id: id.uuid(),
            at: now.milliseconds(),
            outcome: to_name("outcome", &outcome)?,
            network: network.to_owned(),
        };
        let counts = outcome != ViewOutcome::Refused;
        // Most requests turn pages: they wait for no writer.
        if counts && came_lately(&self.reader, &row).await? {
            return Ok(());
        }
        let transaction = self.begin().await?;
        if counts && came_lately(&transaction, &row).await? {
            transaction.rollback().await?;
            return Ok(());
        }
        if counts {
            Entity::update_many()
                .col_expr(Column::Views, Expr::col(Column::Views).add(1))
                .col_expr(Column::LastViewedAt, Expr::value(now.milliseconds()))
                .filter(Column::Id.eq(id.uuid()))
                .exec(&transaction)
                .await?;
        }
        insert(&transaction, row).await?;
        trim(&transaction, id.uuid()).await?;
        Ok(transaction.commit().await?)
    }

    /// The visits of a link of this owner, newest first, from below `after`; `None` where there is no such link.
    pub async fn list_share_views(
        &self,
        owner: OrganisationId,
        id: ShareLinkId,
        after: Option<ShareViewId>,
        limit: u64,
    ) -> Result<Option<Vec<ShareView>>, Error> {
        if self.find_share_link(owner, id).await?.is_none() {
            return Ok(None);
        }
        let query = share_view::Entity::find().filter(share_view::Column::LinkId.eq(id.uuid()));
        let after = after.map(ShareViewId::uuid);
        let rows = page(query, share_view::Column::Id, after, limit)
            .all(&self.reader)
            .await?;
        let views = rows.into_iter().map(|row| {
            Ok(ShareView {
                id: ShareViewId::from_uuid(row.id),
                at: Timestamp::from_milliseconds(row.at),
                outcome: from_name("outcome", &row.outcome)?,
                network: row.network,
            })
        });
        views.collect::<Result<_, Error>>().map(Some)
    }
}
