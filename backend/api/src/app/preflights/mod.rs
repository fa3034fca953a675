//! Preflight: what is known before a job is launched, and the same rules at the launch.

use shared::{
    OrganisationId,
    base_model::BaseModel,
    job::{Concept, JobSpec},
    preflight::{CheckStatus, Preflight, PreflightCheck},
    problem::FieldError,
    protected_set::{ProtectedSet, SetStatus},
};
use store::NodeKind;

use super::{App, base_models, estimates, nodes as app_nodes, protected_sets};
use crate::error::Error;

mod concepts;
mod earlier;
mod nodes;
mod people;
mod probed;
mod summary;

pub(crate) use earlier::require_weights;
use probed::Probe;

/// Everything that the checks look at.
pub(crate) struct Facts {
    /// The set of each concept, in their order.
    sets: Vec<ProtectedSet>,
    model: BaseModel,
    /// Those that are online, by what they can do.
    nodes: Vec<NodeKind>,
    probe: Probe,
}

impl Facts {
    /// Loads what the specification names; what is not there, or not the owner's, is a field error.
    pub(crate) async fn load(
        app: &App,
        owner: OrganisationId,
        spec: &JobSpec,
    ) -> Result<Self, Error> {
        Error::unless_valid(spec.validate())?;
        let mut sets = Vec::with_capacity(spec.concepts.len());
        for (position, concept) in spec.concepts.iter().enumerate() {
            sets.push(set(app, owner, position, concept).await?);
            patch(app, owner, position, concept).await?;
        }
        let model = base_models::find(app, owner, spec.base_model_id).await;
        let model =
            model.map_err(|error| missing(error, "#/base_model_id", "There is no such model."))?;
        earlier::require(app, owner, spec).await?;
        control_set(app, owner, spec).await?;
        Ok(Self {
            sets,
            model,
            nodes: app_nodes::kinds_online(app).await?,
            probe: Probe::find(app, owner, spec).await?,
        })
    }

    /// Refuses what no node should see, whatever a browser said.
    pub(crate) fn require(&self, spec: &JobSpec) -> Result<(), Error> {
        let failed = self
            .checks(spec)
            .into_iter()
            .filter(|check| check.status == CheckStatus::Fail);
        let (fields, states): (Vec<_>, Vec<_>) = failed.partition(|check| {
            let state = [concepts::RIGHTS, concepts::IMAGES].contains(&check.code.as_str());
            check.pointer.is_some() && !state
        });
        if let Some(check) = states.into_iter().next() {
            return Err(Error::Conflict(check.detail));
        }
        Error::unless_valid(fields.into_iter().map(field_error).collect())
    }

    /// What a launch must pass.
    fn checks(&self, spec: &JobSpec) -> Vec<PreflightCheck> {
        let mut checks = Vec::new();
        for (position, (concept, set)) in spec.concepts.iter().zip(&self.sets).enumerate() {
            let subject = Subject {
                concept,
                set,
                model: &self.model,
                pointer: format!("#/concepts/{position}"),
                label: label(spec, concept),
            };
            checks.extend(subject.checks());
            checks.extend(subject.people());
            match self.probe.concept(position) {
                Some(found) => checks.extend(subject.probed(found)),
                None => checks.push(subject.identifier()),
            }
        }
        let planned = self.probe.planned(spec);
        checks.push(self.trainable(planned.is_some()));
        checks.extend(planned.map(|report| self.planned_memory(spec, report)));
        checks
    }

    /// What a reader shall know beyond that; none of it stops a launch.
    async fn notes(&self, app: &App, spec: &JobSpec) -> Result<Vec<PreflightCheck>, Error> {
        let mut notes = vec![self.node_check()];
        notes.extend(self.judge());
        notes.extend(self.probe.note(app, spec).await?);
        notes.push(summary::scope(&self.model));
        Ok(notes)
    }
}

/// One concept with what it names.
struct Subject<'a> {
    concept: &'a Concept,
    set: &'a ProtectedSet,
    model: &'a BaseModel,
    /// Where it stands in the specification.
    pointer: String,
    /// Goes after titles where there are several.
    label: String,
}

