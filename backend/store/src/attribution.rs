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

/// The same request, for work of it that goes on elsewhere; outside of requests nothing happens.
pub fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let origin = ORIGIN.try_with(Arc::clone).ok();
    async move {
        match origin {
            Some(origin) => ORIGIN.scope(origin, work).await,
            None => work.await,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_goes_on_elsewhere_stays_its_requests() {
        let address = IpAddr::from([192, 0, 2, 1]);
        let request = async {
            identify(AuditActor::Node);
            let here = tokio::spawn(carried(async { present() }));
            (here.await, tokio::spawn(async { present() }).await)
        };
        let (carried_on, left) = attributed(Some(address), request).await;
        let address = Some(address.to_string());
        assert_eq!(carried_on.unwrap(), (AuditActor::Node, address));
        assert_eq!(left.unwrap(), (AuditActor::Server, None));
    }
}
