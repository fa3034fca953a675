//! Whether this process can do its work, and how well.

use super::App;
use crate::error::Error;

/// How ready a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Everything answers.
    Ready,
    /// Everything but the broker: what happens on other servers is seen a second later.
    WithoutBroker,
}

/// Asks the database.
pub async fn check(app: &App) -> Result<Readiness, Error> {
    app.store().ping().await?;
    let missing = app.config().broker.url.is_some() && !app.link().is_connected();
    Ok(if missing {
        Readiness::WithoutBroker
    } else {
        Readiness::Ready
    })
}
