//! The calls, one by one.

use futures::Stream;
use reqwest::Method;
use serde_json::json;
use shared::{
    GalleryId, JobId, ModelId, SetId, ShareLinkId, UploadId,
    artifact::Artifact,
    auth::{AccessToken, ShowRefreshToken, User},
    base_model::BaseModel,
    device::{CreateDeviceAuthorization, CreateDeviceToken, DeviceAuthorization},
    gallery::{Gallery, GallerySummary},
    job::{Evaluation, Job, JobSpec},
    preflight::Preflight,
    protected_set::{CreateAttestation, CreateProtectedSet, ProtectedSet},
    release::Release,
    share_link::{CreateShareLink, CreatedShareLink, ShareLink},
    upload::Upload,
};

use crate::{
    Client, Result, TokenPair,
    transport::{Call, fresh_key},
};

impl Client {
    /// Whose credential this is.
    pub async fn find_me(&self) -> Result<User> {
        self.read(&Call::get("/v1/me")).await
    }

    /// Begins to sign this program in by a code that its person confirms in a browser; `name` is what they read there.
    pub async fn start_device(&self, name: &str) -> Result<DeviceAuthorization> {
        let request = CreateDeviceAuthorization {
            name: name.to_owned(),
        };
        let call = Call::new(Method::POST, "/v1/device-authorizations");
        self.read(&call.json(&request)?).await
    }

    /// Tokens, once the person has confirmed; until then `authorization_pending` or `slow_down`. They are given once.
    pub async fn collect_device_tokens(&self, device_code: &str) -> Result<TokenPair> {
        let request = CreateDeviceToken {
            device_code: device_code.to_owned(),
        };
        let call = Call::new(Method::POST, "/v1/tokens/device");
        let token: AccessToken = self.read(&call.json(&request)?).await?;
        Ok(token.into())
    }

    /// Ends a sign-in: its tokens get no others.
    pub async fn revoke_tokens(&self, pair: &TokenPair) -> Result<()> {
        let shown = ShowRefreshToken {
            refresh_token: pair.refresh_token.expose().to_owned(),
        };
        let call = Call::post("/v1/tokens/revoke", fresh_key()?);
        self.answer(&call.json(&shown)?).await.map(|_| ())
    }

    /// Every base model, newest first.
    pub fn base_models(&self) -> impl Stream<Item = Result<BaseModel>> + Send + use<> {
        self.list("/v1/base-models".to_owned())
    }

    /// One base model.
    pub async fn find_base_model(&self, id: ModelId) -> Result<BaseModel> {
        self.read(&Call::get(format!("/v1/base-models/{id}"))).await
    }

    /// Starts a set.
    pub async fn create_set(&self, name: &str) -> Result<ProtectedSet> {
        let request = CreateProtectedSet {
            name: name.to_owned(),
        };
        let call = Call::post("/v1/protected-sets", fresh_key()?);
        self.read(&call.json(&request)?).await
    }

    /// Every set, newest first.
    pub fn sets(&self) -> impl Stream<Item = Result<ProtectedSet>> + Send + use<> {
        self.list("/v1/protected-sets".to_owned())
    }

    /// One set.
    pub async fn find_set(&self, id: SetId) -> Result<ProtectedSet> {
        self.read(&Call::get(format!("/v1/protected-sets/{id}")))
            .await
    }

    /// Deletes a draft and its images.
    pub async fn delete_set(&self, id: SetId) -> Result<()> {
        let call = Call::new(Method::DELETE, format!("/v1/protected-sets/{id}"));
        self.answer(&call).await.map(|_| ())
    }

    /// Declares the rights and seals the set.
    pub async fn seal_set(
        &self,
        id: SetId,
        attestation: &CreateAttestation,
    ) -> Result<ProtectedSet> {
        let path = format!("/v1/protected-sets/{id}/attestation");
        self.read(&Call::new(Method::PUT, path).json(attestation)?)
            .await
    }

    /// An upload with a freshly signed address.
    pub async fn find_upload(&self, id: UploadId) -> Result<Upload> {
        self.read(&Call::get(format!("/v1/uploads/{id}"))).await
    }

    /// Checks, cleans and adds what was sent; repeating it gives the same answer.
    pub async fn complete_upload(&self, id: UploadId) -> Result<Upload> {
        let call = Call::post(format!("/v1/uploads/{id}/complete"), fresh_key()?);
        self.read(&call.json(&json!({}))?).await
    }

    /// What is known before a job is launched.
    pub async fn create_preflight(&self, spec: &JobSpec) -> Result<Preflight> {
        let call = Call::post("/v1/preflights", fresh_key()?);
        self.read(&call.json(spec)?).await
    }

    /// Launches a job; the same key and specification again are the same job.
    pub async fn create_job(&self, spec: &JobSpec, key: &str) -> Result<Job> {
        self.read(&Call::post("/v1/jobs", key).json(spec)?).await
    }

    /// Every job, newest first.
    pub fn jobs(&self) -> impl Stream<Item = Result<Job>> + Send + use<> {
        self.list("/v1/jobs".to_owned())
    }

    /// One job.
    pub async fn find_job(&self, id: JobId) -> Result<Job> {
        self.read(&Call::get(format!("/v1/jobs/{id}"))).await
    }

    /// Asks a job to end; asking again changes nothing.
    pub async fn cancel_job(&self, id: JobId) -> Result<Job> {
        let call = Call::post(format!("/v1/jobs/{id}/cancel"), fresh_key()?);
        self.read(&call).await
    }

    /// Attacks and judges a finished protect job again.
    pub async fn create_evaluation(
        &self,
        job: JobId,
        evaluation: &Evaluation,
        key: &str,
    ) -> Result<Job> {
        let call = Call::post(format!("/v1/jobs/{job}/evaluations"), key);
        self.read(&call.json(evaluation)?).await
    }

    /// What a job produced, newest first.
    pub fn artifacts(&self, job: JobId) -> impl Stream<Item = Result<Artifact>> + Send + use<> {
        self.list(format!("/v1/jobs/{job}/artifacts"))
    }

    /// Which gates stand between a protected model and its release.
    pub async fn find_release(&self, job: JobId) -> Result<Release> {
        self.read(&Call::get(format!("/v1/jobs/{job}/release")))
            .await
    }

    /// Every gallery, newest first.
    pub fn galleries(&self) -> impl Stream<Item = Result<GallerySummary>> + Send + use<> {
        self.list("/v1/galleries".to_owned())
    }

    /// One gallery.
    pub async fn find_gallery(&self, id: GalleryId) -> Result<Gallery> {
        self.read(&Call::get(format!("/v1/galleries/{id}"))).await
    }

    /// Shares a gallery; the address of its page is in this answer alone.
    pub async fn create_share_link(&self, request: &CreateShareLink) -> Result<CreatedShareLink> {
        let call = Call::post("/v1/share-links", fresh_key()?);
        self.read(&call.json(request)?).await
    }

    /// Every link, of one gallery or of all, newest first.
    pub fn share_links(
        &self,
        gallery: Option<GalleryId>,
    ) -> impl Stream<Item = Result<ShareLink>> + Send + use<> {
        let filter = gallery.map(|id| format!("?gallery_id={id}"));
        self.list(format!("/v1/share-links{}", filter.unwrap_or_default()))
    }

    /// Ends a link.
    pub async fn revoke_share_link(&self, id: ShareLinkId) -> Result<()> {
        let call = Call::new(Method::DELETE, format!("/v1/share-links/{id}"));
        self.answer(&call).await.map(|_| ())
    }
}
