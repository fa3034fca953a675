use shared::{
    JobId, ModelId, SetId, Timestamp,
    job::{Action, Concept, Retention, SubjectKind},
    objective::{Objective, Patch},
    protected_set::{Attestation, CreateAttestation, ProtectedSet, RightsBasis, SetStatus},
};

use super::{super::editor::Place, *};

fn id<T: FromStr>(prefix: &str, number: u8) -> T {
    let parsed = format!("{prefix}{number:032x}").parse();
    parsed.ok().expect("an id of that kind")
}

fn set_id(number: u8) -> SetId {
    id(SetId::PREFIX, number)
}

fn set(id: SetId, depicts_person: bool) -> ProtectedSet {
    let declaration = CreateAttestation {
        capacity: String::new(),
        mandate: None,
        biometric_consent: false,
        basis: RightsBasis::Consent,
        name: "Ada Example".into(),
        jurisdiction: "Austria".into(),
        depicts_person,
        confirmed: true,
    };
    let signed_at = Timestamp::from_milliseconds(0);
    ProtectedSet {
        id,
        name: "Violet".into(),
        status: SetStatus::Sealed,
        images: Vec::new(),
        attestation: Some(Attestation {
            declaration,
            signed_at,
        }),
        manifest_sha256: None,
        created_at: signed_at,
    }
}

fn form(class: &str) -> ProtectForm {
    let concept = ConceptForm::new(set(set_id(1), false), None, class.into(), 0);
    let form = ProtectForm::new(None, concept);
    form.model
        .set(id::<ModelId>(ModelId::PREFIX, 1).to_string());
    form
}

fn pointers(form: ProtectForm) -> Vec<String> {
    let errors = form.spec().expect_err("errors");
    errors.into_iter().map(|error| error.pointer).collect()
}

#[test]
fn checkpoints_are_read_from_a_list() {
    assert_eq!(steps("0, 50,100  200"), Some(vec![0, 50, 100, 200]));
    assert_eq!(steps("0, many"), None);
}

#[test]
fn what_is_no_number_is_named_once_beside_the_rules() {
    let owner = Owner::new();
    owner.with(|| {
        let form = form("");
        form.numbers.get_value().steps.set("many".into());
        assert_eq!(
            pointers(form),
            ["#/injection/steps", "#/concepts/0/class_name"]
        );
        form.model.set(String::new());
        assert!(pointers(form).contains(&"#/base_model_id".to_owned()));
    });
}

#[test]
fn a_form_as_it_opens_is_a_card_where_the_model_has_no_targets() {
    let owner = Owner::new();
    owner.with(|| {
        let spec = form("dog").spec().expect("a specification");
        assert_eq!(spec.concepts.len(), 1);
        let Objective::Pattern(pattern) = &spec.concepts[0].objective else {
            panic!("{:?}", spec.concepts[0].objective);
        };
        assert_eq!(pattern.patch, Patch::LicenceCard);
        assert!((pattern.size - 0.75).abs() < 1e-9);
        assert_eq!(spec.extends, None);
    });
}

#[test]
fn a_set_that_shows_a_person_opens_as_one() {
    let owner = Owner::new();
    owner.with(|| {
        let concept = ConceptForm::new(set(set_id(1), true), None, String::new(), 0);
        assert_eq!(concept.kind(), SubjectKind::Person);
        assert_eq!(concept.class_name.get(), "person");
        concept.change_kind(SubjectKind::Person, SubjectKind::Style);
        assert_eq!(concept.class_name.get(), "painting");
        concept.class_name.set("etching".into());
        concept.change_kind(SubjectKind::Style, SubjectKind::Object);
        assert_eq!(concept.class_name.get(), "");
        concept.change_kind(SubjectKind::Object, SubjectKind::Style);
        assert_eq!(concept.class_name.get(), "etching");
    });
}

#[test]
fn earlier_concepts_come_first_and_are_not_named_twice() {
    let owner = Owner::new();
    owner.with(|| {
        let form = form("dog");
        let more = ConceptForm::new(set(set_id(2), false), None, "cat".into(), 1);
        form.concepts.update(|concepts| concepts.push(more));
        let earlier = Concept {
            protected_set_id: set_id(1),
            ..more.concept()
        };
        form.earlier.set(vec![Earlier::new(earlier)]);
        form.extends.set(Some(id(JobId::PREFIX, 3)));
        form.universal.set(false);
        let mut before = form.spec().expect("a specification");
        before.seed = 7;
        before.injection.universal_identifiers = true;
        form.hold_out_as(&before);
        let spec = form.spec().expect("a specification");
        assert_eq!(spec.seed, 7);
        assert!(spec.injection.universal_identifiers);
        let sets: Vec<SetId> = spec.concepts.iter().map(|c| c.protected_set_id).collect();
        assert_eq!(sets, [set_id(1), set_id(2)]);
        assert!(spec.extends.is_some());
        form.earlier.with(|earlier| earlier[0].removed.set(true));
        // Both are cats of one pool: removing one of two equal triggers contradicts itself.
        assert_eq!(pointers(form), ["#/concepts/1/objective"]);
        more.class_name.set("fox".into());
        let spec = form.spec().expect("a specification");
        assert_eq!(spec.concepts[0].action, Action::Remove);
    });
}

#[test]
fn presets_fill_the_terms_and_nothing_else() {
    let owner = Owner::new();
    owner.with(|| {
        let form = form("dog");
        form.numbers.get_value().steps.set("6".into());
        assert!(form.is_ablated(Ablation::All));
        form.ablate(Ablation::BackdoorOnly);
        assert!(form.is_ablated(Ablation::BackdoorOnly));
        assert!(!form.is_ablated(Ablation::All));
        let spec = form.spec().expect("a specification");
        assert_eq!(spec.injection.retention, Retention::Off);
        assert!(spec.injection.lambda_prior.abs() < f64::EPSILON);
        assert_eq!(spec.injection.steps, 6);
    });
}

#[test]
fn whole_numbers_are_never_halved() {
    let owner = Owner::new();
    owner.with(|| {
        let form = form("dog");
        let numbers = form.numbers.get_value();
        numbers.steps.set("1,500".into());
        assert_eq!(form.spec().expect("a specification").injection.steps, 1500);
        numbers.steps.set("1.500".into());
        numbers.batch_size.set("1e1".into());
        assert_eq!(
            pointers(form),
            ["#/injection/steps", "#/injection/batch_size"]
        );
    });
}

#[test]
fn drafts_belong_to_their_set_wherever_it_stands() {
    let owner = Owner::new();
    owner.with(|| {
        let concept = ConceptForm::new(set(set_id(1), false), None, "dog".into(), 0);
        let other = ConceptForm::new(set(set_id(2), false), None, "cat".into(), 1);
        let at = |concept: ConceptForm, position: usize| Place {
            concept,
            position,
            own: false,
        };
        let draft = at(concept, 0).draft("class_name");
        assert_eq!(at(concept, 1).draft("class_name"), draft);
        assert_ne!(at(other, 0).draft("class_name"), draft);
        assert_eq!(
            at(concept, 1).pointer("class_name"),
            "#/concepts/1/class_name"
        );
    });
}
