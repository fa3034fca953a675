//! The declaration of rights that seals a set.

use leptos::{ev::SubmitEvent, prelude::*};
use shared::{
    SetId,
    image::ProtectedImage,
    limits,
    protected_set::{CreateAttestation, ProtectedSet, RightsBasis},
};

use crate::{
    api,
    components::{
        as_curl::AsCurl,
        button::SubmitButton,
        field::{CheckCard, FieldError, RadioCard, TextField},
        notice::{ErrorNotice, Notice, Tone},
    },
    language::say,
    state::{
        browser::focus,
        fetch::Fetch,
        form::FormState,
        kept::keep,
        session::Session,
        uploads::{FileState, Uploads},
    },
};

const BASES: [(&str, RightsBasis, &str, &str); 3] = [
    (
        "own",
        RightsBasis::Own,
        mark!("I own the rights in these images"),
        mark!("You made them, or the rights were passed to you."),
    ),
    (
        "represent",
        RightsBasis::Represent,
        mark!("I represent the owner"),
        mark!("You hold a mandate that you can show."),
    ),
    (
        "consent",
        RightsBasis::Consent,
        mark!("The depicted person gave me consent"),
        mark!("Needed whenever a real person can be recognised."),
    ),
];

const COUNTRIES: [&str; 20] = [
    mark!("Australia"),
    mark!("Austria"),
    mark!("Belgium"),
    mark!("Brazil"),
    mark!("Canada"),
    mark!("Denmark"),
    mark!("France"),
    mark!("Germany"),
    mark!("India"),
    mark!("Ireland"),
    mark!("Italy"),
    mark!("Japan"),
    mark!("Netherlands"),
    mark!("Poland"),
    mark!("South Korea"),
    mark!("Spain"),
    mark!("Sweden"),
    mark!("Switzerland"),
    mark!("United Kingdom"),
    mark!("United States"),
];

fn basis_of(chosen: &str) -> RightsBasis {
    BASES
        .iter()
        .find(|(value, ..)| *value == chosen)
        .map_or(RightsBasis::Own, |(_, basis, ..)| *basis)
}

/// Why the set cannot be sealed yet, if so.
fn obstacle(images: usize, pending: bool) -> Option<String> {
    if pending {
        return Some(say!("Wait until the uploads above are done.").into());
    }
    let missing = limits::MIN_IMAGES.saturating_sub(images);
    (missing > 0).then(|| {
        plural!(
            limits::MIN_IMAGES,
            "Add {missing} more to reach {count} image.",
            "Add {missing} more to reach {count} images.",
            missing
        )
    })
}

#[component]
pub(super) fn AttestationForm(
    id: SetId,
    set: Fetch<ProtectedSet>,
    images: Memo<Vec<ProtectedImage>>,
) -> impl IntoView {
    let uploads = Uploads::expect();
    let form = FormState::kept("attestation");
    let user = Session::expect().user().map(|user| user.name);
    let [basis, name, jurisdiction] = keep("attestation", || {
        let texts = ["own".to_owned(), user.unwrap_or_default(), String::new()];
        texts.map(RwSignal::new)
    });
    let [depicts_person, confirmed] = keep("attestation", || [false; 2].map(RwSignal::new));
    let obstacle = Signal::derive(move || {
        let pending = uploads
            .of(id)
            .iter()
            .any(|file| file.state.with(FileState::is_pending));
        obstacle(images.with(Vec::len), pending)
    });
    let body = move || CreateAttestation {
        capacity: String::new(),
        mandate: None,
        biometric_consent: false,
        basis: basis_of(&basis.get()),
        name: name.get().trim().to_owned(),
        jurisdiction: jurisdiction.get().trim().to_owned(),
        depicts_person: depicts_person.get(),
        confirmed: confirmed.get(),
    };
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        if obstacle.with_untracked(Option::is_some) {
            return;
        }
        let body = untrack(body);
        let errors = body.validate();
        let request = async move { api::seal_set(id, &body).await };
        form.submit(errors, request, move |sealed| {
            set.data.try_set(Some(sealed));
            // An answer that was asked for before comes after this, and is followed by one that knows.
            set.reload();
            // The form is gone: the next step takes the focus.
            request_animation_frame(|| focus("to-protect"));
        });
    };
    view! {
        <section class="stack" aria-labelledby="rights">
            <h2 id="rights">{say!("Your rights in these images")}</h2>
            <form class="card" novalidate=true on:submit=submit data-test="attestation">
                {move || form.error.get().map(|error| view! { <ErrorNotice error=error what=say!("The set was not sealed") /> })}
                <Basis basis=basis form=form />
                <CheckCard
                    pointer="#/depicts_person"
                    title=say!("A real person can be recognised in these images")
                    detail=say!("Then that person's consent is needed, whoever owns the images.")
                    checked=depicts_person
                    test="depicts-person"
                />
                <div class="form-grid">
                    <TextField label=say!("Your full name") pointer="#/name" value=name error=form.field("#/name") autocomplete="name" test="rights-name" />
                    <TextField
                        label=say!("Country whose law applies")
                        pointer="#/jurisdiction"
                        value=jurisdiction
                        error=form.field("#/jurisdiction")
                        autocomplete="country-name"
                        offers=COUNTRIES.map(|country| say(country).to_owned()).to_vec()
                        test="rights-jurisdiction"
                    />
                </div>
                <CheckCard
                    pointer="#/confirmed"
                    title=say!("I declare that this is true")
                    detail=say!("It is signed with the time and the hash of every image. A false declaration ends the account.")
                    checked=confirmed
                    error=form.field("#/confirmed")
                    test="rights-confirm"
                />
                <Seal obstacle=obstacle form=form />
                <AsCurl commands=Signal::derive(move || api::seal_set(id, &body()).curl()) test="curl-seal" />
            </form>
        </section>
    }
}

#[component]
fn Basis(basis: RwSignal<String>, form: FormState) -> impl IntoView {
    let options = BASES.map(|(value, _, title, detail)| {
        // The first option carries the id that errors lead to.
        let id = (value == "own").then(|| "field-basis".to_owned());
        view! {
            <RadioCard name="basis" value=value title=say(title) detail=say(detail) chosen=basis id=id test=format!("basis-{value}") />
        }
    });
    view! {
        <fieldset class="stack-tight" aria-describedby="field-basis-error">
            <legend class="field-label">{say!("Pick one")}</legend>
            <div class="choices">{options.collect_view()}</div>
            <FieldError id="field-basis-error" error=form.field("#/basis") />
        </fieldset>
    }
}

#[component]
fn Seal(obstacle: Signal<Option<String>>, form: FormState) -> impl IntoView {
    move || {
        match obstacle.get() {
        Some(reason) => view! {
            <Notice tone=Tone::Plain>
                <p data-test="seal-obstacle">{reason}</p>
            </Notice>
        }
        .into_any(),
        None => view! {
            <div class="row">
                <SubmitButton label=say!("Sign and seal the set") busy_label=say!("Sealing…") busy=form.busy test="seal" />
                <p class="small soft">{say!("After this, images can no longer be added or removed.")}</p>
            </div>
        }
        .into_any(),
    }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_names_what_is_missing() {
        assert_eq!(
            obstacle(2, false).as_deref(),
            Some("Add 1 more to reach 3 images.")
        );
        assert!(obstacle(3, true).is_some());
        assert_eq!(obstacle(3, false), None);
    }
}
