//! Share links as their makers manage them. What a visitor sees is `share`'s.

use shared::{
    GalleryId, OrganisationId, ShareLinkId, Timestamp,
    page::Page,
    share_link::{
        CreateShareLink, CreatedShareLink, ShareLink, ShareLinkStatus, ShareView, UpdateShareLink,
        check_watermark,
    },
};
use store::{NewShareLink, ShareLinkChange, ShareLinkRecord};

use super::{App, paging::Paging, principal::Principal, sessions};
use crate::{
    error::Error,
    etag::{self, IfMatch},
    secret,
};

/// 62^24 is above 2^142.
const RANDOM_CHARACTERS: usize = 24;
const HINT_CHARACTERS: usize = 4;
const FRAMED: &str = "A page in a frame cannot ask for a password: leave out one of the two.";
const DAY_MILLISECONDS: i64 = 24 * 3_600_000;

fn status(record: &ShareLinkRecord, now: Timestamp) -> ShareLinkStatus {
    if record.revoked_at.is_some() {
        ShareLinkStatus::Revoked
    } else if record.has_ended(now) {
        ShareLinkStatus::Expired
    } else {
        ShareLinkStatus::Active
    }
}

fn view(record: ShareLinkRecord, now: Timestamp) -> ShareLink {
    ShareLink {
        status: status(&record, now),
        id: record.id,
        gallery_id: record.gallery_id,
        hint: record.hint,
        recipient: record.recipient,
        title: record.title,
        has_password: record.password_hash.is_some(),
        download: record.download,
        watermark: record.watermark,
        references: record.references,
        pairs: record.pairs,
        embed_origins: record.embed_origins,
        created_by: record.user_id,
        created_at: record.created_at,
        expires_at: record.expires_at,
        revoked_at: record.revoked_at,
        views: record.views,
        last_viewed_at: record.last_viewed_at,
    }
}

/// What its maker decided about a link: visits come and go, and change nothing that somebody else could want to change.
fn definition(link: ShareLink) -> ShareLink {
    ShareLink {
        status: ShareLinkStatus::Active,
        views: 0,
        last_viewed_at: None,
        ..link
    }
}

/// The strong `ETag` of a link, which is that of its [`definition`].
pub(crate) fn tag(link: &ShareLink) -> Result<String, Error> {
    let bytes = serde_json::to_vec(&definition(link.clone())).map_err(Error::internal)?;
    Ok(etag::of_bytes(&bytes))
}

/// The end of a link that works for so many days from now.
fn end(app: &App, days: u32) -> Timestamp {
    app.later(i64::from(days) * DAY_MILLISECONDS)
}

/// Sharing is publishing to somebody: it asks for an address that is known to be its owner's.
async fn require_confirmed(app: &App, maker: &Principal) -> Result<(), Error> {
    if sessions::proven_email(app, maker.user).await?.is_some() {
        return Ok(());
    }
    Err(Error::Forbidden(
        "Confirm your e-mail address before you share: the letter with the link came when you signed up, and the \
         account page sends another."
            .into(),
    ))
}

/// Makes a link; its address is in this answer alone.
pub async fn create(
    app: &App,
    maker: &Principal,
    request: CreateShareLink,
) -> Result<CreatedShareLink, Error> {
    Error::unless_valid(request.validate())?;
    if request.password.is_some() && !request.embed_origins.is_empty() {
        return Err(Error::Conflict(FRAMED.into()));
    }
    let owner = maker.organisation;
    let gallery = app.store().find_gallery(owner, request.gallery_id).await?;
    let gallery = gallery.ok_or(Error::NotFound)?;
    let count = gallery.output.pairs.len();
    let pairs = request.pairs.map(|mut pairs| {
        pairs.sort_unstable();
        pairs.dedup();
        pairs
    });
    if let Some(last) = pairs.as_ref().and_then(|pairs| pairs.last())
        && *last as usize >= count
    {
        let detail = format!("The gallery has {count} pairs, at positions from 0.");
        return Err(Error::field("#/pairs", "out_of_range", detail));
    }
    require_confirmed(app, maker).await?;
    let password_hash = match request.password {
        Some(password) => Some(app.passwords().hash(password).await?),
        None => None,
    };
    let token = secret::random_base62(RANDOM_CHARACTERS);
    let title = request.title.map(|title| title.trim().to_owned());
    let new = NewShareLink {
        gallery_id: gallery.id,
        user_id: maker.user,
        token_hash: secret::digest(&token),
        hint: token[..HINT_CHARACTERS].to_owned(),
        recipient: request.recipient.trim().to_owned(),
        title: title.unwrap_or(gallery.title),
        password_hash,
        download: request.download,
        watermark: request.watermark,
        references: request.references,
        pairs,
        embed_origins: request.embed_origins,
        expires_at: end(app, request.expires_in_days),
    };
    let made = app.store().create_share_link(owner, new, app.now()).await?;
    let made = made.ok_or(Error::NotFound)?;
    tracing::info!(share_link.id = %made.id, organisation.id = %owner, "a gallery was shared");
    Ok(CreatedShareLink {
        share_link: view(made, app.now()),
        url: crate::share::url(app, &token),
    })
}

