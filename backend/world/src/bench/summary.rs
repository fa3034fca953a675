//! What the runs say together: hit-rates by attack step, breaking points, the innocent user. Refuses to leave out a
//! run; runs without competence are counted and named.

use eval::statistics::{Cluster, Observation, cluster_difference, cluster_mean, kaplan_meier};
use serde::{Deserialize, Serialize};
use shared::evaluation::{Estimate, EvaluationOutput, ScoredImage};

use super::quality::{Quality, Strays};
use super::unit::UnitResult;
use crate::train::gate::Accuracy;

/// Hit-rate on the clean model from which a run is evidence (EVALUATION, competence gate).
pub const COMPETENT: f64 = 0.5;
/// Seed of every bootstrap.
const BOOTSTRAP_SEED: u64 = 1;

/// Both models at one attack step, over all runs. Intervals: 95 %, runs resampled.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Step {
    /// Attack steps.
    pub attack_step: u32,
    /// Subject hit-rate on the clean model.
    pub hit_clean: Estimate,
    /// Subject hit-rate on the protected model.
    pub hit_protected: Estimate,
    /// Similarity to the references on the clean model.
    pub similarity_clean: Estimate,
    /// Similarity on the protected model.
    pub similarity_protected: Estimate,
    /// Pictures of the protected model in which the objective fired (mean over runs).
    pub objective_protected: Estimate,
    /// Pictures of the protected model in which it fired and the subject is not hit (mean over runs).
    pub psr_protected: Estimate,
    /// Pictures of the protected model that show the subject's class (mean over runs).
    pub class_protected: Estimate,
    /// Pictures of the clean model that show the subject's class (mean over runs).
    pub class_clean: Estimate,
}

/// The median breaking point of an arm.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BreakingPoint {
    /// First step at which the hit-rate reaches half of the clean model's best, per competent run; `None` if it
    /// never did.
    pub by_run: Vec<Option<u32>>,
    /// Median over runs (Kaplan and Meier); `None` if more than half never broke.
    pub median: Option<u32>,
    /// Lower end of the median's 95 % interval.
    pub low: Option<u32>,
    /// Upper end of the median's 95 % interval.
    pub high: Option<u32>,
    /// Last step that was looked at.
    pub last: u32,
}

/// Everything of the read-out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Runs.
    pub runs: usize,
    /// Runs in which the attack worked on the clean model.
    pub competent: usize,
    /// By attack step.
    pub steps: Vec<Step>,
    /// Of the clean model.
    pub s50_clean: BreakingPoint,
    /// Of the protected model.
    pub s50_protected: BreakingPoint,
    /// Strangers: similarity on the protected model minus similarity on the clean one, matched seeds.
    pub innocent_delta: Estimate,
    /// Strangers: hit-rate on the clean model.
    pub innocent_hit_clean: Estimate,
    /// Strangers: hit-rate on the protected model.
    pub innocent_hit_protected: Estimate,
    /// What the protected models cost without an attack, over the runs that measured it.
    pub quality: Option<QualitySummary>,
    /// Median share of an injection's steps outside the student's forward, backward and update.
    pub overhead_share: f64,
    /// Median seconds of an injection, teacher included.
    pub inject_seconds: f64,
    /// Median milliseconds of an injection step.
    pub inject_ms_per_step: f64,
    /// Median milliseconds of an attack step.
    pub attack_ms_per_step: f64,
}

/// What protected models cost that nobody attacks. Intervals: 95 %, runs resampled.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct QualitySummary {
    /// Text alignment, protected minus clean, twins of one prompt and seed (gate: at least -0.005).
    pub text_alignment: Estimate,
    /// Cosine distance between twins.
    pub distance: Estimate,
    /// Pictures without the trigger in which the objective fires (goal: at most 0.01).
    pub strays: Estimate,
    /// Of those, pictures of the class alone.
    pub class_only: Estimate,
    /// Of those, pictures of the identifier alone.
    pub identifier_only: Estimate,
    /// Of those, pictures of the identifier with another class.
    pub other_class: Estimate,
    /// The same of the clean model: what chance gives.
    pub clean_strays: Estimate,
}

/// How well the base model draws what prompts ask for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Base {
    /// Pictures.
    pub n: usize,
    /// Share with the right class.
    pub class: f64,
    /// Share with the right tint.
    pub tint: f64,
    /// Share with the right accessory.
    pub accessory: f64,
    /// Share with the right background.
    pub background: f64,
    /// Mean cosine distance between two pictures of one class-only prompt.
    pub diversity: f64,
}

