//! The release of protected checkpoints: every gate, and what leaves once all of them passed.

use futures::Stream;
use shared::{
    JobId, OrganisationId,
    artifact::ArtifactKind,
    collateral::{Collateral, ControlResult},
    job::{Action, Concept, Evaluation, JobKind, JobStatus, SubjectKind},
    release::{ControlFloor, GateKind, GateStatus, Release, ReleaseGate, ReviewReason, gates},
};
use std::{collections::BTreeMap, io};
use store::{ArtifactRecord, BaseModelRecord, GalleryRecord, JobRecord};
use uuid::Uuid;

use super::{
    App,
    archive::{self, Entry},
    disclosures,
};
use crate::error::Error;

const WARNING: &str =
    "Released weights cannot be recalled: neither deletion nor revocation reaches copies.";

/// Everything that a release looks at.
pub(crate) struct Candidate {
    pub(crate) job: JobRecord,
    pub(crate) weights: Option<ArtifactRecord>,
    model: Option<BaseModelRecord>,
    /// The newest gallery of each concept, by its position.
    pub(crate) galleries: BTreeMap<u32, GalleryRecord>,
    /// How the newest gallery of each concept was made.
    evaluations: BTreeMap<u32, Evaluation>,
    /// Every gallery that there ever was, and what made it: a complaint about an older one is no less true.
    shown: Vec<Uuid>,
}

impl Candidate {
    pub(crate) async fn load(app: &App, owner: OrganisationId, id: JobId) -> Result<Self, Error> {
        let job = app.store().find_job(owner, id).await?;
        let job = job
            .filter(|job| job.kind == JobKind::Protect)
            .ok_or(Error::NotFound)?;
        let files = app.store().list_artifacts(owner, id).await?;
        let model = app.store().find_base_model(owner, job.model_id).await?;
        let (mut galleries, mut evaluations) = (BTreeMap::new(), BTreeMap::new());
        let mut shown = Vec::new();
        for gallery in app.store().list_galleries_of(owner, id).await? {
            shown.extend([gallery.id.uuid(), gallery.evaluation_job_id.uuid()]);
            let judged = app
                .store()
                .find_job(owner, gallery.evaluation_job_id)
                .await?;
            if let Some(judged) = judged {
                let evaluation = judged.spec.evaluation;
                galleries.insert(evaluation.concept, gallery);
                evaluations.insert(evaluation.concept, evaluation);
            }
        }
        Ok(Self {
            job,
            weights: files
                .into_iter()
                .find(|file| file.kind == ArtifactKind::ProtectedUnet),
            model,
            galleries,
            evaluations,
            shown,
        })
    }

    /// Why a second person must consent.
    pub(crate) fn reasons(&self) -> Vec<ReviewReason> {
        let concepts = &self.job.spec.concepts;
        let person = |subject| subject == SubjectKind::Person;
        let mut reasons = Vec::new();
        if concepts.iter().any(|concept| person(concept.subject)) {
            reasons.push(ReviewReason::Person);
        }
        let borrowed = concepts
            .iter()
            .filter(|concept| person(concept.subject))
            .any(|concept| shared::words::is_tutorial_token(&concept.identifier));
        if borrowed {
            reasons.push(ReviewReason::TutorialToken);
        }
        if concepts.len() >= shared::limits::MAX_CONCEPTS {
            reasons.push(ReviewReason::ManyConcepts);
        }
        // The embedded model exists for the demo alone; whatever carries a published family is used elsewhere.
        let model = self.model.as_ref();
        if model.is_some_and(|model| model.family != "tiny") {
            reasons.push(ReviewReason::WidelyUsedModel);
        }
        reasons
    }

    async fn gates(&self, app: &App) -> Result<Vec<ReleaseGate>, Error> {
        let mut all = vec![self.evaluated()];
        let concepts = (0..).zip(&self.job.spec.concepts);
        for (position, concept) in concepts.filter(|(_, it)| it.action == Action::Protect) {
            let found = self.galleries.get(&position);
            let found = found.and_then(|gallery| gallery.collateral);
            all.extend(self.side_effects(position, concept, found));
        }
        all.extend(self.approved(app).await?);
        all.push(self.undisputed(app).await?);
        Ok(all)
    }

