//! What happens to a job, as it happens: replayed, followed, and resumed where the line broke.

use std::collections::VecDeque;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream, stream::BoxStream};
use reqwest::header::HeaderValue;
use shared::{
    JobId,
    progress::{JobEvent, JobEventBody},
};
use tokio::time::{Duration, Instant};

use crate::{
    Client, Error, Result,
    error::chain,
    retry::chance,
    sse::{Frame, Parser},
    transport::Call,
};

/// A line that held for so long did not break for want of a server.
const LONG: Duration = Duration::from_mins(1);

struct Follower {
    client: Client,
    job: JobId,
    /// The last event that was given, or skipped.
    after: i64,
    source: Option<BoxStream<'static, reqwest::Result<Bytes>>>,
    parser: Parser,
    ready: VecDeque<JobEvent>,
    /// Lines that broke since the last event, or since one that held for long: a server ends them now and then.
    broken: u32,
    opened: Instant,
    /// Whether this line brought anything.
    moved: bool,
    ended: bool,
}

impl Follower {
    async fn next(&mut self) -> Result<Option<JobEvent>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.ended |= is_final(&event);
                return Ok(Some(event));
            }
            if self.ended {
                return Ok(None);
            }
            let Some(source) = &mut self.source else {
                self.open().await?;
                continue;
            };
            match source.next().await {
                Some(Ok(piece)) => self.take(&piece),
                Some(Err(error)) => self.pause(chain(&error.without_url())).await?,
                None => self.close().await?,
            }
        }
    }

    async fn open(&mut self) -> Result<()> {
        let path = format!("/v1/jobs/{}/events", self.job);
        let call = Call::get(path)
            .accept("text/event-stream")
            .header("last-event-id", HeaderValue::from(self.after));
        self.source = Some(self.client.open(&call).await?.bytes_stream().boxed());
        self.parser = Parser::default();
        self.moved = false;
        self.opened = Instant::now();
        Ok(())
    }

    fn take(&mut self, piece: &[u8]) {
        for frame in self.parser.push(piece) {
            self.add(&frame);
        }
    }

    fn add(&mut self, frame: &Frame) {
        let id = frame.id.as_deref().and_then(|id| id.parse().ok());
        let event: Option<JobEvent> = serde_json::from_str(&frame.data).ok();
        let sequence = event.as_ref().map(|event| event.sequence).or(id);
        let Some(sequence) = sequence.filter(|sequence| *sequence > self.after) else {
            return;
        };
        self.after = sequence;
        self.broken = 0;
        self.moved = true;
        // What a newer server tells and this version does not know is passed over.
        self.ready.extend(event);
    }

    /// The server ended the stream: because the job is over, or because it is being restarted.
    async fn close(&mut self) -> Result<()> {
        if !self.moved && self.client.find_job(self.job).await?.status.is_final() {
            self.ended = true;
            return Ok(());
        }
        self.pause("the stream ended before the job did".to_owned())
            .await
    }

    async fn pause(&mut self, cause: String) -> Result<()> {
        self.source = None;
        if self.opened.elapsed() > LONG {
            self.broken = 0;
        }
        self.broken += 1;
        let pause = self.client.retry().pause(self.broken, None, chance());
        let pause = pause.ok_or_else(|| Error::Unreachable {
            host: self.client.server().to_owned(),
            cause,
        })?;
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

fn is_final(event: &JobEvent) -> bool {
    matches!(event.event, JobEventBody::Status { status, .. } if status.is_final())
}

impl Client {
    /// Everything that happens to a job after an event (0 for all), each once, until the job is over. A line that breaks
    /// is taken up again at the last event.
    pub fn follow(
        &self,
        job: JobId,
        after: i64,
    ) -> impl Stream<Item = Result<JobEvent>> + Send + use<> {
        let follower = Follower {
            client: self.clone(),
            job,
            after,
            source: None,
            parser: Parser::default(),
            ready: VecDeque::new(),
            broken: 0,
            opened: Instant::now(),
            moved: false,
            ended: false,
        };
        stream::try_unfold(follower, async |mut follower: Follower| {
            Ok(follower.next().await?.map(|event| (event, follower)))
        })
    }
}