/// The owner's links, of one gallery or of all, newest first.
pub async fn list(
    app: &App,
    owner: OrganisationId,
    gallery: Option<GalleryId>,
    paging: &Paging,
) -> Result<Page<ShareLink>, Error> {
    let records = app
        .store()
        .list_share_links(owner, gallery, paging.after()?, paging.rows())
        .await?;
    let now = app.now();
    let links = records.into_iter().map(|record| view(record, now));
    Ok(paging.page(links.collect(), |link| link.id))
}

async fn record(
    app: &App,
    owner: OrganisationId,
    id: ShareLinkId,
) -> Result<ShareLinkRecord, Error> {
    let found = app.store().find_share_link(owner, id).await?;
    found.ok_or(Error::NotFound)
}

/// A link of this owner.
pub async fn find(app: &App, owner: OrganisationId, id: ShareLinkId) -> Result<ShareLink, Error> {
    let record = record(app, owner, id).await?;
    Ok(view(record, app.now()))
}

/// Changes a link, if it still is what the caller read.
pub async fn update(
    app: &App,
    owner: OrganisationId,
    id: ShareLinkId,
    condition: &IfMatch,
    request: UpdateShareLink,
) -> Result<ShareLink, Error> {
    Error::unless_valid(request.validate())?;
    let seen = record(app, owner, id).await?;
    condition.check(&definition(view(seen.clone(), app.now())))?;
    if seen.watermark
        && let Some(recipient) = &request.recipient
    {
        let mut errors = Vec::new();
        check_watermark(&mut errors, recipient);
        Error::unless_valid(errors)?;
    }
    if matches!(request.password, Some(Some(_))) && !seen.embed_origins.is_empty() {
        return Err(Error::Conflict(FRAMED.into()));
    }
    let password_hash = match request.password {
        Some(Some(password)) => Some(Some(app.passwords().hash(password).await?)),
        Some(None) => Some(None),
        None => None,
    };
    let change = ShareLinkChange {
        recipient: request.recipient.map(|name| name.trim().to_owned()),
        expires_at: request.expires_in_days.map(|days| end(app, days)),
        password_hash,
        download: request.download,
    };
    let seen = condition.names_one().then_some(&seen);
    let changed = app
        .store()
        .update_share_link(owner, (id, seen), change, app.now())
        .await?
        .ok_or_else(|| Error::Conflict("This link has ended. Make another.".into()))?;
    Ok(view(changed, app.now()))
}

/// Ends a link at once; again is no harm.
pub async fn revoke(app: &App, owner: OrganisationId, id: ShareLinkId) -> Result<(), Error> {
    if !app.store().revoke_share_link(owner, id, app.now()).await? {
        return Err(Error::NotFound);
    }
    tracing::info!(share_link.id = %id, organisation.id = %owner, "a share link was revoked");
    Ok(())
}

/// The visits of a link, newest first.
pub async fn views(
    app: &App,
    owner: OrganisationId,
    id: ShareLinkId,
    paging: &Paging,
) -> Result<Page<ShareView>, Error> {
    let found = app
        .store()
        .list_share_views(owner, id, paging.after()?, paging.rows())
        .await?;
    Ok(paging.page(found.ok_or(Error::NotFound)?, |view| view.id))
}
