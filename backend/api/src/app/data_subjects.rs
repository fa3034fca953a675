//! What a person may demand of their data: an archive of everything, and its removal with a signed receipt.

use std::{collections::BTreeSet, io, time::Duration};

use futures::{Stream, StreamExt, stream};
use sha2::{Digest, Sha256};
use shared::{
    DeletionId, ExportId, JobId, OrganisationId, SetId, Timestamp, UserId,
    account_data::{CreateDeletion, DeletionReceipt, DeletionRecord, Export, ExportStatus},
    artifact::ArtifactKind,
    page::Page,
};
use store::{Deleted, ExportRecord};
use tokio::time::timeout;

use super::{
    App, approvals,
    archive::{self, Entry},
    artifacts, blobs, galleries, identities, jobs, notices,
    paging::Paging,
    protected_sets, second_factors, sessions, share_links, webhooks,
};
use crate::error::Error;

/// How long an archive can be fetched: seven days.
const EXPORT_MILLISECONDS: i64 = 7 * 24 * 3_600_000;
/// Rows of a list that are read at once.
const BATCH: u32 = 100;
/// How long a deletion waits for objects to be removed: well below the longest time of a request.
const PATIENCE: Duration = Duration::from_secs(10);
/// Goes before a signed receipt: the key's other signatures mean nothing here.
const PURPOSE: &str = "persguard deletion receipt\n";
const REMAINS: &str = "Weights that were exported before cannot be recalled. Notices about removed objects keep \
    their own text as evidence, and other people's copies of shared galleries are out of reach.";

fn view(app: &App, record: &ExportRecord) -> Export {
    Export {
        id: record.id,
        status: if record.expires_at > app.now() {
            ExportStatus::Ready
        } else {
            ExportStatus::Expired
        },
        url: format!("/v1/exports/{}/content", record.id),
        created_at: record.created_at,
        expires_at: record.expires_at,
    }
}

/// Lets the owner fetch an archive of everything.
pub async fn create_export(app: &App, owner: OrganisationId) -> Result<Export, Error> {
    let now = app.now();
    let end = Timestamp::from_milliseconds(now.milliseconds() + EXPORT_MILLISECONDS);
    let made = app.store().create_export(owner, end, now).await?;
    Ok(view(app, &made))
}

/// An archive of this owner.
pub async fn find_export(app: &App, owner: OrganisationId, id: ExportId) -> Result<Export, Error> {
    let found = app.store().find_export(owner, id).await?;
    found
        .map(|record| view(app, &record))
        .ok_or(Error::NotFound)
}

/// The owner's archives, newest first.
pub async fn list_exports(
    app: &App,
    owner: OrganisationId,
    paging: &Paging,
) -> Result<Page<Export>, Error> {
    let found = app
        .store()
        .list_exports(owner, paging.after()?, paging.rows())
        .await?;
    let found = found.iter().map(|record| view(app, record)).collect();
    Ok(paging.page(found, |export| export.id))
}

/// The archive itself, as it is made.
pub async fn read_export(
    app: App,
    owner: OrganisationId,
    id: ExportId,
) -> Result<impl Stream<Item = io::Result<bytes::Bytes>> + Send, Error> {
    if find_export(&app, owner, id).await?.status == ExportStatus::Expired {
        return Err(Error::Gone(
            "This archive has expired. Ask for a new one.".into(),
        ));
    }
    let person = UserId::from_uuid(owner.uuid());
    let account = sessions::find_account(&app, person).await?;
    let first = vec![Ok(Entry::json("account.json", &account)?)];
    let parts = stream::iter([Part::Sets, Part::Jobs, Part::Patches, Part::Rest]);
    let reader = app.clone();
    let rest = parts
        .then(move |part| {
            let app = reader.clone();
            async move {
                match entries(&app, owner, part).await {
                    Ok(entries) => entries.into_iter().map(Ok).collect(),
                    Err(error) => vec![Err(error)],
                }
            }
        })
        .flat_map(stream::iter);
    Ok(archive::stream(app, stream::iter(first).chain(rest)))
}

/// Parts of an archive, listed one after the other.
#[derive(Clone, Copy)]
enum Part {
    Sets,
    Jobs,
    Patches,
    Rest,
}

async fn entries(app: &App, owner: OrganisationId, part: Part) -> Result<Vec<Entry>, Error> {
    match part {
        Part::Sets => sets(app, owner).await,
        Part::Jobs => results(app, owner).await,
        Part::Patches => patches(app, owner).await,
        Part::Rest => rest(app, owner).await,
    }
}

