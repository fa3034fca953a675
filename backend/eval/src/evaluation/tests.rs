use shared::{
    evaluation::Grade,
    objective::{Objective, Pattern},
};

use super::*;
use crate::fixture;

fn options() -> EvaluateOptions {
    EvaluateOptions {
        held_out_identifiers: vec!["olis".into(), "zwx".into()],
        sampling: fixture::sampling(),
        batch_size: 2,
        class_images: 2,
        threshold_images: 3,
        clean_sha256: "c".repeat(64),
        protected_sha256: "p".repeat(64),
        ..EvaluateOptions::default()
    }
}

fn judge(protected: &Weights, spec: &JobSpec, stop_at: Option<&str>) -> Result<Evaluation> {
    let (pipeline, encoder) = (fixture::pipeline(), fixture::encoder());
    let references = fixture::pictures(2, 8);
    let case = Case {
        pipeline: &pipeline,
        protected,
        encoder: &encoder,
        references: &references,
        overlay: None,
    };
    let mut report = |progress| match progress {
        Progress::Step(step) if Some(step.phase.as_str()) == stop_at => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    evaluate(case, spec, &options(), &mut report)
}

#[test]
fn equal_weights_give_equal_arms() {
    let weights = fixture::pipeline().unet_weights;
    let evaluation = judge(&weights, &fixture::spec(), None).unwrap();
    let report = &evaluation.output.report;
    assert_eq!(report.checkpoints.len(), 2);
    for checkpoint in &report.checkpoints {
        assert_eq!(checkpoint.clean, checkpoint.protected);
        assert_eq!(
            checkpoint.similarity_difference.value.to_bits(),
            0.0_f64.to_bits()
        );
        assert_eq!(checkpoint.clean.similarity.n, 3);
    }
    assert!(matches!(
        report.grade,
        Grade::NoEvidence | Grade::NotResisted
    ));
    assert_eq!(
        (
            report.attack.identifier.as_str(),
            report.attack.identifier_held_out
        ),
        ("olis", true)
    );
    assert_eq!(report.attack.prompt, "a photo of olis dog");
    assert_eq!(report.attack.instance_images, 2);
    let names: Vec<&str> = evaluation
        .images
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names.len(), 2 * 2 * 3);
    assert_eq!(
        (names[0], names[3], names[9]),
        ("clean/0/00.png", "protected/0/00.png", "protected/3/00.png")
    );
    for pair in &evaluation.output.pairs {
        assert!(names.contains(&pair.clean.name.as_str()));
        assert!(names.contains(&pair.protected.name.as_str()));
    }
}

#[test]
fn other_weights_give_other_pictures_and_the_same_clean_arm() {
    let mut weights = fixture::pipeline().unet_weights;
    let first = judge(&weights, &fixture::spec(), None).unwrap();
    let changed = (weights.get("conv_out.weight").unwrap() * 1.5).unwrap();
    weights.insert("conv_out.weight", changed);
    let second = judge(&weights, &fixture::spec(), None).unwrap();
    let arm = |evaluation: &Evaluation, arm: &str| -> Vec<Vec<u8>> {
        let images = evaluation
            .images
            .iter()
            .filter(|(name, _)| name.starts_with(arm));
        images.map(|(_, bytes)| bytes.clone()).collect()
    };
    assert_eq!(arm(&first, "clean"), arm(&second, "clean"));
    assert_ne!(arm(&first, "protected"), arm(&second, "protected"));
    assert!(second.metrics.milliseconds_per_step > 0.0);
}

#[test]
fn identifier_that_injection_saw_is_said_so() {
    let mut spec = fixture::spec();
    spec.evaluation.identifier = Some("sks".into());
    let report = judge(&fixture::pipeline().unet_weights, &spec, None)
        .unwrap()
        .output
        .report;
    assert!(!report.attack.identifier_held_out);
    assert!(
        report
            .limits
            .iter()
            .any(|limit| limit.contains("not held out"))
    );
}

#[test]
fn broken_weights_never_pass_for_resistance() {
    let mut weights = fixture::pipeline().unet_weights;
    let broken = (weights.get("conv_out.bias").unwrap() * f64::NAN).unwrap();
    weights.insert("conv_out.bias", broken);
    let refused = judge(&weights, &fixture::spec(), None);
    assert!(
        matches!(refused, Err(Error::Diverged { step: 0, .. })),
        "{refused:?}"
    );
}

