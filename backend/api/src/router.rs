//! The whole URL map on one screen, the layers around it, and the OpenAPI document of it.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    extract::DefaultBodyLimit,
    http::StatusCode,
    middleware::{from_fn, from_fn_with_state},
};
use shared::limits::MAX_PATCH_BYTES;
use tower_http::{
    catch_panic::CatchPanicLayer,
    timeout::{RequestBodyTimeoutLayer, TimeoutLayer},
};
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    app::App,
    handlers::{
        accounts, api_keys, artifacts, audit, base_models, blobs, book, data_subjects, demo,
        devices, events, frontend, galleries, identities, images, jobs, model_imports, nodes,
        notices, organisations, patches, protected_sets, quotas, releases, revocations, server,
        share_links, shares, storage_checks, studies, tokens, training_nodes, uploads, webhooks,
    },
    layers::{
        attribution, guard, meter, origin, respond, response_cache::ResponseCache, security, trace,
        unread,
    },
    openapi,
};

/// A form, a specification or a declaration.
const SMALL_BODY: usize = 64 * 1024;
/// A patch.
const PICTURE_BODY: usize = 2 * 1024 * 1024;
const _: () = assert!(PICTURE_BODY as u64 == MAX_PATCH_BYTES);
/// A thousand progress entries or outputs.
const NODE_BODY: usize = 1024 * 1024;
/// Above the ten seconds for which a lease waits.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

fn tenants() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(
            organisations::create_organisation,
            organisations::list_organisations
        ))
        .routes(routes!(
            organisations::find_organisation,
            organisations::update_organisation,
            organisations::delete_organisation
        ))
        .routes(routes!(organisations::list_members))
        .routes(routes!(
            organisations::update_member,
            organisations::delete_member
        ))
        .routes(routes!(organisations::transfer_organisation))
        .routes(routes!(
            organisations::create_invitation,
            organisations::list_invitations
        ))
        .routes(routes!(organisations::delete_invitation))
        .routes(routes!(organisations::accept_invitation))
        .routes(routes!(api_keys::create_api_key, api_keys::list_api_keys))
        .routes(routes!(
            api_keys::find_api_key,
            api_keys::update_api_key,
            api_keys::revoke_api_key
        ))
        .routes(routes!(api_keys::rotate_api_key))
        .layer(DefaultBodyLimit::max(SMALL_BODY))
}

fn people() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(accounts::create_user))
        .routes(routes!(accounts::create_session, accounts::list_sessions))
        .routes(routes!(accounts::delete_session, accounts::update_session))
        .routes(routes!(accounts::end_session))
        .routes(routes!(accounts::find_me, accounts::update_me))
        .routes(routes!(accounts::change_password))
        .routes(routes!(accounts::create_verification))
        .routes(routes!(accounts::confirm_email))
        .routes(routes!(accounts::create_password_reset))
        .routes(routes!(accounts::confirm_password_reset))
        .routes(routes!(tokens::create_token))
        .routes(routes!(tokens::refresh_token))
        .routes(routes!(tokens::revoke_token))
        .routes(routes!(devices::create_device))
        .routes(routes!(devices::find_device))
        .routes(routes!(devices::decide_device))
        .routes(routes!(devices::create_device_token))
        .routes(routes!(tokens::create_totp))
        .routes(routes!(tokens::confirm_totp))
        .routes(routes!(tokens::disable_totp))
        .routes(routes!(tokens::renew_recovery_codes))
        .routes(routes!(base_models::list_base_models))
        .routes(routes!(
            base_models::find_base_model,
            base_models::delete_base_model
        ))
        .routes(routes!(model_imports::find_import_sources))
        .routes(routes!(
            model_imports::create_import,
            model_imports::list_imports
        ))
        .routes(routes!(
            model_imports::find_import,
            model_imports::delete_import
        ))
        .routes(routes!(model_imports::complete_import))
        .routes(routes!(model_imports::retry_import))
        .routes(routes!(
            protected_sets::create_set,
            protected_sets::list_sets
        ))
        .routes(routes!(
            protected_sets::find_set,
            protected_sets::delete_set
        ))
        .routes(routes!(protected_sets::seal_set))
        .routes(routes!(uploads::create_upload))
        .routes(routes!(uploads::find_upload))
        .routes(routes!(uploads::complete_upload))
        .routes(routes!(images::delete_image))
        .routes(routes!(quotas::read_quotas))
        .routes(routes!(storage_checks::check_storage))
        .routes(routes!(storage_checks::remove_storage_probe))
        .routes(routes!(patches::find_patch, patches::delete_patch))
        .routes(routes!(patches::read_licence_card))
        .routes(routes!(jobs::create_preflight))
        .routes(routes!(jobs::create_probe))
        .routes(routes!(jobs::create_job, jobs::list_jobs))
        .routes(routes!(jobs::find_job))
        .routes(routes!(jobs::cancel_job))
        .routes(routes!(jobs::retry_job))
        .routes(routes!(jobs::list_artifacts))
        .routes(routes!(galleries::list_galleries))
        .routes(routes!(studies::create_study, studies::list_studies))
        .routes(routes!(studies::find_study))
        .routes(routes!(studies::cancel_study))
        .routes(routes!(revocations::list_revocations))
        .routes(routes!(revocations::find_signing_keys))
        .routes(routes!(demo::find_demo))
        .routes(routes!(demo::find_sample))
        .routes(routes!(demo::find_evaluation_file))
        .layer(DefaultBodyLimit::max(SMALL_BODY))
}

