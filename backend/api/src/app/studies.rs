//! Studies as their owner sees them: asked for, followed cell by cell, canceled, read.

use std::collections::BTreeMap;

use shared::{
    JobId, OrganisationId,
    artifact::ArtifactKind,
    canonical::LARGEST_INTEGER,
    job::{Action, JobKind, JobSpec, JobStatus},
    language::Language,
    matrix::{CellResult, Cost, MatrixReport, Plan},
    page::Page,
    study::{
        CreateStudy, Study, StudyJob, StudyOrder, StudyOutput, StudyPlan, StudyStatus,
        StudySummary, StudyTask, page_name,
    },
};
use store::{ArtifactRecord, JobRecord, NewJob};

use super::{App, artifacts, blobs, paging::Paging, principal::Principal};
use crate::{
    dispatch::{
        self,
        study::{MAX_PLAN_BYTES, MAX_REPORT_BYTES, order},
    },
    error::Error,
};

/// Starts a study of a finished protect job; the key makes one study.
pub async fn create(
    app: &App,
    language: Language,
    caller: &Principal,
    key: &str,
    request: CreateStudy,
) -> Result<Study, Error> {
    let errors = request.validate();
    if !errors.is_empty() {
        return Err(Error::Invalid(errors));
    }
    let owner = caller.organisation;
    let protect = app.store().find_job(owner, request.protect_job_id).await?;
    let protect = protect
        .filter(|job| job.kind == JobKind::Protect)
        .ok_or_else(|| {
            Error::field(
                "#/protect_job_id",
                "not_found",
                "You have no protect job with this id.",
            )
        })?;
    let spec = spec(&protect, request)?;
    artifacts::require_weights(app, owner, protect.id).await?;
    let new = NewJob {
        owner_id: owner,
        kind: JobKind::Study,
        spec,
        parent_id: Some(protect.id),
        priority: dispatch::priority(JobKind::Study),
        required_memory_bytes: protect.required_memory_bytes,
        idempotency_key: Some(format!("{} study {key}", caller.user)),
        traceparent: telemetry::here(),
    };
    let plan = dispatch::enqueue(app, new).await?;
    view(app, language, plan).await
}

/// What the study's first job is told.
fn spec(protect: &JobRecord, request: CreateStudy) -> Result<JobSpec, Error> {
    if protect.status != JobStatus::Succeeded {
        return Err(Error::Conflict(
            "The job has no protected model: wait until it has succeeded.".into(),
        ));
    }
    let position = request.concept as usize;
    let concept = protect.spec.concepts.get(position);
    let concept = concept.filter(|concept| concept.action == Action::Protect);
    let Some(concept) = concept else {
        return Err(Error::field(
            "#/concept",
            "out_of_range",
            "Give the position of a protected concept of the job, from 0.",
        ));
    };
    for (at, control) in request.controls.iter().enumerate() {
        let concepts = protect.spec.concepts.iter();
        let mut protected = concepts.map(|concept| concept.protected_set_id);
        if protected.any(|set| set == control.protected_set_id) {
            return Err(Error::field(
                &format!("#/controls/{at}/protected_set_id"),
                "protected",
                "This set is protected in the model: a control is not.",
            ));
        }
    }
    if protect.spec.seed > LARGEST_INTEGER {
        return Err(Error::field(
            "#/protect_job_id",
            "seed_too_large",
            "The job's seed is 2^53 or more, which no certificate can tell. Protect the set again with a smaller one.",
        ));
    }
    let mut spec = protect.spec.clone();
    spec.evaluation.concept = request.concept;
    spec.evaluation.identifier = Some(concept.identifier.clone());
    spec.evaluation.study = Some(Box::new(StudyOrder {
        request,
        task: StudyTask::Plan,
    }));
    Ok(spec)
}

/// The owner's studies, newest first.
pub async fn list(
    app: &App,
    owner: OrganisationId,
    paging: &Paging,
) -> Result<Page<StudySummary>, Error> {
    let plans = app
        .store()
        .list_studies(owner, paging.after()?, paging.rows())
        .await?;
    let mut studies = Vec::with_capacity(plans.len());
    for plan in plans {
        let request = &order(&plan)?.request;
        studies.push(StudySummary {
            id: plan.id,
            title: title(app, &plan).await?,
            tier: request.tier,
            protect_job_id: request.protect_job_id,
            created_at: plan.created_at,
        });
    }
    Ok(paging.page(studies, |study| study.id))
}

async fn title(app: &App, plan: &JobRecord) -> Result<String, Error> {
    let set = app.store().find_set(plan.owner_id, plan.set_id).await?;
    Ok(set.map(|set| set.name).unwrap_or_default())
}

