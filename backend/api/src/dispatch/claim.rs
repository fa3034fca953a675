//! Claims: one job to one node, with everything that the node needs by signed address.

use std::time::Duration;

use shared::{
    JobId, NodeId, SetId, Timestamp,
    artifact::ArtifactKind,
    job::{Concept, JobKind},
    limits::MAX_CONCEPTS,
    node::{CreateLease, InputRole, JobInput, Lease, LeaseDevice},
    study::StudyTask,
    training_node::NodeFacts,
};
use store::{Claimant, ClaimedJob, JobRecord, NodeRecord};
use tokio::time::Instant;

use super::{hub::Woken, study};
use crate::{
    app::{App, blobs},
    error::Error,
};

/// Longest wait for work; well below the clients' and our own timeouts.
const PATIENCE: Duration = Duration::from_secs(9);

/// Lends the next job to a node; waits for one, but not for ever. `known` is who its credential says it is.
pub async fn wait(
    app: &App,
    known: Option<NodeId>,
    request: &CreateLease,
) -> Result<Option<Lease>, Error> {
    let node = record(request)?;
    if known.is_some_and(|known| known != node.id) {
        return Err(Error::Forbidden(
            "This credential belongs to another node.".into(),
        ));
    }
    let claimant = claimant(request)?;
    let deadline = Instant::now() + PATIENCE;
    app.store()
        .touch_node(&node, known.is_some(), app.now())
        .await?;
    let mut woken = Woken::WithAll;
    loop {
        let work = app.hub().work();
        if let Some(claimed) = claim(app, claimant).await? {
            return lease(app, claimed).await.map(Some);
        }
        if woken == Woken::Alone && app.store().has_queued_jobs_any().await? {
            // Not for this node; perhaps for another.
            app.hub().work_arrived();
        }
        tokio::select! {
            who = work => woken = who,
            () = tokio::time::sleep_until(deadline) => return Ok(None),
            () = app.stop().cancelled() => return Ok(None),
        }
    }
}

/// The next job, if one waits that this node can do. Asking whether any waits keeps idle nodes from the one writer.
async fn claim(app: &App, claimant: Claimant<'_>) -> Result<Option<ClaimedJob>, Error> {
    if !app.store().has_queued_jobs_any().await? {
        return Ok(None);
    }
    let claimed = app
        .store()
        .claim_job(claimant, app.now(), lease_until(app))
        .await?;
    if let Some(ClaimedJob { job, token }) = &claimed {
        app.hub().job_moved(job.id);
        tracing::info!(job.id = %job.id, node.id = %claimant.node, device = claimant.device, token, "claimed");
    }
    Ok(claimed)
}

/// The device that asks; a node that names none has one, all of which is free.
fn claimant(request: &CreateLease) -> Result<Claimant<'_>, Error> {
    let device = request.device.as_ref();
    if !device.is_none_or(LeaseDevice::is_credible) {
        return Err(Error::field(
            "#/device",
            "out_of_range",
            "The node's device is not credible.",
        ));
    }
    let whole = request.memory_bytes;
    Ok(Claimant {
        node: request.node_id,
        device: request.device_name(),
        memory_bytes: device.map_or(whole, |device| device.memory_bytes),
        free_memory_bytes: device.map_or(whole, |device| device.free_memory_bytes),
    })
}

fn record(request: &CreateLease) -> Result<NodeRecord, Error> {
    let name = request.name.trim();
    if name.is_empty() || name.chars().count() > shared::limits::MAX_NAME_CHARACTERS {
        return Err(Error::field(
            "#/name",
            "invalid_length",
            "Give a name of 1 to 100 characters.",
        ));
    }
    let word = |word: &String| !word.is_empty() && word.len() <= 64;
    if request.families.len() > 64 || !request.families.iter().all(word) {
        return Err(Error::field(
            "#/families",
            "out_of_range",
            "Name at most 64 families.",
        ));
    }
    if i32::try_from(request.threads).is_err() || i64::try_from(request.memory_bytes).is_err() {
        return Err(Error::field(
            "#/threads",
            "out_of_range",
            "The node's size is not credible.",
        ));
    }
    if !request.facts.as_ref().is_none_or(NodeFacts::is_credible) {
        return Err(Error::field(
            "#/facts",
            "out_of_range",
            "The node's machine is not credible.",
        ));
    }
    Ok(NodeRecord {
        id: request.node_id,
        name: name.to_owned(),
        threads: request.threads,
        memory_bytes: request.memory_bytes,
        families: request.families.clone(),
        facts: request.facts.clone(),
    })
}