/// What the server says of itself.
fn itself() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(book::show_book))
        .routes(routes!(book::show_chapter))
        .routes(routes!(server::find_health))
        .routes(routes!(server::find_readiness))
        .routes(routes!(server::find_metrics))
        .routes(routes!(server::find_key_set))
        .routes(routes!(server::find_document))
        .layer(DefaultBodyLimit::max(SMALL_BODY))
}

/// Signing in by identity providers.
fn identity_providers() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(identities::list_providers))
        .routes(routes!(identities::create_authorization))
        .routes(routes!(identities::finish_authorization))
        .routes(routes!(identities::show_second_factor))
        .routes(routes!(
            identities::create_identity,
            identities::list_identities
        ))
        .routes(routes!(identities::delete_identity))
        .layer(DefaultBodyLimit::max(SMALL_BODY))
}

/// What keeps everybody honest: who is told, what leaves, who complains, what is given back.
fn guard_rails() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(galleries::find_gallery))
        .routes(routes!(webhooks::create_webhook, webhooks::list_webhooks))
        .routes(routes!(
            webhooks::find_webhook,
            webhooks::update_webhook,
            webhooks::delete_webhook
        ))
        .routes(routes!(webhooks::rotate_webhook_secret))
        .routes(routes!(webhooks::test_webhook))
        .routes(routes!(webhooks::list_deliveries))
        .routes(routes!(webhooks::find_delivery))
        .routes(routes!(webhooks::replay_delivery))
        .routes(routes!(jobs::create_evaluation))
        .routes(routes!(releases::find_release))
        .routes(routes!(releases::create_approval, releases::list_approvals))
        .routes(routes!(releases::find_approval))
        .routes(routes!(releases::decide_approval))
        .routes(routes!(notices::create_notice))
        .routes(routes!(notices::find_notice))
        .routes(routes!(notices::appeal_notice))
        .routes(routes!(notices::list_received_notices))
        .routes(routes!(notices::find_received_notice))
        .routes(routes!(notices::answer_notice))
        .routes(routes!(notices::appeal_received_notice))
        .routes(routes!(notices::list_notices))
        .routes(routes!(notices::decide_notice))
        .routes(routes!(notices::find_transparency))
        .routes(routes!(notices::find_security_contact))
        .routes(routes!(
            data_subjects::create_export,
            data_subjects::list_exports
        ))
        .routes(routes!(data_subjects::find_export))
        .routes(routes!(data_subjects::create_deletion))
        .routes(routes!(data_subjects::find_deletion))
        .routes(routes!(audit::list_audit_events))
        .routes(routes!(audit::verify_audit_log))
        .layer(DefaultBodyLimit::max(SMALL_BODY))
}

