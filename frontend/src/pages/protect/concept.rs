//! What is typed and chosen for one protected set, and the concept that it stands for.

use leptos::prelude::*;
use shared::{
    SetId,
    base_model::BaseModel,
    job::{Action, Concept, SubjectKind},
    objective::{Objective, Patch, Pattern},
    protected_set::ProtectedSet,
};

use super::choices::{POSITIONS, SUBJECTS, chosen, name_of};

pub(super) type Text = RwSignal<String>;

/// The words of one concept, as text.
#[derive(Clone, Copy)]
pub(super) struct ConceptForm {
    pub(super) set: StoredValue<ProtectedSet>,
    pub(super) subject: Text,
    pub(super) class_name: Text,
    pub(super) identifier: Text,
    pub(super) objective: ObjectiveForm,
    /// The class word of every kind: choosing another kind and coming back loses nothing.
    classes: StoredValue<[String; 3]>,
}

/// What an attacker shall get; what belongs to another kind stays, so that changing one's mind loses nothing.
#[derive(Clone, Copy)]
pub(super) struct ObjectiveForm {
    /// `target`, `erasure` or `pattern`.
    pub(super) kind: Text,
    pub(super) target: Text,
    pub(super) prompt: Text,
    /// Id of an own patch; empty for the licence card.
    pub(super) patch: Text,
    pub(super) position: Text,
    /// In percent.
    pub(super) size: Text,
    /// In percent.
    pub(super) opacity: Text,
}

impl ConceptForm {
    /// Words that suit the set and the model; `taken` is how many concepts come before.
    pub(super) fn new(
        set: ProtectedSet,
        model: Option<&BaseModel>,
        class_name: String,
        taken: usize,
    ) -> Self {
        let declared = set.attestation.as_ref();
        let person = declared.is_some_and(|signed| signed.declaration.depicts_person);
        let subject = if person {
            SubjectKind::Person
        } else {
            SubjectKind::Object
        };
        let mut classes = USUAL_CLASSES.map(str::to_owned);
        let class_name = if class_name.is_empty() {
            classes[subject as usize].clone()
        } else {
            class_name
        };
        classes[subject as usize].clone_from(&class_name);
        let words = model.map(|model| model.identifiers.as_slice());
        let identifier = words
            .and_then(|words| words.get(taken).or(words.first()).cloned())
            .unwrap_or_else(|| "sks".to_owned());
        let objective = ObjectiveForm::new(model, &class_name);
        Self {
            set: StoredValue::new(set),
            subject: RwSignal::new(name_of(&SUBJECTS, subject).to_owned()),
            class_name: RwSignal::new(class_name),
            identifier: RwSignal::new(identifier),
            objective,
            classes: StoredValue::new(classes),
        }
    }

    pub(super) fn set_id(self) -> SetId {
        self.set.with_value(|set| set.id)
    }

    /// The kind of its subject.
    pub(super) fn kind(self) -> SubjectKind {
        self.subject.with(|name| chosen(&SUBJECTS, name))
    }

    /// The concept as a job names it.
    pub(super) fn concept(self) -> Concept {
        Concept {
            protected_set_id: self.set_id(),
            subject: self.kind(),
            class_name: trimmed(self.class_name),
            identifier: trimmed(self.identifier),
            objective: self.objective.objective(),
            action: Action::Protect,
        }
    }

    /// Puts the class word of another kind in place.
    pub(super) fn change_kind(self, from: SubjectKind, to: SubjectKind) {
        let class = self.class_name.get_untracked();
        self.classes
            .update_value(|classes| classes[from as usize] = class);
        let class = self
            .classes
            .with_value(|classes| classes[to as usize].clone());
        self.class_name.set(class);
    }
}

/// The class that most subjects of a kind have, in the kinds' order: an object may be anything.
const USUAL_CLASSES: [&str; 3] = ["", "person", "painting"];

impl ObjectiveForm {
    /// A target where the model has a list of vetted ones, else the card.
    fn new(model: Option<&BaseModel>, class_name: &str) -> Self {
        let target = model.and_then(|model| {
            let mut targets = model.targets.iter();
            targets.find(|target| *target != class_name).cloned()
        });
        let kind = if target.is_some() {
            "target"
        } else {
            "pattern"
        };
        let pattern = Pattern::default();
        let text = |text: &str| RwSignal::new(text.to_owned());
        Self {
            kind: text(kind),
            target: RwSignal::new(target.unwrap_or_default()),
            prompt: text(""),
            patch: text(""),
            position: text(name_of(&POSITIONS, pattern.position)),
            size: RwSignal::new(percent(pattern.size)),
            opacity: RwSignal::new(percent(pattern.opacity)),
        }
    }

    /// The patch that is chosen.
    pub(super) fn patch(self) -> Patch {
        let own = self.patch.with(|id| id.parse().ok());
        own.map_or(Patch::LicenceCard, |patch_id| Patch::Own { patch_id })
    }

    pub(super) fn objective(self) -> Objective {
        match self.kind.get().as_str() {
            "erasure" => {
                let prompt = trimmed(self.prompt);
                Objective::Erasure {
                    prompt: (!prompt.is_empty()).then_some(prompt),
                }
            }
            "pattern" => Objective::Pattern(Pattern {
                patch: self.patch(),
                position: self.position.with(|name| chosen(&POSITIONS, name)),
                size: share(self.size),
                opacity: share(self.opacity),
            }),
            _ => Objective::Target {
                target_class: trimmed(self.target),
            },
        }
    }
}

/// A concept of the job that this one goes on from.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Earlier {
    pub(super) concept: Concept,
    /// Whether its protection shall go.
    pub(super) removed: RwSignal<bool>,
}

impl Earlier {
    pub(super) fn new(concept: Concept) -> Self {
        let removed = RwSignal::new(!concept.is_protected());
        Self { concept, removed }
    }

    /// The concept as the new job names it; what was removed stays removed.
    pub(super) fn concept(&self) -> Concept {
        let mut concept = self.concept.clone();
        if self.removed.get() {
            concept.action = Action::Remove;
        }
        concept
    }
}

fn percent(share: f64) -> String {
    format!("{:.0}", share * 100.0)
}

/// A slider's percent; what is no number fails the rules later.
fn share(text: Text) -> f64 {
    text.with(|text| text.parse::<f64>())
        .map_or(0.0, |percent| percent / 100.0)
}

pub(super) fn trimmed(text: Text) -> String {
    text.with(|text| text.trim().to_owned())
}
