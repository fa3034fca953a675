use shared::objective::Pattern;

use super::*;

fn scores(hits: usize, n: usize) -> Scores {
    let hit: Vec<bool> = (0..n).map(|index| index < hits).collect();
    Scores {
        similarity: hit.iter().map(|hit| if *hit { 0.9 } else { 0.3 }).collect(),
        text_alignment: vec![0.5; n],
        class: vec![true; n],
        objective: (0..n).map(|index| index % 2 == 0).collect(),
        hit,
    }
}

fn checkpoint(attack_step: u32, clean: usize, protected: usize) -> ScoredCheckpoint {
    ScoredCheckpoint {
        attack_step,
        clean: scores(clean, 16),
        protected: scores(protected, 16),
    }
}

fn evidence(checkpoints: Vec<ScoredCheckpoint>) -> Evidence {
    Evidence {
        encoder: "the demo encoder".into(),
        attack: AttackRecord {
            family: "dreambooth_unet".into(),
            steps: 200,
            learning_rate: 1e-4,
            prior_preservation: true,
            identifier: "olis".into(),
            identifier_held_out: true,
            prompt: "a photo of olis dog".into(),
            instance_images: 5,
            seed: 7,
        },
        objective: Objective::Target {
            target_class: "apple".into(),
        },
        pattern_threshold: None,
        hit_threshold: 0.8,
        checkpoints,
        image_seeds: (100..116).collect(),
        clean_sha256: "c".into(),
        protected_sha256: "p".into(),
    }
}

#[test]
fn a_weak_attack_proves_nothing() {
    assert_eq!(grade(&[checkpoint(200, 7, 0)]), Grade::NoEvidence);
    assert_eq!(grade(&[]), Grade::NoEvidence);
    let output = evidence(vec![checkpoint(200, 7, 0)]).into_output();
    let verdict = output.report.verdict;
    assert!(
        verdict.starts_with("The attack did not work on the unprotected model: no evidence"),
        "{verdict}"
    );
}

#[test]
fn few_hits_at_every_checkpoint_resist() {
    let steps = [checkpoint(0, 0, 0), checkpoint(200, 14, 3)];
    assert_eq!(grade(&steps), Grade::Resisted);
}

#[test]
fn an_earlier_breakthrough_is_not_forgotten() {
    let steps = [checkpoint(100, 14, 8), checkpoint(200, 14, 3)];
    assert_eq!(grade(&steps), Grade::Weakened);
}

#[test]
fn many_hits_but_clearly_fewer_weaken() {
    assert_eq!(grade(&[checkpoint(200, 16, 7)]), Grade::Weakened);
}

#[test]
fn a_difference_within_chance_is_no_resistance() {
    // Five discordant pairs: p = 0.0625.
    assert_eq!(grade(&[checkpoint(200, 8, 3)]), Grade::NotResisted);
    assert_eq!(grade(&[checkpoint(200, 10, 12)]), Grade::NotResisted);
}

#[test]
fn one_image_never_resists() {
    let single = ScoredCheckpoint {
        attack_step: 200,
        clean: scores(1, 1),
        protected: scores(0, 1),
    };
    assert_eq!(grade(&[single]), Grade::NotResisted);
}

#[test]
fn verdict_names_the_attack_and_its_numbers() {
    let report = evidence(vec![checkpoint(0, 0, 0), checkpoint(200, 14, 3)])
        .into_output()
        .report;
    for part in [
        "200 steps",
        "DreamBooth (U-Net)",
        "0.0001",
        "held-out identifier \u{201c}olis\u{201d}",
        "n = 16",
        "seed, 7",
        "3 of 16 images of the protected",
        "14 of 16 of the unprotected",
        "drew apple in 8 of 16.",
    ] {
        assert!(report.verdict.contains(part), "{part}: {}", report.verdict);
    }
    assert!(!report.verdict.contains("unbreakable"));
    assert!(report.limits[0].contains("public"));
}

#[test]
fn pairs_match_seeds_and_names() {
    let output = evidence(vec![checkpoint(0, 0, 0), checkpoint(200, 14, 3)]).into_output();
    assert_eq!(output.pairs.len(), 32);
    let pair = &output.pairs[19];
    assert_eq!((pair.attack_step, pair.seed), (200, 103));
    assert_eq!(pair.clean.name, "clean/200/03.png");
    assert_eq!(pair.protected.name, "protected/200/03.png");
    assert!(pair.clean.hit && !pair.protected.hit);
    let last = &output.report.checkpoints[1];
    assert!((last.similarity_difference.value + 0.6 * 11.0 / 16.0).abs() < 1e-9);
}

#[test]
fn psr_counts_fired_images_without_the_subject() {
    let report = evidence(vec![checkpoint(200, 14, 3)]).into_output().report;
    let last = &report.checkpoints[0];
    // Of 16, those with even numbers fired: 0 and 2 show the subject on the protected model, 0 to 12 on the clean one.
    assert!((last.protected.psr.value - 6.0 / 16.0).abs() < 1e-9);
    assert!((last.clean.psr.value - 1.0 / 16.0).abs() < 1e-9);
}

#[test]
fn verdict_and_limits_speak_of_the_objective() {
    let mut erased = evidence(vec![checkpoint(200, 14, 3)]);
    erased.objective = Objective::Erasure { prompt: None };
    let report = erased.into_output().report;
    let words = "drew a picture without the subject in 8 of 16.";
    assert!(report.verdict.ends_with(words), "{}", report.verdict);
    assert!(
        report
            .limits
            .iter()
            .any(|limit| limit.contains("stayed is not measured"))
    );

    let mut card = evidence(vec![checkpoint(200, 14, 3)]);
    card.objective = Objective::Pattern(Pattern::default());
    card.pattern_threshold = Some(0.625);
    let report = card.into_output().report;
    assert!(
        report
            .verdict
            .contains("drew a licence card over the picture in 8 of 16")
    );
    assert!(
        report
            .limits
            .iter()
            .any(|limit| limit.contains("at least 0.62 at its own"))
    );
}
