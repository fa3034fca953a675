//! Jobs that go on from an earlier one: whose weights, and whether nothing that they hold is forgotten.

use shared::{
    JobId, OrganisationId,
    job::{Action, Concept, JobKind, JobSpec, JobStatus},
};
use store::JobRecord;

use crate::{
    app::{App, artifacts},
    error::Error,
};

const POINTER: &str = "#/extends";

/// Refuses an earlier job whose weights cannot be gone on from.
pub(super) async fn require(app: &App, owner: OrganisationId, spec: &JobSpec) -> Result<(), Error> {
    let Some(id) = spec.extends else {
        return Ok(());
    };
    let job = find(app, owner, id).await?;
    if job.status != JobStatus::Succeeded {
        let detail =
            "That job has no result to go on from. Wait for it, or name one that succeeded.";
        return Err(Error::field(POINTER, "not_finished", detail));
    }
    if job.model_id != spec.base_model_id {
        let detail =
            "That job protected another base model. Choose the same one, or leave this out.";
        return Err(Error::field(POINTER, "other_model", detail));
    }
    if !keeps(&job.spec.concepts, &spec.concepts) {
        return Err(forgotten(&job.spec.concepts));
    }
    holds_out_as_before(&job.spec, spec)
}

/// Refuses to go on from weights that were removed; what judges a job needs that job's own alone.
pub(crate) async fn require_weights(
    app: &App,
    owner: OrganisationId,
    spec: &JobSpec,
) -> Result<(), Error> {
    match spec.extends {
        Some(id) if !artifacts::has_weights(app, owner, id).await? => {
            let detail = artifacts::WEIGHTS_GONE;
            Err(Error::field(POINTER, "weights_removed", detail))
        }
        _ => Ok(()),
    }
}

/// Refuses a job that would test with words that the earlier one trained: what is held out follows from the seed, and
/// from whether universal identifiers are trained at all.
fn holds_out_as_before(earlier: &JobSpec, spec: &JobSpec) -> Result<(), Error> {
    if earlier.seed != spec.seed {
        let detail = format!(
            "The seed decides which identifiers, templates and captions are held out. Keep the earlier job's: {}.",
            earlier.seed
        );
        return Err(Error::field("#/seed", "other_seed", detail));
    }
    if earlier.injection.universal_identifiers && !spec.injection.universal_identifiers {
        let detail = "The earlier job trained universal identifiers, so that its trigger answers to all of them. Train \
                      them here too.";
        let pointer = "#/injection/universal_identifiers";
        return Err(Error::field(pointer, "identifiers_trained", detail));
    }
    Ok(())
}

async fn find(app: &App, owner: OrganisationId, id: JobId) -> Result<JobRecord, Error> {
    let job = app.store().find_job(owner, id).await?;
    job.filter(|job| job.kind == JobKind::Protect)
        .ok_or_else(|| Error::field(POINTER, "not_found", "You have no such protection job."))
}

/// Whether all earlier concepts come first, in the same order. A protected one may be removed now; a removed one stays
/// removed.
fn keeps(earlier: &[Concept], concepts: &[Concept]) -> bool {
    earlier.len() <= concepts.len()
        && earlier.iter().zip(concepts).all(|(before, now)| {
            let action = before.action == Action::Protect || now.action == Action::Remove;
            let same = Concept {
                action: now.action,
                ..before.clone()
            };
            action && same == *now
        })
}

fn forgotten(earlier: &[Concept]) -> Error {
    let names: Vec<String> = earlier
        .iter()
        .map(|concept| match concept.action {
            Action::Protect => format!("{} {}", concept.identifier, concept.class_name),
            Action::Remove => format!("{} {} (removed)", concept.identifier, concept.class_name),
        })
        .collect();
    let detail = format!(
        "The earlier weights hold other concepts, which this job would lose. Put them first, unchanged and in this \
         order: {}. To give one up, keep it there with the action `remove`; what was removed stays removed.",
        names.join(", ")
    );
    Error::field("#/concepts", "earlier_concepts_missing", detail)
}

#[cfg(test)]
mod tests {
    use shared::{SetId, job::SubjectKind, objective::Objective};

    use super::*;

    fn concept(set: u128) -> Concept {
        Concept {
            protected_set_id: SetId::from_uuid(uuid::Uuid::from_u128(set)),
            subject: SubjectKind::Object,
            class_name: "dog".into(),
            identifier: "sks".into(),
            objective: Objective::Erasure { prompt: None },
            action: Action::Protect,
        }
    }

    fn removed(set: u128) -> Concept {
        Concept {
            action: Action::Remove,
            ..concept(set)
        }
    }

    #[test]
    fn earlier_concepts_come_first_and_only_their_action_changes() {
        let earlier = [concept(1), concept(2)];
        assert!(keeps(&earlier, &[concept(1), concept(2)]));
        assert!(keeps(&earlier, &[concept(1), concept(2), concept(3)]));
        assert!(keeps(&earlier, &[concept(1), removed(2)]));
        assert!(!keeps(&earlier, &[concept(1)]));
        assert!(!keeps(&earlier, &[concept(2), concept(1)]));
        assert!(!keeps(&earlier, &[concept(3), concept(1), concept(2)]));
        let mut other = concept(2);
        other.class_name = "cat".into();
        assert!(!keeps(&earlier, &[concept(1), other]));
        assert!(!keeps(&[removed(1)], &[concept(1)]), "it stays removed");
        assert!(keeps(&[removed(1)], &[removed(1), concept(2)]));
    }
}