async fn sets(app: &App, owner: OrganisationId) -> Result<Vec<Entry>, Error> {
    let list = |after| {
        let app = app.clone();
        async move { app.store().list_sets(owner, after, BATCH.into()).await }
    };
    let mut entries = Vec::new();
    for set in all(list, |set| set.id).await? {
        entries.extend(set_entries(app, owner, set.id).await?);
    }
    Ok(entries)
}

/// Every row of a list, page by page to its end.
async fn all<T, I, F>(list: impl Fn(Option<I>) -> F, id: impl Fn(&T) -> I) -> Result<Vec<T>, Error>
where
    F: Future<Output = Result<Vec<T>, store::Error>> + Send,
{
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let page = list(after).await?;
        let Some(last) = page.last() else {
            return Ok(rows);
        };
        after = Some(id(last));
        rows.extend(page);
    }
}

/// Every item of a list as its owner sees it, page by page to its end.
async fn shown<T, F>(list: impl Fn(Paging) -> F) -> Result<Vec<T>, Error>
where
    F: Future<Output = Result<Page<T>, Error>> + Send,
{
    let (mut items, mut after) = (Vec::new(), None);
    loop {
        let limit = BATCH;
        let page = list(Paging { limit, after }).await?;
        items.extend(page.data);
        after = page.next_cursor;
        if after.is_none() {
            return Ok(items);
        }
    }
}

async fn set_entries(app: &App, owner: OrganisationId, id: SetId) -> Result<Vec<Entry>, Error> {
    let set = protected_sets::find(app, owner, id).await?;
    let mut entries = vec![Entry::json(format!("sets/{id}.json"), &set)?];
    for image in app.store().list_images(owner, id).await? {
        let end = image.content_media_type.rsplit('/').next().unwrap_or("bin");
        let name = format!("sets/{id}/{}.{end}", image.id);
        entries.push(Entry::picture(name, image));
    }
    Ok(entries)
}

/// Jobs with what they made, except weights: those leave by their release alone.
async fn results(app: &App, owner: OrganisationId) -> Result<Vec<Entry>, Error> {
    let list = |after| {
        let app = app.clone();
        async move { app.store().list_jobs(owner, after, BATCH.into()).await }
    };
    let mut entries = Vec::new();
    for job in all(list, |job| job.id).await? {
        entries.extend(job_entries(app, owner, job.id).await?);
    }
    Ok(entries)
}

async fn job_entries(app: &App, owner: OrganisationId, id: JobId) -> Result<Vec<Entry>, Error> {
    let job = jobs::find(app, owner, id).await?;
    let mut entries = vec![Entry::json(format!("jobs/{id}.json"), &job)?];
    let files = app.store().list_artifacts(owner, id).await?;
    let listed: Vec<_> = files
        .iter()
        .cloned()
        .map(|file| artifacts::view(app, file))
        .collect();
    entries.push(Entry::json(format!("jobs/{id}/artifacts.json"), &listed)?);
    for file in files {
        if file.kind != ArtifactKind::ProtectedUnet {
            let end = file.name.rsplit('.').next().unwrap_or("bin");
            let name = format!("jobs/{id}/{}.{end}", file.id);
            entries.push(Entry::object(name, file.sha256, file.size_bytes));
        }
    }
    Ok(entries)
}

async fn patches(app: &App, owner: OrganisationId) -> Result<Vec<Entry>, Error> {
    let list = |after| {
        let app = app.clone();
        async move { app.store().list_patches(owner, after, BATCH.into()).await }
    };
    let patches = all(list, |patch| patch.id).await?;
    let entry = |patch: store::PatchRecord| {
        let name = format!("patches/{}.png", patch.id);
        Entry::object(name, patch.sha256, patch.size_bytes)
    };
    Ok(patches.into_iter().map(entry).collect())
}

async fn rest(app: &App, owner: OrganisationId) -> Result<Vec<Entry>, Error> {
    let person = UserId::from_uuid(owner.uuid());
    let imports = |after| {
        let app = app.clone();
        async move { app.store().list_imports(owner, after, BATCH.into()).await }
    };
    let imports = all(imports, |import| import.id).await?;
    let imports: Vec<String> = imports.iter().map(|import| import.id.to_string()).collect();
    let approvals = shown(|page| {
        let app = app.clone();
        async move { approvals::list(&app, (owner, person), &page).await }
    });
    let notices = shown(|page| {
        let app = app.clone();
        async move { notices::list_against(&app, owner, &page).await }
    });
    let hooks = shown(|page| {
        let app = app.clone();
        async move { webhooks::list(&app, owner, &page).await }
    });
    let galleries = shown(|page| {
        let app = app.clone();
        async move { galleries::list(&app, owner, &page).await }
    });
    let links = shown(|page| {
        let app = app.clone();
        async move { share_links::list(&app, owner, None, &page).await }
    });
    Ok(vec![
        Entry::json("model-imports.json", &imports)?,
        Entry::json("approvals.json", &approvals.await?)?,
        Entry::json("notices.json", &notices.await?)?,
        Entry::json("webhooks.json", &hooks.await?)?,
        Entry::json("galleries.json", &galleries.await?)?,
        Entry::json("share-links.json", &links.await?)?,
        Entry::json("identities.json", &identities::list(app, person).await?)?,
        audit_log(app, owner).await?,
    ])
}

