//! What follows from the jobs of a study: cells from a plan, the merge from the last cell, the certificate from the
//! merge. Refuses results of cells that this study did not plan.

use std::collections::{HashMap, HashSet};

use serde::de::DeserializeOwned;
use shared::{
    JobId,
    artifact::ArtifactKind,
    certificate::{self, Certificate, HeldOut, KNOWN_BYPASSES, SCOPE},
    job::{JobKind, JobSpec},
    matrix::{Cell, CellResult, MatrixReport, Plan},
    node::JobOutput,
    study::{StudyOrder, StudyOutput, StudyTask},
};
use store::{ArtifactRecord, JobRecord, NewArtifact, NewJob, NodeRecord};

use super::{finish::the_only, priority};
use crate::{
    app::{App, blobs, nodes},
    error::Error,
};

/// Jobs for each device that can run them: cells differ in length, and whichever device is done first takes another.
const JOBS_PER_DEVICE: usize = 2;
/// So many even where few devices are there now: others may come while the study runs.
const FEWEST_JOBS: usize = 16;
/// Largest plan, and largest results of one job.
pub(crate) const MAX_PLAN_BYTES: u64 = 64 * 1024 * 1024;
/// Largest report.
pub(crate) const MAX_REPORT_BYTES: u64 = 64 * 1024 * 1024;
/// Largest file that opens a commitment.
const MAX_COMMITMENT_BYTES: u64 = 1024 * 1024;
/// File name of a certificate.
const CERTIFICATE: &str = "certificate.json";

/// What a study's job ends with: files that this server adds, and jobs that follow.
#[derive(Default)]
pub(super) struct Followed {
    pub(super) issued: Vec<NewArtifact>,
    pub(super) jobs: Vec<NewJob>,
}

/// The part of a study that a job is told.
pub(crate) fn order(job: &JobRecord) -> Result<&StudyOrder, Error> {
    let order = job.spec.evaluation.study.as_deref();
    order.ok_or_else(|| Error::Internal(format!("{} is a study without an order", job.id)))
}

/// Checks what a job of a study made, and says what follows.
pub(super) async fn succeeded(
    app: &App,
    job: &JobRecord,
    outputs: &[JobOutput],
) -> Result<Followed, Error> {
    match &order(job)?.task {
        StudyTask::Plan => {
            let file = the_only(outputs, ArtifactKind::MatrixPlan)?;
            let plan: Plan = read(app, file, MAX_PLAN_BYTES).await?;
            let jobs = deal(job, &plan, width(app, job).await?)?;
            Ok(Followed {
                jobs,
                ..Followed::default()
            })
        }
        StudyTask::Run { cells } => {
            check_cells(app, job, cells, outputs).await?;
            Ok(Followed::default())
        }
        StudyTask::Merge => {
            let file = the_only(outputs, ArtifactKind::MatrixReport)?;
            let output: StudyOutput = read(app, file, MAX_REPORT_BYTES).await?;
            let issued = certify(app, job, output).await?;
            Ok(Followed {
                issued: issued.into_iter().collect(),
                ..Followed::default()
            })
        }
    }
}

async fn read<T: DeserializeOwned>(app: &App, file: &JobOutput, limit: u64) -> Result<T, Error> {
    if file.size_bytes > limit {
        let detail = format!("`{}` is larger than {limit} bytes.", file.name);
        return Err(refusal("too_large", detail));
    }
    let bytes = blobs::read(app, &file.sha256, limit).await?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let detail = format!("`{}` is unreadable: {error}.", file.name);
        refusal("invalid_report", detail)
    })
}

fn refusal(code: &str, detail: String) -> Error {
    Error::field("#/outcome/outputs", code, detail)
}

/// How many jobs the cells of a study are dealt to at most.
///
/// Each fetches the models and opens a device, so that more of them than devices could take cost without gain. They do
/// not crowd others out: the next job goes to whoever has fewest running.
async fn width(app: &App, job: &JobRecord) -> Result<usize, Error> {
    let model = app.store().find_base_model(job.owner_id, job.model_id);
    let family = model.await?.map(|model| model.family);
    let nodes = nodes::online(app).await?;
    let devices = nodes.iter().map(|node| devices(node, job, family.as_ref()));
    let most = app.config().study_jobs as usize;
    Ok((devices.sum::<usize>() * JOBS_PER_DEVICE)
        .max(FEWEST_JOBS)
        .min(most))
}