#[test]
fn cancel_stops_in_every_phase() {
    let weights = fixture::pipeline().unet_weights;
    for phase in [
        "Drawing the unprotected class",
        "Preparing the attack on the unprotected model",
        "Attacking the unprotected model",
        "Drawing from the protected model",
    ] {
        let stopped = judge(&weights, &fixture::spec(), Some(phase));
        assert!(matches!(stopped, Err(Error::Canceled { .. })), "{phase}");
    }
}

/// Judges equal weights on a job with a pattern and this overlay.
fn judge_pattern(overlay: Option<&Tensor>) -> Result<Evaluation> {
    let (pipeline, encoder) = (fixture::pipeline(), fixture::encoder());
    let references = fixture::pictures(2, 8);
    let case = Case {
        pipeline: &pipeline,
        protected: &pipeline.unet_weights,
        encoder: &encoder,
        references: &references,
        overlay,
    };
    let mut spec = fixture::spec();
    spec.concepts[0].objective = Objective::Pattern(Pattern::default());
    let mut go_on = |_| ControlFlow::Continue(());
    evaluate(case, &spec, &options(), &mut go_on)
}

#[test]
fn pattern_needs_an_overlay_of_the_pictures_size() {
    assert!(matches!(judge_pattern(None), Err(Error::MissingOverlay)));
    let small = fixture::overlay().narrow(1, 0, 16).unwrap();
    let refused = judge_pattern(Some(&small));
    assert!(
        matches!(refused, Err(Error::OverlayShape { .. })),
        "{refused:?}"
    );
    let report = judge_pattern(Some(&fixture::overlay()))
        .unwrap()
        .output
        .report;
    assert!(
        report
            .limits
            .iter()
            .any(|limit| limit.contains("licence card"))
    );
}

#[test]
fn a_spec_that_cannot_run_is_refused_before_any_work() {
    let mut spec = fixture::spec();
    spec.evaluation.concept = 1;
    let refused = judge(&fixture::pipeline().unet_weights, &spec, None);
    assert!(
        matches!(&refused, Err(Error::InvalidSpec { pointer, .. }) if pointer == "#/evaluation/concept"),
        "{refused:?}"
    );
}

#[test]
fn the_attacked_concept_is_judged() {
    let mut spec = fixture::spec();
    let mut second = spec.concepts[0].clone();
    second.protected_set_id = serde_json::from_str(&format!("\"set_{}\"", "2".repeat(32))).unwrap();
    second.class_name = "apple".into();
    second.objective = Objective::Erasure { prompt: None };
    spec.concepts.push(second);
    spec.evaluation.concept = 1;
    let report = judge(&fixture::pipeline().unet_weights, &spec, None)
        .unwrap()
        .output
        .report;
    assert_eq!(report.attack.prompt, "a photo of olis apple");
    for checkpoint in &report.checkpoints {
        let arm = checkpoint.protected;
        assert!((arm.objective_rate.value + arm.class_rate.value - 1.0).abs() < 1e-9);
    }
}

#[test]
fn a_finished_clean_arm_gives_the_same_and_another_one_is_refused() {
    let (pipeline, encoder) = (fixture::pipeline(), fixture::encoder());
    let references = fixture::pictures(2, 8);
    let case = Case {
        pipeline: &pipeline,
        protected: &pipeline.unet_weights,
        encoder: &encoder,
        references: &references,
        overlay: None,
    };
    let (spec, options) = (fixture::spec(), options());
    let mut go_on = |_| ControlFlow::Continue(());
    let clean = attack_clean(case, &spec, &options, &mut go_on).unwrap();
    let whole = evaluate(case, &spec, &options, &mut go_on).unwrap();
    let beside = evaluate_beside(&clean, case, &spec, &options, &mut go_on).unwrap();
    assert_eq!(beside.output, whole.output);
    assert_eq!(beside.images, whole.images);
    let judge = clean.judge(case, &spec, &options).unwrap();
    assert_eq!(
        judge.threshold.to_bits(),
        whole.output.report.hit_threshold.to_bits()
    );

    let others = fixture::pictures(2, 9);
    let other_case = Case {
        references: &others,
        ..case
    };
    let mut longer = spec.clone();
    longer.evaluation.checkpoints = vec![0, 4];
    let mut reseeded = spec.clone();
    reseeded.seed += 1;
    for (case, spec, expected) in [
        (other_case, &spec, "protected pictures"),
        (case, &longer, "checkpoints"),
        (case, &reseeded, "recipe"),
    ] {
        let refused = evaluate_beside(&clean, case, spec, &options, &mut go_on);
        assert!(
            matches!(refused, Err(Error::OtherCleanArm { difference }) if difference == expected),
            "{expected}"
        );
    }
}

