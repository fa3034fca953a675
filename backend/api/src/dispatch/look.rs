//! Looking by itself: what another server of this database did and no broker told.

use std::time::Duration;

use super::hub::Signal;
use crate::{app::App, error::Error};

const INTERVAL: Duration = Duration::from_secs(1);
/// A broker delivers at most once: even beside one somebody looks, every so many rounds.
const BESIDE_A_BROKER: u32 = 5;

/// Looks until the server stops. One look a server, whatever the number of nodes and streams that wait.
pub(crate) async fn run(app: App) {
    let mut rounds = tokio::time::interval(INTERVAL);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut round, mut mark) = (0_u32, None);
    loop {
        tokio::select! {
            () = app.stop().cancelled() => return,
            _ = rounds.tick() => {}
        }
        round = round.wrapping_add(1);
        if app.link().is_settled() && !round.is_multiple_of(BESIDE_A_BROKER) {
            continue;
        }
        if let Err(error) = look(&app, &mut mark).await {
            tracing::warn!(%error, cause = error.cause(), "nobody could look for work");
        }
    }
}

/// Wakes nodes when what waits changed since the last look, and streams where another server may have written.
async fn look(app: &App, mark: &mut Option<(i64, i64)>) -> Result<(), Error> {
    if app.store().is_shared() {
        app.hub().hear(Signal::Events);
    }
    let now = app.store().queue_mark_any().await?;
    if now.is_some() && now != *mark {
        app.hub().hear(Signal::Work);
    }
    *mark = now;
    Ok(())
}
