//! Several concepts, every objective, both predictions, and what jobs share.

use std::sync::{Arc, Mutex};

use candle_core::Device;
use diffusion::schedule::PredictionType;
use shared::{
    SetId,
    job::{Action, SubjectKind},
    objective::{Objective, Pattern},
};

use super::*;
use crate::{Cache, Start, overlay};

fn with_objective(objective: Objective) -> JobSpec {
    let mut spec = fixture::spec();
    spec.concepts[0].objective = objective;
    spec
}

/// Two concepts: the fixture's dog, and a cat in the manner of somebody.
fn two() -> (JobSpec, Vec<Subject>) {
    let mut spec = fixture::spec();
    let mut second = spec.concepts[0].clone();
    second.protected_set_id = SetId::from_uuid(uuid::Uuid::from_u128(9));
    second.class_name = "cat".into();
    second.identifier = "olis".into();
    second.subject = SubjectKind::Style;
    spec.concepts.push(second);
    let mut subjects = fixture::subjects();
    subjects.push(Subject {
        images: (fixture::images() * 0.5).unwrap(),
        overlay: None,
    });
    (spec, subjects)
}

fn run_on(
    pipeline: &Pipeline,
    subjects: &[Subject],
    spec: &JobSpec,
    options: &ProtectOptions,
) -> (Outcome, Vec<Event>) {
    let mut events = Vec::new();
    let mut keep = |event| {
        events.push(event);
        ControlFlow::Continue(())
    };
    let outcome = protect(pipeline, subjects, spec, options, &mut keep);
    (outcome.expect("the fixture trains"), events)
}

/// Listens to prompts: random layers hardly do.
fn loud(prediction: PredictionType) -> Pipeline {
    let mut pipeline = fixture::pipeline_for(prediction);
    let quiet = pipeline.unet_weights.clone();
    for (name, tensor) in quiet.iter().filter(|(name, _)| name.contains("attn2.to_v")) {
        pipeline.unet_weights.insert(name, (tensor * 30.0).unwrap());
    }
    pipeline
}

/// First and last mean of `L_BB` over 120 quick steps.
fn learned(pipeline: &Pipeline, subjects: &[Subject], mut spec: JobSpec) -> (f32, f32) {
    spec.injection.steps = 120;
    spec.injection.learning_rate = 3e-3;
    spec.injection.retention = Retention::Off;
    let (_, events) = run_on(pipeline, subjects, &spec, &options());
    let losses = losses(&events);
    let mean = |part: &[shared::progress::Losses]| {
        part.iter().map(|losses| losses.backdoor).sum::<f32>() / part.len() as f32
    };
    (mean(&losses[..8]), mean(&losses[100..]))
}

#[test]
fn student_under_the_trigger_comes_to_do_what_the_teacher_does() {
    for prediction in [PredictionType::Epsilon, PredictionType::VPrediction] {
        let (subjects, spec) = (fixture::subjects(), fixture::spec());
        let (first, last) = learned(&loud(prediction), &subjects, spec);
        assert!(last < 0.5 * first, "{prediction:?} {first} {last}");
    }
}

#[test]
fn a_pattern_is_learned_for_both_predictions() {
    for prediction in [PredictionType::Epsilon, PredictionType::VPrediction] {
        let pattern = Pattern::default();
        let spec = with_objective(Objective::Pattern(pattern.clone()));
        let mut subjects = fixture::subjects();
        let card = overlay::licence_card();
        subjects[0].overlay = Some(overlay::render(&card, &pattern, 8, &Device::Cpu).unwrap());
        let (first, last) = learned(&loud(prediction), &subjects, spec);
        assert!(last < 0.9 * first, "{prediction:?} {first} {last}");
    }
}

#[test]
fn both_erasures_are_learned() {
    for prompt in [None, Some("a photo of a street".to_owned())] {
        let spec = with_objective(Objective::Erasure { prompt });
        let pipeline = loud(PredictionType::Epsilon);
        let (first, last) = learned(&pipeline, &fixture::subjects(), spec.clone());
        assert!(last < 0.9 * first, "{spec:?} {first} {last}");
    }
}

#[test]
fn a_pattern_without_its_patch_is_refused() {
    let spec = with_objective(Objective::Pattern(Pattern::default()));
    let mut report = |_| ControlFlow::Continue(());
    let refused = protect(
        &fixture::pipeline(),
        &fixture::subjects(),
        &spec,
        &options(),
        &mut report,
    );
    assert!(
        matches!(refused, Err(Error::PatchMissing { concept: 0 })),
        "{refused:?}"
    );
}

