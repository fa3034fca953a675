//! What every form shares: field errors by pointer, and a request that is under way.

use leptos::{prelude::*, task::spawn_local};
use shared::problem::FieldError;

use crate::{
    api::ApiError,
    state::{browser::focus_first_of, draft, kept::keep},
};

/// The fate of a form: its invalid fields, its refusal, and whether a request is under way.
#[derive(Clone, Copy)]
pub(crate) struct FormState {
    /// Invalid fields, from the shared rules or from the API.
    pub(crate) fields: RwSignal<Vec<FieldError>>,
    /// Why the last request failed.
    pub(crate) error: RwSignal<Option<ApiError>>,
    /// Whether a request is under way.
    pub(crate) busy: RwSignal<bool>,
}

impl FormState {
    /// A form of its own; in another language it is the same one.
    pub(crate) fn kept(name: &str) -> Self {
        keep(name, Self::new)
    }

    fn new() -> Self {
        Self {
            fields: RwSignal::new(Vec::new()),
            error: RwSignal::new(None),
            busy: RwSignal::new(false),
        }
    }

    /// What is wrong with one field.
    pub(crate) fn field(self, pointer: &'static str) -> Signal<Option<String>> {
        Signal::derive(move || self.fields.with(|fields| detail_of(fields, pointer)))
    }

    /// Sends once at a time; what was typed stays, whatever the answer.
    pub(crate) fn submit<T: 'static>(
        self,
        errors: Vec<FieldError>,
        request: impl Future<Output = Result<T, ApiError>> + 'static,
        then: impl FnOnce(T) + 'static,
    ) {
        if self.busy.get_untracked() {
            return;
        }
        self.error.set(None);
        let invalid = !errors.is_empty();
        focus_first(&errors);
        self.fields.set(errors);
        if invalid {
            return;
        }
        self.busy.set(true);
        let page = draft::here();
        spawn_local(async move {
            let answer = request.await;
            self.busy.try_set(false);
            match answer {
                Ok(value) => {
                    draft::forget(&page);
                    then(value);
                }
                // Somebody changed their mind, and knows.
                Err(ApiError::Aborted) => {}
                Err(error) => self.refuse(error),
            }
        });
    }

    fn refuse(self, error: ApiError) {
        let fields = error.fields().to_vec();
        focus_first(&fields);
        self.fields.try_set(fields);
        self.error.try_set(Some(error));
    }
}

/// The first reason against one field.
pub(crate) fn detail_of(fields: &[FieldError], pointer: &str) -> Option<String> {
    fields
        .iter()
        .find(|field| field.pointer == pointer)
        .map(|field| field.detail.clone())
}

/// The element id of a field: `#/injection/steps` becomes `field-injection-steps`.
pub(crate) fn field_id(pointer: &str) -> String {
    let name = pointer.trim_start_matches("#/").replace('/', "-");
    format!("field-{name}")
}

/// Leads the keyboard to the first invalid field.
pub(crate) fn focus_first(fields: &[FieldError]) {
    let ids: Vec<String> = fields
        .iter()
        .map(|field| field_id(&field.pointer))
        .collect();
    focus_first_of(&ids);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointer_names_its_element() {
        assert_eq!(field_id("#/injection/steps"), "field-injection-steps");
        assert_eq!(field_id("#/email"), "field-email");
    }
}