/// Devices of a node that have the memory for a job of this family; a node that tells of none is one.
fn devices(node: &NodeRecord, job: &JobRecord, family: Option<&String>) -> usize {
    if family.is_some_and(|family| !node.families.contains(family)) {
        return 0;
    }
    let fits = |memory: u64| memory >= job.required_memory_bytes;
    match node.facts.as_ref().map(|facts| facts.devices.as_slice()) {
        None | Some([]) => usize::from(fits(node.memory_bytes)),
        Some(found) => found.iter().filter(|it| fits(it.memory_bytes)).count(),
    }
}

/// Even parts, as many as there may be; their lengths differ by one at most.
fn parts<T>(all: &[T], most: usize) -> impl Iterator<Item = &[T]> {
    let count = most.min(all.len());
    (0..count).map(move |at| &all[at * all.len() / count..(at + 1) * all.len() / count])
}

/// The kept cells of a plan in the plan's order, dealt to jobs.
fn deal(job: &JobRecord, plan: &Plan, most: usize) -> Result<Vec<NewJob>, Error> {
    let numbers: Vec<u32> = plan.kept().iter().map(|cell| cell.number).collect();
    let unique: HashSet<&u32> = numbers.iter().collect();
    if numbers.is_empty() || unique.len() != numbers.len() {
        let detail = "The plan keeps no cell, or one twice: give it a larger budget.";
        return Err(refusal("invalid_plan", detail.into()));
    }
    parts(&numbers, most)
        .map(|cells| {
            let cells = cells.to_vec();
            part(job, job.id, StudyTask::Run { cells })
        })
        .collect()
}

/// Another job of the same study.
fn part(job: &JobRecord, plan: JobId, task: StudyTask) -> Result<NewJob, Error> {
    let order = StudyOrder {
        task,
        ..order(job)?.clone()
    };
    let mut spec: JobSpec = job.spec.clone();
    spec.evaluation.study = Some(Box::new(order));
    Ok(NewJob {
        owner_id: job.owner_id,
        kind: JobKind::Study,
        spec,
        parent_id: Some(plan),
        priority: priority(JobKind::Study),
        required_memory_bytes: job.required_memory_bytes,
        idempotency_key: None,
        traceparent: telemetry::here(),
    })
}

/// Refuses results of cells that were not this job's, or of other inputs.
async fn check_cells(
    app: &App,
    job: &JobRecord,
    cells: &[u32],
    outputs: &[JobOutput],
) -> Result<(), Error> {
    let file = the_only(outputs, ArtifactKind::MatrixCells)?;
    let results: Vec<CellResult> = read(app, file, MAX_PLAN_BYTES).await?;
    let plan = plan(app, job).await?;
    let mut seen = HashSet::new();
    for result in &results {
        let number = result.cell.number;
        let planned = plan.kept().iter().find(|cell| cell.number == number);
        let own = cells.contains(&number) && seen.insert(number);
        if !own || planned.is_none_or(|cell| plan.key(cell) != result.key) {
            let detail = format!("Cell {number} is not what this job was to run.");
            return Err(refusal("invalid_cell", detail));
        }
    }
    if seen.len() < cells.len() {
        let detail = format!("{} of {} cells came back.", seen.len(), cells.len());
        return Err(refusal("missing_cell", detail));
    }
    Ok(())
}

/// The plan of the study that a job belongs to.
async fn plan(app: &App, job: &JobRecord) -> Result<Plan, Error> {
    let of = job.parent_id.unwrap_or(job.id);
    let files = app.store().list_artifacts(job.owner_id, of).await?;
    let file = files
        .iter()
        .find(|file| file.kind == ArtifactKind::MatrixPlan);
    let file = file.ok_or_else(|| Error::Internal(format!("the plan of {of} is gone")))?;
    blobs::read_json(app, &file.sha256, MAX_PLAN_BYTES).await
}

