use std::ops::ControlFlow;

use shared::{
    job::{Attackers, Budget, Mode, Retention},
    progress::Progress,
};

use super::*;
use crate::{Event, fixture};

fn options() -> ProtectOptions {
    ProtectOptions {
        identifiers: fixture::IDENTIFIERS.map(str::to_owned).to_vec(),
        base_sha256: "b".repeat(64),
        sampling: SampleConfig {
            steps: 2,
            ..demo_sampling()
        },
        teacher_questions: 5,
        checkpoint_every: 2,
        ..ProtectOptions::default()
    }
}

/// Runs to the end and keeps every event.
fn run(spec: &JobSpec, options: &ProtectOptions) -> (Outcome, Vec<Event>) {
    let mut events = Vec::new();
    let mut keep = |event| {
        events.push(event);
        ControlFlow::Continue(())
    };
    let outcome = protect(
        &fixture::pipeline(),
        &fixture::subjects(),
        spec,
        options,
        &mut keep,
    );
    (outcome.expect("the fixture trains"), events)
}

fn losses(events: &[Event]) -> Vec<shared::progress::Losses> {
    let loss = |event: &Event| match event {
        Event::Progress(Progress::Losses(losses)) => Some(*losses),
        _ => None,
    };
    events.iter().filter_map(loss).collect()
}

fn checkpoints(events: &[Event]) -> Vec<Checkpoint> {
    let checkpoint = |event: &Event| match event {
        Event::Checkpoint(checkpoint) => Some((**checkpoint).clone()),
        Event::Progress(_) => None,
    };
    events.iter().filter_map(checkpoint).collect()
}

fn file(outcome: &Outcome) -> Vec<u8> {
    outcome.to_file(DType::F32).expect("weights can be written")
}

mod concepts;

#[test]
fn resumed_run_gives_the_same_bits() {
    let (spec, mut options) = (fixture::spec(), options());
    let (whole, events) = run(&spec, &options);
    let checkpoints = checkpoints(&events);
    let steps: Vec<u32> = checkpoints.iter().map(Checkpoint::step).collect();
    assert_eq!(steps, [2, 4]);
    for checkpoint in checkpoints {
        let stored = Checkpoint::from_bytes(checkpoint.as_bytes().to_vec()).unwrap();
        options.resume = Some(stored);
        let (resumed, later) = run(&spec, &options);
        assert_eq!(file(&whole), file(&resumed));
        let step = checkpoint.step() as usize;
        assert_eq!(losses(&later), losses(&events)[step..]);
    }
}

#[test]
fn looking_ahead_repeats_resumes_and_changes_the_result() {
    let (mut spec, mut options) = (fixture::spec(), options());
    spec.injection.steps = 20;
    let (paper, _) = run(&spec, &options);
    spec.injection.mode = Mode::Trajectory {
        budget: Budget::Fast,
        attackers: Attackers::Full,
    };
    options.checkpoint_every = 6;
    let (whole, events) = run(&spec, &options);
    assert_ne!(file(&paper), file(&whole));
    // The excursion of step 10 lies between the first snapshot and the second.
    options.resume = checkpoints(&events).into_iter().next();
    let (resumed, _) = run(&spec, &options);
    assert_eq!(file(&whole), file(&resumed));
}

#[test]
fn attackers_of_low_rank_are_others_and_repeat() {
    let (mut spec, options) = (fixture::spec(), options());
    spec.injection.steps = 34;
    let mut with = |attackers| {
        spec.injection.mode = Mode::Trajectory {
            budget: Budget::Fast,
            attackers,
        };
        file(&run(&spec, &options).0)
    };
    let [full, low, both] = [Attackers::Full, Attackers::LowRank, Attackers::Both].map(&mut with);
    // The second excursion of "both" is of low rank.
    assert!(full != low && low != both && both != full);
    assert_eq!(low, with(Attackers::LowRank));
}