/// A study of this owner by its planning job.
async fn planned(app: &App, owner: OrganisationId, id: JobId) -> Result<JobRecord, Error> {
    let job = app.store().find_job(owner, id).await?;
    let job = job
        .filter(|job| job.kind == JobKind::Study)
        .ok_or(Error::NotFound)?;
    match order(&job)?.task {
        StudyTask::Plan => Ok(job),
        StudyTask::Run { .. } | StudyTask::Merge => Err(Error::NotFound),
    }
}

/// A study of this owner.
pub async fn find(
    app: &App,
    language: Language,
    owner: OrganisationId,
    id: JobId,
) -> Result<Study, Error> {
    let plan = planned(app, owner, id).await?;
    view(app, language, plan).await
}

/// Asks every job of a study to end; cells that are done are still put together, and asking again stops that too.
pub async fn cancel(
    app: &App,
    language: Language,
    owner: OrganisationId,
    id: JobId,
) -> Result<Study, Error> {
    let plan = planned(app, owner, id).await?;
    if !plan.status.is_final() {
        dispatch::request_cancel(app, owner, plan.id).await?;
    }
    // Looked for after that: cells that a plan still leaves then are canceled at birth.
    for job in app.store().list_study_jobs(owner, id).await? {
        if !job.status.is_final() {
            dispatch::request_cancel(app, owner, job.id).await?;
        }
    }
    find(app, language, owner, id).await
}

async fn view(app: &App, language: Language, plan: JobRecord) -> Result<Study, Error> {
    let owner = plan.owner_id;
    let jobs = app.store().list_study_jobs(owner, plan.id).await?;
    let mut found = Found::default();
    let own = app.store().list_artifacts(owner, plan.id).await?;
    let planned = found.plan(app, &own).await?;
    let mut files = Vec::new();
    for job in &jobs {
        files.extend(app.store().list_artifacts(owner, job.id).await?);
    }
    if let Some(planned) = &planned {
        found.pictures(planned, &files);
    }
    found.files(app, &files).await?;
    let page = page_in(language, &files);
    found.report_url = page.map(|page| artifacts::url(page.id));
    found.cells.sort_by_key(|result| result.cell.number);
    Ok(Study {
        id: plan.id,
        title: title(app, &plan).await?,
        request: order(&plan)?.request.clone(),
        status: status(&plan, &jobs)?,
        jobs: parts(&plan, &jobs)?,
        plan: found.plan,
        cells: found.cells,
        report: found.report,
        pictures: found.pictures,
        report_url: found.report_url,
        certificate_url: found.certificate_url,
        created_at: plan.created_at,
    })
}

fn parts(plan: &JobRecord, jobs: &[JobRecord]) -> Result<Vec<StudyJob>, Error> {
    let part = |job: &JobRecord| {
        Ok(StudyJob {
            id: job.id,
            task: order(job)?.task.clone(),
            status: job.status,
        })
    };
    std::iter::once(plan).chain(jobs).map(part).collect()
}

fn status(plan: &JobRecord, jobs: &[JobRecord]) -> Result<StudyStatus, Error> {
    match plan.status {
        JobStatus::Succeeded => {}
        JobStatus::Failed => return Ok(StudyStatus::Failed),
        JobStatus::Canceled => return Ok(StudyStatus::Canceled),
        _ => return Ok(StudyStatus::Planning),
    }
    let mut merges = Vec::new();
    for job in jobs {
        if order(job)?.task == StudyTask::Merge {
            merges.push(job.status);
        }
    }
    // A merge that was retried has a newer one after it.
    Ok(match merges.last() {
        Some(JobStatus::Succeeded) => StudyStatus::Succeeded,
        Some(JobStatus::Failed) => StudyStatus::Failed,
        Some(JobStatus::Canceled) => StudyStatus::Canceled,
        Some(_) => StudyStatus::Merging,
        None if jobs.iter().any(|job| !job.status.is_final()) => StudyStatus::Running,
        None if jobs.iter().any(|job| job.status == JobStatus::Failed) => StudyStatus::Failed,
        None if jobs.iter().any(|job| job.status == JobStatus::Succeeded) => StudyStatus::Merging,
        None => StudyStatus::Canceled,
    })
}

/// What the files of a study say.
#[derive(Default)]
struct Found {
    plan: Option<StudyPlan>,
    cells: Vec<CellResult>,
    report: Option<MatrixReport>,
    pictures: BTreeMap<String, String>,
    report_url: Option<String>,
    certificate_url: Option<String>,
}

