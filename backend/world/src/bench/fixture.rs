//! Results of runs that never ran, for tests of what is made of them.

use shared::evaluation::{
    ArmResult, AttackRecord, CheckpointResult, Estimate, EvaluationOutput, EvaluationReport, Grade,
    ScoredImage, ScoredPair,
};
use shared::job::Mode;

use super::matrix::{Part, units};
use super::quality::{Quality, Strays};
use super::rows::Row;
use super::unit::UnitResult;

/// Attack steps of every result.
const STEPS: [u32; 3] = [0, 50, 200];

fn share(value: f64) -> Estimate {
    Estimate {
        value,
        low: value,
        high: value,
        n: 10,
    }
}

fn arm(hit: f64, fires: f64) -> ArmResult {
    ArmResult {
        similarity: share(hit),
        hit_rate: share(hit),
        text_alignment: share(0.5),
        class_rate: share(1.0 - fires),
        objective_rate: share(fires),
        psr: share(fires.min(1.0 - hit)),
    }
}

/// Ten pictures an arm at each step, of which the given shares are hits.
fn output(clean: [f64; 3], protected: [f64; 3]) -> EvaluationOutput {
    let checkpoint = |at: usize| CheckpointResult {
        attack_step: STEPS[at],
        clean: arm(clean[at], 0.0),
        protected: arm(protected[at], 1.0 - protected[at]),
        similarity_difference: share(protected[at] - clean[at]),
    };
    let image = |share: f64, index: u32| ScoredImage {
        name: String::new(),
        similarity: share,
        hit: f64::from(index) + 0.5 < 10.0 * share,
    };
    let pairs = (0..STEPS.len()).flat_map(|at| {
        (0..10).map(move |index| ScoredPair {
            attack_step: STEPS[at],
            seed: u64::from(index),
            prompt: "a photo of sks dog".into(),
            clean: image(clean[at], index),
            protected: image(protected[at], index),
        })
    });
    EvaluationOutput {
        report: EvaluationReport {
            grade: Grade::Weakened,
            verdict: String::new(),
            encoder: "the demo encoder".into(),
            attack: AttackRecord {
                family: "dreambooth_unet".into(),
                steps: 200,
                learning_rate: 1e-4,
                prior_preservation: true,
                identifier: "victor".into(),
                identifier_held_out: true,
                prompt: "a photo of victor dog".into(),
                instance_images: 5,
                seed: 1,
            },
            hit_threshold: 0.8,
            checkpoints: (0..STEPS.len()).map(checkpoint).collect(),
            limits: Vec::new(),
            clean_sha256: String::new(),
            protected_sha256: String::new(),
        },
        pairs: pairs.collect(),
    }
}

/// A run of a row on one subject: the attack works on the clean model, and these shares are hits on the protected one.
pub(super) fn result(row: &Row, subject: usize, protected: [f64; 3]) -> UnitResult {
    let unit = units(Part::HeldOut, Mode::Paper)[subject].in_row(&row.key, &row.injection);
    UnitResult {
        unit,
        fingerprint: "f".into(),
        subject: output([0.0, 0.6, 1.0], protected),
        stranger: output([0.0, 0.6, 1.0], [0.0, 0.6, 0.9]),
        quality: Some(Quality {
            text_alignment: vec![-0.002 * (subject + 1) as f64; 4],
            distance: vec![0.1; 4],
            strays: Strays {
                class_only: subject,
                identifier_only: 0,
                other_class: 1,
                n: 16,
            },
            clean_strays: Strays {
                n: 16,
                ..Strays::default()
            },
        }),
        inject_ms_per_step: 100.0,
        attack_ms_per_step: 50.0,
        overhead_share: 0.1,
        inject_seconds: 30.0,
        seconds: 100.0,
    }
}
