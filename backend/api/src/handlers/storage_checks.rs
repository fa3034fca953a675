//! A look at the artifact store, for whoever runs the server.

use axum::{
    Json as Body,
    extract::{Path, State},
    http::StatusCode,
};
use shared::storage_check::StorageCheck;

use crate::{
    app::{App, storage_checks},
    error::Error,
};

/// Tries everything that the product does with its artifact store, and gives the browser what it needs to try its own way.
#[utoipa::path(post, path = "/v1/admin/storage-checks", tag = "server",
    responses((status = 200, body = StorageCheck)))]
pub(crate) async fn check_storage(State(app): State<App>) -> Result<Body<StorageCheck>, Error> {
    storage_checks::run(&app).await.map(Body)
}

/// Removes what a check left for the browser; what is in use stays.
#[utoipa::path(delete, path = "/v1/admin/storage-probes/{sha256}", tag = "server",
    params(("sha256" = String, Path)), responses((status = 204)))]
pub(crate) async fn remove_storage_probe(
    State(app): State<App>,
    Path(sha256): Path<String>,
) -> Result<StatusCode, Error> {
    storage_checks::remove(&app, &sha256).await?;
    Ok(StatusCode::NO_CONTENT)
}