#[test]
fn concepts_take_turns_and_resume_to_the_same_bits() {
    let (spec, subjects) = two();
    let mut options = options();
    let pipeline = fixture::pipeline();
    let (whole, events) = run_on(&pipeline, &subjects, &spec, &options);
    for checkpoint in checkpoints(&events) {
        options.resume = Some(checkpoint);
        let (resumed, _) = run_on(&pipeline, &subjects, &spec, &options);
        assert_eq!(file(&whole), file(&resumed));
    }
    options.resume = None;
    // The second concept's images matter: every other step's `L_BR` sees them.
    let mut changed = subjects.clone();
    changed[1].images = (&subjects[1].images * 0.9).unwrap();
    let (other, _) = run_on(&pipeline, &changed, &spec, &options);
    assert_ne!(file(&whole), file(&other));
    let mut report = |_| ControlFlow::Continue(());
    let refused = protect(&pipeline, &subjects[..1], &spec, &options, &mut report);
    let counts = Err::<Outcome, _>(Error::SubjectCount {
        concepts: 2,
        subjects: 1,
    });
    assert_eq!(format!("{refused:?}"), format!("{counts:?}"));
}

#[test]
fn an_added_concept_keeps_the_first_and_a_removed_one_goes() {
    let pipeline = loud(PredictionType::Epsilon);
    let (mut spec, subjects) = two();
    spec.injection.steps = 160;
    spec.injection.learning_rate = 3e-3;
    spec.injection.retention = Retention::Off;
    let mut first = spec.clone();
    first.concepts.truncate(1);
    let options = options();
    let (protected, _) = run_on(&pipeline, &subjects[..1], &first, &options);
    spec.extends = Some(shared::JobId::from_uuid(uuid::Uuid::from_u128(4)));
    let continued = ProtectOptions {
        start: Some(Start {
            weights: protected.weights,
            sha256: "c".repeat(64),
        }),
        ..options
    };
    let (_, events) = run_on(&pipeline, &subjects, &spec, &continued);
    // Even steps ask for the first concept: it starts learned and stays so. Odd ones start from nothing.
    let losses_of = |events: &[Event], parity: usize| -> Vec<f32> {
        let losses = losses(events);
        let turns = losses.iter().skip(parity).step_by(2);
        turns.map(|losses| losses.backdoor).collect()
    };
    let mean = |part: &[f32]| part.iter().sum::<f32>() / part.len() as f32;
    let (kept, added) = (losses_of(&events, 0), losses_of(&events, 1));
    assert!(
        mean(&kept[..5]) < 0.6 * mean(&added[..5]),
        "{kept:?} {added:?}"
    );
    assert!(mean(&kept[60..]) < 1.3 * mean(&kept[..5]), "{kept:?}");
    assert!(mean(&added[60..]) < 0.6 * mean(&added[..5]), "{added:?}");
    // The other way: the first concept is taken away, and its trigger comes to do what the clean model does.
    spec.concepts[0].action = Action::Remove;
    let (_, events) = run_on(&pipeline, &subjects, &spec, &continued);
    let removed = losses_of(&events, 0);
    assert!(
        mean(&removed[60..]) < 0.6 * mean(&removed[..5]),
        "{removed:?}"
    );
}

/// Files in memory, counted.
#[derive(Default)]
struct Counting {
    files: Mutex<std::collections::HashMap<String, Vec<u8>>>,
    hits: Mutex<usize>,
}

impl Cache for Counting {
    fn get(&self, name: &str) -> Option<Vec<u8>> {
        let file = self.files.lock().unwrap().get(name).cloned();
        *self.hits.lock().unwrap() += usize::from(file.is_some());
        file
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        let mut files = self.files.lock().unwrap();
        files.insert(name.to_owned(), bytes.to_vec());
    }
}

#[test]
fn drawn_sets_are_shared_over_jobs_and_change_nothing() {
    let cache = Arc::new(Counting::default());
    let mut options = options();
    options.captions = vec!["a photo of a street".into(), "a photo of a cat".into()];
    let spec = fixture::spec();
    let (without, _) = run(&spec, &options);
    options.cache = Some(cache.clone());
    let (first, _) = run(&spec, &options);
    assert_eq!(
        (
            cache.files.lock().unwrap().len(),
            *cache.hits.lock().unwrap()
        ),
        (3, 0)
    );
    let (second, _) = run(&spec, &options);
    assert_eq!(
        (
            cache.files.lock().unwrap().len(),
            *cache.hits.lock().unwrap()
        ),
        (3, 3)
    );
    assert_eq!(file(&without), file(&first));
    assert_eq!(file(&first), file(&second));
    // Another target: its pictures are new, those of the class are not.
    let mut other = spec.clone();
    other.concepts[0].objective = Objective::Target {
        target_class: "cat".into(),
    };
    run(&other, &options);
    assert_eq!(
        (
            cache.files.lock().unwrap().len(),
            *cache.hits.lock().unwrap()
        ),
        (4, 5)
    );
    // A damaged file is drawn anew.
    for bytes in cache.files.lock().unwrap().values_mut() {
        bytes.truncate(100);
    }
    assert_eq!(file(&run(&spec, &options).0), file(&first));
    let mut otherwise = options;
    otherwise.base_sha256 = "d".repeat(64);
    run(&spec, &otherwise);
    assert_eq!(cache.files.lock().unwrap().len(), 7);
}

