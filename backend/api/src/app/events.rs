//! A job's events: replayed from the database, then followed live, ending with the job.

use std::collections::VecDeque;

use futures::{Stream, stream};
use shared::{
    JobId, OrganisationId,
    page::Page,
    progress::{JobEvent, JobEventBody},
};

use super::App;
use crate::{dispatch::hub::Listener, error::Error};

/// Events read at once: bounds what one stream holds.
const BATCH: u32 = 500;

/// One page of events after a sequence.
pub async fn page(
    app: &App,
    owner: OrganisationId,
    job: JobId,
    after: i64,
    limit: u32,
) -> Result<Page<JobEvent>, Error> {
    let mut data = app
        .store()
        .list_events(owner, job, after, u64::from(limit) + 1)
        .await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = data.len() > limit;
    data.truncate(limit);
    let last = data.last().filter(|_| has_more);
    Ok(Page {
        next_cursor: last.map(|event| event.sequence.to_string()),
        has_more,
        data,
    })
}

struct Follower {
    app: App,
    owner: OrganisationId,
    job: JobId,
    after: i64,
    ready: VecDeque<JobEvent>,
    listener: Listener,
    ended: bool,
}

/// Every event after a sequence, as it happens; ends after a final status, or with the server.
pub fn follow(
    app: App,
    owner: OrganisationId,
    job: JobId,
    after: i64,
) -> impl Stream<Item = JobEvent> + Send {
    let listener = app.hub().listen(job);
    let follower = Follower {
        app,
        owner,
        job,
        after,
        ready: VecDeque::new(),
        listener,
        ended: false,
    };
    stream::unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        Some((event, follower))
    })
}

impl Follower {
    async fn next(&mut self) -> Option<JobEvent> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.after = event.sequence;
                self.ended |= is_final(&event);
                return Some(event);
            }
            if self.ended || !self.read().await {
                return None;
            }
            if self.ready.is_empty() && !self.wait().await {
                return None;
            }
        }
    }

    /// Reads what is new; false where nothing can follow.
    async fn read(&mut self) -> bool {
        let page = page(&self.app, self.owner, self.job, self.after, BATCH).await;
        match page {
            Ok(page) => self.ready.extend(page.data),
            Err(error) => {
                // The client comes back with its last id.
                tracing::warn!(%error, cause = error.cause(), "an event stream broke off");
                return false;
            }
        }
        // Whoever resumes after the final event would wait for ever.
        !self.ready.is_empty() || !self.is_over().await
    }

    async fn is_over(&self) -> bool {
        let job = self.app.store().find_job(self.owner, self.job).await;
        job.ok()
            .flatten()
            .is_none_or(|job| job.status.is_final() && job.last_sequence <= self.after)
    }

    async fn wait(&mut self) -> bool {
        tokio::select! {
            () = self.app.stop().cancelled() => false,
            alive = self.listener.moved() => alive,
        }
    }
}

fn is_final(event: &JobEvent) -> bool {
    matches!(event.event, JobEventBody::Status { status, .. } if status.is_final())
}