/// When a lease granted now runs out.
pub(crate) fn lease_until(app: &App) -> Timestamp {
    let seconds = i64::from(app.config().lease_seconds);
    app.later(seconds * 1000)
}

async fn lease(app: &App, claimed: ClaimedJob) -> Result<Lease, Error> {
    telemetry::note("persguard.job.id", claimed.job.id);
    let inputs = inputs(app, &claimed.job).await?;
    let ClaimedJob { job, token } = claimed;
    Ok(Lease {
        job_id: job.id,
        kind: job.kind,
        token,
        lease_seconds: u64::from(app.config().lease_seconds),
        attempt: job.attempts,
        required_memory_bytes: Some(job.required_memory_bytes).filter(|bytes| *bytes > 0),
        spec: job.spec,
        inputs,
        traceparent: job.traceparent,
    })
}

async fn inputs(app: &App, job: &JobRecord) -> Result<Vec<JobInput>, Error> {
    let mut inputs = Vec::new();
    for file in app.store().base_model_files(job.model_id).await? {
        let (sha256, size) = (file.sha256, file.size_bytes);
        inputs.push(input(app, file.role, file.name, sha256, size).await?);
    }
    for (position, concept) in job.spec.concepts.iter().enumerate() {
        // An attack is on one concept; pictures of the others are none of its business.
        let attacked = job.spec.evaluation.concept as usize == position;
        let attacks = matches!(job.kind, JobKind::Evaluate | JobKind::Study);
        if !attacks || attacked {
            let (role, set) = (InputRole::ProtectedImage, concept.protected_set_id);
            images(app, job, (role, position), set, &mut inputs).await?;
        }
        patch(app, job, position, concept, &mut inputs).await?;
        if job.kind == JobKind::Evaluate && attacked {
            control(app, job, position, concept, &mut inputs).await?;
        }
    }
    if let Some(earlier) = job.spec.extends.filter(|_| job.kind == JobKind::Protect) {
        weights(app, job, earlier, InputRole::StartUnet, &mut inputs).await?;
    }
    match (job.kind, job.parent_id) {
        (JobKind::Study, _) => study_inputs(app, job, &mut inputs).await?,
        (_, Some(parent)) => {
            weights(app, job, parent, InputRole::ProtectedUnet, &mut inputs).await?;
        }
        (_, None) => {}
    }
    if let Some(resume) = job.resume.clone() {
        let name = format!("step-{}", resume.step);
        let (sha256, size) = (resume.sha256, resume.size_bytes);
        inputs.push(input(app, InputRole::Resume, name, sha256, size).await?);
    }
    Ok(inputs)
}

/// The model under attack with what it held out, the controls, and what earlier jobs of the study found.
async fn study_inputs(app: &App, job: &JobRecord, inputs: &mut Vec<JobInput>) -> Result<(), Error> {
    let order = study::order(job)?;
    let protect = order.request.protect_job_id;
    weights(app, job, protect, InputRole::ProtectedUnet, inputs).await?;
    matrix(app, job, protect, &[ArtifactKind::Commitment], inputs).await?;
    for (at, control) in order.request.controls.iter().enumerate() {
        let place = (InputRole::ProtectedImage, MAX_CONCEPTS + at);
        images(app, job, place, control.protected_set_id, inputs).await?;
    }
    let Some(plan) = job.parent_id.filter(|_| order.task != StudyTask::Plan) else {
        return Ok(());
    };
    matrix(app, job, plan, &[ArtifactKind::MatrixPlan], inputs).await?;
    if order.task == StudyTask::Merge {
        for part in app.store().list_study_jobs(job.owner_id, plan).await? {
            let kinds = [ArtifactKind::MatrixCell, ArtifactKind::GalleryImage];
            matrix(app, job, part.id, &kinds, inputs).await?;
        }
    }
    Ok(())
}

