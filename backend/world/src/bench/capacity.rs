//! How many concepts one model holds: each subject protected alone, then together with others, and the same attack on
//! each. Owns the models and their results. Refuses to compare: [`super::capacity_page`] does.

use std::collections::BTreeSet;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use candle_core::Tensor;
use eval::{Case, CleanArm, EvaluateOptions};
use persguard::{ProtectOptions, Subject};
use serde::{Deserialize, Serialize};
use shared::SetId;
use shared::evaluation::EvaluationOutput;
use shared::job::{Injection, JobSpec};

use super::matrix::{SUBJECTS, Unit};
use super::unit::Models;
use super::workers::in_workers;
use crate::lock::lock;
use crate::train::batch;
use crate::{caption, file, names};

/// Steps of the attack at which pictures are drawn.
pub const CHECKPOINTS: [u32; 4] = [0, 25, 50, 100];

/// One concept of a protected model under attack.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConceptResult {
    /// Position of the subject in its part.
    pub subject: usize,
    /// Pictures and scores of the clean and the protected model.
    pub output: EvaluationOutput,
}

/// One protected model.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ModelResult {
    /// SHA-256 of everything that the result depends on.
    pub fingerprint: String,
    /// How it was protected.
    pub injection: Injection,
    /// Its concepts, in the order of the job.
    pub concepts: Vec<ConceptResult>,
    /// Seconds of the injection.
    pub inject_seconds: f64,
}

/// What a start is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The subjects, of one part, with their attackers.
    pub units: Vec<Unit>,
    /// Numbers of concepts, beside every subject alone.
    pub sizes: Vec<usize>,
    /// How all are protected.
    pub injection: Injection,
    /// Models at once, each on one thread.
    pub workers: usize,
    /// Directory of the results.
    pub out: PathBuf,
}

/// Subjects of every model: each alone, then the first `size` together.
pub fn models(settings: &Settings) -> Vec<Vec<usize>> {
    let count = settings.units.len();
    let together: BTreeSet<usize> = settings.sizes.iter().copied().collect();
    let together = together
        .into_iter()
        .filter(|size| (2..=count).contains(size));
    let alone = (0..count).map(|subject| vec![subject]);
    alone
        .chain(together.map(|size| (0..size).collect()))
        .collect()
}

/// Protects and attacks every model that has no result of this program yet; results come in the order of [`models`].
pub fn run(
    settings: &Settings,
    under_test: Models<'_>,
    fingerprint: &str,
    tell: &(dyn Fn(&ModelResult) -> anyhow::Result<()> + Sync),
) -> anyhow::Result<Vec<ModelResult>> {
    anyhow::ensure!(
        settings.units.len() <= SUBJECTS,
        "at most {SUBJECTS} subjects"
    );
    let bench = Bench::new(settings, under_test, fingerprint)?;
    let models = models(settings);
    let waiting = Mutex::new((0..models.len()).rev().collect::<Vec<_>>());
    let results = Mutex::new(vec![None; models.len()]);
    let work = || -> anyhow::Result<()> {
        loop {
            let Some(at) = lock(&waiting).pop() else {
                return Ok(());
            };
            let result = bench.earlier(&models[at]);
            let result = result.map_or_else(|| bench.model(&models[at]), Ok)?;
            tell(&result)?;
            lock(&results)[at] = Some(result);
        }
    };
    in_workers(settings.workers, &work, &|| lock(&waiting).clear())?;
    Ok(lock(&results).iter().flatten().cloned().collect())
}

/// What all models share.
struct Bench<'a> {
    settings: &'a Settings,
    models: Models<'a>,
    fingerprint: &'a str,
    references: Vec<Tensor>,
    /// Attacks on the clean model, by subject; the first to ask makes them.
    clean: Vec<Mutex<Option<CleanArm>>>,
}

impl<'a> Bench<'a> {
    fn new(
        settings: &'a Settings,
        models: Models<'a>,
        fingerprint: &'a str,
    ) -> anyhow::Result<Self> {
        let unchanged = |_: usize, _: &mut [f32]| {};
        let pictures = |unit: &Unit| batch::pixels(&unit.references(), unchanged);
        Ok(Self {
            references: settings
                .units
                .iter()
                .map(pictures)
                .collect::<Result<_, _>>()?,
            clean: settings.units.iter().map(|_| Mutex::default()).collect(),
            settings,
            models,
            fingerprint,
        })
    }

    fn path(&self, subjects: &[usize]) -> PathBuf {
        path(&self.settings.out, subjects)
    }

    fn earlier(&self, subjects: &[usize]) -> Option<ModelResult> {
        let text = fs::read(self.path(subjects)).ok()?;
        let result: ModelResult = serde_json::from_slice(&text).ok()?;
        let same =
            result.fingerprint == self.fingerprint && result.injection == self.settings.injection;
        same.then_some(result)
    }

