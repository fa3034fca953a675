//! Organisations: who belongs to them, in which role, and how one gets in.

use axum::{Json as Body, extract::State, http::StatusCode, response::IntoResponse};
use shared::{
    InvitationId, OrganisationId, UserId,
    organisation::{
        AcceptInvitation, CreateInvitation, CreateOrganisation, Invitation, Member, Organisation,
        TransferOwnership, UpdateMember, UpdateOrganisation,
    },
    page::Page,
};

use super::location;
use crate::{
    app::{App, organisations, paging::Paging, principal::Principal},
    error::Error,
    etag::IfMatch,
    extract::{CurrentUser, Ids, Json, Listing, MergePatch, Spoken, Tenant, VersionHeader},
};

/// Founds an organisation that the caller owns.
#[utoipa::path(post, path = "/v1/organisations", tag = "organisations",
    request_body = CreateOrganisation, responses((status = 201, body = Organisation)))]
pub(crate) async fn create_organisation(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    Json(request): Json<CreateOrganisation>,
) -> Result<impl IntoResponse, Error> {
    let founded = organisations::create(&app, user, &request).await?;
    let place = location(format!("/v1/organisations/{}", founded.id));
    Ok((StatusCode::CREATED, place, Body(founded)))
}

/// The organisations that the caller belongs to, newest first.
#[utoipa::path(get, path = "/v1/organisations", tag = "organisations", params(Paging),
    responses((status = 200, body = Page<Organisation>)))]
pub(crate) async fn list_organisations(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    paging: Paging,
) -> Result<Listing<Organisation>, Error> {
    organisations::list(&app, user, &paging).await.map(Listing)
}

/// One organisation.
#[utoipa::path(get, path = "/v1/organisations/{id}", tag = "organisations",
    params(("id" = OrganisationId, Path)), responses((status = 200, body = Organisation)))]
pub(crate) async fn find_organisation(
    State(app): State<App>,
    caller: Principal,
) -> Result<Body<Organisation>, Error> {
    organisations::find(&app, &caller).await.map(Body)
}

/// Changes an organisation.
#[utoipa::path(patch, path = "/v1/organisations/{id}", tag = "organisations",
    params(("id" = OrganisationId, Path), VersionHeader),
    request_body(content = UpdateOrganisation, content_type = "application/merge-patch+json"),
    responses((status = 200, body = Organisation)))]
pub(crate) async fn update_organisation(
    State(app): State<App>,
    caller: Principal,
    condition: IfMatch,
    MergePatch(request): MergePatch<UpdateOrganisation>,
) -> Result<Body<Organisation>, Error> {
    organisations::update(&app, &caller, &condition, &request)
        .await
        .map(Body)
}

/// Deletes an organisation that holds no set any more.
#[utoipa::path(delete, path = "/v1/organisations/{id}", tag = "organisations",
    params(("id" = OrganisationId, Path), VersionHeader),
    responses((status = 204)))]
pub(crate) async fn delete_organisation(
    State(app): State<App>,
    caller: Principal,
    condition: IfMatch,
) -> Result<StatusCode, Error> {
    organisations::delete(&app, &caller, &condition).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The members of an organisation.
#[utoipa::path(get, path = "/v1/organisations/{id}/members", tag = "organisations",
    params(("id" = OrganisationId, Path), Paging), responses((status = 200, body = Page<Member>)))]
pub(crate) async fn list_members(
    State(app): State<App>,
    Tenant(organisation): Tenant,
    paging: Paging,
) -> Result<Listing<Member>, Error> {
    organisations::members(&app, organisation, &paging)
        .await
        .map(Listing)
}

/// Gives a member another role.
#[utoipa::path(patch, path = "/v1/organisations/{id}/members/{user}", tag = "organisations",
    params(("id" = OrganisationId, Path), ("user" = UserId, Path)),
    request_body(content = UpdateMember, content_type = "application/merge-patch+json"),
    responses((status = 200, body = Member)))]
pub(crate) async fn update_member(
    State(app): State<App>,
    Tenant(organisation): Tenant,
    ids: Ids<OrganisationId, UserId>,
    MergePatch(request): MergePatch<UpdateMember>,
) -> Result<Body<Member>, Error> {
    organisations::change_role(&app, organisation, ids.1, request)
        .await
        .map(Body)
}

/// Leaves an organisation, or removes somebody else from it.
#[utoipa::path(delete, path = "/v1/organisations/{id}/members/{user}", tag = "organisations",
    params(("id" = OrganisationId, Path), ("user" = UserId, Path)), responses((status = 204)))]
pub(crate) async fn delete_member(
    State(app): State<App>,
    caller: Principal,
    ids: Ids<OrganisationId, UserId>,
) -> Result<StatusCode, Error> {
    organisations::remove(&app, &caller, ids.1).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes another member the owner; the owner until now becomes an administrator.
#[utoipa::path(post, path = "/v1/organisations/{id}/transfer", tag = "organisations",
    params(("id" = OrganisationId, Path)), request_body = TransferOwnership,
    responses((status = 200, body = Organisation)))]
pub(crate) async fn transfer_organisation(
    State(app): State<App>,
    caller: Principal,
    Json(request): Json<TransferOwnership>,
) -> Result<Body<Organisation>, Error> {
    organisations::transfer(&app, &caller, request.user_id)
        .await
        .map(Body)
}

/// Invites somebody by e-mail; a second invitation to the same address replaces the first.
#[utoipa::path(post, path = "/v1/organisations/{id}/invitations", tag = "organisations",
    params(("id" = OrganisationId, Path)), request_body = CreateInvitation,
    responses((status = 201, body = Invitation)))]
pub(crate) async fn create_invitation(
    State(app): State<App>,
    Spoken(language): Spoken,
    caller: Principal,
    Json(request): Json<CreateInvitation>,
) -> Result<impl IntoResponse, Error> {
    let invited = organisations::invite(&app, language, &caller, request).await?;
    let organisation = caller.organisation;
    let place = location(format!("/v1/organisations/{organisation}/invitations"));
    Ok((StatusCode::CREATED, place, Body(invited)))
}

/// The invitations that wait for their answers, newest first.
#[utoipa::path(get, path = "/v1/organisations/{id}/invitations", tag = "organisations",
    params(("id" = OrganisationId, Path), Paging),
    responses((status = 200, body = Page<Invitation>)))]
pub(crate) async fn list_invitations(
    State(app): State<App>,
    Tenant(organisation): Tenant,
    paging: Paging,
) -> Result<Listing<Invitation>, Error> {
    organisations::invitations(&app, organisation, &paging)
        .await
        .map(Listing)
}

/// Takes an invitation back.
#[utoipa::path(delete, path = "/v1/organisations/{id}/invitations/{invitation}",
    tag = "organisations",
    params(("id" = OrganisationId, Path), ("invitation" = InvitationId, Path)),
    responses((status = 204)))]
pub(crate) async fn delete_invitation(
    State(app): State<App>,
    Tenant(organisation): Tenant,
    ids: Ids<OrganisationId, InvitationId>,
) -> Result<StatusCode, Error> {
    organisations::withdraw(&app, organisation, ids.1).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Joins an organisation by the token of an invitation that went to the caller's own address.
#[utoipa::path(post, path = "/v1/invitations/accept", tag = "organisations",
    request_body = AcceptInvitation, responses((status = 200, body = Organisation)))]
pub(crate) async fn accept_invitation(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    Json(request): Json<AcceptInvitation>,
) -> Result<Body<Organisation>, Error> {
    organisations::accept(&app, user, &request).await.map(Body)
}
