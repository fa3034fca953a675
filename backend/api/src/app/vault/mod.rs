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

/// A key of this organisation that did not exist before.
fn fresh(masters: &Masters, owner: OrganisationId, version: u32) -> Result<DataKeyRecord, Error> {
    let key = Key(secret::random_bytes());
    let (master, wrapping) = masters.newest();
    let wrapped = seal::seal(&wrapping, &key_context(owner, version), &key.0);
    Ok(DataKeyRecord {
        owner_id: owner,
        version,
        master,
        wrapped: hex::encode(wrapped?),
    })
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
    let masters = app.masters();
    let known = app.store().newest_data_key(owner).await?;
    let record = if let Some(record) = known {
        record
    } else {
        let first = fresh(masters, owner, 1)?;
        app.store().add_data_key(first, app.now()).await?
    };
    Ok(Sealer {
        owner,
        key: unwrap(masters, &record)?,
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
