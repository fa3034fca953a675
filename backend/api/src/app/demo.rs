//! The demo project: one bundled subject, protected and attacked for real, once for each model.

use std::sync::LazyLock;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use shared::{
    ModelId, OrganisationId, UserId,
    auth::CreateUser,
    base_model::BaseModel,
    certificate::{Certificate, KIND},
    demo::{Demo, DemoEvaluation, DemoJob, SampleSet},
    job::{
        Action, Budget, Concept, Evaluation, Injection, JobKind, JobSpec, JobStatus, SubjectKind,
    },
    language::Language,
    objective::Objective,
    protected_set::{CreateAttestation, CreateProtectedSet, ProtectedSet, RightsBasis, SetStatus},
    signed,
};
use store::JobRecord;

use super::{App, galleries, jobs, protected_sets, sessions, uploads};
use crate::{error::Error, secret};

const EMAIL: &str = "demo@persguard.invalid";
/// Sets and jobs of the demo account that are looked at.
const ENOUGH: u64 = 100;

/// Creates what is missing of the demo project; a second start finds everything.
pub async fn prepare(app: &App, model: &BaseModel) -> Result<(), Error> {
    let owner = account(app).await?;
    app.set_demo(owner, model.id);
    let Some(sample) = demo::sample_sets()
        .iter()
        .find(|set| set.name == demo::SUBJECT)
    else {
        return Err(Error::Internal("the demo's subject is not bundled".into()));
    };
    let set = sealed_set(app, owner, sample).await?;
    let spec = spec(&set, model);
    match latest(app, owner, model.id, JobKind::Protect).await? {
        None => {
            jobs::launch_own(app, owner, &spec).await?;
        }
        Some(job) if is_lost(job.status) => {
            jobs::launch_own(app, owner, &spec).await?;
        }
        Some(_) => match retry_evaluation(app, owner, model.id).await {
            // Its weights went with the time for which files are kept: begin anew.
            Err(Error::Conflict(_)) => {
                jobs::launch_own(app, owner, &spec).await?;
            }
            retried => retried?,
        },
    }
    Ok(())
}

const fn is_lost(status: JobStatus) -> bool {
    matches!(status, JobStatus::Failed | JobStatus::Canceled)
}

/// A demo whose judge was lost gets another one.
async fn retry_evaluation(app: &App, owner: OrganisationId, model: ModelId) -> Result<(), Error> {
    let latest = latest(app, owner, model, JobKind::Evaluate).await?;
    if let Some(job) = latest.filter(|job| is_lost(job.status)) {
        let job = jobs::find(app, owner, job.id).await?;
        jobs::retry_own(app, owner, &job).await?;
    }
    Ok(())
}

async fn account(app: &App) -> Result<OrganisationId, Error> {
    // A person's own organisation carries the person's id.
    let own = |user: UserId| OrganisationId::from_uuid(user.uuid());
    if let Some(user) = app.store().find_user_by_email(EMAIL).await? {
        return Ok(own(user.id));
    }
    let path = app.config().data_dir.join("demo.password");
    let bytes: [u8; 24] = secret::load_or_create(&path).map_err(Error::internal)?;
    let request = CreateUser {
        email: EMAIL.into(),
        password: URL_SAFE_NO_PAD.encode(bytes),
        name: "Demo".into(),
    };
    Ok(own(sessions::register(app, request).await?.id))
}

async fn sealed_set(
    app: &App,
    owner: OrganisationId,
    sample: &demo::SampleSet,
) -> Result<ProtectedSet, Error> {
    let sets = app.store().list_sets(owner, None, ENOUGH).await?;
    let set = if let Some(set) = sets.into_iter().find(|set| set.name == sample.title) {
        protected_sets::find(app, owner, set.id).await?
    } else {
        let name = sample.title.to_owned();
        protected_sets::create(app, owner, &CreateProtectedSet { name }).await?
    };
    if set.status == SetStatus::Sealed {
        return Ok(set);
    }
    for (name, bytes) in sample.images {
        if !set.images.iter().any(|image| image.filename == *name) {
            uploads::add(app, owner, set.id, (name, "image/png"), bytes).await?;
        }
    }
    let set = protected_sets::find(app, owner, set.id).await?;
    protected_sets::seal(app, owner, set, attestation()).await
}

fn attestation() -> CreateAttestation {
    CreateAttestation {
        capacity: String::new(),
        mandate: None,
        biometric_consent: false,
        basis: RightsBasis::Own,
        name: "PersGuard: bundled art under a permissive licence".into(),
        jurisdiction: "Bundled art".into(),
        depicts_person: false,
        confirmed: true,
    }
}

fn spec(set: &ProtectedSet, model: &BaseModel) -> JobSpec {
    JobSpec {
        base_model_id: model.id,
        concepts: vec![concept(set)],
        extends: None,
        // Two development subjects attacked at 2e-4 were hit .88 and .19 after 50 steps and 1.0 and .69 after 100 in
        // `paper` mode; looking 100 steps ahead, 0 and 0, and .12 and .12.
        injection: Injection::ahead(Budget::Strong),
        evaluation: Evaluation {
            checkpoints: [0, 1, 2, 4]
                .map(|part| demo::ATTACK_STEPS * part / 4)
                .to_vec(),
            learning_rate: demo::ATTACK_LEARNING_RATE,
            ..Evaluation::default()
        },
        seed: 0,
    }
}

