//! The typed client of the REST API: one function a route, over the types of `shared`.
//!
//! Owns paths, headers and the translation of answers. Refuses views and signals.

pub(crate) mod accounts;
pub(crate) mod curl;
pub(crate) mod devices;
pub(crate) mod error;
pub(crate) mod events;
mod http;
pub(crate) mod identities;
pub(crate) mod model_transfer;
pub(crate) mod nodes;
pub(crate) mod patches;
pub(crate) mod share_links;
pub(crate) mod storage;
pub(crate) mod studies;
pub(crate) mod transfer;

use shared::{
    GalleryId, ImageId, ImportId, JobId, ModelId, SetId, UploadId,
    artifact::Artifact,
    auth::{CreateSession, CreateUser, User},
    base_model::BaseModel,
    demo::Demo,
    gallery::{Gallery, GallerySummary},
    job::{Job, JobSpec},
    language::{Catalogue, Language},
    model_import::{CreateModelImport, ImportSources, ModelImport, RetryModelImport},
    page::Page,
    preflight::Preflight,
    probe::ProbeReport,
    protected_set::{CreateAttestation, CreateProtectedSet, ProtectedSet},
    upload::{CreateUpload, Upload},
};

pub(crate) use error::ApiError;
pub(crate) use http::{Answer, Endpoint, decode, get};
use http::{Call, Method};

/// The texts of a language, from where `boot.js` says that they lie.
pub(crate) async fn catalogue(language: Language) -> Option<Catalogue> {
    let document = web_sys::window()?.document()?;
    let id = format!("catalogue-{}", language.tag());
    let path = document.get_element_by_id(&id)?.get_attribute("content")?;
    let answer = gloo_net::http::Request::get(&path).send().await.ok()?;
    Catalogue::parse(&answer.text().await.ok()?).ok()
}

/// Items a page of a list.
const PAGE_SIZE: u32 = 24;

fn list(noun: &str, after: Option<&str>) -> String {
    after.map_or_else(
        || format!("/v1/{noun}?limit={PAGE_SIZE}"),
        |cursor| {
            let cursor = String::from(js_sys::encode_uri_component(cursor));
            format!("/v1/{noun}?limit={PAGE_SIZE}&after={cursor}")
        },
    )
}

pub(crate) fn me() -> Endpoint<User> {
    Endpoint::new("/v1/me".into())
}

pub(crate) fn demo() -> Endpoint<Demo> {
    Endpoint::new("/v1/demo".into())
}

pub(crate) fn base_models() -> Endpoint<Page<BaseModel>> {
    Endpoint::new("/v1/base-models?limit=100".into())
}

pub(crate) fn model_imports() -> Endpoint<Page<ModelImport>> {
    Endpoint::new("/v1/base-model-imports?limit=100".into())
}

pub(crate) fn model_import(id: ImportId) -> Endpoint<ModelImport> {
    Endpoint::new(format!("/v1/base-model-imports/{id}"))
}

pub(crate) fn import_sources() -> Endpoint<ImportSources> {
    Endpoint::new("/v1/import-sources".into())
}

pub(crate) fn protected_sets(after: Option<&str>) -> Endpoint<Page<ProtectedSet>> {
    Endpoint::new(list("protected-sets", after))
}

pub(crate) fn protected_set(id: SetId) -> Endpoint<ProtectedSet> {
    Endpoint::new(format!("/v1/protected-sets/{id}"))
}

pub(crate) fn jobs(after: Option<&str>) -> Endpoint<Page<Job>> {
    Endpoint::new(list("jobs", after))
}

pub(crate) fn job(id: JobId) -> Endpoint<Job> {
    Endpoint::new(format!("/v1/jobs/{id}"))
}

/// The newest jobs, as many as one page holds.
pub(crate) fn latest_jobs() -> Endpoint<Page<Job>> {
    Endpoint::new("/v1/jobs?limit=100".into())
}

/// The newest sets, as many as one page holds.
pub(crate) fn latest_sets() -> Endpoint<Page<ProtectedSet>> {
    Endpoint::new("/v1/protected-sets?limit=100".into())
}