    fn model(&self, subjects: &[usize]) -> anyhow::Result<ModelResult> {
        let spec = spec(&self.settings.units, subjects, &self.settings.injection);
        let pictures: Vec<Subject> = subjects
            .iter()
            .map(|&subject| Subject {
                images: self.references[subject].clone(),
                overlay: None,
            })
            .collect();
        // No attacker's word is ever trained.
        let kept = |word: &&str| {
            self.settings
                .units
                .iter()
                .all(|unit| unit.identifier != **word)
        };
        let options = ProtectOptions {
            identifiers: names::open()
                .into_iter()
                .filter(kept)
                .map(str::to_owned)
                .collect(),
            captions: caption::everyday(),
            checkpoint_every: 0,
            ..ProtectOptions::default()
        };
        let mut go_on = |_| ControlFlow::Continue(());
        let protected =
            persguard::protect(self.models.pipeline, &pictures, &spec, &options, &mut go_on)?;
        let attacked =
            |position: usize| self.attack(&spec, position, subjects[position], &protected.weights);
        let result = ModelResult {
            fingerprint: self.fingerprint.to_owned(),
            injection: self.settings.injection.clone(),
            concepts: (0..subjects.len())
                .map(attacked)
                .collect::<anyhow::Result<_>>()?,
            inject_seconds: protected.metrics.seconds,
        };
        file::write(&self.path(subjects), &serde_json::to_vec(&result)?)?;
        Ok(result)
    }

    fn attack(
        &self,
        spec: &JobSpec,
        position: usize,
        subject: usize,
        protected: &diffusion::weights::Weights,
    ) -> anyhow::Result<ConceptResult> {
        let unit = &self.settings.units[subject];
        let mut spec = spec.clone();
        spec.evaluation.concept = u32::try_from(position)?;
        spec.evaluation.identifier = Some(unit.identifier.clone());
        let options = EvaluateOptions {
            held_out_identifiers: vec![unit.identifier.clone()],
            template: unit.template.clone(),
            ..EvaluateOptions::default()
        };
        let case = Case {
            pipeline: self.models.pipeline,
            protected,
            encoder: self.models.encoder,
            references: &self.references[subject],
            overlay: None,
        };
        let mut go_on = |_| ControlFlow::Continue(());
        let mut clean = lock(&self.clean[subject]);
        let arm = match clean.take() {
            Some(arm) => arm,
            None => eval::attack_clean(case, &spec, &options, &mut go_on)?,
        };
        let arm = clean.insert(arm).clone();
        drop(clean);
        let found = eval::evaluate_beside(&arm, case, &spec, &options, &mut go_on)?;
        Ok(ConceptResult {
            subject,
            output: found.output,
        })
    }
}

/// Where a model's result lies: "alone-03.json", "together-05.json".
fn path(out: &Path, subjects: &[usize]) -> PathBuf {
    out.join(match subjects {
        [subject] => format!("alone-{subject:02}.json"),
        _ => format!("together-{:02}.json", subjects.len()),
    })
}

/// The job that protects these subjects in one model.
fn spec(units: &[Unit], subjects: &[usize], injection: &Injection) -> JobSpec {
    let mut spec = units[0].spec();
    spec.concepts = subjects
        .iter()
        .map(|&subject| {
            let mut concept = units[subject].spec().concepts.remove(0);
            concept.protected_set_id = SetId::from_uuid(uuid::Uuid::from_u128(1 + subject as u128));
            concept
        })
        .collect();
    spec.injection = injection.clone();
    spec.evaluation.checkpoints = CHECKPOINTS.to_vec();
    spec
}

#[cfg(test)]
mod tests {
    use shared::job::Mode;

    use super::*;
    use crate::bench::matrix::{Part, units};

    fn settings(sizes: &[usize]) -> Settings {
        Settings {
            units: units(Part::Development, Mode::Paper)[..SUBJECTS].to_vec(),
            sizes: sizes.to_vec(),
            injection: Injection::default(),
            workers: 1,
            out: PathBuf::new(),
        }
    }

    #[test]
    fn every_subject_stands_alone_before_any_stand_together() {
        let models = models(&settings(&[5, 2, 99, 1, 0]));
        assert_eq!(models.len(), SUBJECTS + 2);
        assert_eq!(models[3], [3]);
        assert_eq!(models[SUBJECTS], [0, 1]);
        assert_eq!(models[SUBJECTS + 1], [0, 1, 2, 3, 4]);
        let names: BTreeSet<PathBuf> = models
            .iter()
            .map(|model| path(Path::new("."), model))
            .collect();
        assert_eq!(names.len(), models.len());
    }

    #[test]
    fn ten_concepts_are_one_valid_job() {
        let settings = settings(&[10]);
        let together = models(&settings).pop().expect("a model of ten");
        let spec = spec(&settings.units, &together, &settings.injection);
        assert_eq!(spec.concepts.len(), 10);
        assert_eq!(spec.validate(), Vec::new());
    }
}
