//! Who sends what.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use e2e::{Person, machine::ADMINISTRATOR, person::expect};
use reqwest::{Client, Method, StatusCode, header};
use serde_json::{Value, json};
use shared::{
    SetId,
    job::{Job, JobStatus},
    protected_set::ProtectedSet,
    share_link::CreatedShareLink,
};
use tokio::time::sleep;

use crate::figures::Figures;

/// An access token lives for fifteen minutes. Each signs in again at another moment: an account may do so ten times a
/// minute.
const SIGNED_IN: Duration = Duration::from_mins(4);
const APART: Duration = Duration::from_secs(20);

/// What everybody knows.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) url: String,
    pub(crate) figures: Arc<Figures>,
    pub(crate) end: Instant,
    /// Who everybody is at first.
    pub(crate) person: Person,
    /// How many there are.
    pub(crate) actors: Arc<AtomicU32>,
    /// A sealed set.
    pub(crate) set: SetId,
    /// A short job on it.
    pub(crate) spec: Value,
}

impl World {
    /// Does something again and again until the end, as somebody who signs in now and then.
    async fn repeat(
        &self,
        what: &str,
        pause: Duration,
        mut act: impl AsyncFnMut(&Person, u64) -> Result<()>,
    ) {
        let lasts = SIGNED_IN + APART * self.actors.fetch_add(1, Ordering::Relaxed);
        let mut person = Some((self.person.clone(), Instant::now()));
        let mut turn = 0;
        while Instant::now() < self.end {
            turn += 1;
            let known = person
                .take()
                .filter(|(_, since): &(Person, Instant)| since.elapsed() < lasts);
            let signed_in = match known {
                Some(known) => Ok(known),
                None => Person::sign_in(&self.url, ADMINISTRATOR)
                    .await
                    .map(|person| (person, Instant::now())),
            };
            let result = match signed_in {
                Ok(known) => {
                    let result = act(&known.0, turn).await;
                    person = Some(known);
                    result
                }
                Err(error) => Err(error),
            };
            if let Err(error) = result {
                self.figures.failed(what, &error);
            }
            sleep(pause).await;
        }
    }

    /// Looks around.
    pub(crate) async fn read(self) {
        let paths = [
            format!("/v1/protected-sets/{}", self.set),
            "/v1/protected-sets".to_owned(),
            "/v1/jobs".to_owned(),
            "/v1/galleries".to_owned(),
            "/v1/me".to_owned(),
            "/v1/base-models".to_owned(),
            "/v1/quotas".to_owned(),
            "/v1/audit-events?limit=20".to_owned(),
        ];
        let read = async |person: &Person, turn: u64| {
            let path = usize::try_from(turn).unwrap_or(0) % paths.len();
            let start = Instant::now();
            let answer = person.request(Method::GET, &paths[path]).send().await?;
            expect(answer, StatusCode::OK).await?.bytes().await?;
            self.figures.answered(start.elapsed());
            Ok(())
        };
        self.repeat("reading", Duration::from_millis(10), read)
            .await;
    }

    /// Comes without an account.
    pub(crate) async fn visit(self) {
        let http = Client::new();
        let pages = ["/docs", "/openapi.json", "/v1/demo", "/healthz", "/readyz"];
        let visit = async |_: &Person, turn: u64| {
            let page = pages[usize::try_from(turn).unwrap_or(0) % pages.len()];
            let answer = http.get(format!("{}{page}", self.url)).send().await?;
            expect(answer, StatusCode::OK).await?.bytes().await?;
            self.figures.done("visits");
            Ok(())
        };
        self.repeat("visiting", Duration::from_millis(100), visit)
            .await;
    }

    /// Uploads a picture, looks at it, and throws the draft away.
    pub(crate) async fn upload(self) {
        let sets = demo::sample_sets();
        let upload = async |person: &Person, turn: u64| {
            let name = json!({ "name": format!("Draft {turn}") });
            let made = StatusCode::CREATED;
            let set: ProtectedSet = person
                .send(Method::POST, "/v1/protected-sets", &name, made)
                .await?;
            let sample = sets.first().context("no samples")?;
            for (name, bytes) in sample.images.iter().take(2) {
                person.upload(&set, name, bytes).await?;
            }
            let own = format!("/v1/protected-sets/{}", set.id);
            let full: ProtectedSet = person.get(&own).await?;
            ensure!(full.images.len() == 2, "{} pictures", full.images.len());
            for image in &full.images {
                person.download(&image.url).await?;
            }
            let gone = person.request(Method::DELETE, &own).send().await?;
            expect(gone, StatusCode::NO_CONTENT).await?;
            self.figures.done("uploads");
            Ok(())
        };
        self.repeat("uploading", Duration::from_millis(500), upload)
            .await;
    }