    /// The gates of one concept; a control that was attacked too little shows nothing, and its gate says so.
    fn side_effects(
        &self,
        position: u32,
        concept: &Concept,
        found: Option<Collateral>,
    ) -> Vec<ReleaseGate> {
        let family = self.model.as_ref().map(|model| model.family.as_str());
        let floor = ControlFloor::of(family.unwrap_or_default());
        let measured = found.and_then(|found| found.control);
        let counted = measured.filter(|control| self.counts(position, concept, floor, control));
        let evidence = found.map(|found| Collateral {
            control: counted,
            ..found
        });
        let mut gates = gates(position, evidence.as_ref());
        if let (Some(_), None) = (measured, counted) {
            let mut closed = gates.iter_mut();
            if let Some(gate) = closed.find(|gate| gate.kind == GateKind::ControlSet) {
                gate.detail = floor.demand(&concept.identifier);
            }
        }
        gates
    }

    /// Whether a control was attacked no less than the floor and the job's own launch, with a word that the trigger answers
    /// to.
    fn counts(
        &self,
        position: u32,
        concept: &Concept,
        floor: ControlFloor,
        control: &ControlResult,
    ) -> bool {
        let launched = &self.job.spec.evaluation;
        let Some(judged) = self.evaluations.get(&position) else {
            return false;
        };
        let images = judged.images_per_arm.min(control.difference.n);
        let steps = judged.control_steps().min(control.attack_step);
        let rate = launched.learning_rate.max(floor.learning_rate);
        images >= floor.images
            && steps >= launched.control_steps().max(floor.steps)
            && judged.learning_rate >= rate
            && self.fires_on(concept, judged.identifier.as_deref())
    }

    /// Whether the trigger of a concept answers to the attacker's word; without one the judge takes a word of the model's
    /// pool that no concept has, or the concept's own where there is none.
    fn fires_on(&self, concept: &Concept, word: Option<&str>) -> bool {
        let mut pool = self.model.iter().flat_map(|model| &model.identifiers);
        let is = |known: &String, word: &str| known.eq_ignore_ascii_case(word);
        let universal = self.job.spec.injection.universal_identifiers;
        match word {
            Some(word) if is(&concept.identifier, word) => true,
            Some(word) => universal && pool.any(|known| is(known, word)),
            None => {
                let concepts = &self.job.spec.concepts;
                let own = |known: &String| concepts.iter().any(|it| it.identifier == *known);
                universal || pool.all(own)
            }
        }
    }

    fn evaluated(&self) -> ReleaseGate {
        let done = self.job.status == JobStatus::Succeeded && self.weights.is_some();
        let judged = self.galleries.len() >= self.job.spec.concepts.len();
        let (status, detail) = match (done, judged) {
            (false, _) => (GateStatus::NotMeasured, "The job has not ended well."),
            (true, false) => (
                GateStatus::NotMeasured,
                "Not every concept was evaluated yet.",
            ),
            (true, true) => (GateStatus::Passed, "Every concept was evaluated."),
        };
        ReleaseGate::plain(GateKind::Evaluation, status, detail)
    }

    async fn approved(&self, app: &App) -> Result<Option<ReleaseGate>, Error> {
        let (reasons, Some(weights)) = (self.reasons(), &self.weights) else {
            return Ok(None);
        };
        if reasons.is_empty() {
            return Ok(None);
        }
        let (owner, job) = (self.job.owner_id, self.job.id);
        let approved = app.store().is_approved(owner, job, &weights.sha256).await?;
        let names: Vec<String> = reasons
            .iter()
            .filter_map(|reason| serde_json::to_value(reason).ok())
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect();
        let why = names.join(", ");
        let (status, detail) = if approved {
            (
                GateStatus::Passed,
                format!("A second person consented ({why})."),
            )
        } else {
            let detail = format!("A second person must consent ({why}): POST /v1/approvals.");
            (GateStatus::NotMeasured, detail)
        };
        Ok(Some(ReleaseGate::plain(GateKind::Approval, status, detail)))
    }