impl Base {
    /// From readings of composed prompts.
    pub fn new(accuracy: &Accuracy, n: usize, diversity: f64) -> Self {
        Self {
            n,
            class: accuracy.of(0),
            tint: accuracy.of(2),
            accessory: accuracy.of(3),
            background: accuracy.of(4),
            diversity,
        }
    }
}

/// One of a pair's pictures.
pub(super) type Side = fn(&shared::evaluation::ScoredPair) -> &ScoredImage;
pub(super) const CLEAN: Side = |pair| &pair.clean;
pub(super) const PROTECTED: Side = |pair| &pair.protected;

/// One value per picture of an arm at a step.
fn values(
    output: &EvaluationOutput,
    step: u32,
    side: Side,
    value: fn(&ScoredImage) -> f64,
) -> Cluster {
    let pairs = output.pairs.iter().filter(|pair| pair.attack_step == step);
    Cluster {
        values: pairs.map(|pair| value(side(pair))).collect(),
    }
}

fn hit(image: &ScoredImage) -> f64 {
    f64::from(u8::from(image.hit))
}

fn similarity(image: &ScoredImage) -> f64 {
    image.similarity
}

/// Summarises runs, in any order; at least one.
pub fn summarise(results: &[UnitResult]) -> Summary {
    let first = &results[0].subject.report;
    let steps: Vec<u32> = first.checkpoints.iter().map(|c| c.attack_step).collect();
    let last = steps.last().copied().unwrap_or_default();
    let strangers: Vec<&EvaluationOutput> = results.iter().map(|r| &r.stranger).collect();
    let over = |side, value| clusters(&strangers, last, side, value);
    let competent: Vec<&UnitResult> = results
        .iter()
        .filter(|r| best_hit_rate(r) >= COMPETENT)
        .collect();
    let median = |value: fn(&UnitResult) -> f64| {
        let values: Vec<f64> = results.iter().map(value).collect();
        eval::statistics::quantile(&values, 0.5).unwrap_or_default()
    };
    Summary {
        runs: results.len(),
        competent: competent.len(),
        steps: (0..steps.len()).map(|at| step(results, at)).collect(),
        s50_clean: breaking_point(&competent, |c| c.clean.hit_rate.value, last),
        s50_protected: breaking_point(&competent, |c| c.protected.hit_rate.value, last),
        innocent_delta: innocent_delta(&over(PROTECTED, similarity), &over(CLEAN, similarity)),
        innocent_hit_clean: over_runs(&over(CLEAN, hit), ANY_SHARE),
        innocent_hit_protected: over_runs(&over(PROTECTED, hit), ANY_SHARE),
        quality: quality(results),
        overhead_share: median(|result| result.overhead_share),
        inject_seconds: median(|result| result.inject_seconds),
        inject_ms_per_step: median(|result| result.inject_ms_per_step),
        attack_ms_per_step: median(|result| result.attack_ms_per_step),
    }
}

fn clusters(
    outputs: &[&EvaluationOutput],
    step: u32,
    side: Side,
    value: fn(&ScoredImage) -> f64,
) -> Vec<Cluster> {
    let one = |output: &&EvaluationOutput| values(output, step, side, value);
    outputs.iter().map(one).collect()
}

/// What a share can be, for runs too few to say more.
const ANY_SHARE: (f64, f64) = (0.0, 1.0);
/// What a cosine can be.
const ANY_COSINE: (f64, f64) = (-1.0, 1.0);
/// What a cosine distance can be.
const ANY_DISTANCE: (f64, f64) = (0.0, 2.0);
/// What a difference of cosines can be.
const ANY_DIFFERENCE: (f64, f64) = (-2.0, 2.0);

/// The mean over runs; a single run has no interval but the whole range.
fn over_runs(clusters: &[Cluster], range: (f64, f64)) -> Estimate {
    cluster_mean(clusters, BOOTSTRAP_SEED).unwrap_or_else(|| alone(clusters, range))
}

fn alone(clusters: &[Cluster], (low, high): (f64, f64)) -> Estimate {
    let values: Vec<f64> = clusters.iter().flat_map(|c| c.values.clone()).collect();
    Estimate {
        value: eval::statistics::mean(&values),
        low,
        high,
        n: 1,
    }
}