/// Links to galleries, and the pages behind them.
fn sharing() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(
            share_links::create_share_link,
            share_links::list_share_links
        ))
        .routes(routes!(
            share_links::find_share_link,
            share_links::update_share_link,
            share_links::revoke_share_link
        ))
        .routes(routes!(share_links::list_share_views))
        .routes(routes!(shares::show_page, shares::unlock_page))
        .routes(routes!(shares::draw_preview))
        .routes(routes!(shares::show_picture))
        .routes(routes!(shares::show_reference))
        .layer(DefaultBodyLimit::max(SMALL_BODY))
}

/// A picture as the whole body.
fn pictures() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(patches::create_patch, patches::list_patches))
        .layer(DefaultBodyLimit::max(PICTURE_BODY))
}

fn training_nodes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(
            training_nodes::create_node,
            training_nodes::list_nodes
        ))
        .routes(routes!(
            training_nodes::find_node,
            training_nodes::update_node,
            training_nodes::remove_node
        ))
        .routes(routes!(training_nodes::list_attempts))
        .routes(routes!(nodes::join_node))
        .routes(routes!(nodes::create_lease))
        .routes(routes!(nodes::create_heartbeat))
        .routes(routes!(nodes::create_upload))
        .routes(routes!(nodes::list_missing_parts))
        .routes(routes!(nodes::complete_upload))
        .routes(routes!(nodes::save_resume))
        .routes(routes!(nodes::finish_attempt))
        .layer(DefaultBodyLimit::max(NODE_BODY))
}

/// Bodies that take as long as the line needs: no buffer, and no timeout but between two pieces.
fn streams() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(events::follow_events))
        .routes(routes!(audit::export_audit_log))
        .routes(routes!(releases::read_release))
        .routes(routes!(data_subjects::read_export))
        .routes(routes!(artifacts::read_artifact))
        .routes(routes!(shares::read_archive))
        .routes(routes!(images::read_image))
        .routes(routes!(images::read_thumbnail))
        .routes(routes!(patches::read_patch))
        .routes(routes!(blobs::write_blob, blobs::read_blob))
        .routes(routes!(model_imports::receive_file))
        .layer(RequestBodyTimeoutLayer::new(REQUEST_TIMEOUT))
}

fn routes() -> OpenApiRouter<App> {
    let timeout = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, REQUEST_TIMEOUT);
    OpenApiRouter::with_openapi(openapi::base())
        .merge(
            people()
                .merge(itself())
                .merge(identity_providers())
                .merge(guard_rails())
                .merge(tenants())
                .merge(sharing())
                .merge(pictures())
                .merge(training_nodes())
                .layer(timeout),
        )
        .merge(streams())
}

/// The OpenAPI document of every route.
pub fn document() -> OpenApi {
    openapi::finish(routes().into_openapi())
}

/// Everything that this server answers.
pub fn router(app: App) -> Router {
    let (router, paths) = routes().split_for_parts();
    let document = openapi::finish(paths);
    let door = guard::Door {
        app: app.clone(),
        served: Arc::new(openapi::operations(&document)),
        responses: Arc::new(ResponseCache::new(app.config().response_cache_bytes)),
    };
    let document = document.to_json().unwrap_or_default();
    let router = router
        .fallback(frontend::serve)
        .layer(Extension(server::Document(Arc::from(document))))
        .layer(from_fn_with_state(door, guard::admit))
        .layer(from_fn_with_state(app.clone(), origin::check))
        .layer(from_fn_with_state(app.clone(), attribution::attribute))
        .layer(CatchPanicLayer::custom(respond::panicked))
        .layer(from_fn_with_state(app.clone(), security::add_headers))
        .layer(from_fn(respond::finish))
        .layer(from_fn(unread::settle));
    let router = match telemetry::tracer() {
        Some(tracer) => router.layer(from_fn_with_state(tracer.clone(), trace::follow)),
        None => router,
    };
    router
        .layer(from_fn_with_state(app.clone(), meter::count))
        .with_state(app)
}