fn side_effects(protected: &Weights, with_control: bool) -> shared::collateral::Collateral {
    let (pipeline, encoder) = (fixture::pipeline(), fixture::encoder());
    let (references, strangers) = (fixture::pictures(2, 8), fixture::pictures(3, 9));
    let case = Case {
        pipeline: &pipeline,
        protected,
        encoder: &encoder,
        references: &references,
        overlay: None,
    };
    let (spec, options) = (fixture::spec(), options());
    let captions = ["a photo of a cat".to_owned(), "a red car".to_owned()];
    let bystanders = Bystanders {
        control: with_control.then_some(&strangers),
        captions: &captions,
    };
    let mut report = |_: Progress| ControlFlow::Continue(());
    let clean = attack_clean(case, &spec, &options, &mut report).unwrap();
    collateral(&clean, case, bystanders, &spec, &options, &mut report).unwrap()
}

#[test]
fn equal_weights_have_no_side_effects() {
    let found = side_effects(&fixture::pipeline().unet_weights, true);
    let drift = found.general_drift.unwrap();
    for estimate in [found.class_drift, drift] {
        assert!(estimate.value.abs() < 1e-6, "{estimate:?}");
    }
    assert_eq!((found.class_drift.n, drift.n), (3, 2));
    assert_eq!(found.class_fires, found.class_fires_clean);
    let control = found.control.unwrap();
    assert_eq!(control.clean, control.protected);
    assert!(control.difference.value.abs() < 1e-9);
    assert_eq!((control.images, control.attack_step), (3, 3));
    assert!(
        side_effects(&fixture::pipeline().unet_weights, false)
            .control
            .is_none()
    );
}

#[test]
fn other_weights_show_in_every_side_effect() {
    let mut other = fixture::pipeline().unet_weights;
    let changed = (other.get("conv_out.weight").unwrap() * 1.5).unwrap();
    other.insert("conv_out.weight", changed);
    let found = side_effects(&other, true);
    assert!(found.class_drift.value.abs() > 1e-6);
    assert!(found.general_drift.unwrap().value.abs() > 1e-6);
    assert!(found.control.unwrap().difference.value.abs() > 1e-6);
    assert_eq!(found, side_effects(&other, true), "same seed, same numbers");
}

#[test]
fn a_base_model_of_other_words_is_judged_with_the_encoders_own() {
    let (stranger, encoder) = (fixture::stranger(), fixture::encoder());
    let tokenizer = &stranger.tokenizer;
    assert!(tokenizer.vocabulary_size() > encoder.config().text.vocab_size);
    assert!(!encoder.has_the_words_of(tokenizer));
    assert!(encoder.has_the_words_of(&fixture::pipeline().tokenizer));
    let references = fixture::pictures(2, 8);
    let case = Case {
        pipeline: &stranger,
        protected: &stranger.unet_weights,
        encoder: &encoder,
        references: &references,
        overlay: None,
    };
    let (spec, options) = (fixture::spec(), options());
    let mut report = |_: Progress| ControlFlow::Continue(());
    let clean = attack_clean(case, &spec, &options, &mut report).unwrap();
    let judged = evaluate_beside(&clean, case, &spec, &options, &mut report).unwrap();
    assert_eq!(judged.output.report.checkpoints.len(), 2);
    let bystanders = Bystanders {
        control: None,
        captions: &["a photo of a corgi".to_owned()],
    };
    let found = collateral(&clean, case, bystanders, &spec, &options, &mut report).unwrap();
    assert_eq!(found.general_drift.unwrap().n, 1);
    // The standard reads the prompt as it does beside a base model of the encoder's own words.
    let home = Case {
        pipeline: &fixture::pipeline(),
        ..case
    };
    let pictures = fixture::pictures(3, 5);
    let judge = |case: Case<'_>| {
        let plan = Plan::new(case, &spec, &options).unwrap();
        let judge = plan.judge(&pictures).unwrap();
        judge.score(&pictures).unwrap()
    };
    assert_eq!(judge(case), judge(home));
}