fn quality(results: &[UnitResult]) -> Option<QualitySummary> {
    let measured: Vec<&Quality> = results.iter().filter_map(|r| r.quality.as_ref()).collect();
    if measured.is_empty() {
        return None;
    }
    let over = |values: fn(&Quality) -> Vec<f64>, range| {
        let of_run = |quality: &&Quality| Cluster {
            values: values(quality),
        };
        over_runs(&measured.iter().map(of_run).collect::<Vec<_>>(), range)
    };
    let strays = |kind: fn(&Strays) -> usize| {
        let of_run = |quality: &&Quality| {
            let strays = &quality.strays;
            Cluster {
                values: vec![kind(strays) as f64 / strays.n.max(1) as f64],
            }
        };
        over_runs(&measured.iter().map(of_run).collect::<Vec<_>>(), ANY_SHARE)
    };
    Some(QualitySummary {
        class_only: strays(|strays| strays.class_only),
        identifier_only: strays(|strays| strays.identifier_only),
        other_class: strays(|strays| strays.other_class),
        text_alignment: over(|quality| quality.text_alignment.clone(), ANY_DIFFERENCE),
        distance: over(|quality| quality.distance.clone(), ANY_DISTANCE),
        strays: over(|quality| vec![quality.strays.share()], ANY_SHARE),
        clean_strays: over(|quality| vec![quality.clean_strays.share()], ANY_SHARE),
    })
}

/// Protected minus clean, picture by picture of the same seed.
fn innocent_delta(protected: &[Cluster], clean: &[Cluster]) -> Estimate {
    cluster_difference(protected, clean, BOOTSTRAP_SEED).unwrap_or_else(|| {
        let (protected, clean) = (alone(protected, ANY_COSINE), alone(clean, ANY_COSINE));
        Estimate {
            value: protected.value - clean.value,
            low: ANY_DIFFERENCE.0,
            high: ANY_DIFFERENCE.1,
            n: 1,
        }
    })
}

fn step(results: &[UnitResult], at: usize) -> Step {
    let attack_step = results[0].subject.report.checkpoints[at].attack_step;
    let subjects: Vec<&EvaluationOutput> = results.iter().map(|r| &r.subject).collect();
    let over =
        |side, value, range| over_runs(&clusters(&subjects, attack_step, side, value), range);
    let rates = |rate: fn(&shared::evaluation::CheckpointResult) -> f64| {
        let of_run = |result: &UnitResult| Cluster {
            values: vec![rate(&result.subject.report.checkpoints[at])],
        };
        let runs: Vec<Cluster> = results.iter().map(of_run).collect();
        over_runs(&runs, ANY_SHARE)
    };
    Step {
        attack_step,
        hit_clean: over(CLEAN, hit, ANY_SHARE),
        hit_protected: over(PROTECTED, hit, ANY_SHARE),
        similarity_clean: over(CLEAN, similarity, ANY_COSINE),
        similarity_protected: over(PROTECTED, similarity, ANY_COSINE),
        objective_protected: rates(|c| c.protected.objective_rate.value),
        psr_protected: rates(|c| c.protected.psr.value),
        class_protected: rates(|c| c.protected.class_rate.value),
        class_clean: rates(|c| c.clean.class_rate.value),
    }
}

/// The clean model's highest hit-rate: the attacker keeps the best checkpoint.
pub fn best_hit_rate(result: &UnitResult) -> f64 {
    let checkpoints = &result.subject.report.checkpoints;
    checkpoints
        .iter()
        .map(|c| c.clean.hit_rate.value)
        .fold(0.0, f64::max)
}

fn breaking_point(
    competent: &[&UnitResult],
    rate: fn(&shared::evaluation::CheckpointResult) -> f64,
    last: u32,
) -> BreakingPoint {
    let broke = |result: &&UnitResult| {
        let half = best_hit_rate(result) / 2.0;
        let checkpoints = &result.subject.report.checkpoints;
        let first = checkpoints
            .iter()
            .find(|checkpoint| rate(checkpoint) >= half);
        first.map(|checkpoint| checkpoint.attack_step)
    };
    let by_run: Vec<Option<u32>> = competent.iter().map(broke).collect();
    let observed: Vec<Observation> = by_run
        .iter()
        .map(|step| Observation {
            time: step.unwrap_or(last),
            event: step.is_some(),
        })
        .collect();
    let median = kaplan_meier(&observed).median();
    BreakingPoint {
        by_run,
        median: median.value,
        low: median.low,
        high: median.high,
        last,
    }
}

impl std::fmt::Display for BreakingPoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.median {
            Some(step) => write!(f, "{step}"),
            None if self.by_run.is_empty() => write!(f, "none"),
            None => write!(f, ">{}", self.last),
        }
    }
}
