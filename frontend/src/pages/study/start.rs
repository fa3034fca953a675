//! Asking for a study: how much of the matrix, how long it may take, and who plays the innocent user.

use leptos::prelude::*;
use leptos_router::hooks::use_navigate;
use shared::{
    JobId, SetId,
    job::SubjectKind,
    matrix::Tier,
    protected_set::{ProtectedSet, SetStatus},
    study::{Control, CreateStudy, MAX_CONTROLS},
};

use crate::{
    api,
    components::{
        as_curl::AsCurl,
        button::SubmitButton,
        field::{RadioCard, TextField},
        moment::Moment,
        notice::ErrorNotice,
    },
    language::{say, whole_number},
    state::{browser::random_key, fetch::use_fetch, form::FormState, kept::keep},
};

const TIERS: [(Tier, &str, &str); 3] = [
    (
        Tier::Smoke,
        mark!("A first look"),
        mark!("Two attacks, one rate, one seed: minutes on the demo's model."),
    ),
    (
        Tier::Standard,
        mark!("Standard"),
        mark!(
            "Five attacks at two rates with two identifiers and three seeds: about an hour on the demo's model."
        ),
    ),
    (
        Tier::Full,
        mark!("Everything"),
        mark!("Every attack, adaptive ones too, at every rate: days. Give it a budget."),
    ),
];

/// A set that can be a control, with the class word that its owner gives it.
#[derive(Clone, Copy)]
struct Candidate {
    id: SetId,
    class_name: RwSignal<String>,
}

#[component]
pub(crate) fn StartStudy(
    protect_job_id: JobId,
    concept: u32,
    protected_set_id: SetId,
) -> impl IntoView {
    let sets = use_fetch(api::latest_sets);
    let tier = keep("tier", || RwSignal::new(Tier::Standard.as_str().to_owned()));
    let minutes = keep("minutes", || RwSignal::new(String::new()));
    let candidates = StoredValue::new(Vec::<Candidate>::new());
    let form = FormState::kept("study");
    let navigate = use_navigate();
    let key = keep("key", || StoredValue::new(random_key()));
    let asked = move || request(protect_job_id, concept, (tier, minutes), candidates);
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let request = untrack(asked);
        let mut errors = request.validate();
        if request.budget_minutes.is_some_and(f64::is_nan) {
            for error in &mut errors {
                if error.pointer == "#/budget_minutes" {
                    mark!("Give a whole number.").clone_into(&mut error.detail);
                }
            }
        }
        let navigate = navigate.clone();
        let send = async move { api::studies::create(&request, &key.get_value()).await };
        form.submit(errors, send, move |study| {
            navigate(
                &format!("/studies/{}", study.id),
                leptos_router::NavigateOptions::default(),
            );
        });
    };
    let tiers = TIERS
        .map(|(own, title, detail)| {
            view! { <RadioCard name="tier" value=own.as_str() title=say(title) detail=say(detail) chosen=tier test=format!("tier-{}", own.as_str()) /> }
        })
        .into_iter()
        .collect_view();
    let others = move || {
        let page = sets.data.get()?;
        let fits =
            |set: &ProtectedSet| set.status == SetStatus::Sealed && set.id != protected_set_id;
        let others: Vec<ProtectedSet> = page
            .data
            .into_iter()
            .filter(fits)
            .take(MAX_CONTROLS)
            .collect();
        (!others.is_empty()).then(|| view! { <Controls sets=others candidates=candidates /> })
    };
    view! {
        <section class="card" aria-labelledby="study" data-test="start-study">
            <h2 id="study">{say!("Test it harder")}</h2>
            <p>
                {say!("One attack is one attack. The attack matrix tries LoRA, Textual Inversion, Custom Diffusion and attackers who expect protection, and ends with a report and a signed certificate.")}
            </p>
            <Earlier protect_job_id=protect_job_id />
            <form class="stack" on:submit=submit>
                <fieldset class="stack-tight">
                    <legend class="field-label">{say!("How much")}</legend>
                    <div class="choices choices-wide">{tiers}</div>
                </fieldset>
                <TextField
                    label=say!("Budget in minutes")
                    pointer="#/budget_minutes"
                    value=minutes
                    error=form.field("#/budget_minutes")
                    hint=say!("Optional. Cells that would end later are not run and are shown as not tested.")
                    input_mode="numeric"
                    test="budget-minutes"
                />
                {others}
                {move || form.error.get().map(|error| view! { <ErrorNotice error=error what=say!("The study was not started") /> })}
                <div>
                    <SubmitButton label=say!("Start the study") busy=form.busy busy_label=say!("Starting") test="create-study" />
                </div>
                <AsCurl commands=Signal::derive(move || key.with_value(|key| api::studies::create(&asked(), key).curl())) test="curl-study" />
            </form>
        </section>
    }
}

