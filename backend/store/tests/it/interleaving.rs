//! Random interleavings of everything that can happen to jobs, by seed.
//!
//! Alone, every answer is compared with a model of the ledger. Together, the events must tell a
//! story that the transition table allows, whatever the order was.

use std::collections::HashMap;

use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use shared::{
    JobId, NodeId, OrganisationId,
    job::JobStatus::{self, Canceled, Canceling, Failed, Queued, Running, Starting, Succeeded},
    progress::JobEventBody,
};
use store::{FinishJob, Finished, Heartbeat, NewJob, Renewal, Store};

use crate::support::{World, at, failure, idle, on_both, success};

on_both!(
    answers_are_those_of_the_model,
    events_tell_legal_stories_under_concurrency
);

const MAX_ATTEMPTS: u32 = 3;
const LEASE: i64 = 50;

/// What the ledger must know of one job.
#[derive(Clone, Debug)]
struct Expected {
    owner: OrganisationId,
    status: JobStatus,
    token: i64,
    attempts: u32,
    lease_until: i64,
    last_finish: Option<usize>,
}

impl Expected {
    fn held_by(&self, token: i64) -> bool {
        self.token == token && matches!(self.status, Starting | Running | Canceling)
    }
}

/// Every way to end an attempt.
fn finish(number: usize) -> FinishJob {
    let failed = |retry| FinishJob::Failed {
        failure: failure(if retry { "may pass" } else { "will not pass" }),
        retry,
    };
    match number {
        0 => success(),
        1 => failed(false),
        2 => failed(true),
        3 => FinishJob::Canceled,
        _ => FinishJob::Released,
    }
}

fn end(status: JobStatus, number: usize) -> JobStatus {
    match (number, status) {
        (0, _) => Succeeded,
        (1, _) => Failed,
        (_, Canceling) => Canceled,
        _ => Queued,
    }
}

struct Machine<'a> {
    store: &'a Store,
    node: NodeId,
    jobs: HashMap<JobId, Expected>,
    now: i64,
}

