//! What every part of the form looks at: the text, the models, the sets and the reasons against fields.

use leptos::prelude::*;
use shared::{
    base_model::BaseModel, demo::SampleSet, problem::FieldError, protected_set::ProtectedSet,
};

use super::{concept::ConceptForm, form::ProtectForm};
use crate::state::{form::detail_of, pages::Pages};

/// The form and what it knows.
#[derive(Clone, Copy)]
pub(super) struct Editor {
    pub(super) form: ProtectForm,
    pub(super) models: StoredValue<Vec<BaseModel>>,
    pub(super) samples: StoredValue<Vec<SampleSet>>,
    /// The person's newest sets.
    pub(super) sets: Pages<ProtectedSet>,
    pub(super) errors: Signal<Vec<FieldError>>,
}

impl Editor {
    /// The reason against one field.
    pub(super) fn reason(self, pointer: &str) -> Signal<Option<String>> {
        let pointer = pointer.to_owned();
        Signal::derive(move || self.errors.with(|errors| detail_of(errors, &pointer)))
    }

    /// The chosen model.
    pub(super) fn model(self) -> Option<BaseModel> {
        let chosen = self.form.model.get();
        self.models.with_value(|models| {
            let mut models = models.iter();
            models.find(|model| model.id.to_string() == chosen).cloned()
        })
    }

    /// The chosen model's words of one kind.
    pub(super) fn words(self, read: fn(BaseModel) -> Vec<String>) -> Vec<String> {
        self.model().map(read).unwrap_or_default()
    }

    /// A sample's class, if the set was made from that sample.
    pub(super) fn suggested_class(self, set: &ProtectedSet) -> String {
        self.samples
            .with_value(|samples| suggested_class(set, samples))
    }
}

/// A sample's class, if the set was made from that sample.
pub(super) fn suggested_class(set: &ProtectedSet, samples: &[SampleSet]) -> String {
    let mut samples = samples.iter();
    samples
        .find(|sample| sample.title == set.name)
        .map(|sample| sample.class_name.clone())
        .unwrap_or_default()
}

/// A concept and where it stands in the specification.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) concept: ConceptForm,
    pub(super) position: usize,
    /// Whether it is the page's own set.
    pub(super) own: bool,
}

impl Place {
    /// The JSON pointer of one of its fields.
    pub(super) fn pointer(self, field: &str) -> String {
        format!("#/concepts/{}/{field}", self.position)
    }

    /// The name of what is typed into one of its fields: positions shift, sets stay.
    pub(super) fn draft(self, field: &str) -> String {
        format!("#/sets/{}/{field}", self.concept.set_id())
    }

    /// A mark that no other concept has.
    pub(super) fn mark(self, name: &str) -> String {
        if self.own {
            name.to_owned()
        } else {
            format!("{name}-{}", self.position)
        }
    }
}
