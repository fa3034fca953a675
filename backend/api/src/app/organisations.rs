//! Organisations: members, roles, invitations, ownership.

use shared::{
    InvitationId, OrganisationId, UserId,
    language::Language,
    organisation::{
        AcceptInvitation, CreateInvitation, CreateOrganisation, Invitation, Member, Organisation,
        UpdateMember, UpdateOrganisation,
    },
    page::Page,
    role::{Need, Role},
};
use store::{InvitationRecord, MemberRecord, NewInvitation, OrganisationRecord};

use super::{
    App,
    letters::{self, words},
    paging::Paging,
    principal::Principal,
};
use crate::{error::Error, etag::IfMatch, secret};

const INVITATION_HOURS: i64 = 7 * 24;

fn view(organisation: OrganisationRecord, role: Role) -> Organisation {
    Organisation {
        id: organisation.id,
        name: organisation.name,
        personal: organisation.personal,
        role,
        created_at: organisation.created_at,
    }
}

fn member(record: MemberRecord) -> Member {
    Member {
        user_id: record.user_id,
        email: record.email,
        name: record.name,
        role: record.role,
        created_at: record.created_at,
    }
}

fn invitation(record: InvitationRecord) -> Invitation {
    Invitation {
        id: record.id,
        email: record.email,
        role: record.role,
        created_at: record.created_at,
        expires_at: record.expires_at,
    }
}

/// Founds an organisation that the caller owns.
pub async fn create(
    app: &App,
    founder: UserId,
    request: &CreateOrganisation,
) -> Result<Organisation, Error> {
    Error::unless_valid(request.validate())?;
    let founded = app
        .store()
        .create_organisation(founder, request.name.trim(), app.now())
        .await?;
    Ok(view(founded, Role::Owner))
}

/// The organisations that a person belongs to, newest first.
pub async fn list(app: &App, user: UserId, paging: &Paging) -> Result<Page<Organisation>, Error> {
    let found = app
        .store()
        .list_organisations(user, paging.after()?, paging.rows())
        .await?;
    let views = found.into_iter().map(|(found, role)| view(found, role));
    Ok(paging.page(views.collect(), |organisation| organisation.id))
}

/// The organisation that the caller works in.
pub async fn find(app: &App, caller: &Principal) -> Result<Organisation, Error> {
    let found = app.store().find_organisation(caller.organisation).await?;
    found
        .map(|found| view(found, caller.role))
        .ok_or(Error::NotFound)
}

/// Changes the organisation, if it still is what the caller read.
pub async fn update(
    app: &App,
    caller: &Principal,
    condition: &IfMatch,
    request: &UpdateOrganisation,
) -> Result<Organisation, Error> {
    Error::unless_valid(request.validate())?;
    let seen = find(app, caller).await?;
    condition.check(&seen)?;
    if let Some(name) = &request.name {
        let seen = condition.names_one().then_some(seen.name.as_str());
        app.store()
            .rename_organisation(caller.organisation, seen, name.trim())
            .await?;
    }
    find(app, caller).await
}

/// Deletes an organisation that holds nothing any more, if it still is what the caller read.
pub async fn delete(app: &App, caller: &Principal, condition: &IfMatch) -> Result<(), Error> {
    let seen = find(app, caller).await?;
    condition.check(&seen)?;
    let seen = condition.names_one().then_some(seen.name.as_str());
    app.store()
        .delete_organisation(caller.organisation, seen)
        .await?;
    tracing::info!(organisation.id = %caller.organisation, user.id = %caller.user, "an organisation was deleted");
    Ok(())
}

/// The members, newest account first.
pub async fn members(
    app: &App,
    organisation: OrganisationId,
    paging: &Paging,
) -> Result<Page<Member>, Error> {
    let found = app
        .store()
        .list_members(organisation, paging.after()?, paging.rows())
        .await?;
    let members = found.into_iter().map(member).collect();
    Ok(paging.page(members, |member| member.user_id))
}

