//! Whether this process can do its work.

use super::App;
use crate::error::Error;

/// Asks the database.
pub async fn check(app: &App) -> Result<(), Error> {
    Ok(app.store().ping().await?)
}
