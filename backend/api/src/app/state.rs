//! What every request may use: one value, opened once, cheap to clone.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use anyhow::Context;
use artifacts::{ArtifactStore, LocalStore, S3Settings, S3Store, Signer, Staging};
use shared::{ModelId, OrganisationId, Timestamp};
use store::{Held, Lock, Store};
use tokio::sync::{RwLock, RwLockReadGuard, Semaphore};
use tokio_util::sync::CancellationToken;

use super::{
    identities::Providers, mail::Mail, metrics::Metrics, model_imports::Imports, parts::Deliveries,
    passwords::Passwords, rate_limit::RateLimit, second_factors, sharing::Sharing,
    streams::Streams, tokens::Tokens, vault::Masters, webhooks::secrets::Secrets,
};
use crate::{
    clock::Clock,
    config::{Config, DEFAULT_REQUESTS_PER_MINUTE},
    dispatch::{broker::Link, hub::Hub, leader::Leading},
    error::Error,
    secret, signing,
};

/// Decoders that work at once: each may take 256 MiB.
const DECODERS: usize = 2;
/// Archives that are unpacked at once. Each holds a connection for its lock and takes another for each picture: well below
/// what there are of those, so that none waits for one that another archive holds.
const ARCHIVES: usize = 4;
/// A node sends heartbeats and a browser many pictures: this stops a runaway program alone.
const MACHINE_REQUESTS_PER_MINUTE: u32 = 6000;

/// Longest wait for those who publish: others that want to wait behind it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Keeps objects that no row names yet from being removed.
pub(crate) struct Publishing<'a>(
    #[expect(dead_code, reason = "it is there to be dropped")] RwLockReadGuard<'a, ()>,
    #[expect(dead_code, reason = "it is there to be dropped")] Held,
);

/// The application. Clones share everything.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    config: Config,
    public_url: String,
    store: Store,
    artifacts: Box<dyn ArtifactStore>,
    masters: Masters,
    scratch: Option<LocalStore>,
    browser_origin: Option<String>,
    staging: Staging,
    imports: Imports,
    signer: Signer,
    clock: Arc<dyn Clock>,
    tokens: Tokens,
    revocation_signer: signing::Signer,
    webhook_secrets: Secrets,
    totp_secrets: second_factors::Secrets,
    passwords: Passwords,
    sharing: Sharing,
    providers: Providers,
    mail: Mail,
    metrics: Metrics,
    limits: Limits,
    hub: Hub,
    streams: Streams,
    deliveries: Deliveries,
    link: Arc<Link>,
    leading: Leading,
    decoders: Semaphore,
    archives: Semaphore,
    publishing: RwLock<()>,
    demo: OnceLock<(OrganisationId, ModelId)>,
    stop: CancellationToken,
}

/// Who may try how often.
pub(crate) struct Limits {
    /// Every request, by caller.
    pub(crate) requests: RateLimit,
    /// Requests of nodes and to signed addresses.
    pub(crate) machines: RateLimit,
    /// Guesses at secrets by address.
    pub(crate) addresses: RateLimit,
    /// Sign-ins by address and account.
    pub(crate) accounts: RateLimit,
    /// Announced uploads by organisation.
    pub(crate) uploads: RateLimit,
    /// Launched jobs by organisation.
    pub(crate) jobs: RateLimit,
    /// Guesses at the password of a shared page, by link.
    pub(crate) share_passwords: RateLimit,
    /// Notices by address.
    pub(crate) notices: RateLimit,
    /// Letters of invitation by organisation.
    pub(crate) invitations: RateLimit,
    /// Letters that set a password anew, by account.
    pub(crate) reset_letters: RateLimit,
}

/// Opens a bucket that answers: a wrong key is told at the start, not by the first upload.
async fn reach(settings: S3Settings) -> anyhow::Result<S3Store> {
    let store = S3Store::open(settings)?;
    let reached = store.reach().await;
    reached.context("the bucket cannot be used; `persguard storage check` tells why")?;
    Ok(store)
}

