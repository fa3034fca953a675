//! Cancel, as far as the ledger can grant it at once.

use shared::{JobId, OrganisationId, Timestamp, job::JobStatus};

use super::{
    JobRecord,
    ledger::{lock, save, status, transition},
    studies::settle,
};
use crate::{
    Error, Store,
    audit::{self, Deed},
};

pub(super) const CANCELED: &str = "Canceled on request.";
const CANCELING: &str = "Cancel was asked for; the node has not confirmed yet.";

impl Store {
    /// Cancels a waiting job, or asks the node of a working one to stop; the job as it stands then.
    ///
    /// A job that is canceling or has ended is answered as it is. `None` where this owner has none.
    pub async fn request_cancel(
        &self,
        owner: OrganisationId,
        id: JobId,
        now: Timestamp,
    ) -> Result<Option<JobRecord>, Error> {
        let transaction = self.begin().await?;
        let row = lock(&transaction, id).await?;
        let Some(mut row) = row.filter(|row| row.owner_id == owner.uuid()) else {
            transaction.rollback().await?;
            return Ok(None);
        };
        let next = match status(&row)? {
            JobStatus::Queued => Some((JobStatus::Canceled, CANCELED)),
            JobStatus::Starting | JobStatus::Running => Some((JobStatus::Canceling, CANCELING)),
            _ => None,
        };
        if let Some((next, reason)) = next {
            transition(&transaction, &mut row, next, reason, now).await?;
            save(&transaction, &row).await?;
            settle(&transaction, &row, now).await?;
            let deed = Deed::new("job.cancel_requested", id);
            audit::record(&transaction, owner, deed, now).await?;
        }
        transaction.commit().await?; // gives the connection back before `link` takes another
        self.link(row.try_into()?).await.map(Some)
    }
}
