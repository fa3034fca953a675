//! A fresh database for every test, and builders for what stands in it.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use shared::{
    DeletionId, JobId, ModelId, NodeId, OrganisationId, SetId, Timestamp, UploadId, UserId,
    evaluation::{AttackRecord, EvaluationOutput, EvaluationReport, Grade},
    job::{
        Action, Concept, Evaluation, Failure, Injection, JobKind, JobMetrics, JobSpec, SubjectKind,
    },
    node::InputRole,
    objective::Objective,
    protected_set::{Attestation, CreateAttestation, RightsBasis},
};
use store::{
    BaseModelFile, Claimant, ClaimedJob, Deleted, Error, FinishJob, ImageLooks, JobRecord,
    NewBaseModel, NewImage, NewJob, NewUpload, NewUser, NodeRecord, SealSet, Store, StoredImage,
    new_uuid,
};
use tempfile::TempDir;

use crate::postgres;

/// What a node has, unless a test says otherwise.
const MEMORY_BYTES: u64 = 8 << 30;

/// Which database a test runs on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

/// One test's own database.
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) url: String,
    _directory: Option<TempDir>,
}

/// Makes two tests of one check: on SQLite, and on PostgreSQL where there is one.
macro_rules! on_both {
    ($($check:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $check() {
                $crate::support::on($crate::support::Kind::Sqlite, super::$check).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $check() {
                $crate::support::on($crate::support::Kind::Postgres, super::$check).await;
            })+
        }
    };
}
pub(crate) use on_both;

pub(crate) async fn on(kind: Kind, check: impl AsyncFn(World)) {
    match World::open(kind).await {
        Some(world) => check(world).await,
        None => println!(
            "SKIPPED: no PostgreSQL. Install it (Debian: `apt install postgresql`) or set \
             PERSGUARD_TEST_POSTGRES_URL."
        ),
    }
}

/// A moment of the tests' own time.
pub(crate) fn at(milliseconds: i64) -> Timestamp {
    Timestamp::from_milliseconds(1_700_000_000_000 + milliseconds)
}

/// A hash that no file has, different for every number.
pub(crate) fn hash(number: u64) -> String {
    format!("{number:064x}")
}