impl Found {
    async fn plan(&mut self, app: &App, files: &[ArtifactRecord]) -> Result<Option<Plan>, Error> {
        let file = files
            .iter()
            .find(|file| file.kind == ArtifactKind::MatrixPlan);
        let Some(file) = file else {
            return Ok(None);
        };
        let plan: Plan = blobs::read_json(app, &file.sha256, MAX_PLAN_BYTES).await?;
        let count = |cells: usize| u32::try_from(cells).unwrap_or(u32::MAX);
        let cost = files.iter().find(|file| file.name == COST);
        self.plan = Some(StudyPlan {
            cells: count(plan.cells.len()),
            kept: count(plan.kept().len()),
            cost: match cost {
                Some(file) => blobs::read_json(app, &file.sha256, MAX_PLAN_BYTES).await?,
                None => Cost::default(),
            },
            headline: plan.headline.clone(),
            subjects: plan.subjects.clone(),
        });
        Ok(Some(plan))
    }

    /// Addresses by cell: an attack on the clean base lies under a key of its own, which several cells may share.
    fn pictures(&mut self, plan: &Plan, files: &[ArtifactRecord]) {
        let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for cell in plan.kept() {
            let key = plan.key(cell);
            let base = format!("base/{}", plan.base_key(cell));
            names.entry(base).or_default().push(key.clone());
            names.entry(format!("cells/{key}")).or_default().push(key);
        }
        for file in files
            .iter()
            .filter(|file| file.kind == ArtifactKind::GalleryImage)
        {
            let mut parts = file.name.splitn(3, '/');
            let (Some(folder), Some(key), Some(rest)) = (parts.next(), parts.next(), parts.next())
            else {
                continue;
            };
            for cell in names.get(&format!("{folder}/{key}")).into_iter().flatten() {
                self.pictures
                    .insert(format!("{cell}/{rest}"), artifacts::url(file.id));
            }
        }
    }

    async fn files(&mut self, app: &App, files: &[ArtifactRecord]) -> Result<(), Error> {
        let is_report = |file: &ArtifactRecord| file.kind == ArtifactKind::MatrixReport;
        let is_merged = files.iter().any(is_report);
        for file in files {
            match file.kind {
                // A report has every cell: parts are read until there is one.
                ArtifactKind::MatrixCells if is_merged => {}
                ArtifactKind::MatrixCells => {
                    let cells: Vec<CellResult> =
                        blobs::read_json(app, &file.sha256, MAX_PLAN_BYTES).await?;
                    self.cells.extend(cells);
                }
                ArtifactKind::MatrixReport => {
                    let output: StudyOutput =
                        blobs::read_json(app, &file.sha256, MAX_REPORT_BYTES).await?;
                    self.cells.clone_from(&output.report.cells);
                    self.report = Some(output.report);
                }
                ArtifactKind::Certificate => self.certificate_url = Some(artifacts::url(file.id)),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The page of the newest report in a language; in English where its node draws no other.
fn page_in(language: Language, files: &[ArtifactRecord]) -> Option<&ArtifactRecord> {
    let pages = || {
        files
            .iter()
            .rev()
            .filter(|file| file.kind == ArtifactKind::ReportPage)
    };
    let newest = pages().next()?;
    let named = |language| {
        let name = page_name(language);
        pages().find(|page| page.job_id == newest.job_id && page.name == name)
    };
    named(language).or_else(|| named(Language::English))
}

/// What the plan was expected to take, as JSON.
const COST: &str = "cost.json";

#[cfg(test)]
mod tests {
    use shared::{ArtifactId, Timestamp};

    use super::*;

    fn page(job: u128, name: &str) -> ArtifactRecord {
        ArtifactRecord {
            id: ArtifactId::nil(),
            owner_id: OrganisationId::nil(),
            job_id: JobId::from_uuid(uuid::Uuid::from_u128(job)),
            kind: ArtifactKind::ReportPage,
            name: name.to_owned(),
            sha256: String::new(),
            size_bytes: 1,
            created_at: Timestamp::from_milliseconds(0),
        }
    }

    fn shown(language: Language, files: &[ArtifactRecord]) -> Option<(JobId, &str)> {
        page_in(language, files).map(|page| (page.job_id, page.name.as_str()))
    }

    #[test]
    fn page_is_in_the_language_of_its_reader() {
        let mut files = vec![page(1, "report.html"), page(1, "report.de.html")];
        let first = files[0].job_id;
        assert_eq!(
            shown(Language::German, &files),
            Some((first, "report.de.html"))
        );
        assert_eq!(
            shown(Language::English, &files),
            Some((first, "report.html"))
        );
        // A newer report of a node that draws English alone goes before an older one in German.
        files.push(page(2, "report.html"));
        let newest = files[2].job_id;
        assert_eq!(
            shown(Language::German, &files),
            Some((newest, "report.html"))
        );
        assert_eq!(shown(Language::German, &[]), None);
    }
}