impl Machine<'_> {
    async fn step(&mut self, rng: &mut ChaCha8Rng, projects: &[NewJob]) {
        self.now += rng.random_range(0..12);
        let mut ids: Vec<JobId> = self.jobs.keys().copied().collect();
        ids.sort(); // a map's order is not the seed's
        let id = ids.choose(rng).copied();
        match (rng.random_range(0..12), id) {
            (0, _) | (_, None) => {
                let new = &projects[rng.random_range(0..projects.len())];
                self.enqueue(new).await;
            }
            (1..=3, _) => self.claim().await,
            (4, _) => self.expire().await,
            (5, Some(id)) => self.cancel(id).await,
            (6..=8, Some(id)) => {
                let token = self.token(rng, id);
                self.heartbeat(id, token, rng.random()).await;
            }
            (_, Some(id)) => {
                let token = self.token(rng, id);
                self.finish(id, token, rng.random_range(0..5)).await;
            }
        }
    }

    /// Mostly the present token, sometimes an earlier one.
    fn token(&self, rng: &mut ChaCha8Rng, id: JobId) -> i64 {
        self.jobs[&id].token - i64::from(rng.random_range(0..4) == 0)
    }

    async fn enqueue(&mut self, new: &NewJob) {
        let active = self
            .jobs
            .values()
            .filter(|job| job.owner == new.owner_id && !job.status.is_final());
        if active.count() >= 6 {
            return;
        }
        let job = self
            .store
            .enqueue_job(new.clone(), at(self.now))
            .await
            .unwrap();
        let expected = Expected {
            owner: new.owner_id,
            status: Queued,
            token: 0,
            attempts: 0,
            lease_until: 0,
            last_finish: None,
        };
        self.jobs.insert(job.id, expected);
    }

    async fn claim(&mut self) {
        let until = self.now + LEASE;
        let claim = self
            .store
            .claim_job(idle(self.node), at(self.now), at(until))
            .await
            .unwrap();
        let Some(claim) = claim else {
            assert!(self.jobs.values().all(|job| job.status != Queued));
            return;
        };
        let held = |owner| {
            let mine = self.jobs.values().filter(move |job| job.owner == owner);
            mine.filter(|job| matches!(job.status, Starting | Running | Canceling))
                .count()
        };
        let waiting = self.jobs.values().filter(|job| job.status == Queued);
        let least = waiting.map(|job| held(job.owner)).min().unwrap();
        assert_eq!(held(claim.job.owner_id), least, "fair share");
        let job = self.jobs.get_mut(&claim.job.id).unwrap();
        assert_eq!((job.status, claim.token), (Queued, job.token + 1));
        job.status = Starting;
        job.token += 1;
        job.attempts += 1;
        job.lease_until = until;
        job.last_finish = None;
    }

    async fn expire(&mut self) {
        let expired = self
            .store
            .expire_leases(at(self.now), MAX_ATTEMPTS)
            .await
            .unwrap();
        let mut answered: Vec<_> = expired.iter().map(|job| job.id).collect();
        answered.sort();
        let mut expected = Vec::new();
        for (id, job) in &mut self.jobs {
            if job.held_by(job.token) && job.lease_until < self.now {
                expected.push(*id);
                job.status = match job.status {
                    Canceling => Canceled,
                    _ if job.attempts < MAX_ATTEMPTS => Queued,
                    _ => Failed,
                };
            }
        }
        expected.sort();
        assert_eq!(answered, expected);
    }

    async fn cancel(&mut self, id: JobId) {
        let job = self.jobs.get_mut(&id).unwrap();
        job.status = match job.status {
            Queued => Canceled,
            Starting | Running => Canceling,
            other => other,
        };
        let answer = self
            .store
            .request_cancel(job.owner, id, at(self.now))
            .await
            .unwrap();
        assert_eq!(answer.unwrap().status, job.status);
    }

    async fn heartbeat(&mut self, id: JobId, token: i64, running: bool) {
        let job = self.jobs.get_mut(&id).unwrap();
        let heartbeat = Heartbeat {
            node: None,
            now: at(self.now),
            lease_until: at(self.now + LEASE),
            running,
            progress: &[],
        };
        let answer = self.store.heartbeat(id, token, heartbeat).await.unwrap();
        if !job.held_by(token) {
            assert_eq!(answer, Renewal::Fenced);
            return;
        }
        job.lease_until = self.now + LEASE;
        if running && job.status == Starting {
            job.status = Running;
        }
        let canceling = job.status == Canceling;
        let renewed = Renewal::Renewed {
            canceling,
            draining: false,
        };
        assert_eq!(answer, renewed);
    }

    async fn finish(&mut self, id: JobId, token: i64, number: usize) {
        let job = self.jobs.get_mut(&id).unwrap();
        let answer = self
            .store
            .finish_job(id, token, finish(number), at(self.now))
            .await
            .unwrap();
        if !job.held_by(token) {
            let same = job.token == token && job.last_finish == Some(number);
            let expected = if same {
                Finished::AlreadyDone
            } else {
                Finished::Fenced
            };
            assert_eq!(answer, expected);
            return;
        }
        job.status = end(job.status, number);
        job.attempts -= u32::from(number == 4);
        job.last_finish = Some(number);
        assert_eq!(answer, Finished::Accepted(job.status));
    }

    async fn compare(&self) {
        for (id, expected) in &self.jobs {
            let job = self.store.find_job_any(*id).await.unwrap().unwrap();
            let found = (job.status, job.token, job.attempts);
            assert_eq!(
                found,
                (expected.status, expected.token, expected.attempts),
                "{id}"
            );
            check_story(self.store, job.owner_id, *id).await;
        }
    }
}

/// The statuses that a job's events name follow each other by the table, and end where it stands.
async fn check_story(store: &Store, owner: OrganisationId, id: JobId) -> Vec<JobStatus> {
    let events = store.list_events(owner, id, 0, 10_000).await.unwrap();
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event.sequence, i64::try_from(index).unwrap() + 1);
    }
    let story: Vec<JobStatus> = events
        .into_iter()
        .filter_map(|event| match event.event {
            JobEventBody::Status { status, .. } => Some(status),
            JobEventBody::Progress(_) => None,
        })
        .collect();
    assert_eq!(story.first(), Some(&Queued));
    assert!(
        story.windows(2).all(|pair| pair[0].can_become(pair[1])),
        "{story:?}"
    );
    let job = store.find_job_any(id).await.unwrap().unwrap();
    assert_eq!(story.last(), Some(&job.status));
    story
}