/// The signed certificate; none for a model whose held-out words were not committed to before injection.
async fn certify(
    app: &App,
    job: &JobRecord,
    output: StudyOutput,
) -> Result<Option<NewArtifact>, Error> {
    let Some(held_out) = output.held_out else {
        return Ok(None);
    };
    let protect = order(job)?.request.protect_job_id;
    let protect = app.store().find_job(job.owner_id, protect).await?;
    let protect = protect.ok_or_else(|| Error::Internal("the protect job is gone".into()))?;
    let (weights, committed) = promised(app, &protect).await?;
    let planned = plan(app, job).await?;
    let accepted = accepted(app, job).await?;
    let strayed = strayed(&output.report, &planned, &weights, &accepted);
    let strayed = strayed.or((committed.as_ref() != Some(&held_out))
        .then_some("its held-out words are not those that its protect job committed to"));
    if let Some(strayed) = strayed {
        let detail = format!("The report is not of this study: {strayed}.");
        return Err(refusal("other_report", detail));
    }
    let key = app.revocation_signer().statement_key();
    let certificate = Certificate {
        version: certificate::VERSION,
        issued_at: app.now(),
        signer: key.public(),
        software: output.software,
        injection: protect.spec,
        held_out,
        report: output.report,
        scope: SCOPE.map(str::to_owned).to_vec(),
        known_bypasses: KNOWN_BYPASSES.map(str::to_owned).to_vec(),
    };
    let contradictions = certificate.contradictions();
    if let Some(first) = contradictions.first() {
        let detail = format!("The report contradicts itself: {first}");
        return Err(refusal("invalid_report", detail));
    }
    let file = key.sign(certificate::KIND, &certificate);
    let file = file.map_err(Error::internal)?;
    Ok(Some(NewArtifact {
        kind: ArtifactKind::Certificate,
        name: CERTIFICATE.to_owned(),
        sha256: blobs::keep(app, &file).await?,
        size_bytes: file.len() as u64,
    }))
}

/// Hash of the protected weights, and what the protect job committed to before it trained.
async fn promised(app: &App, protect: &JobRecord) -> Result<(String, Option<HeldOut>), Error> {
    let files = app.store().list_artifacts(protect.owner_id, protect.id);
    let files = files.await?;
    let of = |kind| {
        files
            .iter()
            .find(|file: &&ArtifactRecord| file.kind == kind)
    };
    let weights = of(ArtifactKind::ProtectedUnet);
    let weights =
        weights.ok_or_else(|| Error::Internal("the protected weights are gone".into()))?;
    let committed = match of(ArtifactKind::Commitment) {
        Some(file) => Some(blobs::read_json(app, &file.sha256, MAX_COMMITMENT_BYTES).await?),
        None => None,
    };
    Ok((weights.sha256.clone(), committed))
}

/// What the cells of a study were found to be when their jobs ended, by number.
async fn accepted(app: &App, job: &JobRecord) -> Result<HashMap<u32, CellResult>, Error> {
    let plan = job.parent_id.unwrap_or(job.id);
    let mut found = HashMap::new();
    for part in app.store().list_study_jobs(job.owner_id, plan).await? {
        for file in app.store().list_artifacts(job.owner_id, part.id).await? {
            if file.kind == ArtifactKind::MatrixCells {
                let cells: Vec<CellResult> =
                    blobs::read_json(app, &file.sha256, MAX_PLAN_BYTES).await?;
                found.extend(cells.into_iter().map(|result| (result.cell.number, result)));
            }
        }
    }
    Ok(found)
}

/// Where a report leaves what was planned, protected and accepted, if it does.
fn strayed(
    report: &MatrixReport,
    plan: &Plan,
    weights: &str,
    accepted: &HashMap<u32, CellResult>,
) -> Option<&'static str> {
    let same = report.tier == plan.tier
        && report.headline.headline == plan.headline
        && report.subjects == plan.subjects
        && report.settings == plan.settings
        && report.inputs == plan.inputs;
    let kept = plan.kept().iter().map(|cell| (cell.number, cell));
    let kept: HashMap<u32, &Cell> = kept.collect();
    let is_planned = |result: &CellResult| {
        let cell = kept.get(&result.cell.number);
        cell.is_some_and(|cell| plan.key(cell) == result.key)
    };
    let is_accepted = |result: &CellResult| accepted.get(&result.cell.number) == Some(result);
    if report.inputs.protected_sha256 != weights {
        Some("it judges other weights than the protect job left")
    } else if !same {
        Some("its inputs are not those of the plan")
    } else if report.plan().cells != plan.cells {
        Some("its cells are not those of the plan")
    } else if !report.cells.iter().all(is_planned) {
        Some("a cell is not what was planned")
    } else if !report.cells.iter().all(is_accepted) {
        Some("a cell is not what its job found")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn parts_are_even_in_order_and_never_empty() {
        for count in 1..40_u32 {
            let all: Vec<u32> = (0..count).collect();
            for most in 1..50 {
                let dealt: Vec<&[u32]> = parts(&all, most).collect();
                assert_eq!(dealt.len(), most.min(all.len()));
                assert_eq!(dealt.concat(), all);
                let lengths = || dealt.iter().map(|part| part.len());
                let (short, long) = (lengths().min().unwrap(), lengths().max().unwrap());
                assert!(short > 0 && long - short <= 1, "{count} to {most}");
            }
        }
    }
}
