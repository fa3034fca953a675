//! Silent nodes lose their jobs; what expired with time is swept.

use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::MAX_ATTEMPTS;
use crate::{
    app::{App, blobs, data_subjects, model_imports, parts, webhooks},
    error::Error,
};

const LEASE_INTERVAL: Duration = Duration::from_secs(1);
const SWEEP_INTERVAL: Duration = Duration::from_mins(15);

/// Looks for lost leases every second and sweeps now and then, until the server stops.
pub(crate) async fn run(app: App) {
    tokio::select! {
        () = app.stop().cancelled() => {}
        () = leases(&app) => {}
        () = sweeps(&app) => {}
    }
}

fn complain(result: Result<(), Error>) {
    if let Err(error) = result {
        tracing::error!(%error, cause = error.cause(), "the dispatcher could not do its round");
    }
}

async fn leases(app: &App) {
    let mut rounds = tokio::time::interval(LEASE_INTERVAL);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        complain(expire(app).await);
    }
}

/// Beside the leases: looking through a large bucket takes minutes.
async fn sweeps(app: &App) {
    let mut rounds = tokio::time::interval(SWEEP_INTERVAL);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        complain(model_imports::resume_all(app).await);
        complain(sweep(app).await);
    }
}

async fn expire(app: &App) -> Result<(), Error> {
    let expired = app.store().expire_leases(app.now(), MAX_ATTEMPTS).await?;
    for job in &expired {
        tracing::warn!(job.id = %job.id, status = job.status.as_str(), "a node went silent");
        parts::give_up(app, (job.id, job.token));
        app.hub().job_moved(job.id);
    }
    if !expired.is_empty() {
        app.hub().work_arrived();
    }
    Ok(())
}

/// Removes what expired and what nobody needs any more.
pub async fn sweep(app: &App) -> Result<(), Error> {
    app.tokens()
        .rotate_if_due(app.now())
        .map_err(Error::internal)?;
    app.store().delete_expired(app.now()).await?;
    model_imports::sweep(app).await?;
    webhooks::sweep(app).await?;
    data_subjects::sweep(app).await?;
    blobs::collect(app).await
}
