//! Where a request comes from: the door below and every change for the audit log know it without being told.

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, Request, State},
    middleware::Next,
    response::Response,
};

use super::client;
use crate::app::App;

/// Runs the request under its client's address; the door says later whose it is.
pub(crate) async fn attribute(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let address = client::address(&app, peer.map(|peer| peer.0), request.headers());
    request
        .extensions_mut()
        .insert(client::ClientAddress(address));
    store::attributed(Some(address), next.run(request)).await
}