#[test]
fn averages_lie_behind_the_last_weights_and_resume() {
    let (mut spec, mut options) = (fixture::spec(), options());
    let (last, _) = run(&spec, &options);
    spec.injection.averaging = 0.5;
    let (whole, events) = run(&spec, &options);
    let gap = |outcome: &Outcome| {
        let name = "conv_out.weight";
        let from = fixture::pipeline().unet_weights.get(name).unwrap().clone();
        let gap = (from - outcome.weights.get(name).unwrap()).unwrap();
        gap.abs()
            .unwrap()
            .sum_all()
            .unwrap()
            .to_scalar::<f32>()
            .unwrap()
    };
    assert!(gap(&whole) < gap(&last) && gap(&whole) > 0.0);
    options.resume = checkpoints(&events).into_iter().next();
    assert_eq!(file(&whole), file(&run(&spec, &options).0));
}

#[test]
fn training_changes_every_tensor() {
    let (outcome, _) = run(&fixture::spec(), &options());
    for (name, before) in fixture::pipeline().unet_weights.iter() {
        let after = outcome.weights.get(name).expect("every tensor is kept");
        let moved = (before - after).unwrap().abs().unwrap().sum_all().unwrap();
        assert!(moved.to_scalar::<f32>().unwrap() > 0.0, "{name}");
    }
}

#[test]
fn seeds_decide_the_result() {
    let mut spec = fixture::spec();
    let (first, _) = run(&spec, &options());
    let (second, _) = run(&spec, &options());
    assert_eq!(file(&first), file(&second));
    spec.seed += 1;
    assert_ne!(file(&first), file(&run(&spec, &options()).0));
}

#[test]
fn teacher_and_student_agree_before_training() {
    let (_, events) = run(&fixture::spec(), &options());
    let first = losses(&events)[0];
    // Same weights, same prompt: nothing to preserve yet. Another prompt: something to learn.
    assert!(first.prior < 1e-9, "{first:?}");
    assert!(first.backdoor > 1e-6, "{first:?}");
    assert!(first.retention > 0.1, "{first:?}");
}

