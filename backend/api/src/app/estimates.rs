//! How long things take, from what was measured here; nothing is said where nothing was measured.

use shared::{
    job::{JobKind, JobMetrics, JobProgress, JobSpec, SecondsRange},
    progress::{JobEvent, JobEventBody, Progress},
    study::StudyTask,
};
use store::JobRecord;

use super::App;
use crate::error::Error;

/// Earlier jobs that an estimate looks at.
const JOBS: u64 = 5;
/// Latest events of a running job that its rate is read from.
const EVENTS: i64 = 300;

/// Time from the launch to the last gallery, from earlier jobs on this server.
pub(crate) async fn whole(app: &App, spec: &JobSpec) -> Result<Option<SecondsRange>, Error> {
    let protect = of_kind(app, JobKind::Protect, spec).await?;
    let evaluate = of_kind(app, JobKind::Evaluate, spec).await?;
    let evaluations = spec.concepts.len() as f64;
    Ok(protect
        .zip(evaluate)
        .map(|(protect, evaluate)| SecondsRange {
            low: protect.low + evaluations * evaluate.low,
            high: protect.high + evaluations * evaluate.high,
        }))
}

/// Time of one job, from earlier ones of the same kind on the same model.
pub(crate) async fn of_kind(
    app: &App,
    kind: JobKind,
    spec: &JobSpec,
) -> Result<Option<SecondsRange>, Error> {
    let earlier = app.store().latest_metrics(kind, JOBS).await?;
    let seconds = earlier
        .iter()
        .filter(|(known, _)| is_alike(kind, spec, known))
        .map(|(known, metrics)| adapted(kind, spec, known, metrics));
    Ok(range(seconds))
}

/// Whether an earlier job says something: looking ahead takes several times as long, and so do more pictures to draw.
fn is_alike(kind: JobKind, spec: &JobSpec, known: &JobSpec) -> bool {
    let concepts = known.concepts.len() == spec.concepts.len();
    let kind = match kind {
        JobKind::Protect => concepts && known.injection.mode == spec.injection.mode,
        JobKind::Evaluate => true,
        JobKind::Probe => concepts,
        JobKind::Study => study(known) == study(spec),
    };
    kind && known.base_model_id == spec.base_model_id
}

/// What a job of a study says beside the specification of its model.
fn study(spec: &JobSpec) -> Option<&StudyTask> {
    spec.evaluation.study.as_deref().map(|order| &order.task)
}

/// What an earlier job would have taken with this specification's number of steps.
fn adapted(kind: JobKind, spec: &JobSpec, known: &JobSpec, metrics: &JobMetrics) -> f64 {
    let more = steps(kind, spec) - steps(kind, known);
    (metrics.seconds + more * metrics.milliseconds_per_step / 1000.0).max(1.0)
}

fn steps(kind: JobKind, spec: &JobSpec) -> f64 {
    match kind {
        JobKind::Protect => f64::from(spec.injection.steps),
        // Two models are attacked.
        JobKind::Evaluate => {
            2.0 * f64::from(spec.evaluation.checkpoints.last().copied().unwrap_or(0))
        }
        JobKind::Probe | JobKind::Study => 0.0,
    }
}

fn range(seconds: impl Iterator<Item = f64>) -> Option<SecondsRange> {
    seconds.fold(None, |range: Option<SecondsRange>, seconds| {
        let (low, high) = range.map_or((seconds, seconds), |range| (range.low, range.high));
        Some(SecondsRange {
            low: low.min(seconds),
            high: high.max(seconds),
        })
    })
}

/// Time left of a running job: the present phase at its own rate, and the whole by earlier jobs.
pub(crate) async fn time_left(app: &App, job: &JobRecord) -> Result<Option<SecondsRange>, Error> {
    let after = (job.last_sequence - EVENTS).max(0);
    let events = app
        .store()
        .list_events(job.owner_id, job.id, after, EVENTS.unsigned_abs())
        .await?;
    let phase = phase_left(&events, &job.progress);
    let elapsed = job
        .started_at
        .map_or(0, |start| app.now().milliseconds() - start.milliseconds());
    let history = of_kind(app, job.kind, &job.spec).await?.map(|whole| {
        let left = |seconds: f64| (seconds - elapsed as f64 / 1000.0).max(0.0);
        [left(whole.low), left(whole.high)]
    });
    let bounds = phase.into_iter().flat_map(|left| [left * 0.9, left * 1.3]);
    Ok(range(bounds.chain(history.into_iter().flatten())))
}

/// Seconds left of the present phase at the rate of its latest steps.
fn phase_left(events: &[JobEvent], present: &JobProgress) -> Option<f64> {
    let steps: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.event {
            JobEventBody::Progress(Progress::Step(step)) if step.phase == present.phase => {
                Some((event.at.milliseconds(), step.step))
            }
            _ => None,
        })
        .collect();
    let (first, last) = (steps.first()?, steps.last()?);
    let (time, done) = (
        (last.0 - first.0) as f64 / 1000.0,
        last.1.checked_sub(first.1)?,
    );
    let left = present.total.checked_sub(last.1)?;
    (done > 0 && time > 0.0).then(|| f64::from(left) * time / f64::from(done))
}

#[cfg(test)]
mod tests {
    use shared::Timestamp;

    use super::*;

    fn step(seconds: i64, step: u32) -> JobEvent {
        let progress = JobProgress {
            phase: "Training".into(),
            step,
            total: 100,
        };
        JobEvent {
            sequence: seconds,
            at: Timestamp::from_milliseconds(seconds * 1000),
            event: JobEventBody::Progress(Progress::Step(progress)),
        }
    }

    #[test]
    fn phase_ends_at_the_rate_of_its_steps() {
        let present = JobProgress {
            phase: "Training".into(),
            step: 40,
            total: 100,
        };
        let events = [step(0, 20), step(5, 30), step(10, 40)];
        assert_eq!(phase_left(&events, &present), Some(30.0));
        assert_eq!(
            phase_left(&events[..1], &present),
            None,
            "one step has no rate"
        );
        let other = JobProgress::default();
        assert_eq!(phase_left(&events, &other), None);
    }

    #[test]
    fn range_holds_every_value() {
        let range = range([3.0, 1.0, 2.0].into_iter());
        assert_eq!(range.map(|range| (range.low, range.high)), Some((1.0, 3.0)));
    }
}
