//! Consent of a second person: asked for by the owner, given by somebody else.

use shared::{
    ApprovalId, OrganisationId, UserId,
    page::Page,
    release::{Approval, ApprovalStatus, CreateApproval, DecideApproval},
    role::Need,
};
use store::{ApprovalRecord, NewApproval};

use super::{App, paging::Paging, principal::Principal, releases::Candidate, sessions};
use crate::error::Error;

/// Longest note, in characters.
const MAX_NOTE: usize = 2000;

fn view(record: ApprovalRecord) -> Approval {
    Approval {
        id: record.id,
        job_id: record.job_id,
        unet_sha256: record.unet_sha256,
        reasons: record.reasons,
        reviewer_email: record.reviewer_email,
        note: record.note,
        status: record.status,
        decision_note: record.decision_note,
        created_at: record.created_at,
        decided_at: record.decided_at,
    }
}

fn check_note(note: &str, least: usize) -> Result<(), Error> {
    if (least..=MAX_NOTE).contains(&note.trim().chars().count()) {
        return Ok(());
    }
    let detail = format!("Use {least} to {MAX_NOTE} characters.");
    Err(Error::field("#/note", "invalid_length", detail))
}

/// Asks a reviewer, who need not exist yet: whoever has an account with that address, and has confirmed it, may
/// decide.
pub async fn create(
    app: &App,
    (owner, person): (OrganisationId, UserId),
    request: CreateApproval,
) -> Result<Approval, Error> {
    check_note(&request.note, 0)?;
    let email = request.reviewer_email.trim().to_lowercase();
    if !email.contains('@') || email.len() > 254 {
        let detail = "Give the e-mail address of the reviewer's account.";
        return Err(Error::field("#/reviewer_email", "invalid_email", detail));
    }
    let own = sessions::find_account(app, person).await?;
    if own.email == email {
        let detail = "Another person must consent.";
        return Err(Error::field("#/reviewer_email", "same_person", detail));
    }
    let candidate = Candidate::load(app, owner, request.job_id).await?;
    let reasons = candidate.reasons();
    let weights = candidate
        .weights
        .ok_or_else(|| Error::Conflict("The job has no protected weights yet.".into()))?;
    let new = NewApproval {
        job_id: request.job_id,
        unet_sha256: weights.sha256,
        reasons,
        reviewer_email: email,
        note: request.note.trim().to_owned(),
    };
    let made = app.store().create_approval(owner, person, new, app.now());
    Ok(view(made.await?))
}

/// What the caller asked for and is asked, newest first.
pub async fn list(
    app: &App,
    (owner, person): (OrganisationId, UserId),
    paging: &Paging,
) -> Result<Page<Approval>, Error> {
    let email = sessions::proven_email(app, person).await?;
    let found = app
        .store()
        .list_approvals(owner, email.as_deref(), paging.after()?, paging.rows())
        .await?;
    let found = found.into_iter().map(view).collect();
    Ok(paging.page(found, |approval| approval.id))
}

/// A request that the caller made or is asked.
pub async fn find(
    app: &App,
    (owner, person): (OrganisationId, UserId),
    id: ApprovalId,
) -> Result<Approval, Error> {
    let email = sessions::proven_email(app, person).await?;
    let found = app
        .store()
        .find_approval(owner, email.as_deref(), id)
        .await?;
    found.map(view).ok_or(Error::NotFound)
}

/// Decides a request that the caller is asked by name, or as a reviewer of its organisation; nobody decides their own.
pub async fn decide(
    app: &App,
    caller: &Principal,
    id: ApprovalId,
    decision: DecideApproval,
) -> Result<Approval, Error> {
    check_note(&decision.note, if decision.approve { 0 } else { 5 })?;
    let reviewer = caller.user;
    let seen = find(app, (caller.organisation, reviewer), id).await?;
    let email = sessions::proven_email(app, reviewer).await?;
    let member = caller.role.may(Need::Review).then_some(caller.organisation);
    if seen.status != ApprovalStatus::Pending {
        return Err(Error::Conflict("This request was decided already.".into()));
    }
    let status = if decision.approve {
        ApprovalStatus::Approved
    } else {
        ApprovalStatus::Rejected
    };
    let note = decision.note.trim().to_owned();
    let decided = app
        .store()
        .decide_approval(
            (reviewer, email.as_deref(), member),
            id,
            (status, note),
            app.now(),
        )
        .await?;
    decided.map(view).ok_or_else(|| {
        Error::Forbidden("Another person must decide: the one who was asked, or a reviewer.".into())
    })
}