impl Subject<'_> {
    fn check(
        &self,
        code: &str,
        status: CheckStatus,
        title: &str,
        detail: String,
        field: &str,
    ) -> PreflightCheck {
        let pointer = format!("{}/{field}", self.pointer);
        let title = format!("{title}{}", self.label);
        check(code, status, &title, detail, Some(&pointer))
    }
}

fn label(spec: &JobSpec, concept: &Concept) -> String {
    if spec.concepts.len() == 1 {
        return String::new();
    }
    format!(": {} {}", concept.identifier, concept.class_name)
}

/// The innocent user's pictures: sealed, the owner's, and none that the job protects.
async fn control_set(app: &App, owner: OrganisationId, spec: &JobSpec) -> Result<(), Error> {
    const POINTER: &str = "#/evaluation/control_set_id";
    let Some(id) = spec.evaluation.control_set_id else {
        return Ok(());
    };
    let found = protected_sets::find(app, owner, id).await;
    let found = found.map_err(|error| missing(error, POINTER, "There is no such set."))?;
    let protected = spec
        .concepts
        .iter()
        .any(|concept| concept.protected_set_id == id);
    if protected {
        let detail = "The control set shows another subject than those protected.";
        return Err(Error::field(POINTER, "control_is_protected", detail));
    }
    if found.status != SetStatus::Sealed {
        return Err(Error::field(
            POINTER,
            "not_sealed",
            "Seal the control set first.",
        ));
    }
    Ok(())
}

async fn set(
    app: &App,
    owner: OrganisationId,
    position: usize,
    concept: &Concept,
) -> Result<ProtectedSet, Error> {
    let pointer = format!("#/concepts/{position}/protected_set_id");
    let set = protected_sets::find(app, owner, concept.protected_set_id).await;
    set.map_err(|error| missing(error, &pointer, "You have no such set."))
}

async fn patch(
    app: &App,
    owner: OrganisationId,
    position: usize,
    concept: &Concept,
) -> Result<(), Error> {
    let Some(id) = concept.objective.own_patch() else {
        return Ok(());
    };
    if app.store().find_patch(owner, id).await?.is_some() {
        return Ok(());
    }
    let pointer = format!("#/concepts/{position}/objective/patch/patch_id");
    Err(missing(
        Error::NotFound,
        &pointer,
        "You have no such patch.",
    ))
}

fn check(
    code: &str,
    status: CheckStatus,
    title: &str,
    detail: String,
    pointer: Option<&str>,
) -> PreflightCheck {
    PreflightCheck {
        code: code.into(),
        status,
        title: title.into(),
        detail,
        pointer: pointer.map(Into::into),
    }
}

fn field_error(check: PreflightCheck) -> FieldError {
    FieldError {
        pointer: check.pointer.unwrap_or_default(),
        code: check.code,
        detail: check.detail,
    }
}

fn missing(error: Error, pointer: &str, detail: &str) -> Error {
    match error {
        Error::NotFound => Error::field(pointer, "not_found", detail),
        other => other,
    }
}

fn contains(words: &[impl AsRef<str>], word: &str) -> bool {
    words
        .iter()
        .any(|known| known.as_ref().eq_ignore_ascii_case(word))
}

/// Looks at a specification without launching it.
pub async fn create(app: &App, owner: OrganisationId, spec: &JobSpec) -> Result<Preflight, Error> {
    let facts = Facts::load(app, owner, spec).await?;
    require_weights(app, owner, spec).await?;
    let mut checks = facts.checks(spec);
    checks.extend(facts.notes(app, spec).await?);
    Ok(Preflight {
        ready: checks.iter().all(|check| check.status != CheckStatus::Fail),
        summary: facts.summary(spec),
        checks,
        estimate_seconds: estimates::whole(app, spec).await?,
        probe: facts.probe.job(),
        nodes_online: u32::try_from(facts.nodes_online()).unwrap_or(u32::MAX),
    })
}
