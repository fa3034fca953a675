//! Lets a program in that shows a code: a terminal, a script, a machine without a browser.

use leptos::{ev::SubmitEvent, prelude::*};
use shared::device::{DecideDevice, PendingDevice, check_user_code};

use crate::{
    api::devices::{decide_device, find_device},
    components::{
        button::SubmitButton,
        field::TextField,
        heading::PageHeading,
        moment::Moment,
        notice::{ErrorNotice, Notice, Tone},
    },
    state::{device_code::DeviceCode, form::FormState, kept::keep, session::Session},
};

/// Where the page stands.
#[derive(Clone, PartialEq)]
enum Step {
    /// The code is asked for.
    Code,
    /// The person looks at who waits.
    Decide(PendingDevice),
    /// It was let in, or not.
    Done(bool),
}

#[component]
pub(crate) fn DevicePage() -> impl IntoView {
    let brought = DeviceCode::expect();
    let (code, step) = keep("device", || {
        let filled = brought.value();
        (RwSignal::new(filled), RwSignal::new(Step::Code))
    });
    view! {
        <div class="narrow stack-loose">
            <div class="page-head">
                <PageHeading title=say!("Sign a program in") />
                <p class="soft">{say!("A program that you started shows a code. Whoever confirms the code lets it act in their name.")}</p>
            </div>
            {move || match step.get() {
                Step::Code => view! { <CodeForm code=code step=step /> }.into_any(),
                Step::Decide(device) => view! { <Decision code=code device=device step=step /> }.into_any(),
                Step::Done(true) => view! {
                    <div role="status" data-test="device-approved">
                        <Notice tone=Tone::Good title=say!("The program is signed in")>
                            <p>{say!("Go back to it. Signing out there ends it; so does a new password.")}</p>
                        </Notice>
                    </div>
                }.into_any(),
                Step::Done(false) => view! {
                    <div role="status" data-test="device-denied">
                        <Notice tone=Tone::Plain title=say!("The program was turned away")>
                            <p>{say!("It learns nothing and can do nothing.")}</p>
                        </Notice>
                    </div>
                }.into_any(),
            }}
        </div>
    }
}

#[component]
fn CodeForm(code: RwSignal<String>, step: RwSignal<Step>) -> impl IntoView {
    let form = FormState::kept("code");
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let typed = code.get_untracked();
        let errors = check_user_code(&typed);
        let request = async move { find_device(typed).await };
        form.submit(errors, request, move |device| {
            step.set(Step::Decide(device));
        });
    };
    view! {
        <form class="card" novalidate=true on:submit=submit>
            {move || form.error.get().map(|error| view! { <ErrorNotice error=error /> })}
            <TextField label=say!("Code") pointer="#/user_code" value=code error=form.field("#/user_code") hint=say!("Eight letters, such as BCDF-GHJK.") test="user-code" />
            <SubmitButton label=say!("Go on") busy_label=say!("Looking…") busy=form.busy test="find-device" />
        </form>
    }
}

#[component]
fn Decision(code: RwSignal<String>, device: PendingDevice, step: RwSignal<Step>) -> impl IntoView {
    let form = FormState::kept("decision");
    let session = Session::expect();
    let brought = DeviceCode::expect();
    let decide = move |approve: bool| {
        let request = DecideDevice {
            user_code: code.get_untracked(),
            approve,
        };
        let sent = async move { decide_device(&request).await };
        form.submit(Vec::new(), sent, move |()| {
            brought.forget();
            step.set(Step::Done(approve));
        });
    };
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        decide(true);
    };
    let PendingDevice {
        name,
        address,
        created_at,
        ..
    } = device;
    view! {
        <form class="card" novalidate=true on:submit=submit>
            {move || form.error.get().map(|error| view! { <ErrorNotice error=error /> })}
            <div class="stack" data-test="pending-device">
                <p>{weave!("It calls itself {name}. It asked from {address} on {moment}.", name = view! { <strong>{name}</strong> }, address = view! { <strong>{address}</strong> }, moment = view! { <Moment at=created_at /> })}</p>
                <p>
                    {move || session.user().map(|user| say!("It could do everything that you can do here as {email}, in every organisation that you belong to, until it signs out or is idle for 30 days.", email = user.email))}
                </p>
            </div>
            <Notice tone=Tone::Warn title=say!("Did you start it yourself, just now?")>
                <p>{say!("Names can be made up. If somebody sent you this code, turn the program away.")}</p>
            </Notice>
            <div class="row">
                <SubmitButton label=say!("Let it in") busy_label=say!("Signing in…") busy=form.busy test="approve-device" />
                <button type="button" class="button" data-test="deny-device" on:click=move |_| decide(false)>{say!("Turn it away")}</button>
            </div>
        </form>
    }
}