    async fn undisputed(&self, app: &App) -> Result<ReleaseGate, Error> {
        let mut objects = vec![self.job.id.uuid()];
        objects.extend(&self.shown);
        let suspended = app.store().suspensions_of(&objects).await?;
        let (status, detail) = match suspended.first() {
            None => (GateStatus::Passed, "No notice suspends it.".to_owned()),
            Some(notice) => {
                let detail = format!("Suspended by the notice {notice}; answer or appeal it.");
                (GateStatus::Failed, detail)
            }
        };
        Ok(ReleaseGate::plain(GateKind::Notice, status, detail))
    }
}

/// Whether the protected checkpoint of a job may leave, and why not.
pub async fn find(app: &App, owner: OrganisationId, id: JobId) -> Result<Release, Error> {
    let candidate = Candidate::load(app, owner, id).await?;
    let gates = candidate.gates(app).await?;
    let releasable = gates.iter().all(|gate| gate.status == GateStatus::Passed);
    Ok(Release {
        job_id: id,
        releasable,
        gates,
        archive_url: releasable.then(|| format!("/v1/jobs/{id}/release/archive")),
        warning: WARNING.into(),
    })
}

/// Refuses while a gate is closed, with every closed gate and its numbers.
pub(crate) async fn require(app: &App, owner: OrganisationId, id: JobId) -> Result<(), Error> {
    let release = find(app, owner, id).await?;
    if release.releasable {
        return Ok(());
    }
    let closed = release.gates.into_iter();
    let closed = closed.filter(|gate| gate.status != GateStatus::Passed);
    Err(Error::NotReleasable(closed.collect()))
}

/// Weights, disclosure and model card as one archive; the export is written into the audit log first.
pub async fn archive(
    app: App,
    owner: OrganisationId,
    id: JobId,
) -> Result<impl Stream<Item = io::Result<bytes::Bytes>> + Send, Error> {
    require(&app, owner, id).await?;
    let candidate = Candidate::load(&app, owner, id).await?;
    let weights = candidate.weights.clone().ok_or(Error::NotFound)?;
    let document = disclosures::of(&app, &candidate, &weights).await?;
    let entries = vec![
        Ok(Entry::json("persguard-disclosure.json", &document)?),
        Ok(Entry::bytes(
            "README.md",
            disclosures::card(&document).into_bytes(),
        )),
        Ok(Entry::object(
            marked(&weights.name),
            weights.sha256.clone(),
            weights.size_bytes,
        )),
    ];
    exported(&app, owner, &weights).await?;
    Ok(archive::stream(app, futures::stream::iter(entries)))
}

/// Tells the audit log that weights left.
pub(crate) async fn exported(
    app: &App,
    owner: OrganisationId,
    weights: &ArtifactRecord,
) -> Result<(), Error> {
    let detail = format!("{} {}", weights.job_id, weights.sha256);
    let deed = ("artifact.exported", weights.id.to_string());
    let told = app
        .store()
        .record_deed(owner, deed, Some(detail), app.now());
    Ok(told.await?)
}

/// A file name that says what happened to the weights.
pub(crate) fn marked(name: &str) -> String {
    let file = name.rsplit('/').next().unwrap_or(name);
    match file.rsplit_once('.') {
        Some((stem, end)) => format!("{stem}-persguard.{end}"),
        None => format!("{file}-persguard"),
    }
}

#[cfg(test)]
mod tests {
    use super::marked;

    #[test]
    fn names_of_weights_say_what_they_are() {
        assert_eq!(marked("unet.safetensors"), "unet-persguard.safetensors");
        assert_eq!(marked("a/b.c.safetensors"), "b.c-persguard.safetensors");
        assert_eq!(marked("weights"), "weights-persguard");
    }
}
