//! Base models that can be protected.

use axum::{Json as Body, extract::State};
use shared::{ModelId, base_model::BaseModel, page::Page};

use crate::{
    app::{App, base_models, paging::Paging},
    error::Error,
    extract::{CurrentUser, Id},
};

/// Models that this server may protect.
#[utoipa::path(get, path = "/v1/base-models", tag = "models", params(Paging),
    responses((status = 200, body = Page<BaseModel>)))]
pub(crate) async fn list_base_models(
    State(app): State<App>,
    _: CurrentUser,
    paging: Paging,
) -> Result<Body<Page<BaseModel>>, Error> {
    base_models::list(&app, &paging).await.map(Body)
}

/// One model.
#[utoipa::path(get, path = "/v1/base-models/{id}", tag = "models",
    params(("id" = ModelId, Path)), responses((status = 200, body = BaseModel)))]
pub(crate) async fn find_base_model(
    State(app): State<App>,
    _: CurrentUser,
    Id(id): Id<ModelId>,
) -> Result<Body<BaseModel>, Error> {
    base_models::find(&app, id).await.map(Body)
}