/// The store that the configuration names, and the local one beside a bucket.
async fn open_stores(
    config: &Config,
) -> anyhow::Result<(Box<dyn ArtifactStore>, LocalStore, Option<String>)> {
    let local = LocalStore::open(config.data_dir.join("artifacts")).await?;
    let bucket = config.storage.settings()?;
    let browser_origin = bucket.as_ref().map(S3Settings::browser_origin);
    let artifacts: Box<dyn ArtifactStore> = match bucket {
        None => Box::new(local.clone()),
        Some(settings) => Box::new(reach(settings).await?),
    };
    Ok((artifacts, local, browser_origin))
}

/// The store that the configuration names, for who needs nothing else.
pub(crate) async fn open_artifacts(config: &Config) -> anyhow::Result<Box<dyn ArtifactStore>> {
    Ok(open_stores(config).await?.0)
}

impl App {
    /// Opens the stores and keys of a server at `address`; the database was migrated before.
    pub async fn open(
        config: Config,
        address: SocketAddr,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        let directory: &Path = &config.data_dir;
        let limits = store::Limits {
            active_jobs: config.active_jobs,
            storage_bytes: config.storage_quota,
        };
        let store = Store::connect(&config.database_url())
            .await?
            .with_limits(limits);
        let (artifacts, local, browser_origin) = open_stores(&config).await?;
        let staging = local.staging().await?;
        let scratch = browser_origin.is_some().then_some(local);
        let masters = Masters::open(config.master_keys())
            .context("the master keys of pictures cannot be read")?;
        let blob_key = secret::load_or_create(&directory.join("blob.key"))
            .context("the key of signed addresses cannot be read")?;
        let tokens = Tokens::open(directory, clock.now())
            .context("the keys of access tokens cannot be read")?;
        let revocation_signer = signing::Signer::open(&directory.join("revocation.key"))
            .context("the key of revocations cannot be read")?;
        let webhook_key = secret::load_or_create(&directory.join("webhook.key"))
            .context("the key of webhooks cannot be read")?;
        let second_factor_key = secret::load_or_create(&directory.join("second-factor.key"))
            .context("the key of second factors cannot be read")?;
        let share_key = secret::load_or_create(&directory.join("share.key"))
            .context("the key of shared pages cannot be read")?;
        // A wrong address or an unreadable file is told at the start; a broker that is away is not.
        config.broker.servers().context("PERSGUARD_NATS_URL")?;
        config.broker.options().await?;
        let link = Arc::new(Link::default());
        let more = (config.requests_per_minute / DEFAULT_REQUESTS_PER_MINUTE).max(1);
        let roomy = |quota: u32| quota.saturating_mul(more);
        let public_url = config
            .public_url
            .clone()
            .unwrap_or_else(|| format!("http://{address}"));
        Ok(Self(Arc::new(Inner {
            providers: Providers::open(&config, &public_url)?,
            public_url,
            store,
            artifacts,
            masters,
            scratch,
            browser_origin,
            staging,
            imports: Imports::new(),
            signer: Signer::new(&blob_key),
            clock,
            tokens,
            revocation_signer,
            webhook_secrets: Secrets::new(webhook_key),
            totp_secrets: second_factors::Secrets::new(second_factor_key),
            passwords: Passwords::new()?,
            sharing: Sharing::new(share_key),
            mail: Mail::open(&config)?,
            limits: Limits {
                requests: RateLimit::new("default", config.requests_per_minute, 60),
                machines: RateLimit::new("machines", MACHINE_REQUESTS_PER_MINUTE, 60),
                addresses: RateLimit::new("sign-in", 100, 100),
                accounts: RateLimit::new("account", 10, 60),
                uploads: RateLimit::new("uploads", roomy(300), 150),
                jobs: RateLimit::new("jobs", roomy(60), 60),
                share_passwords: RateLimit::new("share-password", 10, 300),
                notices: RateLimit::new("notices", roomy(5), 3000),
                invitations: RateLimit::new("invitations", 50, 3600),
                // What is there at once and what comes in an hour are five together.
                reset_letters: RateLimit::new("reset-letters", 3, 5400),
            },
            hub: Hub::new(),
            streams: Streams::default(),
            deliveries: Deliveries::default(),
            leading: Leading::default(),
            metrics: Metrics::new(&config, &link),
            link,
            decoders: Semaphore::new(DECODERS),
            archives: Semaphore::new(ARCHIVES),
            publishing: RwLock::new(()),
            demo: OnceLock::new(),
            stop: CancellationToken::new(),
            config,
        })))
    }

