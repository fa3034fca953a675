//! Consent of a second person to a release, bound to the weights that it is for.

use sea_orm::{
    ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect,
    sea_query::{Expr, LockType},
};
use shared::{
    ApprovalId, JobId, OrganisationId, Timestamp, UserId,
    release::{ApprovalStatus, ReviewReason},
    webhook::{EventData, EventType},
};

use crate::{
    Error, Store,
    audit::{self, Deed},
    database::{insert, new_uuid, page},
    entity::approval::{Column, Entity, Model},
    text::{from_json, from_name, to_json, to_name},
    webhooks,
};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct NewApproval {
    /// The protect job.
    pub job_id: JobId,
    /// Its weights.
    pub unet_sha256: String,
    /// Why it is needed.
    pub reasons: Vec<ReviewReason>,
    /// Who is asked, in lower case.
    pub reviewer_email: String,
    /// What the reviewer should know.
    pub note: String,
}

/// A request for consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalRecord {
    /// Identifies the request.
    pub id: ApprovalId,
    /// Whose job it is.
    pub owner_id: OrganisationId,
    /// The protect job.
    pub job_id: JobId,
    /// Its weights.
    pub unet_sha256: String,
    /// Why it is needed.
    pub reasons: Vec<ReviewReason>,
    /// Who is asked.
    pub reviewer_email: String,
    /// What the reviewer should know.
    pub note: String,
    /// How it stands.
    pub status: ApprovalStatus,
    /// The reviewer's words.
    pub decision_note: Option<String>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it was decided.
    pub decided_at: Option<Timestamp>,
}

impl TryFrom<Model> for ApprovalRecord {
    type Error = Error;

    fn try_from(row: Model) -> Result<Self, Error> {
        Ok(Self {
            id: ApprovalId::from_uuid(row.id),
            owner_id: OrganisationId::from_uuid(row.owner_id),
            job_id: JobId::from_uuid(row.job_id),
            unet_sha256: row.unet_sha256,
            reasons: from_json("review reasons", &row.reasons)?,
            reviewer_email: row.reviewer_email,
            note: row.note,
            status: from_name("approval status", &row.status)?,
            decision_note: row.decision_note,
            created_at: Timestamp::from_milliseconds(row.created_at),
            decided_at: row.decided_at.map(Timestamp::from_milliseconds),
        })
    }
}

fn data(id: ApprovalId) -> EventData {
    EventData {
        id: id.to_string(),
        url: format!("/v1/approvals/{id}"),
    }
}

/// What a person may see: what they own, and what the address that is proven theirs is asked.
fn visible(owner: OrganisationId, email: Option<&str>) -> Condition {
    asked(email, Some(owner))
}

/// Asked by name, or as a reviewer of the organisation.
fn asked(email: Option<&str>, member: Option<OrganisationId>) -> Condition {
    // Without either there is nothing: an empty list of conditions would be everything.
    Condition::any()
        .add(Expr::val(false))
        .add_option(email.map(|email| Column::ReviewerEmail.eq(email)))
        .add_option(member.map(|owner| Column::OwnerId.eq(owner.uuid())))
}

impl Store {
    /// Asks for consent.
    pub async fn create_approval(
        &self,
        owner: OrganisationId,
        requested_by: UserId,
        new: NewApproval,
        now: Timestamp,
    ) -> Result<ApprovalRecord, Error> {
        let row = Model {
            id: new_uuid(now),
            owner_id: owner.uuid(),
            requested_by: requested_by.uuid(),
            job_id: new.job_id.uuid(),
            unet_sha256: new.unet_sha256,
            reasons: to_json("review reasons", &new.reasons)?,
            reviewer_email: new.reviewer_email,
            note: new.note,
            status: to_name("approval status", &ApprovalStatus::Pending)?,
            decision_note: None,
            decided_by: None,
            created_at: now.milliseconds(),
            decided_at: None,
        };
        let id = ApprovalId::from_uuid(row.id);
        let transaction = self.begin().await?;
        insert(&transaction, row.clone()).await?;
        let deed = Deed::new("approval.requested", id).detail(new.job_id.to_string());
        audit::record(&transaction, owner, deed, now).await?;
        let event = (EventType::ApprovalRequested, data(id));
        webhooks::emit(&transaction, owner, event, now).await?;
        transaction.commit().await?;
        row.try_into()
    }

