//! The job ledger: who waits, who works under which token, what came of it.
//!
//! Every change of state goes through [`ledger::transition`], which knows no other steps than
//! `shared::job::JobStatus::can_become`, on a row that is locked until the transaction ends.

mod attempts;
mod cancel;
mod claim;
mod enqueue;
mod expire;
mod finish;
mod heartbeat;
mod ledger;
mod queries;
mod record;
mod studies;

pub(crate) use ledger::ACTIVE;

pub use claim::{Claimant, ClaimedJob};
pub use enqueue::NewJob;
pub use finish::{FinishJob, Finished};
pub use heartbeat::{Heartbeat, Renewal};
pub use queries::ProbesOf;
pub use record::{JobRecord, ResumePoint};
