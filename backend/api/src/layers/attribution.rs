//! Where a request comes from, for the audit log: every change below knows it without being told.

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, Request, State},
    middleware::Next,
    response::Response,
};

use super::client;
use crate::app::App;

/// Runs the request under its client's address; the door says later whose it is.
pub(crate) async fn attribute(State(app): State<App>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let address = client::address(&app, peer.map(|peer| peer.0), request.headers());
    store::attributed(Some(address), next.run(request)).await
}