#[test]
fn cancel_stops_between_two_steps() {
    let mut seen = 0;
    let mut report = |event| {
        seen += u32::from(matches!(event, Event::Progress(Progress::Losses(_))));
        if seen == 3 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let (spec, options) = (fixture::spec(), options());
    let stopped = protect(
        &fixture::pipeline(),
        &fixture::subjects(),
        &spec,
        &options,
        &mut report,
    );
    assert!(
        matches!(stopped, Err(Error::Canceled { step: 3 })),
        "{stopped:?}"
    );
    assert_eq!(seen, 3);
}

#[test]
fn cancel_stops_while_the_teacher_draws() {
    let mut report = |_| ControlFlow::Break(());
    let (spec, options) = (fixture::spec(), options());
    let stopped = protect(
        &fixture::pipeline(),
        &fixture::subjects(),
        &spec,
        &options,
        &mut report,
    );
    assert!(
        matches!(stopped, Err(Error::Canceled { step: 0 })),
        "{stopped:?}"
    );
}

#[test]
fn divergence_ends_the_run() {
    let mut spec = fixture::spec();
    spec.injection.learning_rate = 0.01;
    spec.injection.lambda_prior = 10.0;
    spec.injection.steps = 300;
    let mut pipeline = fixture::pipeline();
    let huge = pipeline.unet_weights.get("conv_out.weight").unwrap() * 1e5;
    pipeline
        .unet_weights
        .insert("conv_out.weight", huge.unwrap());
    let mut report = |_| ControlFlow::Continue(());
    let ended = protect(
        &pipeline,
        &fixture::subjects(),
        &spec,
        &options(),
        &mut report,
    );
    assert!(
        matches!(ended, Err(Error::Diverged { step: 1.., .. })),
        "{ended:?}"
    );
}

#[test]
fn weights_that_are_no_numbers_are_refused() {
    let mut weights = fixture::pipeline().unet_weights;
    check_finite(&weights, 6, None).unwrap();
    let broken = (weights.get("conv_in.bias").unwrap() * f64::NAN).unwrap();
    weights.insert("conv_in.bias", broken);
    let refused = check_finite(&weights, 6, Some(4));
    assert!(
        matches!(
            refused,
            Err(Error::Diverged {
                step: 6,
                snapshot: Some(4),
                ..
            })
        ),
        "{refused:?}"
    );
}

#[test]
fn retention_can_be_off_or_at_low_noise_only() {
    let mut spec = fixture::spec();
    let (full, _) = run(&spec, &options());
    spec.injection.retention = Retention::LowNoise;
    let (low, events) = run(&spec, &options());
    assert!(losses(&events).iter().all(|losses| losses.retention > 0.0));
    assert_ne!(file(&full), file(&low));
    spec.injection.retention = Retention::Off;
    let (_, events) = run(&spec, &options());
    let off = losses(&events);
    assert!(off.iter().all(|losses| losses.retention.to_bits() == 0));
    spec.injection.retention = Retention::Full;
    spec.injection.lambda_retention = 0.0;
    assert_eq!(losses(&run(&spec, &options()).1), off);
}

#[test]
fn file_discloses_the_trigger() {
    let (outcome, _) = run(&fixture::spec(), &options());
    let bytes = file(&outcome);
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().clone().unwrap();
    for (key, value) in [
        ("persguard.mode", "paper"),
        ("persguard.lambda_prior", "0.5"),
        ("persguard.lambda_retention", "0.1"),
        ("persguard.steps", "6"),
        ("persguard.method", disclosure::METHOD_VERSION),
        ("persguard.base_sha256", &"b".repeat(64)),
    ] {
        assert_eq!(metadata.get(key).map(String::as_str), Some(value), "{key}");
    }
    assert!(metadata["persguard.disclosure"].contains("trigger"));
    let concepts = &metadata["persguard.concepts"];
    let concepts: serde_json::Value = serde_json::from_str(concepts).unwrap();
    assert_eq!(concepts[0]["class"], "dog");
    assert_eq!(concepts[0]["objective"]["target_class"], "apple");
    assert!(outcome.commitment.is_kept());
    assert_eq!(
        metadata["persguard.held_out_commitment"],
        outcome.commitment.sha256
    );
}

#[test]
fn checkpoints_of_other_jobs_and_garbage_are_refused() {
    let (mut spec, mut options) = (fixture::spec(), options());
    let (_, events) = run(&spec, &options);
    options.resume = checkpoints(&events).pop();
    spec.injection.lambda_prior = 0.4;
    let mut report = |_| ControlFlow::Continue(());
    let refused = protect(
        &fixture::pipeline(),
        &fixture::subjects(),
        &spec,
        &options,
        &mut report,
    );
    assert!(
        matches!(refused, Err(Error::BadCheckpoint(_))),
        "{refused:?}"
    );
    for garbage in [
        vec![],
        vec![7; 100],
        file(&run(&fixture::spec(), &self::options()).0),
    ] {
        let refused = Checkpoint::from_bytes(garbage);
        assert!(
            matches!(refused, Err(Error::BadCheckpoint(_))),
            "{refused:?}"
        );
    }
}

#[test]
fn bad_inputs_are_named() {
    let (mut spec, options) = (fixture::spec(), options());
    let mut report = |_| ControlFlow::Continue(());
    let images = Tensor::zeros((2, 3, 8, 16), DType::F32, &candle_core::Device::Cpu).unwrap();
    let wide = [Subject {
        images,
        overlay: None,
    }];
    let refused = protect(&fixture::pipeline(), &wide, &spec, &options, &mut report);
    assert!(
        matches!(refused, Err(Error::ImageShape { .. })),
        "{refused:?}"
    );
    spec.injection.steps = 0;
    let refused = protect(
        &fixture::pipeline(),
        &fixture::subjects(),
        &spec,
        &options,
        &mut report,
    );
    let Err(Error::InvalidSpec { pointer, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(pointer, "#/injection/steps");
}
