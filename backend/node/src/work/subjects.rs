//! The job's concepts as the method takes them: images and patches. Refuses to guess at what did not come along.

use candle_core::{Device, Tensor};
use persguard::{Subject, overlay};
use shared::{
    job::Concept,
    objective::{Objective, Patch, Pattern},
};

use super::{Halt, Job, bad_input, images, internal};
use crate::message::Pictures;

/// Every concept, in the job's order.
pub(super) fn load(job: &Job<'_>, side: usize) -> Result<Vec<Subject>, Halt> {
    let concepts = job.assignment.spec.concepts.iter().enumerate();
    concepts
        .map(|(position, concept)| one(job, position, concept, side))
        .collect()
}

/// One concept by its position.
pub(super) fn one(
    job: &Job<'_>,
    position: usize,
    concept: &Concept,
    side: usize,
) -> Result<Subject, Halt> {
    let pictures = job.assignment.pictures.get(&position);
    let pictures = pictures.filter(|pictures| !pictures.images.is_empty());
    let Some(pictures) = pictures else {
        return Err(bad_input(format!("concept {position} came without images")));
    };
    Ok(Subject {
        images: images::load(job, &pictures.images, side)?,
        overlay: match &concept.objective {
            Objective::Pattern(pattern) => Some(overlay(job, pictures, pattern, side)?),
            Objective::Target { .. } | Objective::Erasure { .. } => None,
        },
    })
}

/// The control set of a concept, if one came along.
pub(super) fn control(job: &Job<'_>, position: usize, side: usize) -> Result<Option<Tensor>, Halt> {
    let pictures = job.assignment.pictures.get(&position);
    match pictures.map(|pictures| &pictures.control) {
        Some(control) if !control.is_empty() => images::load(job, control, side).map(Some),
        _ => Ok(None),
    }
}

fn overlay(
    job: &Job<'_>,
    pictures: &Pictures,
    pattern: &Pattern,
    side: usize,
) -> Result<Tensor, Halt> {
    let patch = match (pattern.patch, &pictures.patch) {
        (Patch::LicenceCard, _) => overlay::licence_card(),
        (Patch::Own { .. }, Some(path)) => images::patch(job, path)?,
        (Patch::Own { patch_id }, None) => {
            return Err(bad_input(format!(
                "the patch {patch_id} did not come along"
            )));
        }
    };
    overlay::render(&patch, pattern, side, &Device::Cpu)
        .map_err(|error| internal(error.to_string()))
}
