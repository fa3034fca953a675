//! Where a request comes from, for the audit log: every change below knows it without being told.

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, Request},
    middleware::Next,
    response::Response,
};

/// Runs the request under its peer's address.
pub(crate) async fn attribute(request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let address = peer.map(|ConnectInfo(address)| address.ip());
    store::attributed(address, next.run(request)).await
}
