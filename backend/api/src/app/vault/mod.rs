//! The vault: protected pictures at rest, each organisation's under a key of its own (envelope encryption).
//!
//! A picture is sealed with its organisation's data key; the database holds that key wrapped by a master key, which is a
//! file. Without the wrapped key nothing opens a picture any more, wherever a copy of the object lies: deleting an
//! organisation deletes its keys (crypto-shredding). Backups of the database hold wrapped keys, too, as long as they
//! are kept.

mod masters;
mod rotation;
mod seal;

use shared::OrganisationId;
use store::DataKeyRecord;

use masters::Master;
pub(crate) use masters::Masters;
pub(crate) use rotation::catch_up;
pub use rotation::{Rotated, rotate};
use seal::Key;

use super::App;
use crate::{error::Error, secret};

/// Seals with the newest key of one organisation.
pub(crate) struct Sealer {
    owner: OrganisationId,
    key: Key,
    /// Version of that key.
    pub(crate) version: u32,
}

impl Sealer {
    /// What is kept of bytes that are found under a name.
    pub(crate) fn seal(&self, what: &str, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        seal::seal(&self.key, &context(self.owner, what), bytes)
    }
}

/// Binds a sealed picture to its place: moved to another organisation or another picture's row it does not open.
fn context(owner: OrganisationId, what: &str) -> Vec<u8> {
    format!("persguard picture\n{owner}\n{what}").into_bytes()
}

/// Binds a wrapped key to its owner and version.
fn key_context(owner: OrganisationId, version: u32) -> Vec<u8> {
    format!("persguard data key\n{owner}\n{version}").into_bytes()
}

/// A key under a master key, as the database keeps it.
fn wrap(
    master: &Master,
    owner: OrganisationId,
    version: u32,
    key: &Key,
) -> Result<DataKeyRecord, Error> {
    let wrapped = seal::seal(&master.key, &key_context(owner, version), &key.0)?;
    Ok(DataKeyRecord {
        owner_id: owner,
        version,
        master: master.name.clone(),
        wrapped: hex::encode(wrapped),
    })
}

/// Adds a key of an organisation that did not exist before, or finds the one that somebody else added.
async fn add(app: &App, owner: OrganisationId, version: u32) -> Result<DataKeyRecord, Error> {
    let newest = || app.masters().newest().map_err(Error::internal);
    let master = newest()?;
    let fresh = wrap(&master, owner, version, &Key(secret::random_bytes()))?;
    let record = app.store().add_data_key(fresh, app.now()).await?;
    // A rotation that began before the row was there did not see it, and removes this master key.
    let now = newest()?;
    if record.master == now.name {
        return Ok(record);
    }
    rewrap(app, &record, &now).await?;
    let kept = app.store().find_data_key(owner, record.version).await?;
    kept.ok_or_else(|| Error::internal("a key was removed while it was made"))
}

/// Wraps a key anew; `false` where somebody else did, or the key is gone.
async fn rewrap(app: &App, record: &DataKeyRecord, master: &Master) -> Result<bool, Error> {
    let key = unwrap(app.masters(), record)?;
    let anew = wrap(master, record.owner_id, record.version, &key)?;
    let changed = app
        .store()
        .rewrap_data_key(record, &anew.master, &anew.wrapped);
    Ok(changed.await?)
}

fn unwrap(masters: &Masters, record: &DataKeyRecord) -> Result<Key, Error> {
    let master = masters.find(&record.master).map_err(Error::internal)?;
    let master = master.ok_or_else(|| {
        Error::internal(format!(
            "the master key {} is not in the folder of master keys; restore it there",
            record.master
        ))
    })?;
    let wrapped = hex::decode(&record.wrapped).map_err(Error::internal)?;
    let context = key_context(record.owner_id, record.version);
    let bytes = seal::open(&master, &context, &wrapped)?;
    let bytes = bytes.try_into();
    bytes
        .map(Key)
        .map_err(|_| Error::internal("a wrapped key has another length"))
}

/// Takes the newest key of an organisation; its first one is made where it has none.
pub(crate) async fn sealer(app: &App, owner: OrganisationId) -> Result<Sealer, Error> {
    let record = match app.store().newest_data_key(owner).await? {
        Some(record) => record,
        None => add(app, owner, 1).await?,
    };
    Ok(Sealer {
        owner,
        key: unwrap(app.masters(), &record)?,
        version: record.version,
    })
}

/// Opens what was sealed under a name.
pub(crate) async fn open(
    app: &App,
    owner: OrganisationId,
    version: u32,
    (what, bytes): (&str, &[u8]),
) -> Result<Vec<u8>, Error> {
    let record = app.store().find_data_key(owner, version).await?;
    let record = record.ok_or_else(|| {
        Error::Gone("The key of this picture was destroyed; nothing can open it any more.".into())
    })?;
    let key = unwrap(app.masters(), &record)?;
    seal::open(&key, &context(owner, what), bytes)
}
