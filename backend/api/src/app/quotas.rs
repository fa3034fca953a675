//! Quotas: what an organisation uses of what it may.

use shared::{
    OrganisationId,
    limits::{MAX_API_KEYS, MAX_IMPORTED_MODELS, MAX_MEMBERS, MAX_OPEN_IMPORTS, MAX_PATCHES},
    quota::{Quota, QuotaName, Quotas},
};

use super::App;
use crate::error::Error;

/// What there is and what there may be, now.
pub async fn read(app: &App, owner: OrganisationId) -> Result<Quotas, Error> {
    let usage = app.store().usage(owner, app.now()).await?;
    let limits = app.store().limits();
    let quota = |name, used, limit| Quota { name, used, limit };
    let data = vec![
        quota(
            QuotaName::ActiveJobs,
            usage.active_jobs,
            Some(limits.active_jobs),
        ),
        quota(
            QuotaName::StorageBytes,
            usage.storage_bytes,
            limits.storage_bytes,
        ),
        quota(QuotaName::Patches, usage.patches, Some(MAX_PATCHES)),
        quota(QuotaName::ApiKeys, usage.api_keys, Some(MAX_API_KEYS)),
        quota(QuotaName::Members, usage.members, Some(MAX_MEMBERS)),
        quota(
            QuotaName::ImportedModels,
            usage.imported_models,
            Some(MAX_IMPORTED_MODELS as u64),
        ),
        quota(
            QuotaName::OpenImports,
            usage.open_imports,
            Some(MAX_OPEN_IMPORTS as u64),
        ),
    ];
    Ok(Quotas { data })
}
