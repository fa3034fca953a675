use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::{
    attack::{AttackRecipe, Family, IdentifierMode, ImageMode, TemplateMode},
    job::SubjectKind,
    objective::Objective,
};

fn recipe(name: &str, family: Family) -> AttackRecipe {
    let json = serde_json::json!({
        "name": name,
        "family": family,
        "learning_rates": [5e-5, 1e-4, 2e-4],
        "stock_learning_rate": 1e-4,
        "checkpoints": [50, 100],
    });
    serde_json::from_value(json).expect("a recipe")
}

fn subject(name: &str, class: &str, role: Role) -> MatrixSubject {
    MatrixSubject {
        name: name.into(),
        class_name: class.into(),
        kind: SubjectKind::Object,
        role,
        pictures: 5,
        merkle_root: format!("root of {name}"),
        unseen_merkle_root: String::new(),
        others_merkle_root: String::new(),
    }
}

/// Five families, an adaptive attacker, one protected subject and four controls.
pub(crate) fn request(tier: Tier) -> PlanRequest {
    let mut inversion = recipe("inversion", Family::TextualInversion);
    inversion.prior_preservation = false;
    let mut adaptive = recipe("adaptive", Family::DreamboothUnet);
    adaptive.adaptive.high_noise_only = true;
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    PlanRequest {
        tier,
        recipes: vec![
            recipe("lora", Family::Lora { rank: 4 }),
            recipe("dreambooth", Family::DreamboothUnet),
            adaptive,
            recipe("lora-large", Family::Lora { rank: 16 }),
            recipe("text-encoder", Family::DreamboothTextEncoder),
            inversion,
            recipe("custom", Family::CustomDiffusion),
        ],
        subjects: vec![
            subject("violet-dog", "dog", Role::Protected),
            subject("stranger", "dog", Role::SameClass),
            subject("other", "dog", Role::SameClass),
            subject("cat", "cat", Role::OtherClass),
            subject("fox", "fox", Role::OtherClass),
        ],
        words: Words {
            same: "sks".into(),
            pool: words(&["olis", "ohwx"]),
            held_out: words(&["kwl", "lrx", "mzt"]),
            natural: words(&["victor", "wanda"]),
        },
        seeds: vec![11, 12, 13],
        settings: MatrixSettings {
            pictures: 16,
            class_pictures: 24,
            threshold_pictures: 32,
            sampling_steps: 10,
            guidance_scale: 3.0,
            sampler: "dpm_solver".into(),
        },
        inputs: MatrixInputs {
            base_sha256: "b".repeat(64),
            base_files: BTreeMap::from([("unet/weights".to_owned(), "b".repeat(64))]),
            protected_sha256: "p".repeat(64),
            encoder: "the demo encoder".into(),
            encoder_sha256: "e".repeat(64),
            objective: Objective::Target {
                target_class: "apple".into(),
            },
            faces_sha256: None,
            texts: Texts::default(),
        },
        available: Available::default(),
    }
}

fn plan(tier: Tier) -> Plan {
    Plan::new(&request(tier)).expect("the request is valid")
}

fn tests(plan: &Plan) -> Vec<&Cell> {
    let protected = |cell: &&Cell| plan.subject(cell).role == Role::Protected;
    plan.cells.iter().filter(protected).collect()
}

#[test]
fn tiers_have_the_sizes_of_the_specification() {
    let smoke = plan(Tier::Smoke);
    // 2 families x 1 rate x 2 identifiers x 1 seed, and one control of each kind.
    assert_eq!((tests(&smoke).len(), smoke.cells.len()), (4, 6));
    let standard = plan(Tier::Standard);
    // 5 families x 2 rates x 2 identifiers x 3 seeds, and four controls at three seeds.
    assert_eq!((tests(&standard).len(), standard.cells.len()), (60, 72));
    let rates: BTreeSet<u64> = tests(&standard)
        .iter()
        .map(|cell| cell.learning_rate.to_bits())
        .collect();
    assert_eq!(
        rates,
        BTreeSet::from([1e-4_f64.to_bits(), 2e-4_f64.to_bits()])
    );
    let full = plan(Tier::Full);
    // Six plain recipes: 3 rates x 4 identifiers x 3 seeds x 2 templates x 2 priors, Textual Inversion without a prior;
    // the adaptive one at its stock rate.
    assert_eq!(tests(&full).len(), 5 * 144 + 72 + 12);
    assert_eq!(full.cells.len() - tests(&full).len(), 6 * 4 * 3);
}

#[test]
fn a_recipe_that_says_what_a_variation_says_is_planned_once() {
    let mut request = request(Tier::Full);
    let before = Plan::new(&request).expect("valid").cells.len();
    let mut again = recipe("no-prior", Family::DreamboothUnet);
    again.prior_preservation = false;
    request.recipes.push(again.clone());
    assert_eq!(Plan::new(&request).expect("valid").cells.len(), before);
    again.name = "captions".into();
    again.template = TemplateMode::Caption;
    request.recipes.push(again);
    // Its stock rate, four identifiers, three seeds.
    assert_eq!(Plan::new(&request).expect("valid").cells.len(), before + 12);
}