/// Gives a member another role.
pub async fn change_role(
    app: &App,
    organisation: OrganisationId,
    user: UserId,
    request: UpdateMember,
) -> Result<Member, Error> {
    let role = request.role.into();
    if !app
        .store()
        .change_role(organisation, user, role, app.now())
        .await?
    {
        return Err(Error::NotFound);
    }
    let changed = app.store().find_member(organisation, user).await?;
    changed.map(member).ok_or(Error::NotFound)
}

/// Leaves, or removes somebody else, which takes an administrator.
pub async fn remove(app: &App, caller: &Principal, user: UserId) -> Result<(), Error> {
    if user != caller.user {
        caller.require(Need::Administer)?;
    }
    let removed = app
        .store()
        .remove_member(caller.organisation, user, app.now())
        .await?;
    if removed {
        Ok(())
    } else {
        Err(Error::NotFound)
    }
}

/// Makes another member the owner.
pub async fn transfer(app: &App, caller: &Principal, to: UserId) -> Result<Organisation, Error> {
    let given = app
        .store()
        .transfer_ownership(caller.organisation, caller.user, to, app.now())
        .await?;
    if !given {
        return Err(Error::Conflict(
            "Only another member can become the owner.".into(),
        ));
    }
    tracing::info!(organisation.id = %caller.organisation, user.id = %to, "an organisation has a new owner");
    let found = app.store().find_organisation(caller.organisation).await?;
    found
        .map(|found| view(found, Role::Admin))
        .ok_or(Error::NotFound)
}

/// Invites somebody by a letter; a second invitation to the same address replaces the first.
pub async fn invite(
    app: &App,
    language: Language,
    caller: &Principal,
    request: CreateInvitation,
) -> Result<Invitation, Error> {
    Error::unless_valid(request.validate())?;
    let organisation = find(app, caller).await?;
    if organisation.personal {
        return Err(Error::Conflict(
            "This organisation is one person's own. Found another one to work together.".into(),
        ));
    }
    let letters_of = caller.organisation.to_string();
    app.limits().invitations.take(&letters_of, app.now())?;
    let token = secret::random_text();
    let role = request.role.into();
    let new = NewInvitation {
        token_hash: secret::digest(&token),
        invited_by: caller.user,
        expires_at: letters::hours_from_now(app, INVITATION_HOURS),
        email: request.email,
        role,
    };
    let link = letters::link(app, "accept-invitation", &token);
    let letter = words::invitation(language, &organisation.name, role, &link);
    let letter = letters::addressed(new.email.trim().to_owned(), letter);
    let invited = app
        .store()
        .create_invitation(caller.organisation, new, letter, app.now())
        .await?;
    app.mail().wake();
    Ok(invitation(invited))
}

/// The open invitations, newest first.
pub async fn invitations(
    app: &App,
    organisation: OrganisationId,
    paging: &Paging,
) -> Result<Page<Invitation>, Error> {
    let found = app
        .store()
        .list_invitations(organisation, paging.after()?, paging.rows())
        .await?;
    let views = found.into_iter().map(invitation).collect();
    Ok(paging.page(views, |invitation| invitation.id))
}

/// Takes an invitation back.
pub async fn withdraw(
    app: &App,
    organisation: OrganisationId,
    id: InvitationId,
) -> Result<(), Error> {
    if app
        .store()
        .delete_invitation(organisation, id, app.now())
        .await?
    {
        return Ok(());
    }
    Err(Error::NotFound)
}

/// Joins by the token of a letter that went to the caller's own address.
pub async fn accept(
    app: &App,
    user: UserId,
    request: &AcceptInvitation,
) -> Result<Organisation, Error> {
    let token = secret::digest(&request.token);
    let joined = app
        .store()
        .accept_invitation(&token, user, app.now())
        .await?
        .ok_or_else(|| {
            Error::Gone(
                "This invitation was used, taken back, has expired, or went to another address."
                    .into(),
            )
        })?;
    let role = app.store().find_role(user, joined).await?;
    let found = app.store().find_organisation(joined).await?;
    match (found, role) {
        (Some(found), Some(role)) => Ok(view(found, role)),
        _ => Err(Error::NotFound),
    }
}