/// A server that has just opened its port may still refuse to talk.
async fn connect(url: &str) -> DatabaseConnection {
    for _ in 0..100 {
        if let Ok(connection) = Box::pin(Database::connect(url)).await {
            return connection;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{url} does not answer");
}

async fn create_database() -> Option<String> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let server = postgres::server()?;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("persguard_{}_{number}", std::process::id());
    let admin = connect(&format!("{server}/postgres")).await;
    admin
        .execute_unprepared(&format!("CREATE DATABASE {name}"))
        .await
        .expect("a database can be made");
    admin.close().await.expect("the connection closes");
    Some(format!("{server}/{name}"))
}

/// An empty database of this kind, and the directory that it lives in.
async fn empty(kind: Kind) -> Option<(String, Option<TempDir>)> {
    match kind {
        Kind::Postgres => Some((create_database().await?, None)),
        Kind::Sqlite => {
            let directory = TempDir::new().expect("a directory can be made");
            let path = directory.path().join("test.db");
            let url = format!("sqlite://{}?mode=rwc", path.display());
            Some((url, Some(directory)))
        }
    }
}

impl World {
    /// A database as an older version left it: the first schema, and what `fill` put into it.
    pub(crate) async fn upgraded(kind: Kind, fill: &str) -> Option<Self> {
        const FIRST: &str = include_str!("../../../../migrations/src/sql/m0001_main_path.sql");
        let (url, directory) = empty(kind).await?;
        let connection = connect(&url).await;
        let applied = "CREATE TABLE seaql_migrations (version VARCHAR PRIMARY KEY NOT NULL, \
            applied_at BIGINT NOT NULL); INSERT INTO seaql_migrations VALUES ('m0001_main_path', 1);";
        for sql in [FIRST, applied, fill] {
            let done = connection.execute_unprepared(sql).await;
            done.expect("the old schema takes it");
        }
        connection.close().await.expect("the connection closes");
        Some(Self::at(&url, directory).await)
    }

    pub(crate) async fn open(kind: Kind) -> Option<Self> {
        let (url, directory) = empty(kind).await?;
        Some(Self::at(&url, directory).await)
    }

    async fn at(url: &str, directory: Option<TempDir>) -> Self {
        migrations::migrate(url).await.expect("it migrates");
        migrations::migrate(url).await.expect("twice is no harm");
        Self {
            store: Store::connect(url).await.expect("it opens"),
            url: url.to_owned(),
            _directory: directory,
        }
    }

    /// A connection past the store, for what it refuses to do.
    pub(crate) async fn raw(&self) -> DatabaseConnection {
        connect(&self.url).await
    }

    /// Somebody's own organisation.
    pub(crate) async fn user(&self, name: &str) -> OrganisationId {
        OrganisationId::from_uuid(self.person(name).await.uuid())
    }

    pub(crate) async fn person(&self, name: &str) -> UserId {
        let new = NewUser {
            email: format!("{name}@example.org"),
            name: name.to_owned(),
            password_hash: Some("$argon2id$".to_owned()),
        };
        let user = self.store.create_user(new, at(0)).await;
        user.expect("the address is free").id
    }

    /// Removes an account as the API does, with a receipt that says nothing.
    pub(crate) async fn delete_account(&self, person: UserId) -> Result<Deleted, Error> {
        let id = DeletionId::from_uuid(new_uuid(at(0)));
        let receipt = |_: &Deleted| Ok("{}".to_owned());
        self.store
            .delete_account(person, (id, at(9)), receipt)
            .await
    }

    pub(crate) async fn model(&self) -> ModelId {
        let model = self.store.register_base_model(&new_model(), at(0)).await;
        model.expect("the model is registered").id
    }

    pub(crate) async fn node(&self) -> NodeId {
        let id = NodeId::from_uuid(new_uuid(at(0)));
        self.touch(id, at(0)).await;
        id
    }

    pub(crate) async fn touch(&self, id: NodeId, now: Timestamp) {
        let node = NodeRecord {
            id,
            name: "laptop".to_owned(),
            threads: 2,
            memory_bytes: MEMORY_BYTES,
            families: vec!["tiny".to_owned()],
            facts: None,
        };
        let touched = self.store.touch_node(&node, false, now).await;
        touched.expect("the node is known");
    }

    pub(crate) async fn draft(&self, owner: OrganisationId) -> SetId {
        let set = self.store.create_set(owner, "My dog", at(0)).await;
        set.expect("a draft is made").id
    }

    /// An upload whose bytes arrived; its SHA-256 is `hash(number)`.
    pub(crate) async fn received(
        &self,
        owner: OrganisationId,
        set: SetId,
        number: u64,
    ) -> UploadId {
        let upload = self
            .store
            .create_upload(owner, new_upload(set, number), at(0));
        let upload = upload
            .await
            .expect("there is room")
            .expect("there is a set");
        let marked = self.store.mark_upload_received(upload.id).await;
        marked.expect("it is marked");
        upload.id
    }

    pub(crate) async fn add_images(&self, owner: OrganisationId, set: SetId, count: u64) {
        for number in 0..count {
            let upload = self.received(owner, set, number).await;
            let done = self
                .store
                .complete_upload(owner, upload, new_image(), at(0));
            done.await.expect("it is completed").expect("it is there");
        }
    }

    /// What would seal the set as it stands.
    pub(crate) async fn seal(&self, owner: OrganisationId, set: SetId) -> SealSet {
        let images = self.store.list_images(owner, set).await;
        let images = images.expect("images are listed");
        SealSet {
            attestation: attestation(),
            manifest_sha256: hash(images.len() as u64),
            images: images.iter().map(|image| image.id).collect(),
        }
    }

    pub(crate) async fn sealed_set(&self, owner: OrganisationId) -> SetId {
        let set = self.draft(owner).await;
        self.add_images(owner, set, 3).await;
        let seal = self.seal(owner, set).await;
        let sealed = self.store.seal_set(owner, set, seal).await;
        sealed.expect("it is sealed").expect("it is there").id
    }

    /// An account with a sealed set, and what would start a job on it.
    pub(crate) async fn project(&self, name: &str) -> NewJob {
        let owner_id = self.user(name).await;
        let set = self.sealed_set(owner_id).await;
        NewJob {
            owner_id,
            kind: JobKind::Protect,
            spec: spec(set, self.model().await),
            parent_id: None,
            priority: 0,
            required_memory_bytes: 0,
            idempotency_key: None,
            traceparent: None,
        }
    }

    pub(crate) async fn enqueue(&self, new: &NewJob, now: Timestamp) -> JobRecord {
        let job = self.store.enqueue_job(new.clone(), now).await;
        job.expect("it is queued")
    }

    /// The next job for a node that does nothing else, with a lease of ten seconds.
    pub(crate) async fn claim(&self, node: NodeId, now: Timestamp) -> Option<ClaimedJob> {
        let found = self.store.find_node_any(node).await;
        let found = found.expect("finding works").expect("the node is known");
        let claimant = Claimant {
            memory_bytes: found.node.memory_bytes,
            free_memory_bytes: found.node.memory_bytes,
            ..idle(node)
        };
        self.claim_by(claimant, now).await
    }

    /// The next job for a device, with a lease of ten seconds.
    pub(crate) async fn claim_by(
        &self,
        claimant: Claimant<'_>,
        now: Timestamp,
    ) -> Option<ClaimedJob> {
        let until = Timestamp::from_milliseconds(now.milliseconds() + 10_000);
        let claimed = self.store.claim_job(claimant, now, until).await;
        claimed.expect("claiming works")
    }

    pub(crate) async fn job(&self, id: JobId) -> JobRecord {
        let job = self.store.find_job_any(id).await;
        job.expect("finding works").expect("the job is there")
    }
}

/// The device of a node that does nothing.
pub(crate) fn idle(node: NodeId) -> Claimant<'static> {
    Claimant {
        node,
        device: None,
        memory_bytes: MEMORY_BYTES,
        free_memory_bytes: MEMORY_BYTES,
    }
}

