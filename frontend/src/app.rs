//! The map of the dashboard: every address on one screen.

use leptos::{ev, prelude::*};
use leptos_router::{
    components::{FlatRoutes, Route, Router},
    path,
};

use crate::{
    components::{
        gate::RequireUser,
        header::{Footer, Header},
    },
    pages::{
        account::AccountPage,
        device::DevicePage,
        gallery::GalleryPage,
        home::HomePage,
        job::JobPage,
        jobs::JobsPage,
        landing::LandingPage,
        letters::{AcceptInvitationPage, ForgotPasswordPage, ResetPasswordPage, VerifyEmailPage},
        models::ModelsPage,
        new_set::NewSetPage,
        nodes::NodesPage,
        not_found::NotFoundPage,
        protect::ProtectPage,
        set::SetPage,
        sign::{SignInPage, SignUpPage},
        storage::StoragePage,
        study::StudyPage,
    },
    state::{
        browser::focus, letter::LetterToken, model_uploads::ModelUploads, session::Session,
        uploads::Uploads,
    },
};

#[component]
pub(crate) fn App() -> impl IntoView {
    Session::provide();
    LetterToken::provide();
    let uploads = Uploads::provide();
    let models = ModelUploads::provide();
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
            <a class="skip-link" href="#main" on:click=skip>"Skip to the content"</a>
            <Header />
            <main id="main" tabindex="-1">
                <div class="frame">
                    <FlatRoutes fallback=NotFoundPage>
                        <Route path=path!("/") view=LandingPage />
                        <Route path=path!("/sign-up") view=SignUpPage />
                        <Route path=path!("/sign-in") view=SignInPage />
                        <Route path=path!("/verify-email") view=VerifyEmailPage />
                        <Route path=path!("/forgot-password") view=ForgotPasswordPage />
                        <Route path=path!("/reset-password") view=ResetPasswordPage />
                        <Route path=path!("/accept-invitation") view=AcceptInvitationPage />
                        <Route path=path!("/home") view=|| view! { <RequireUser><HomePage /></RequireUser> } />
                        <Route path=path!("/sets/new") view=|| view! { <RequireUser><NewSetPage /></RequireUser> } />
                        <Route path=path!("/sets/:id") view=|| view! { <RequireUser><SetPage /></RequireUser> } />
                        <Route path=path!("/sets/:id/protect") view=|| view! { <RequireUser><ProtectPage /></RequireUser> } />
                        <Route path=path!("/jobs") view=|| view! { <RequireUser><JobsPage /></RequireUser> } />
                        <Route path=path!("/jobs/:id") view=|| view! { <RequireUser><JobPage /></RequireUser> } />
                        <Route path=path!("/studies/:id") view=|| view! { <RequireUser><StudyPage /></RequireUser> } />
                        <Route path=path!("/account") view=|| view! { <RequireUser><AccountPage /></RequireUser> } />
                        <Route path=path!("/device") view=|| view! { <RequireUser><DevicePage /></RequireUser> } />
                        <Route path=path!("/storage") view=|| view! { <RequireUser><StoragePage /></RequireUser> } />
                        <Route path=path!("/nodes") view=|| view! { <RequireUser><NodesPage /></RequireUser> } />
                        <Route path=path!("/models") view=|| view! { <RequireUser><ModelsPage /></RequireUser> } />
                        <Route path=path!("/galleries/:id") view=GalleryPage />
                    </FlatRoutes>
                </div>
            </main>
            <Footer />
        </Router>
    }
}