/// Studies of this model, newest first.
#[component]
fn Earlier(protect_job_id: JobId) -> impl IntoView {
    let earlier = use_fetch(api::studies::studies);
    move || {
        let page = earlier.data.get()?;
        let own = page.data.into_iter();
        let links = own
            .filter(|study| study.protect_job_id == protect_job_id)
            .map(|study| {
                let tier = TIERS.iter().find(|(tier, ..)| *tier == study.tier);
                let tier = tier.map_or(study.tier.as_str(), |(_, title, _)| say(title));
                let tier = tier.to_owned();
                view! { <li><a href=format!("/studies/{}", study.id) data-test="earlier-study">{tier} ", " <Moment at=study.created_at /></a></li> }
            })
            .collect_view();
        (!links.is_empty()).then(|| view! { <div class="stack-tight"><h3>{say!("Studies of this model")}</h3><ul>{links}</ul></div> })
    }
}

fn request(
    protect_job_id: JobId,
    concept: u32,
    (tier, minutes): (RwSignal<String>, RwSignal<String>),
    candidates: StoredValue<Vec<Candidate>>,
) -> CreateStudy {
    let named = tier.get();
    let tiers = TIERS.iter().map(|(tier, ..)| *tier);
    let control = |candidate: &Candidate| {
        let class_name = candidate.class_name.get().trim().to_owned();
        (!class_name.is_empty()).then_some(Control {
            protected_set_id: candidate.id,
            class_name,
            subject: SubjectKind::Object,
        })
    };
    CreateStudy {
        protect_job_id,
        concept,
        tier: tiers
            .into_iter()
            .find(|tier| tier.as_str() == named)
            .unwrap_or_default(),
        budget_minutes: minutes.with(|text| budget(text)),
        controls: candidates.with_value(|all| all.iter().filter_map(control).collect()),
        recipes: Vec::new(),
    }
}

/// The budget as typed; what is no whole number is refused by the shared rules, which name the field.
fn budget(text: &str) -> Option<f64> {
    let minutes = || whole_number(text).map_or(f64::NAN, |minutes| minutes as f64);
    (!text.trim().is_empty()).then(minutes)
}

#[component]
fn Controls(sets: Vec<ProtectedSet>, candidates: StoredValue<Vec<Candidate>>) -> impl IntoView {
    let all: Vec<Candidate> = sets
        .iter()
        .map(|set| Candidate {
            id: set.id,
            class_name: RwSignal::new(String::new()),
        })
        .collect();
    candidates.set_value(all.clone());
    let rows = sets
        .into_iter()
        .zip(all)
        .enumerate()
        .map(|(at, (set, candidate))| {
            view! {
                <TextField
                    label=set.name
                    pointer=format!("#/controls/{at}/class_name")
                    draft=format!("#/controls/{}/class_name", set.id)
                    value=candidate.class_name
                    error=Signal::stored(None::<String>)
                    test=format!("control-{at}")
                />
            }
        })
        .collect_view();
    view! {
        <fieldset class="stack-tight">
            <legend class="field-label">{say!("Innocent users")}</legend>
            <p class="field-hint">
                {say!("Somebody who is not protected should personalize this model as well as before. Give a class word, such as dog, to each of your other sets that shall play this part; best are two of the same class and two of others.")}
            </p>
            <div class="choices choices-wide">{rows}</div>
        </fieldset>
    }
}

#[cfg(test)]
mod tests {
    use super::budget;

    #[test]
    fn a_budget_is_whole_or_refused() {
        assert_eq!(budget("  "), None);
        assert_eq!(budget("90"), Some(90.0));
        assert_eq!(budget("1,500"), Some(1500.0));
        for misread in ["1.500", "1,5", "ninety"] {
            assert!(budget(misread).is_some_and(f64::is_nan), "{misread}");
        }
    }
}
