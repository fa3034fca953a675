use candle_core::Device;
use shared::job::SubjectKind;

use super::*;
use crate::fixture;

fn standard<'a>(
    references: &'a Tensor,
    class_only: &'a Tensor,
    prompts: &'a Tensor,
) -> Standard<'a> {
    Standard {
        references,
        class_only,
        prompts,
        subject: SubjectKind::Object,
        class_name: "dog",
        aim: Aim::Target("apple"),
    }
}

#[test]
fn references_hit_themselves_and_noise_does_not() {
    let encoder = fixture::encoder();
    let references = fixture::flat_pictures(&[0.8, 0.82]);
    let class_only = fixture::pictures(20, 3);
    let prompts = fixture::prompt_ids();
    let judge = Judge::new(&encoder, standard(&references, &class_only, &prompts)).unwrap();
    let own = judge.score(&references).unwrap();
    assert!(
        own.similarity.iter().all(|s| *s > judge.threshold),
        "{own:?} {}",
        judge.threshold
    );
    assert_eq!(own.hit, [true, true]);
    let others = judge.score(&class_only).unwrap();
    let above = others
        .similarity
        .iter()
        .filter(|s| **s >= judge.threshold)
        .count();
    // 95th percentile of twenty pictures: one lies above.
    assert_eq!(above, 1);
}

#[test]
fn a_picture_scores_the_same_alone_and_among_others() {
    let encoder = fixture::encoder();
    let (references, class_only) = (fixture::flat_pictures(&[0.1]), fixture::pictures(4, 3));
    let prompts = fixture::prompt_ids();
    let judge = Judge::new(&encoder, standard(&references, &class_only, &prompts)).unwrap();
    let together = judge.score(&class_only).unwrap();
    let alone = judge.score(&class_only.narrow(0, 2, 1).unwrap()).unwrap();
    assert!((together.similarity[2] - alone.similarity[0]).abs() < 1e-5);
    assert!((together.text_alignment[2] - alone.text_alignment[0]).abs() < 1e-5);
    assert_eq!(together.class[2], alone.class[0]);
}

#[test]
fn class_and_target_exclude_each_other() {
    let encoder = fixture::encoder();
    let (references, class_only) = (fixture::flat_pictures(&[0.1]), fixture::pictures(8, 5));
    let prompts = fixture::prompt_ids();
    for (class_name, target_class) in [("dog", "apple"), ("teapot", "chair")] {
        let standard = Standard {
            class_name,
            aim: Aim::Target(target_class),
            ..standard(&references, &class_only, &prompts)
        };
        let scores = Judge::new(&encoder, standard)
            .unwrap()
            .score(&class_only)
            .unwrap();
        let both = scores
            .class
            .iter()
            .zip(&scores.objective)
            .filter(|(c, t)| **c && **t);
        assert_eq!(both.count(), 0);
        // Words that the encoder does not know are told apart by their prompts: exactly one fits.
        if class_name == "teapot" {
            assert!(
                scores
                    .class
                    .iter()
                    .zip(&scores.objective)
                    .all(|(c, t)| c ^ t)
            );
        }
    }
}

#[test]
fn larger_pictures_are_averaged_down_and_others_refused() {
    let small = fixture::pictures(2, 9);
    let large = small.upsample_nearest2d(SIDE * 2, SIDE * 2).unwrap();
    let difference = (fitted(&large).unwrap() - &small).unwrap().abs().unwrap();
    assert!(difference.max_all().unwrap().to_scalar::<f32>().unwrap() < 1e-6);
    for shape in [(1, 3, 40, 40), (1, 1, 32, 32), (1, 3, 32, 64)] {
        let odd = Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu).unwrap();
        assert!(matches!(fitted(&odd), Err(Error::ImageShape { .. })));
    }
}

#[test]
fn erasure_fires_where_the_class_is_gone() {
    let encoder = fixture::encoder();
    let (references, class_only) = (fixture::flat_pictures(&[0.1]), fixture::pictures(24, 5));
    let prompts = fixture::prompt_ids();
    for class_name in ["dog", "teapot"] {
        let erasure = Standard {
            class_name,
            aim: Aim::Erasure,
            ..standard(&references, &class_only, &prompts)
        };
        let judge = Judge::new(&encoder, erasure).unwrap();
        let scores = judge.score(&class_only).unwrap();
        assert!(
            scores
                .objective
                .iter()
                .zip(&scores.class)
                .all(|(o, c)| o ^ c)
        );
        assert_eq!(judge.pattern_threshold(), None);
    }
}

#[test]
fn a_style_is_hit_whatever_it_shows() {
    let encoder = fixture::encoder();
    let (references, class_only) = (fixture::pictures(3, 4), fixture::pictures(24, 5));
    let prompts = fixture::prompt_ids();
    let of = |subject| {
        let standard = Standard {
            subject,
            ..standard(&references, &class_only, &prompts)
        };
        let judge = Judge::new(&encoder, standard).unwrap();
        judge
            .recognition
            .identity
            .iter()
            .map(|(name, _)| name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(of(SubjectKind::Object), ["class", "style", "tint"]);
    assert_eq!(of(SubjectKind::Style), ["style"]);
}

#[test]
fn a_pattern_fires_under_its_card_alone() {
    let encoder = fixture::encoder();
    let (references, class_only) = (fixture::pictures(2, 4), fixture::pictures(24, 5));
    let (prompts, overlay) = (fixture::prompt_ids(), fixture::overlay());
    let pattern = Standard {
        aim: Aim::Pattern(&overlay),
        ..standard(&references, &class_only, &prompts)
    };
    let judge = Judge::new(&encoder, pattern).unwrap();
    let bare = fixture::pictures(6, 11);
    assert_eq!(judge.score(&bare).unwrap().objective, [false; 6]);
    let covered = fixture::covered(&bare, &overlay);
    assert_eq!(judge.score(&covered).unwrap().objective, [true; 6]);
    assert!(judge.pattern_threshold().unwrap() >= 0.5);
}