#[test]
fn what_inputs_allow_is_varied_in_the_full_tier_alone() {
    let mut request = request(Tier::Full);
    request.available.images.push(ImageMode::HalfUnseen);
    request.available.templates.push(TemplateMode::Caption);
    let more = Plan::new(&request).expect("valid");
    assert_eq!(tests(&more).len(), 3 * (5 * 144 + 72) + 12);
    request.tier = Tier::Standard;
    assert_eq!(
        Plan::new(&request).expect("valid").cells,
        plan(Tier::Standard).cells
    );
}

#[test]
fn the_headline_comes_first_and_is_fixed() {
    for tier in [Tier::Smoke, Tier::Standard, Tier::Full] {
        let plan = plan(tier);
        let first = &plan.cells[0];
        assert!(plan.is_headline(first));
        assert_eq!(
            (
                first.number,
                first.recipe.name.as_str(),
                first.word.as_str()
            ),
            (1, "dreambooth", "kwl")
        );
        assert_eq!(
            (plan.headline.attack_step, plan.headline.identifier),
            (100, IdentifierMode::HeldOut)
        );
        let headlines = plan
            .cells
            .iter()
            .filter(|cell| plan.is_headline(cell))
            .count();
        assert_eq!(headlines, tier.seeds());
    }
}

#[test]
fn every_prefix_of_a_plan_is_balanced() {
    let plan = plan(Tier::Standard);
    for kept in 1..=plan.cells.len() {
        let mut seeds: BTreeMap<String, BTreeSet<(u64, u8, u64)>> = BTreeMap::new();
        for cell in &plan.cells[..kept] {
            if plan.subject(cell).role == Role::Protected {
                let identifier = u8::from(cell.identifier == IdentifierMode::HeldOut);
                let what = (cell.learning_rate.to_bits(), identifier, cell.seed);
                seeds
                    .entry(cell.recipe.family.slug())
                    .or_default()
                    .insert(what);
            }
        }
        let counts: Vec<usize> = seeds.values().map(BTreeSet::len).collect();
        let spread = counts.iter().max().unwrap_or(&0) - counts.iter().min().unwrap_or(&0);
        assert!(spread <= 1, "{kept}: {counts:?}");
    }
    // The controls of a seed come before the next seed.
    let roles: Vec<bool> = plan.cells[..18]
        .iter()
        .map(|cell| plan.subject(cell).role == Role::Protected)
        .collect();
    let expected = [[true; 5].as_slice(), &[false; 4], &[true; 5], &[false; 4]].concat();
    assert_eq!(roles, expected);
}

fn pace() -> Pace {
    Pace {
        milliseconds_per_step: BTreeMap::from([
            ("dreambooth_unet".into(), 100.0),
            ("lora_r4".into(), 50.0),
        ]),
        milliseconds_per_picture: 10.0,
        workers: 2,
    }
}

#[test]
fn cost_counts_shared_work_once_and_ready_arms_not_at_all() {
    let plan = plan(Tier::Smoke);
    let none = BTreeSet::new();
    let one = plan.cost(1, &pace(), &none);
    // 2 arms x 2 checkpoints x 16, 32 behind the threshold, 2 x 24 class pictures.
    assert_eq!((one.cells, one.steps, one.pictures), (1, 200, 64 + 32 + 48));
    assert!((one.minutes - (200.0 * 100.0 + 144.0 * 10.0) / 60_000.0 / 2.0).abs() < 1e-9);
    let two = plan.cost(2, &pace(), &none);
    assert_eq!(
        (two.steps, two.pictures),
        (400, 144 + 64),
        "sets are shared"
    );
    assert_eq!(plan.cells[1].recipe.family, Family::Lora { rank: 4 });
    let ready = BTreeSet::from([plan.base_key(&plan.cells[0])]);
    let beside = plan.cost(1, &pace(), &ready);
    assert_eq!((beside.steps, beside.pictures), (100, 32 + 32 + 48));
    assert_eq!(plan.cost(0, &pace(), &none), Cost::default());
    assert_eq!(plan.cost(999, &pace(), &none).cells, 6);
}

#[test]
fn a_cut_keeps_the_first_part_and_the_rest_in_sight() {
    let mut plan = plan(Tier::Standard);
    let whole = plan
        .cost(plan.cells.len(), &pace(), &BTreeSet::new())
        .minutes;
    plan.cut_to(whole + 1.0, &pace(), &BTreeSet::new());
    assert_eq!(plan.not_tested().len(), 0);
    plan.cut_to(whole / 2.0, &pace(), &BTreeSet::new());
    let kept = plan.kept().len();
    assert!(kept > 0 && kept < plan.cells.len());
    assert!(plan.cost(kept, &pace(), &BTreeSet::new()).minutes <= whole / 2.0);
    assert!(plan.cost(kept + 1, &pace(), &BTreeSet::new()).minutes > whole / 2.0);
    assert_eq!(plan.not_tested().len() + kept, 72);
    assert!(plan.tests_not_run() > 0);
    plan.cut_to(0.0, &pace(), &BTreeSet::new());
    assert_eq!((plan.kept().len(), plan.not_tested().len()), (0, 72));
}

