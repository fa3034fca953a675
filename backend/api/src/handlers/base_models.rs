//! Base models that can be protected.

use axum::{Json as Body, extract::State, http::StatusCode};
use shared::{ModelId, base_model::BaseModel, page::Page};

use crate::{
    app::{App, base_models, paging::Paging},
    error::Error,
    extract::{Id, Listing, Tenant},
};

/// Models that the caller may have protected: everybody's and their own.
#[utoipa::path(get, path = "/v1/base-models", tag = "models", params(Paging),
    responses((status = 200, body = Page<BaseModel>)))]
pub(crate) async fn list_base_models(
    State(app): State<App>,
    Tenant(owner): Tenant,
    paging: Paging,
) -> Result<Listing<BaseModel>, Error> {
    base_models::list(&app, owner, &paging).await.map(Listing)
}

/// One model.
#[utoipa::path(get, path = "/v1/base-models/{id}", tag = "models",
    params(("id" = ModelId, Path)), responses((status = 200, body = BaseModel)))]
pub(crate) async fn find_base_model(
    State(app): State<App>,
    Tenant(owner): Tenant,
    Id(id): Id<ModelId>,
) -> Result<Body<BaseModel>, Error> {
    base_models::find(&app, owner, id).await.map(Body)
}

/// Deletes a model that the caller imported and that no job names.
#[utoipa::path(delete, path = "/v1/base-models/{id}", tag = "models",
    params(("id" = ModelId, Path)), responses((status = 204)))]
pub(crate) async fn delete_base_model(
    State(app): State<App>,
    Tenant(owner): Tenant,
    Id(id): Id<ModelId>,
) -> Result<StatusCode, Error> {
    base_models::delete(&app, owner, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