    /// Protects for real, follows the stream to its end, and shares what comes out.
    pub(crate) async fn work(self) {
        let work = async |person: &Person, turn: u64| {
            let job = person.launch(&self.spec, &format!("work-{turn}")).await?;
            let protect = self.follow(person, &job).await?;
            let evaluation = protect.evaluation_id.context("no evaluation follows")?;
            let evaluation = person.job(evaluation).await?;
            let evaluation = self.follow(person, &evaluation).await?;
            let gallery = evaluation.gallery_id.context("no gallery")?;
            let request = json!({ "gallery_id": gallery });
            let made = StatusCode::CREATED;
            let share = person
                .request(Method::POST, "/v1/share-links")
                .header("Idempotency-Key", format!("share-{turn}"));
            let shared = expect(share.json(&request).send().await?, made).await?;
            let link: CreatedShareLink = shared.json().await?;
            let place = link.url.find("/s/").context("no address")?;
            let page = format!("{}{}", self.url, &link.url[place..]);
            let http = Client::new();
            let shown = http.get(&page).header(header::ACCEPT, "text/html");
            expect(shown.send().await?, StatusCode::OK).await?;
            let own = format!("/v1/share-links/{}", link.share_link.id);
            let gone = person.request(Method::DELETE, &own).send().await?;
            ensure!(gone.status().is_success(), "{}", gone.status());
            expect(http.get(&page).send().await?, StatusCode::GONE).await?;
            self.figures.done("jobs");
            Ok(())
        };
        self.repeat("working", Duration::from_secs(1), work).await;
    }

    /// The job once its stream has ended.
    async fn follow(&self, person: &Person, job: &Job) -> Result<Job> {
        let mut last = String::new();
        // A stream may be longer than a client's patience with one request.
        for _ in 0..20 {
            let stream = person
                .request(Method::GET, &job.urls.events)
                .header(header::ACCEPT, "text/event-stream")
                .header("Last-Event-ID", &last);
            if let Ok(answer) = stream.send().await {
                let answer = expect(answer, StatusCode::OK).await?;
                if let Ok(text) = answer.text().await {
                    let mut ids = text.lines().filter_map(|line| line.strip_prefix("id:"));
                    last = ids.next_back().map_or(last, |id| id.trim().to_owned());
                }
            }
            let now = person.job(job.id).await?;
            if now.status.is_final() {
                let status = now.status.as_str();
                ensure!(
                    now.status == JobStatus::Succeeded,
                    "{status}: {:?}",
                    now.error
                );
                return Ok(now);
            }
        }
        anyhow::bail!("{} did not end", job.id)
    }

    /// Launches and thinks again.
    pub(crate) async fn cancel(self) {
        let cancel = async |person: &Person, turn: u64| {
            let job = person.launch(&self.spec, &format!("cancel-{turn}")).await?;
            let cancel = person.request(Method::POST, &job.urls.cancel);
            expect(cancel.send().await?, StatusCode::ACCEPTED).await?;
            self.figures.done("cancellations");
            Ok(())
        };
        self.repeat("canceling", Duration::from_secs(1), cancel)
            .await;
    }

    /// Signs in and out again.
    pub(crate) async fn come_and_go(self) {
        let come = async |_: &Person, _: u64| {
            let person = Person::sign_in(&self.url, ADMINISTRATOR).await?;
            person.get::<Value>("/v1/me").await?;
            self.figures.done("sign_ins");
            Ok(())
        };
        self.repeat("signing in", Duration::from_secs(15), come)
            .await;
    }

    /// Sends what has to be refused, each in its own way.
    pub(crate) async fn send_rubbish(self) {
        let stranger = Client::new();
        let rubbish = async |person: &Person, _: u64| {
            let post = |path: &str, body: Vec<u8>| {
                let request = person.request(Method::POST, path).body(body);
                request.header(header::CONTENT_TYPE, "application/json")
            };
            let refused = [
                (
                    post("/v1/protected-sets", b"{".to_vec()),
                    StatusCode::BAD_REQUEST,
                ),
                (
                    post(
                        "/v1/protected-sets",
                        br#"{"name": "x", "admin": true}"#.to_vec(),
                    ),
                    StatusCode::UNPROCESSABLE_ENTITY,
                ),
                (
                    post("/v1/protected-sets", vec![b' '; 100_000]),
                    StatusCode::PAYLOAD_TOO_LARGE,
                ),
                (
                    person.request(Method::GET, "/v1/jobs/job_nothing"),
                    StatusCode::NOT_FOUND,
                ),
                (
                    person.request(Method::PATCH, "/v1/jobs"),
                    StatusCode::METHOD_NOT_ALLOWED,
                ),
                (
                    stranger.get(format!("{}/v1/me", self.url)).bearer_auth("x"),
                    StatusCode::UNAUTHORIZED,
                ),
            ];
            for (request, status) in refused {
                expect(request.send().await?, status).await?;
                self.figures.done("refusals");
            }
            Ok(())
        };
        self.repeat("sending rubbish", Duration::from_secs(1), rubbish)
            .await;
    }
}