/// The log in whole: an account's has some thousand entries.
async fn audit_log(app: &App, owner: OrganisationId) -> Result<Entry, Error> {
    let lines: Vec<_> = super::audit::export(app.clone(), owner)
        .await?
        .collect()
        .await;
    let lines: Result<Vec<String>, io::Error> = lines.into_iter().collect();
    let text = lines.map_err(Error::internal)?.concat();
    Ok(Entry::bytes("audit.ndjson", text.into_bytes()))
}

/// Deletes the account that is asking, for ever, once it proved itself again.
pub async fn delete(
    app: &App,
    person: UserId,
    request: CreateDeletion,
) -> Result<DeletionReceipt, Error> {
    let own = OrganisationId::from_uuid(person.uuid());
    let known = app.store().find_user(person).await?;
    let known = known.ok_or(Error::Unauthenticated)?;
    let same = known.email == request.email.trim().to_lowercase();
    let proved = second_factors::is_password(app, person, request.password).await?;
    if !same || !proved || app.demo().is_some_and(|(demo, _)| demo == own) {
        return Err(Error::InvalidCredentials);
    }
    second_factors::require(app, person, request.code.as_deref()).await?;
    let now = app.now();
    let id = DeletionId::from_uuid(store::new_uuid(now));
    let kept = |deleted: &Deleted| serde_json::to_string(&receipt(app, (id, now), deleted)?);
    let deleted = app.store().delete_account(person, (id, now), kept).await;
    let deleted = deleted.map_err(|error| match error {
        store::Error::LastOwner => {
            Error::Conflict("You own another organisation. Transfer or delete it first.".into())
        }
        other => other.into(),
    })?;
    remove_objects(app, deleted.objects).await;
    find_deletion(app, id).await
}

/// What says, signed, that an account is gone and what went with it.
fn receipt(
    app: &App,
    (id, deleted_at): (DeletionId, Timestamp),
    deleted: &Deleted,
) -> Result<DeletionReceipt, serde_json::Error> {
    let mut digest = Sha256::new();
    for object in &deleted.objects {
        digest.update(object);
        digest.update("\n");
    }
    let record = DeletionRecord {
        audit_head: deleted.audit_head.clone(),
        deleted_at,
        id,
        objects: deleted.objects.len() as u64,
        objects_sha256: hex::encode(digest.finalize()),
        remains: REMAINS.into(),
        rows: deleted.rows.clone(),
    };
    let text = serde_json::to_string(&record)?;
    Ok(DeletionReceipt {
        key_id: app.revocation_signer().key_id().to_owned(),
        signature: app.revocation_signer().sign_text(PURPOSE, &text),
        record,
    })
}

/// Removes what nobody names any more, and goes on without the request where that takes long: whoever asked needs the
/// receipt. What is left when the server stops meanwhile is the collector's.
async fn remove_objects(app: &App, objects: BTreeSet<String>) {
    let app = app.clone();
    let removing = tokio::spawn(async move {
        blobs::forget(&app, objects.iter().map(String::as_str)).await;
    });
    if timeout(PATIENCE, removing).await.is_err() {
        tracing::info!("the objects of a deleted account are still being removed");
    }
}

/// The receipt of a deletion; its id is all that anybody needs.
pub async fn find_deletion(app: &App, id: DeletionId) -> Result<DeletionReceipt, Error> {
    let kept = app.store().find_deletion(id).await?;
    let kept = kept.ok_or(Error::NotFound)?;
    serde_json::from_str(&kept).map_err(Error::internal)
}

/// Whether one of the keys signed this receipt.
pub fn verify_receipt(
    receipt: &DeletionReceipt,
    keys: &[u8],
) -> Result<(), crate::signing::Refusal> {
    let text = serde_json::to_string(&receipt.record)
        .map_err(|error| crate::signing::Refusal::Unreadable(error.to_string()))?;
    crate::signing::verify_text(PURPOSE, &text, &receipt.signature, keys).map(|_| ())
}

/// Removes what is older than the server keeps.
pub(crate) async fn sweep(app: &App) -> Result<(), Error> {
    if let Some(days) = app.config().retention_days {
        let kept = i64::from(days) * 24 * 3_600_000;
        let before = Timestamp::from_milliseconds(app.now().milliseconds() - kept);
        app.store().delete_old_artifacts(before).await?;
    }
    Ok(())
}
