//! Notices and takedown: a public form, a queue for administrators, both sides heard, another reviewer for appeals.

use std::net::IpAddr;

use shared::{
    GalleryId, JobId, NoticeId, OrganisationId, Timestamp, UserId,
    notice::{
        CreateNotice, DecideNotice, Notice, NoticeReceipt, NoticeStatus, QueuedNotice, Statement,
        TRIAGE_HOURS, Transparency, validate_statement,
    },
    page::Page,
};
use store::{JobRecord, NewNotice, NoticeRecord};
use uuid::Uuid;

use super::{App, paging::Paging};
use crate::{error::Error, secret};

const HOUR: i64 = 3_600_000;

fn view(record: NoticeRecord) -> Notice {
    Notice {
        id: record.id,
        category: record.category,
        object: record.object,
        explanation: record.explanation,
        status: record.status,
        statement: record.statement,
        counter_notice: record.counter_notice,
        appeal: record.appeal,
        due_at: record.due_at,
        created_at: record.created_at,
        decided_at: record.decided_at,
    }
}

/// Whose object an id names, and what a notice about it is about: a gallery, or the evaluation that made it, with all that
/// show the same set; of a study, the protect job.
async fn object(app: &App, text: &str) -> Result<Option<(OrganisationId, Uuid)>, Error> {
    if let Ok(id) = text.parse::<GalleryId>() {
        let gallery = app.store().find_gallery_any(id).await?;
        return Ok(gallery.map(|gallery| (gallery.owner_id, id.uuid())));
    }
    if let Ok(id) = text.parse::<JobId>() {
        let job = app.store().find_job_any(id).await?;
        return Ok(job.map(|job| (job.owner_id, origin(&job).uuid())));
    }
    Ok(None)
}

/// The protect job that a study attacks; any other job is its own.
fn origin(job: &JobRecord) -> JobId {
    let order = job.spec.evaluation.study.as_ref();
    order.map_or(job.id, |order| order.request.protect_job_id)
}

/// Takes a notice from anyone; the receipt is shown this once.
pub async fn create(
    app: &App,
    address: IpAddr,
    request: CreateNotice,
) -> Result<NoticeReceipt, Error> {
    app.limits().notices.take(&address.to_string(), app.now())?;
    Error::unless_valid(request.validate())?;
    let name = request.object_id().to_owned();
    let Some((owner_id, object_id)) = object(app, &name).await? else {
        let detail = "Give the id or the address of a gallery or a job, such as gal_….";
        return Err(Error::field("#/object", "unknown_object", detail));
    };
    let (receipt, now) = (secret::random_text(), app.now());
    let new = NewNotice {
        category: request.category,
        object: name,
        object_id,
        owner_id,
        explanation: request.explanation.trim().to_owned(),
        name: request.name.trim().to_owned(),
        email: request.email.trim().to_owned(),
        receipt_hash: secret::digest(&receipt),
        due_at: Timestamp::from_milliseconds(now.milliseconds() + TRIAGE_HOURS * HOUR),
    };
    let taken = app.store().create_notice(new, now).await?;
    Ok(NoticeReceipt {
        id: taken.id,
        receipt,
        due_at: taken.due_at,
        created_at: taken.created_at,
    })
}

/// A notice for whoever holds its receipt.
pub async fn find(app: &App, id: NoticeId, receipt: &str) -> Result<Notice, Error> {
    let hash = secret::digest(receipt);
    let found = app.store().find_notice_any(id, Some(&hash)).await?;
    found.map(view).ok_or(Error::NotFound)
}

/// Notices against the owner's objects, newest first.
pub async fn list_against(
    app: &App,
    owner: OrganisationId,
    paging: &Paging,
) -> Result<Page<Notice>, Error> {
    let found = app
        .store()
        .list_notices(Some(owner), None, paging.after()?, paging.rows())
        .await?;
    let found = found.into_iter().map(view).collect();
    Ok(paging.page(found, |notice| notice.id))
}

/// A notice against an object of this owner.
pub async fn find_against(app: &App, owner: OrganisationId, id: NoticeId) -> Result<Notice, Error> {
    let found = app.store().find_notice(owner, id).await?;
    found.map(view).ok_or(Error::NotFound)
}

/// The owner's answer.
pub async fn answer(
    app: &App,
    owner: OrganisationId,
    id: NoticeId,
    said: Statement,
) -> Result<Notice, Error> {
    Error::unless_valid(validate_statement(&said.statement))?;
    let answered = app
        .store()
        .answer_notice(owner, id, said.statement, app.now())
        .await?;
    answered.map(view).ok_or(Error::NotFound)
}

/// An appeal of either side against a decision.
pub async fn appeal(
    app: &App,
    side: (Option<OrganisationId>, Option<&str>),
    id: NoticeId,
    said: Statement,
) -> Result<Notice, Error> {
    Error::unless_valid(validate_statement(&said.statement))?;
    let (owner, receipt) = side;
    let hash = receipt.map(secret::digest);
    let appealed = app
        .store()
        .appeal_notice(id, (owner, hash.as_deref()), said.statement, app.now())
        .await?;
    appealed.map(view).ok_or(Error::NotFound)
}

async fn queued(app: &App, record: NoticeRecord) -> Result<QueuedNotice, Error> {
    Ok(QueuedNotice {
        earlier_suspensions: app.store().count_suspensions(record.owner_id).await?,
        name: record.name.clone(),
        email: record.email.clone(),
        notice: view(record),
    })
}

/// The administrators' queue, newest first.
pub async fn queue(
    app: &App,
    status: Option<NoticeStatus>,
    paging: &Paging,
) -> Result<Page<QueuedNotice>, Error> {
    let found = app
        .store()
        .list_notices(None, status, paging.after()?, paging.rows())
        .await?;
    let mut notices = Vec::with_capacity(found.len());
    for record in found {
        notices.push(queued(app, record).await?);
    }
    Ok(paging.page(notices, |queued| queued.notice.id))
}

/// Decides a notice with a statement of reasons.
pub async fn decide(
    app: &App,
    administrator: UserId,
    id: NoticeId,
    decision: DecideNotice,
) -> Result<QueuedNotice, Error> {
    Error::unless_valid(validate_statement(&decision.statement))?;
    let what = (decision.action, decision.statement.trim().to_owned());
    let decided = app
        .store()
        .decide_notice(administrator, id, what, app.now())
        .await?;
    queued(app, decided.ok_or(Error::NotFound)?).await
}

/// Counts that anyone may read.
pub async fn transparency(app: &App) -> Result<Transparency, Error> {
    Ok(app.store().transparency().await?)
}
