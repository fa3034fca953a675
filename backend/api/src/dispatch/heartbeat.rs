//! Heartbeats: the lease goes on, progress comes up, commands go down.

use shared::{
    JobId, NodeId,
    node::{Heartbeat, HeartbeatAnswer, NodeCommand},
    progress::Progress,
};
use store::Renewal;

use super::claim::lease_until;
use crate::{app::App, error::Error};

/// Most reports of one heartbeat.
const MAX_REPORTS: usize = 1000;
/// Longest line that is kept, in characters.
const MAX_LINE: usize = 2000;

/// Takes in a heartbeat; a stale token is told so and changes nothing.
pub async fn take(
    app: &App,
    node: Option<NodeId>,
    job: JobId,
    request: Heartbeat,
) -> Result<HeartbeatAnswer, Error> {
    if request.progress.len() > MAX_REPORTS {
        let detail = format!("Send at most {MAX_REPORTS} reports at once.");
        return Err(Error::field("#/progress", "too_many", detail));
    }
    let progress: Vec<Progress> = request.progress.into_iter().map(bounded).collect();
    let heartbeat = store::Heartbeat {
        node,
        now: app.now(),
        lease_until: lease_until(app),
        running: request.running,
        progress: &progress,
    };
    let renewal = app.store().heartbeat(job, request.token, heartbeat).await?;
    app.hub().job_moved(job);
    Ok(HeartbeatAnswer {
        command: match renewal {
            Renewal::Renewed {
                canceling: true, ..
            } => NodeCommand::Cancel,
            Renewal::Renewed { draining: true, .. } => NodeCommand::Release,
            Renewal::Renewed { .. } => NodeCommand::Continue,
            Renewal::Fenced => NodeCommand::Fenced,
        },
        lease_seconds: u64::from(app.config().lease_seconds),
    })
}

/// A trainer that writes without end fills no database.
fn bounded(progress: Progress) -> Progress {
    let cut = |text: String| match text.char_indices().nth(MAX_LINE) {
        Some((end, _)) => text[..end].to_owned(),
        None => text,
    };
    match progress {
        Progress::Log { line } => Progress::Log { line: cut(line) },
        Progress::Step(mut step) => {
            step.phase = cut(step.phase);
            Progress::Step(step)
        }
        numbers @ (Progress::Losses(_) | Progress::Bands(_)) => numbers,
    }
}