async fn answers_are_those_of_the_model(world: World) {
    let projects = [world.project("ada").await, world.project("bob").await];
    let node = world.node().await;
    for seed in 0..3 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut machine = Machine {
            store: &world.store,
            node,
            jobs: HashMap::new(),
            now: 0,
        };
        for _ in 0..250 {
            machine.step(&mut rng, &projects).await;
        }
        machine.compare().await;
        let mut ends: HashMap<JobStatus, usize> = HashMap::new();
        for job in machine.jobs.values() {
            *ends.entry(job.status).or_default() += 1;
        }
        for status in [Succeeded, Failed, Canceled] {
            assert!(
                ends.contains_key(&status),
                "seed {seed} never met {status:?}: {ends:?}"
            );
        }
        clear(&machine).await;
    }
}

/// Ends what is open, so that the next seed starts with an empty queue.
async fn clear(machine: &Machine<'_>) {
    for (id, job) in &machine.jobs {
        machine
            .store
            .request_cancel(job.owner, *id, at(machine.now))
            .await
            .unwrap();
    }
    let later = at(machine.now + 1_000_000);
    machine
        .store
        .expire_leases(later, MAX_ATTEMPTS)
        .await
        .unwrap();
}

async fn worker(store: Store, node: NodeId, projects: Vec<NewJob>, seed: u64) -> u64 {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut held: Vec<(JobId, i64)> = Vec::new();
    let mut won = 0;
    for round in 0..40 {
        let now = round * 10;
        match rng.random_range(0..8) {
            0 => {
                let new = projects[rng.random_range(0..projects.len())].clone();
                let full = store.count_active(new.owner_id).await.unwrap() >= 12;
                if !full {
                    store.enqueue_job(new, at(now)).await.unwrap();
                }
            }
            1..=3 => {
                let claim = store
                    .claim_job(idle(node), at(now), at(now + LEASE))
                    .await
                    .unwrap();
                held.extend(claim.map(|claim| (claim.job.id, claim.token)));
            }
            4 => drop(store.expire_leases(at(now), MAX_ATTEMPTS).await.unwrap()),
            5 => {
                let project = projects.choose(&mut rng).unwrap();
                let jobs = store.list_jobs(project.owner_id, None, 20).await.unwrap();
                if let Some(job) = jobs.choose(&mut rng) {
                    let asked = store.request_cancel(job.owner_id, job.id, at(now)).await;
                    asked.unwrap().unwrap();
                }
            }
            6 => {
                for (id, token) in &held {
                    let heartbeat = Heartbeat {
                        node: None,
                        now: at(now),
                        lease_until: at(now + LEASE),
                        running: true,
                        progress: &[],
                    };
                    store.heartbeat(*id, *token, heartbeat).await.unwrap();
                }
            }
            _ => {
                // Tokens are kept: a finish is repeated later, when it may be stale.
                if let Some((id, token)) = held.choose(&mut rng).copied() {
                    let finish = finish(*[0, 0, 0, 1, 2, 3, 4].choose(&mut rng).unwrap());
                    let done = store.finish_job(id, token, finish, at(now)).await.unwrap();
                    won += u64::from(done == Finished::Accepted(Succeeded));
                }
            }
        }
    }
    won
}

async fn events_tell_legal_stories_under_concurrency(world: World) {
    let projects = vec![world.project("ada").await, world.project("bob").await];
    for new in &projects {
        for number in 0..6 {
            world.enqueue(new, at(number)).await;
        }
    }
    let mut workers = Vec::new();
    for seed in 0..8 {
        let (store, node) = (world.store.clone(), world.node().await);
        workers.push(tokio::spawn(worker(store, node, projects.clone(), seed)));
    }
    let mut won = 0;
    for worker in workers {
        won += worker.await.unwrap();
    }
    let (mut succeeded, mut told) = (0, 0);
    for new in &projects {
        for job in world
            .store
            .list_jobs(new.owner_id, None, 1_000)
            .await
            .unwrap()
        {
            let story = check_story(&world.store, new.owner_id, job.id).await;
            let claims = story.iter().filter(|status| **status == Starting).count();
            assert_eq!(
                i64::try_from(claims).unwrap(),
                job.token,
                "one token a claim"
            );
            succeeded += u64::from(job.status == Succeeded);
            told += story.len();
        }
    }
    assert_eq!(succeeded, won, "a success counts once");
    println!("{told} transitions, {succeeded} successes");
}