fn concept(set: &ProtectedSet) -> Concept {
    Concept {
        protected_set_id: set.id,
        subject: SubjectKind::Object,
        class_name: demo::CLASS.into(),
        identifier: demo::IDENTIFIER.into(),
        objective: Objective::Target {
            target_class: demo::TARGET.into(),
        },
        action: Action::Protect,
    }
}

/// The demo's newest job of a kind on the present model.
async fn latest(
    app: &App,
    owner: OrganisationId,
    model: ModelId,
    kind: JobKind,
) -> Result<Option<JobRecord>, Error> {
    let jobs = app.store().list_jobs(owner, None, ENOUGH).await?;
    Ok(jobs
        .into_iter()
        .find(|job| job.kind == kind && job.model_id == model))
}

/// The demo project as anyone may see it.
pub async fn find(app: &App) -> Result<Demo, Error> {
    let mut demo = Demo {
        protect: None,
        evaluate: None,
        gallery: None,
        evaluation: EVALUATION.clone(),
        sample_sets: demo::sample_sets().iter().map(view).collect(),
    };
    if let Some((owner, model)) = app.demo() {
        demo.protect = latest(app, owner, model, JobKind::Protect)
            .await?
            .map(job_view);
        demo.evaluate = latest(app, owner, model, JobKind::Evaluate)
            .await?
            .map(job_view);
        if let Some(gallery) = app.store().latest_public_gallery(owner).await? {
            demo.gallery = Some(galleries::public(app, gallery).await?);
        }
    }
    Ok(demo)
}

fn job_view(job: JobRecord) -> DemoJob {
    DemoJob {
        status: job.status,
        status_reason: job.status_reason,
        progress: job.progress,
        metrics: job.metrics,
        started_at: job.started_at,
        completed_at: job.completed_at,
    }
}

fn view(set: &demo::SampleSet) -> SampleSet {
    SampleSet {
        name: set.name.into(),
        title: set.title.into(),
        class_name: set.class_name.into(),
        description: set.description.into(),
        image_urls: set
            .images
            .iter()
            .map(|(file, _)| format!("/demo/samples/{}/{file}", set.name))
            .collect(),
    }
}

/// Files of the evaluation that came with this version, by the names that its page links to.
const FOLDER: &str = "/demo/evaluation";
const REPORT: &str = "report.html";
const CERTIFICATE: &str = "certificate.json";
const KEYS: &str = "keys.json";

/// Absent where the certificate is not what its signer wrote: then nothing of it is shown.
static EVALUATION: LazyLock<Option<DemoEvaluation>> = LazyLock::new(|| {
    let files = demo::evaluation();
    let verified = signed::verify::<Certificate>(KIND, files.certificate, Some(files.keys));
    let certificate = verified.ok()?.document;
    let report = certificate.report;
    let url = |file: &str| format!("{FOLDER}/{file}");
    Some(DemoEvaluation {
        issued_at: certificate.issued_at,
        cells: u32::try_from(report.cells.len()).unwrap_or(u32::MAX),
        grade: report.grade,
        verdict: report.verdict,
        counts: report.counts,
        families: report.families,
        report_url: url(REPORT),
        certificate_url: url(CERTIFICATE),
        keys_url: url(KEYS),
    })
});

/// A file of the evaluation that came with this version.
pub struct EvaluationFile {
    /// What it is.
    pub media_type: &'static str,
    /// All of it.
    pub bytes: &'static [u8],
    /// What people read it in; absent where it is for programs.
    pub language: Option<Language>,
}

/// The report's page in other languages than its own.
static TRANSLATIONS: LazyLock<Vec<(Language, String)>> = LazyLock::new(|| {
    let files = demo::evaluation();
    let translations = files.translations.iter();
    let whole = translations.filter_map(|(tag, page)| {
        let page = demo::with_pictures(page, files.report);
        Some((Language::named(tag)?, page))
    });
    whole.collect()
});

/// A file of the evaluation that came with this version; its page is in the reader's language, or in English.
pub fn evaluation_file(name: &str, language: Language) -> Option<EvaluationFile> {
    let files = demo::evaluation();
    let json = |bytes| EvaluationFile {
        media_type: "application/json",
        bytes,
        language: None,
    };
    match name {
        REPORT => {
            let mut translations = TRANSLATIONS.iter();
            let found = translations.find(|(known, _)| *known == language);
            let (language, page) = found.map_or((Language::English, files.report), |(_, page)| {
                (language, page.as_str())
            });
            Some(EvaluationFile {
                media_type: "text/html; charset=utf-8",
                bytes: page.as_bytes(),
                language: Some(language),
            })
        }
        CERTIFICATE => Some(json(files.certificate)),
        KEYS => Some(json(files.keys)),
        _ => None,
    }
}

/// The bytes of a bundled picture.
pub fn sample(set: &str, file: &str) -> Option<&'static [u8]> {
    let set = demo::sample_sets().iter().find(|known| known.name == set)?;
    set.images
        .iter()
        .find(|(name, _)| *name == file)
        .map(|(_, bytes)| *bytes)
}