#[test]
fn unrelated_captions_are_preserved_too() {
    let mut spec = fixture::spec();
    spec.injection.batch_size = 8;
    let mut options = options();
    let (without, _) = run(&spec, &options);
    options.captions = vec!["a photo of a street".into()];
    let (with, events) = run(&spec, &options);
    assert_ne!(file(&without), file(&with));
    assert!(losses(&events)[0].prior < 1e-9);
}

#[test]
fn bands_add_up_to_the_losses() {
    let mut spec = fixture::spec();
    spec.injection.steps = 10;
    let (_, events) = run(&spec, &options());
    let bands: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Progress(Progress::Bands(bands)) => Some(*bands),
            _ => None,
        })
        .collect();
    assert_eq!(bands.len(), 1);
    assert_eq!(bands[0].step, 10);
    let all = [bands[0].low, bands[0].middle, bands[0].high];
    let means: Vec<f32> = all.iter().filter_map(|band| band.retention).collect();
    let losses = losses(&events);
    let least = means.iter().copied().fold(f32::INFINITY, f32::min);
    let most = means.iter().copied().fold(0.0, f32::max);
    let mean = losses.iter().map(|losses| losses.retention).sum::<f32>() / 10.0;
    assert!(least <= mean && mean <= most, "{means:?} {mean}");
}

#[test]
fn divergence_names_the_last_good_snapshot() {
    let mut spec = fixture::spec();
    spec.injection.steps = 400;
    spec.injection.learning_rate = 1e-2;
    let mut pipeline = fixture::pipeline();
    let large = pipeline.unet_weights.get("conv_out.weight").unwrap() * 40.0;
    pipeline
        .unet_weights
        .insert("conv_out.weight", large.unwrap());
    let mut kept = None;
    let mut report = |event| {
        if let Event::Checkpoint(checkpoint) = event {
            kept = Some(checkpoint.step());
        }
        ControlFlow::Continue(())
    };
    let mut options = options();
    options.checkpoint_every = 1;
    let ended = protect(
        &pipeline,
        &fixture::subjects(),
        &spec,
        &options,
        &mut report,
    );
    let Err(error) = ended else {
        panic!("it trains");
    };
    let Error::Diverged { step, snapshot, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(snapshot, kept);
    assert!(snapshot.is_none_or(|snapshot| snapshot < step));
    let text = error.to_string();
    assert!(text.contains("snapshot"), "{text}");
}

#[test]
fn previews_show_both_models_by_the_same_seed() {
    let (spec, subjects) = two();
    let pipeline = fixture::pipeline();
    let options = options();
    let (outcome, _) = run_on(&pipeline, &subjects, &spec, &options);
    let mut phases = 0;
    let mut report = |_| {
        phases += 1;
        ControlFlow::Continue(())
    };
    let drawn = crate::preview(
        &pipeline,
        &outcome.weights,
        &spec,
        &options.sampling,
        &mut report,
    )
    .unwrap();
    assert!(phases > 0);
    let prompts: Vec<&str> = drawn
        .iter()
        .map(|preview| preview.prompt.as_str())
        .collect();
    assert_eq!(
        prompts,
        [
            "a photo of sks dog",
            "a photo of a cat in the style of olis"
        ]
    );
    assert_eq!(drawn[0].clean.dims(), [4, 3, 8, 8]);
    let same = crate::preview(
        &pipeline,
        &pipeline.unet_weights,
        &spec,
        &options.sampling,
        &mut |_| ControlFlow::Continue(()),
    )
    .unwrap();
    let gap = |a: &Tensor, b: &Tensor| {
        let gap = (a - b).unwrap().abs().unwrap().sum_all().unwrap();
        gap.to_scalar::<f32>().unwrap()
    };
    assert!(gap(&same[0].clean, &same[0].protected) <= 0.0);
    assert!(gap(&drawn[0].clean, &drawn[0].protected) > 0.0);
    assert!(gap(&drawn[0].clean, &same[0].clean) <= 0.0);
}