    /// How this server runs.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// Where people reach it.
    pub fn public_url(&self) -> &str {
        &self.0.public_url
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// The moment so many milliseconds from now.
    pub(crate) fn later(&self, milliseconds: i64) -> Timestamp {
        Timestamp::from_milliseconds(self.now().milliseconds() + milliseconds)
    }

    /// Signs and verifies access tokens.
    pub fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }

    /// Signs revocations.
    pub fn revocation_signer(&self) -> &signing::Signer {
        &self.0.revocation_signer
    }

    /// Derives the secrets of authenticator apps.
    pub fn totp_secrets(&self) -> &second_factors::Secrets {
        &self.0.totp_secrets
    }

    /// Derives and uses the secrets of webhooks.
    pub fn webhook_secrets(&self) -> &Secrets {
        &self.0.webhook_secrets
    }

    /// Canceled when the server shall stop.
    pub fn stop(&self) -> &CancellationToken {
        &self.0.stop
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn artifacts(&self) -> &dyn ArtifactStore {
        self.0.artifacts.as_ref()
    }

    /// What the keys of pictures are wrapped with.
    pub(crate) fn masters(&self) -> &Masters {
        &self.0.masters
    }

    /// Where files wait on this machine while the objects are in a bucket.
    pub(crate) fn scratch(&self) -> Option<&dyn ArtifactStore> {
        let scratch = self.0.scratch.as_ref()?;
        Some(scratch)
    }

    /// Where browsers send files, if not to this server.
    pub(crate) fn browser_origin(&self) -> Option<&str> {
        self.0.browser_origin.as_deref()
    }

    /// Files of imports that are on their way in.
    pub(crate) fn staging(&self) -> &Staging {
        &self.0.staging
    }

    pub(crate) fn imports(&self) -> &Imports {
        &self.0.imports
    }

    pub(crate) fn signer(&self) -> &Signer {
        &self.0.signer
    }

    pub(crate) fn passwords(&self) -> &Passwords {
        &self.0.passwords
    }

    /// What shared pages need.
    pub(crate) fn sharing(&self) -> &Sharing {
        &self.0.sharing
    }

    /// Whom people may sign in by beside their passwords.
    pub(crate) fn providers(&self) -> &Providers {
        &self.0.providers
    }

    /// The way out for letters.
    pub(crate) fn mail(&self) -> &Mail {
        &self.0.mail
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.0.hub
    }

    /// Event streams that are open.
    pub(crate) fn streams(&self) -> &Streams {
        &self.0.streams
    }

    /// Outputs that come in parts.
    pub(crate) fn deliveries(&self) -> &Deliveries {
        &self.0.deliveries
    }

    /// The connection to the broker.
    pub(crate) fn link(&self) -> &Link {
        &self.0.link
    }

    /// Whether this server makes the rounds for all.
    pub(crate) fn leading(&self) -> &Leading {
        &self.0.leading
    }

    pub(crate) fn decoders(&self) -> &Semaphore {
        &self.0.decoders
    }

    pub(crate) fn archives(&self) -> &Semaphore {
        &self.0.archives
    }

    /// Held while an object gets its row: nobody, on whatever server, removes what another request is about to name.
    pub(crate) async fn publishing(&self) -> Result<Publishing<'_>, Error> {
        let here = self.0.publishing.read().await;
        let everywhere = self.store().share(Lock::Objects).await?;
        Ok(Publishing(here, everywhere))
    }

    /// Does something while nobody, on whatever server, publishes.
    pub(crate) async fn unless_publishing<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let here = tokio::time::timeout(PATIENCE, self.0.publishing.write()).await;
        let _here = here.map_err(|_| Error::StorageUnavailable("others are publishing".into()))?;
        let everywhere = self.store().hold(Lock::Objects, PATIENCE).await?;
        let done = everywhere.during(work).await;
        let done =
            done.ok_or_else(|| Error::internal("another server has the lock of the objects now"))?;
        let _ = everywhere.release().await;
        done
    }

    /// The account and the base model of the demo project, where this server runs one.
    pub(crate) fn demo(&self) -> Option<(OrganisationId, ModelId)> {
        self.0.demo.get().copied()
    }

    pub(crate) fn set_demo(&self, owner: OrganisationId, model: ModelId) {
        let _ = self.0.demo.set((owner, model));
    }
}
