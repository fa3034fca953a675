//! Form fields: label, hint, error and input tied together for every way of reading a page.

#![expect(
    clippy::needless_pass_by_value,
    reason = "a component owns its properties; one that is converted into is a `String`, not a `&str`"
)]

use leptos::prelude::*;

use crate::{
    components::prose::prose,
    language::retyped,
    state::{draft, form::field_id},
};

#[component]
pub(crate) fn TextField(
    #[prop(into)] label: String,
    /// JSON pointer of the field; names the element so that errors can lead here.
    #[prop(into)]
    pointer: String,
    value: RwSignal<String>,
    #[prop(into)] error: Signal<Option<String>>,
    #[prop(optional, into)] hint: String,
    #[prop(default = "text")] kind: &'static str,
    #[prop(default = "off")] autocomplete: &'static str,
    #[prop(default = "text")] input_mode: &'static str,
    /// Whether it holds a number, whose mark is the reader's.
    #[prop(optional)]
    number: bool,
    /// Words to offer while typing.
    #[prop(optional)]
    offers: Vec<String>,
    /// The name of what is typed, where the pointer may come to mean something else.
    #[prop(optional, into)]
    draft: Option<String>,
    #[prop(into)] test: String,
) -> impl IntoView {
    let id = field_id(&pointer);
    let draft = draft.unwrap_or(pointer);
    let hint_id = format!("{id}-hint");
    let error_id = format!("{id}-error");
    let list_id = (!offers.is_empty()).then(|| format!("{id}-offers"));
    let described = format!("{hint_id} {error_id}");
    let kept = draft::is_kept(&draft, kind, autocomplete);
    if let Some(text) = draft::of(&draft).filter(|_| kept) {
        value.set(text);
    }
    if number {
        let text = value.get_untracked();
        let here = retyped(&text);
        if here != text {
            value.set(here);
        }
    }
    let followed = draft.clone();
    Effect::new(move || value.with(|text| draft::follow(&followed, text)));
    let typed = move |event| {
        let text = event_target_value(&event);
        if kept {
            draft::keep(&draft, &text);
        }
        value.set(text);
    };
    let offers = list_id.clone().map(|id| {
        let options = offers
            .into_iter()
            .map(|offer| view! { <option value=offer></option> });
        view! { <datalist id=id>{options.collect_view()}</datalist> }
    });
    view! {
        <div class="field">
            <label class="field-label" for=id.clone()>{label}</label>
            <input
                id=id
                class="input"
                type=kind
                autocomplete=autocomplete
                inputmode=input_mode
                autocapitalize="none"
                spellcheck="false"
                list=list_id
                data-test=test
                aria-describedby=described
                aria-invalid=move || if error.with(Option::is_some) { "true" } else { "false" }
                prop:value=move || value.get()
                on:input=typed
            />
            {offers}
            <Hint id=hint_id hint=hint />
            <FieldError id=error_id error=error />
        </div>
    }
}

#[component]
fn Hint(id: String, hint: String) -> impl IntoView {
    (!hint.is_empty()).then(|| view! { <p class="field-hint" id=id>{hint}</p> })
}

#[component]
pub(crate) fn FieldError(
    #[prop(into)] id: String,
    #[prop(into)] error: Signal<Option<String>>,
) -> impl IntoView {
    view! {
        <div id=id aria-live="polite">
            {move || error.get().map(|error| view! { <p class="field-error" data-test="field-error"><span>{prose(&error)}</span></p> })}
        </div>
    }
}

/// One radio button of a group, as a card.
#[component]
pub(crate) fn RadioCard(
    #[prop(into)] name: String,
    #[prop(into)] value: String,
    #[prop(into)] title: String,
    #[prop(optional, into)] detail: String,
    chosen: RwSignal<String>,
    #[prop(default = None)] id: Option<String>,
    /// What stands above its words.
    #[prop(default = None)]
    picture: Option<AnyView>,
    #[prop(into)] test: String,
) -> impl IntoView {
    let class = if picture.is_some() {
        "choice choice-picture"
    } else {
        "choice"
    };
    let own = value.clone();
    let picked = value.clone();
    let detail = (!detail.is_empty()).then(|| view! { <span class="field-hint">{detail}</span> });
    view! {
        <label class=class>
            {picture}
            <input
                type="radio"
                id=id
                name=name
                value=value
                data-test=test
                prop:checked=move || chosen.with(|chosen| *chosen == own)
                on:change=move |_| chosen.set(picked.clone())
            />
            <span>
                <span class="choice-title">{title}</span>
                {detail}
            </span>
        </label>
    }
}