pub(crate) fn new_model() -> NewBaseModel {
    let file = |name: &str, role, number| BaseModelFile {
        name: name.to_owned(),
        role,
        sha256: hash(number),
        size_bytes: 1_000,
    };
    NewBaseModel {
        name: "Demo".to_owned(),
        family: "tiny".to_owned(),
        resolution: 64,
        licence: "MIT".to_owned(),
        manifest_sha256: hash(0xba5e),
        classes: vec!["dog".to_owned()],
        targets: vec!["car".to_owned()],
        identifiers: vec!["sks".to_owned()],
        facts: None,
        files: vec![
            file("unet/config.json", InputRole::ModelFile, 0xba50),
            file("encoder.safetensors", InputRole::Encoder, 0xba51),
        ],
    }
}

pub(crate) fn new_upload(set_id: SetId, number: u64) -> NewUpload {
    NewUpload {
        set_id,
        filename: "dog.png".to_owned(),
        media_type: "image/png".to_owned(),
        size_bytes: 10,
        sha256: hash(number),
        expires_at: at(60_000),
    }
}

pub(crate) fn new_image() -> NewImage {
    NewImage {
        width: 64,
        height: 48,
        content_sha256: hash(0xc1ea),
        stored: StoredImage {
            key_version: None,
            sha256: hash(0xc1eb),
            thumbnail_sha256: Some(hash(0xc1ec)),
        },
        looks: ImageLooks {
            blur_hash: Some("LEHV6nWB2yk8pyo0adR*.7kCMdnj".to_owned()),
            difference_hash: Some(u64::MAX - 1),
            sharpness: Some(500),
            second_subject: Some(70),
        },
        content_media_type: "image/png".to_owned(),
        content_size_bytes: 9,
        exif_removed: true,
        gps_removed: false,
    }
}

pub(crate) fn attestation() -> Attestation {
    Attestation {
        declaration: CreateAttestation {
            capacity: String::new(),
            mandate: None,
            biometric_consent: false,
            basis: RightsBasis::Own,
            name: "Ada".to_owned(),
            jurisdiction: "Germany".to_owned(),
            depicts_person: false,
            confirmed: true,
        },
        signed_at: at(0),
    }
}

pub(crate) fn spec(set: SetId, model: ModelId) -> JobSpec {
    JobSpec {
        base_model_id: model,
        concepts: vec![concept(set)],
        extends: None,
        injection: Injection::default(),
        evaluation: Evaluation::default(),
        seed: 7,
    }
}

/// A dog that becomes a car.
pub(crate) fn concept(set: SetId) -> Concept {
    Concept {
        protected_set_id: set,
        subject: SubjectKind::Object,
        class_name: "dog".to_owned(),
        identifier: "sks".to_owned(),
        objective: Objective::Target {
            target_class: "car".to_owned(),
        },
        action: Action::Protect,
    }
}

pub(crate) fn failure(cause: &str) -> Failure {
    Failure {
        code: "internal".to_owned(),
        cause: cause.to_owned(),
        evidence: "a line".to_owned(),
        fix: "Retry.".to_owned(),
        retryable: true,
    }
}

/// Success without outputs.
pub(crate) fn success() -> FinishJob {
    FinishJob::Succeeded {
        metrics: JobMetrics::default(),
        artifacts: Vec::new(),
        issued: Vec::new(),
        follow_ups: Vec::new(),
        gallery: None,
    }
}

pub(crate) fn evaluation_output() -> EvaluationOutput {
    EvaluationOutput {
        report: EvaluationReport {
            grade: Grade::NoEvidence,
            verdict: "Nothing can be said.".to_owned(),
            encoder: "demo".to_owned(),
            attack: AttackRecord {
                family: "dreambooth_unet".to_owned(),
                steps: 200,
                learning_rate: 1e-4,
                prior_preservation: true,
                identifier: "sks".to_owned(),
                identifier_held_out: true,
                prompt: "a photo of sks dog".to_owned(),
                instance_images: 3,
                seed: 7,
            },
            hit_threshold: 0.5,
            checkpoints: Vec::new(),
            limits: Vec::new(),
            clean_sha256: hash(1),
            protected_sha256: hash(2),
        },
        pairs: Vec::new(),
    }
}