type Change<'a> = &'a dyn Fn(&mut Plan, &mut Cell);

#[test]
fn keys_change_with_everything_that_matters_and_with_nothing_else() {
    let plan = plan(Tier::Standard);
    let cell = &plan.cells[0];
    let (key, base) = (plan.key(cell), plan.base_key(cell));
    let keys: BTreeSet<String> = plan.cells.iter().map(|cell| plan.key(cell)).collect();
    assert_eq!(keys.len(), plan.cells.len());
    let with = |change: &dyn Fn(&mut Plan, &mut Cell)| {
        let (mut plan, mut cell) = (plan.clone(), cell.clone());
        change(&mut plan, &mut cell);
        (plan.key(&cell) == key, plan.base_key(&cell) == base)
    };
    let other: [Change<'_>; 10] = [
        &|_, cell| cell.seed += 1,
        &|_, cell| cell.word.push('x'),
        &|_, cell| cell.learning_rate = 3e-4,
        &|_, cell| cell.recipe.checkpoints = vec![50, 200],
        &|_, cell| cell.recipe.adaptive.clean_average = 0.5,
        &|plan, _| plan.settings.pictures += 1,
        &|plan, _| plan.subjects[0].merkle_root.push('x'),
        &|plan, _| {
            plan.inputs
                .base_files
                .insert("vae/weights".into(), "c".repeat(64));
        },
        &|plan, _| plan.inputs.encoder_sha256 = "c".repeat(64),
        &|plan, _| plan.inputs.objective = Objective::Erasure { prompt: None },
    ];
    for (at, change) in other.iter().enumerate() {
        assert_eq!(with(change), (false, false), "change {at}");
    }
    let same: [Change<'_>; 3] = [
        &|_, cell| cell.number = 40,
        &|_, cell| cell.recipe.name = "renamed".into(),
        &|plan, _| plan.subjects[0].name = "renamed".into(),
    ];
    assert!(same.iter().all(|change| with(*change) == (true, true)));
    let protected = |plan: &mut Plan, _: &mut Cell| plan.inputs.protected_sha256 = "q".repeat(64);
    assert_eq!(
        with(&protected),
        (false, true),
        "the clean arm serves every protected model"
    );
}

#[test]
fn every_bad_request_is_named() {
    let errors = |change: &dyn Fn(&mut PlanRequest)| -> Vec<String> {
        let mut request = request(Tier::Standard);
        change(&mut request);
        let errors = Plan::new(&request).expect_err("it is bad");
        errors.into_iter().map(|error| error.pointer).collect()
    };
    assert_eq!(errors(&|r| r.recipes.clear()), ["#/recipes", "#/recipes"]);
    assert_eq!(
        errors(&|r| r.recipes.retain(|recipe| recipe.name != "dreambooth")),
        ["#/recipes"]
    );
    assert_eq!(
        errors(&|r| r.recipes[3].batch_size = 0),
        ["#/recipes/3/batch_size"]
    );
    assert_eq!(
        errors(&|r| r.recipes[3].name = "lora".into()),
        ["#/recipes/3/name"]
    );
    assert_eq!(
        errors(&|r| r.subjects[0].role = Role::SameClass),
        ["#/subjects"]
    );
    assert_eq!(errors(&|r| r.subjects[1].pictures = 0), ["#/subjects"]);
    assert_eq!(errors(&|r| r.words.held_out.clear()), ["#/words/held_out"]);
    assert_eq!(errors(&|r| r.seeds = vec![1, 1, 2]), ["#/seeds"]);
    assert_eq!(errors(&|r| r.seeds = vec![1, 2]), ["#/seeds"]);
    assert_eq!(errors(&|r| r.seeds = vec![1, 2, u64::MAX]), ["#/seeds"]);
    assert_eq!(errors(&|r| r.settings.pictures = 0), ["#/settings"]);
    assert_eq!(
        errors(&|r| r.settings.guidance_scale = f64::NAN),
        ["#/settings/guidance_scale"]
    );
    let many = |r: &mut PlanRequest| {
        r.tier = Tier::Full;
        r.subjects = (0..32)
            .map(|at| subject(&at.to_string(), "dog", Role::Protected))
            .collect();
        r.recipes
            .extend((0..57).map(|at| recipe(&format!("more-{at}"), Family::CustomDiffusion)));
    };
    assert_eq!(errors(&many), ["#/recipes"]);
}

#[test]
fn words_that_are_missing_leave_their_cells_out() {
    let mut request = request(Tier::Full);
    request.words.natural.clear();
    request.words.pool.clear();
    let plan = Plan::new(&request).expect("valid");
    let modes: BTreeSet<String> = plan
        .cells
        .iter()
        .map(|cell| format!("{:?}", cell.identifier))
        .collect();
    assert_eq!(
        modes,
        BTreeSet::from(["HeldOut".to_owned(), "Same".to_owned()])
    );
}