pub(crate) fn artifacts(id: JobId) -> Endpoint<Page<Artifact>> {
    Endpoint::new(format!("/v1/jobs/{id}/artifacts?limit=100"))
}

/// A probe's report, from where its artifact says that it is.
pub(crate) fn probe_report(url: String) -> Endpoint<ProbeReport> {
    Endpoint::new(url)
}

pub(crate) fn galleries(after: Option<&str>) -> Endpoint<Page<GallerySummary>> {
    Endpoint::new(list("galleries", after))
}

pub(crate) fn gallery(id: GalleryId) -> Endpoint<Gallery> {
    Endpoint::new(format!("/v1/galleries/{id}"))
}

pub(crate) fn create_user(body: &CreateUser) -> Call<User> {
    Call::new(Method::Post, "/v1/users").json(body)
}

pub(crate) fn create_session(body: &CreateSession) -> Call<User> {
    Call::new(Method::Post, "/v1/sessions").json(body)
}

pub(crate) fn delete_session() -> Call<()> {
    Call::unread(Method::Delete, "/v1/sessions/current")
}

pub(crate) fn create_set(body: &CreateProtectedSet) -> Call<ProtectedSet> {
    Call::new(Method::Post, "/v1/protected-sets").json(body)
}

pub(crate) fn delete_set(id: SetId) -> Call<()> {
    Call::unread(Method::Delete, format!("/v1/protected-sets/{id}"))
}

pub(crate) fn seal_set(id: SetId, body: &CreateAttestation) -> Call<ProtectedSet> {
    let path = format!("/v1/protected-sets/{id}/attestation");
    Call::new(Method::Put, path).json(body)
}

pub(crate) fn delete_image(id: ImageId) -> Call<()> {
    Call::unread(Method::Delete, format!("/v1/images/{id}"))
}

pub(crate) fn create_upload(body: &CreateUpload) -> Call<Upload> {
    Call::new(Method::Post, "/v1/uploads").json(body)
}

pub(crate) fn complete_upload(id: UploadId) -> Call<Upload> {
    let path = format!("/v1/uploads/{id}/complete");
    Call::new(Method::Post, path)
}

pub(crate) fn create_preflight(body: &JobSpec) -> Call<Preflight> {
    Call::new(Method::Post, "/v1/preflights").json(body)
}

pub(crate) fn create_job(body: &JobSpec, key: &str) -> Call<Job> {
    Call::new(Method::Post, "/v1/jobs").json(body).once(key)
}

pub(crate) fn create_probe(body: &JobSpec, key: &str) -> Call<Job> {
    Call::new(Method::Post, "/v1/probes").json(body).once(key)
}

pub(crate) fn cancel_job(id: JobId) -> Call<Job> {
    Call::new(Method::Post, format!("/v1/jobs/{id}/cancel"))
}

pub(crate) fn retry_job(id: JobId) -> Call<Job> {
    Call::new(Method::Post, format!("/v1/jobs/{id}/retry"))
}

pub(crate) fn create_import(body: &CreateModelImport, key: &str) -> Call<ModelImport> {
    Call::new(Method::Post, "/v1/base-model-imports")
        .json(body)
        .once(key)
}

pub(crate) fn complete_import(id: ImportId) -> Call<ModelImport> {
    let path = format!("/v1/base-model-imports/{id}/complete");
    Call::new(Method::Post, path)
}

pub(crate) fn retry_import(id: ImportId, body: &RetryModelImport) -> Call<ModelImport> {
    let path = format!("/v1/base-model-imports/{id}/retry");
    Call::new(Method::Post, path).json(body)
}

pub(crate) fn delete_import(id: ImportId) -> Call<()> {
    Call::unread(Method::Delete, format!("/v1/base-model-imports/{id}"))
}

pub(crate) fn delete_model(id: ModelId) -> Call<()> {
    Call::unread(Method::Delete, format!("/v1/base-models/{id}"))
}
