//! Who acts in this request, and from where: known at the edge, written by every change.
//!
//! A task-local value and no argument: forty writers would hand it on, and one that forgets it would be a hole in
//! the audit log. What runs in no request is the server's own doing.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use shared::audit::AuditActor;

tokio::task_local! {
    static ORIGIN: Arc<Origin>;
}

#[derive(Debug)]
struct Origin {
    address: Option<IpAddr>,
    actor: OnceLock<AuditActor>,
}

/// Runs a request that came from an address; until [`identify`] it is a visitor's.
pub async fn attributed<F: Future>(address: Option<IpAddr>, request: F) -> F::Output {
    let origin = Arc::new(Origin {
        address,
        actor: OnceLock::new(),
    });
    ORIGIN.scope(origin, request).await
}

/// Says whose request this is; the first to say so is believed, and outside of requests nothing happens.
pub fn identify(actor: AuditActor) {
    let _ = ORIGIN.try_with(|origin| origin.actor.set(actor));
}

/// Who acts now, and from where.
pub(crate) fn present() -> (AuditActor, Option<String>) {
    let known = |origin: &Arc<Origin>| {
        let actor = origin.actor.get().copied();
        let address = origin.address.map(|address| address.to_string());
        (actor.unwrap_or(AuditActor::Visitor), address)
    };
    ORIGIN.try_with(known).unwrap_or((AuditActor::Server, None))
}