/// A checkbox with its sentence.
#[component]
pub(crate) fn CheckCard(
    #[prop(into)] pointer: String,
    #[prop(into)] title: String,
    #[prop(optional, into)] detail: String,
    checked: RwSignal<bool>,
    #[prop(optional, into)] error: Option<Signal<Option<String>>>,
    #[prop(into)] test: String,
) -> impl IntoView {
    let id = field_id(&pointer);
    let error_id = format!("{id}-error");
    let described = error.is_some().then(|| error_id.clone());
    let detail = (!detail.is_empty()).then(|| view! { <span class="field-hint">{detail}</span> });
    view! {
        <div class="field">
            <label class="choice">
                <input
                    type="checkbox"
                    id=id
                    data-test=test
                    aria-describedby=described
                    prop:checked=move || checked.get()
                    on:change=move |event| checked.set(event_target_checked(&event))
                />
                <span>
                    <span class="choice-title">{title}</span>
                    {detail}
                </span>
            </label>
            {error.map(|error| view! { <FieldError id=error_id error=error /> })}
        </div>
    }
}

/// A list to choose one value from.
#[component]
pub(crate) fn SelectField(
    #[prop(into)] label: String,
    #[prop(into)] pointer: String,
    /// Values with their words.
    #[prop(into)]
    options: Signal<Vec<(String, String)>>,
    value: RwSignal<String>,
    #[prop(optional, into)] hint: String,
    #[prop(optional, into)] error: Option<Signal<Option<String>>>,
    #[prop(into)] test: String,
) -> impl IntoView {
    let id = field_id(&pointer);
    let (hint_id, error_id) = (format!("{id}-hint"), format!("{id}-error"));
    let mut described = Vec::new();
    if !hint.is_empty() {
        described.push(hint_id.clone());
    }
    if error.is_some() {
        described.push(error_id.clone());
    }
    let described = (!described.is_empty()).then(|| described.join(" "));
    let options = move || {
        let option = |(name, words): (String, String)| {
            let own = name.clone();
            view! { <option value=name selected=move || value.with(|chosen| *chosen == own)>{words}</option> }
        };
        options.get().into_iter().map(option).collect_view()
    };
    view! {
        <div class="field">
            <label class="field-label" for=id.clone()>{label}</label>
            <select id=id class="input" data-test=test aria-describedby=described on:change=move |event| value.set(event_target_value(&event))>
                {options}
            </select>
            <Hint id=hint_id hint=hint />
            {error.map(|error| view! { <FieldError id=error_id error=error /> })}
        </div>
    }
}

/// A share in percent, from a fifth to the whole, with its number.
#[component]
pub(crate) fn ShareField(
    #[prop(into)] label: String,
    #[prop(into)] pointer: String,
    value: RwSignal<String>,
    #[prop(into)] error: Signal<Option<String>>,
    #[prop(into)] test: String,
) -> impl IntoView {
    let id = field_id(&pointer);
    let error_id = format!("{id}-error");
    let words = move || format!("{} %", value.get());
    view! {
        <div class="field">
            <div class="row-between">
                <label class="field-label" for=id.clone()>{label}</label>
                <output class="number" for=id.clone()>{words}</output>
            </div>
            <input
                id=id
                class="range"
                type="range"
                min="20"
                max="100"
                step="5"
                data-test=test
                aria-describedby=error_id.clone()
                aria-valuetext=words
                prop:value=move || value.get()
                on:input=move |event| value.set(event_target_value(&event))
            />
            <FieldError id=error_id error=error />
        </div>
    }
}