    /// What a person owns or is asked, newest first, from below `after`.
    pub async fn list_approvals(
        &self,
        owner: OrganisationId,
        email: Option<&str>,
        after: Option<ApprovalId>,
        limit: u64,
    ) -> Result<Vec<ApprovalRecord>, Error> {
        let query = Entity::find().filter(visible(owner, email));
        let rows = page(query, Column::Id, after.map(ApprovalId::uuid), limit)
            .all(&self.reader)
            .await?;
        rows.into_iter().map(ApprovalRecord::try_from).collect()
    }

    /// Finds what a person owns or is asked.
    pub async fn find_approval(
        &self,
        owner: OrganisationId,
        email: Option<&str>,
        id: ApprovalId,
    ) -> Result<Option<ApprovalRecord>, Error> {
        Entity::find_by_id(id.uuid())
            .filter(visible(owner, email))
            .one(&self.reader)
            .await?
            .map(ApprovalRecord::try_from)
            .transpose()
    }

    /// Decides a pending request that this reviewer may decide and did not make; `None` where there is none.
    ///
    /// `member`: the organisation in which the reviewer's role lets them approve.
    pub async fn decide_approval(
        &self,
        (reviewer, email, member): (UserId, Option<&str>, Option<OrganisationId>),
        id: ApprovalId,
        (status, note): (ApprovalStatus, String),
        now: Timestamp,
    ) -> Result<Option<ApprovalRecord>, Error> {
        let transaction = self.begin().await?;
        let row = Entity::find_by_id(id.uuid())
            .filter(asked(email, member))
            .filter(Column::RequestedBy.ne(reviewer.uuid()))
            .filter(Column::Status.eq(to_name("approval status", &ApprovalStatus::Pending)?))
            .lock(LockType::NoKeyUpdate)
            .one(&transaction)
            .await?;
        let Some(row) = row else {
            transaction.rollback().await?;
            return Ok(None);
        };
        let owner = OrganisationId::from_uuid(row.owner_id);
        let status = to_name("approval status", &status)?;
        let deed = Deed::new("approval.decided", id).detail(status.clone());
        let deed = deed.by_outsider(member != Some(owner));
        audit::record(&transaction, owner, deed, now).await?;
        let event = (EventType::ApprovalDecided, data(id));
        webhooks::emit(&transaction, owner, event, now).await?;
        Entity::update_many()
            .col_expr(Column::Status, Expr::value(status.clone()))
            .col_expr(Column::DecisionNote, Expr::value(Some(note.clone())))
            .col_expr(Column::DecidedBy, Expr::value(Some(reviewer.uuid())))
            .col_expr(Column::DecidedAt, Expr::value(Some(now.milliseconds())))
            .filter(Column::Id.eq(row.id))
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        let decided = Model {
            status,
            decision_note: Some(note),
            decided_by: Some(reviewer.uuid()),
            decided_at: Some(now.milliseconds()),
            ..row
        };
        decided.try_into().map(Some)
    }

    /// Whether a second person consented to the release of these weights.
    pub async fn is_approved(
        &self,
        owner: OrganisationId,
        job: JobId,
        unet_sha256: &str,
    ) -> Result<bool, Error> {
        let approved = to_name("approval status", &ApprovalStatus::Approved)?;
        let count = Entity::find()
            .filter(Column::OwnerId.eq(owner.uuid()))
            .filter(Column::JobId.eq(job.uuid()))
            .filter(Column::UnetSha256.eq(unet_sha256))
            .filter(Column::Status.eq(approved))
            .count(&self.reader)
            .await?;
        Ok(count > 0)
    }
}