/// Files of these kinds of another job of the same owner.
async fn matrix(
    app: &App,
    job: &JobRecord,
    of: JobId,
    kinds: &[ArtifactKind],
    inputs: &mut Vec<JobInput>,
) -> Result<(), Error> {
    for file in app.store().list_artifacts(job.owner_id, of).await? {
        if kinds.contains(&file.kind) {
            let (sha256, size) = (file.sha256, file.size_bytes);
            inputs.push(input(app, InputRole::Matrix, file.name, sha256, size).await?);
        }
    }
    Ok(())
}

/// Where a picture of a concept lies.
fn picture(position: usize, index: usize) -> String {
    format!("{position:02}/{index:03}.png")
}

/// The pictures of a set, for one use and at one concept's place.
async fn images(
    app: &App,
    job: &JobRecord,
    (role, position): (InputRole, usize),
    set: SetId,
    inputs: &mut Vec<JobInput>,
) -> Result<(), Error> {
    let images = app.store().list_images(job.owner_id, set).await?;
    for (index, image) in images.into_iter().enumerate() {
        inputs.push(JobInput {
            url: blobs::image_url(app, &image).await?,
            role,
            name: picture(position, index),
            sha256: image.content_sha256,
            size_bytes: image.content_size_bytes,
        });
    }
    Ok(())
}

/// The control set that the job names; for the embedded model, a bundled stranger of the same class.
async fn control(
    app: &App,
    job: &JobRecord,
    position: usize,
    concept: &Concept,
    inputs: &mut Vec<JobInput>,
) -> Result<(), Error> {
    let role = InputRole::ControlImage;
    if let Some(set) = job.spec.evaluation.control_set_id {
        return images(app, job, (role, position), set, inputs).await;
    }
    let owner = job.owner_id;
    let model = app.store().find_base_model(owner, job.model_id).await?;
    if model.is_none_or(|model| model.family != "tiny") {
        return Ok(());
    }
    let stranger = demo::sample_sets()
        .iter()
        .find(|set| !set.protected && set.class_name == concept.class_name);
    let images = stranger.map_or(&[][..], |set| set.images);
    for (index, (_, bytes)) in images.iter().enumerate() {
        let sha256 = blobs::keep(app, bytes).await?;
        let size = bytes.len() as u64;
        inputs.push(input(app, role, picture(position, index), sha256, size).await?);
    }
    Ok(())
}

/// The owner's patch that a concept's pattern shows; it stays as long as a job that has not ended names it.
async fn patch(
    app: &App,
    job: &JobRecord,
    position: usize,
    concept: &Concept,
    inputs: &mut Vec<JobInput>,
) -> Result<(), Error> {
    let Some(id) = concept.objective.own_patch() else {
        return Ok(());
    };
    if let Some(patch) = app.store().find_patch(job.owner_id, id).await? {
        let name = format!("{position:02}.png");
        let (sha256, size) = (patch.sha256, patch.size_bytes);
        inputs.push(input(app, InputRole::Patch, name, sha256, size).await?);
    }
    Ok(())
}

/// The protected U-Net of another job of the same owner.
async fn weights(
    app: &App,
    job: &JobRecord,
    of: JobId,
    role: InputRole,
    inputs: &mut Vec<JobInput>,
) -> Result<(), Error> {
    let files = app.store().list_artifacts(job.owner_id, of).await?;
    for file in files {
        if file.kind == ArtifactKind::ProtectedUnet {
            let (sha256, size) = (file.sha256, file.size_bytes);
            inputs.push(input(app, role, file.name, sha256, size).await?);
        }
    }
    Ok(())
}

async fn input(
    app: &App,
    role: InputRole,
    name: String,
    sha256: String,
    size_bytes: u64,
) -> Result<JobInput, Error> {
    Ok(JobInput {
        url: blobs::read_url(app, &sha256, size_bytes).await?,
        role,
        name,
        sha256,
        size_bytes,
    })
}
