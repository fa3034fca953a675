//! A job's events: replayed from the database, then followed live, ending with the job, or with the caller's access.

use std::{collections::VecDeque, time::Duration};

use futures::{Stream, stream};
use shared::{
    JobId, OrganisationId, Timestamp,
    page::Page,
    progress::{JobEvent, JobEventBody},
};

use super::{
    App,
    principal::{Principal, still_holds},
    streams::Place,
};
use crate::{dispatch::hub::Listener, error::Error};

/// Events read at once: bounds what one stream holds.
const BATCH: u32 = 500;
/// How long a stream goes on without a look at whether its caller may still follow it.
const TRUSTED: Duration = Duration::from_mins(1);

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
    caller: Principal,
    /// When the caller showed who they are.
    since: Timestamp,
    /// When they were looked at last.
    looked: Timestamp,
    #[expect(dead_code, reason = "it is there to be dropped")]
    place: Place,
    job: JobId,
    after: i64,
    ready: VecDeque<JobEvent>,
    listener: Listener,
    ended: bool,
}

/// Every event of a job of the caller's organisation after a sequence, as it happens; ends after a final status, with the
/// server, or with the caller's access. [`Error::TooManyStreams`].
pub(crate) fn follow(
    app: App,
    caller: Principal,
    job: JobId,
    after: i64,
) -> Result<impl Stream<Item = JobEvent> + Send, Error> {
    let place = app.streams().enter(caller.room())?;
    let (listener, now) = (app.hub().listen(job), app.now());
    let follower = Follower {
        app,
        caller,
        since: now,
        looked: now,
        place,
        job,
        after,
        ready: VecDeque::new(),
        listener,
        ended: false,
    };
    Ok(stream::unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        Some((event, follower))
    }))
}

impl Follower {
    async fn next(&mut self) -> Option<JobEvent> {
        loop {
            if !self.may_go_on().await {
                return None;
            }
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

    /// Looks at the caller now and then; whoever lost their access is told by the next request.
    async fn may_go_on(&mut self) -> bool {
        let now = self.app.now();
        let age = now.milliseconds() - self.looked.milliseconds();
        if u128::try_from(age).unwrap_or_default() < TRUSTED.as_millis() {
            return true;
        }
        self.looked = now;
        match still_holds(&self.app, &self.caller, self.since).await {
            Ok(holds) => holds,
            Err(error) => {
                tracing::warn!(%error, cause = error.cause(), "an event stream broke off");
                false
            }
        }
    }

    /// Reads what is new; false where nothing can follow.
    async fn read(&mut self) -> bool {
        let owner = self.caller.organisation;
        let page = page(&self.app, owner, self.job, self.after, BATCH).await;
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
        let owner = self.caller.organisation;
        let job = self.app.store().find_job(owner, self.job).await;
        job.ok()
            .flatten()
            .is_none_or(|job| job.status.is_final() && job.last_sequence <= self.after)
    }

    async fn wait(&mut self) -> bool {
        tokio::select! {
            () = self.app.stop().cancelled() => false,
            () = tokio::time::sleep(TRUSTED) => true,
            alive = self.listener.moved() => alive,
        }
    }
}

fn is_final(event: &JobEvent) -> bool {
    matches!(event.event, JobEventBody::Status { status, .. } if status.is_final())
}
