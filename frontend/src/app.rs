//! The map of the dashboard: every address on one screen.

use leptos::{ev, prelude::*};
use leptos_router::{
    components::{FlatRoutes, Route, Router},
    path,
};
use wasm_split_helpers::SplitLoaderError;

use crate::{
    components::{
        gate::RequireUser,
        header::{Footer, Header},
        part::part,
    },
    pages::{
        landing::LandingPage,
        letters::{AcceptInvitationPage, ForgotPasswordPage, ResetPasswordPage, VerifyEmailPage},
        not_found::NotFoundPage,
        sign::{SignInPage, SignUpPage},
    },
    parts::{Desk, Draw, Results, Start, Work, desk, results, start, work},
    state::{
        browser::focus,
        device_code::DeviceCode,
        letter::LetterToken,
        model_uploads::ModelUploads,
        session::Session,
        speech::{Speech, spoken},
        uploads::Uploads,
    },
};

/// A page for people with an account.
fn own<F>(load: fn() -> F) -> impl IntoView
where
    F: Future<Output = Result<Draw, SplitLoaderError>> + 'static,
{
    spoken(move || view! { <RequireUser>{part(load)}</RequireUser> })
}

#[component]
pub(crate) fn App() -> impl IntoView {
    Speech::provide();
    Session::provide();
    LetterToken::provide();
    DeviceCode::provide();
    let uploads = Uploads::provide();
    let models = ModelUploads::provide();
    let session = Session::expect();
    Effect::new(move |before: Option<bool>| {
        let is_in = session.user().is_some();
        if is_in && before == Some(false) {
            uploads.resume();
        }
        is_in
    });
    let guard = window_event_listener(ev::beforeunload, move |event| {
        if uploads.any_pending() || models.any_active() {
            event.prevent_default();
        }
    });
    on_cleanup(move || guard.remove());
    let skip = move |event: ev::MouseEvent| {
        event.prevent_default();
        focus("main");
    };
    view! {
        <Router>
            {spoken(move || view! {
                <a class="skip-link" href="#main" on:click=skip>{say!("Skip to the content")}</a>
                <Header />
            })}
            <main id="main" tabindex="-1">
                <div class="frame">
                    <FlatRoutes fallback=|| spoken(NotFoundPage)>
                        <Route path=path!("/") view=|| spoken(LandingPage) />
                        <Route path=path!("/sign-up") view=|| spoken(SignUpPage) />
                        <Route path=path!("/sign-in") view=|| spoken(SignInPage) />
                        <Route path=path!("/verify-email") view=|| spoken(VerifyEmailPage) />
                        <Route path=path!("/forgot-password") view=|| spoken(ForgotPasswordPage) />
                        <Route path=path!("/reset-password") view=|| spoken(ResetPasswordPage) />
                        <Route path=path!("/accept-invitation") view=|| spoken(AcceptInvitationPage) />
                        <Route path=path!("/home") view=|| own(|| start(Start::Home)) />
                        <Route path=path!("/sets/new") view=|| own(|| start(Start::NewSet)) />
                        <Route path=path!("/sets/:id") view=|| own(|| work(Work::Set)) />
                        <Route path=path!("/sets/:id/protect") view=|| own(|| work(Work::Protect)) />
                        <Route path=path!("/jobs") view=|| own(|| start(Start::Jobs)) />
                        <Route path=path!("/jobs/:id") view=|| own(|| work(Work::Job)) />
                        <Route path=path!("/studies/:id") view=|| own(|| results(Results::Study)) />
                        <Route path=path!("/account") view=|| own(|| desk(Desk::Account)) />
                        <Route path=path!("/device") view=|| own(|| desk(Desk::Device)) />
                        <Route path=path!("/storage") view=|| own(|| desk(Desk::Storage)) />
                        <Route path=path!("/nodes") view=|| own(|| desk(Desk::Nodes)) />
                        <Route path=path!("/models") view=|| own(|| desk(Desk::Models)) />
                        <Route path=path!("/galleries/:id") view=|| spoken(|| part(|| results(Results::Gallery))) />
                    </FlatRoutes>
                </div>
            </main>
            <Footer />
        </Router>
    }
}
