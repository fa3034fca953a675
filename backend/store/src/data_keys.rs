//! Keys of organisations, wrapped by a master key that the database does not know.

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, Statement, sea_query::Expr,
};
use shared::{OrganisationId, Timestamp};

use crate::{
    Error, Store,
    audit::{self, Deed},
    database::insert,
    entity::data_key::{Column, Entity, Model},
    organisations,
    text::number,
};

/// A wrapped key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataKeyRecord {
    /// Whose it is.
    pub owner_id: OrganisationId,
    /// Rises with every new key of the owner.
    pub version: u32,
    /// Names the master key that it is wrapped with.
    pub master: String,
    /// The wrapped key, hexadecimal.
    pub wrapped: String,
}

impl TryFrom<Model> for DataKeyRecord {
    type Error = Error;

    fn try_from(row: Model) -> Result<Self, Error> {
        Ok(Self {
            owner_id: OrganisationId::from_uuid(row.owner_id),
            version: number("key version", row.version)?,
            master: row.master,
            wrapped: row.wrapped,
        })
    }
}

/// Owners with several keys.
const ROTATED: &str = "SELECT owner_id FROM data_keys GROUP BY owner_id HAVING COUNT(*) > 1";
const UNUSED: &str = "\
    DELETE FROM data_keys WHERE owner_id = $1
        AND version < (SELECT MAX(newer.version) FROM data_keys AS newer WHERE newer.owner_id = $1)
        AND NOT EXISTS (SELECT 1 FROM images WHERE images.owner_id = data_keys.owner_id
            AND images.key_version = data_keys.version)";

/// Refuses a picture whose key was replaced since it was sealed; under the lock of the owner, which keys are removed under.
pub(crate) async fn ensure_there(
    connection: &impl ConnectionTrait,
    owner: OrganisationId,
    version: Option<u32>,
) -> Result<(), Error> {
    let Some(version) = version else {
        return Ok(());
    };
    let version: i32 = number("key version", version)?;
    let key = Entity::find_by_id((owner.uuid(), version));
    match key.one(connection).await? {
        Some(_) => Ok(()),
        None => Err(Error::KeyReplaced),
    }
}

async fn newest(
    connection: &impl ConnectionTrait,
    owner: OrganisationId,
) -> Result<Option<DataKeyRecord>, Error> {
    Entity::find()
        .filter(Column::OwnerId.eq(owner.uuid()))
        .order_by_desc(Column::Version)
        .one(connection)
        .await?
        .map(DataKeyRecord::try_from)
        .transpose()
}

impl Store {
    /// The newest key of an owner.
    pub async fn newest_data_key(
        &self,
        owner: OrganisationId,
    ) -> Result<Option<DataKeyRecord>, Error> {
        newest(&self.reader, owner).await
    }

    /// A key of an owner by its version.
    pub async fn find_data_key(
        &self,
        owner: OrganisationId,
        version: u32,
    ) -> Result<Option<DataKeyRecord>, Error> {
        let version: i32 = number("key version", version)?;
        Entity::find_by_id((owner.uuid(), version))
            .one(&self.reader)
            .await?
            .map(DataKeyRecord::try_from)
            .transpose()
    }

    /// Adds a key behind the newest that the caller knew; the newest one now, which somebody else may have added.
    pub async fn add_data_key(
        &self,
        new: DataKeyRecord,
        now: Timestamp,
    ) -> Result<DataKeyRecord, Error> {
        let owner = new.owner_id;
        let transaction = self.begin().await?;
        organisations::lock(&transaction, owner).await?;
        if let Some(newest) = newest(&transaction, owner).await?
            && newest.version >= new.version
        {
            transaction.rollback().await?;
            return Ok(newest);
        }
        let row = Model {
            owner_id: owner.uuid(),
            version: number("key version", new.version)?,
            master: new.master.clone(),
            wrapped: new.wrapped.clone(),
            created_at: now.milliseconds(),
        };
        insert(&transaction, row).await?;
        let deed = Deed::new("data_key.created", owner).detail(format!("version {}", new.version));
        audit::record(&transaction, owner, deed, now).await?;
        transaction.commit().await?;
        Ok(new)
    }

    /// Keys that another master key wraps, whoever's they are.
    pub async fn any_data_keys_not_under(&self, master: &str) -> Result<Vec<DataKeyRecord>, Error> {
        Entity::find()
            .filter(Column::Master.ne(master))
            .all(&self.reader)
            .await?
            .into_iter()
            .map(DataKeyRecord::try_from)
            .collect()
    }

    /// The newest key of every owner.
    pub async fn newest_data_keys(&self) -> Result<Vec<DataKeyRecord>, Error> {
        let rows = Entity::find()
            .order_by_asc(Column::OwnerId)
            .order_by_asc(Column::Version)
            .all(&self.reader)
            .await?;
        let mut newest: Vec<DataKeyRecord> = Vec::new();
        for row in rows {
            let record = DataKeyRecord::try_from(row)?;
            newest.pop_if(|known| known.owner_id == record.owner_id);
            newest.push(record);
        }
        Ok(newest)
    }

    /// Wraps a key anew; `false` where that was done or the key is gone.
    pub async fn rewrap_data_key(
        &self,
        before: &DataKeyRecord,
        master: &str,
        wrapped: &str,
    ) -> Result<bool, Error> {
        let version: i32 = number("key version", before.version)?;
        let changed = Entity::update_many()
            .col_expr(Column::Master, Expr::value(master))
            .col_expr(Column::Wrapped, Expr::value(wrapped))
            .filter(Column::OwnerId.eq(before.owner_id.uuid()))
            .filter(Column::Version.eq(version))
            .filter(Column::Master.eq(before.master.clone()))
            .exec(self.writer())
            .await?;
        Ok(changed.rows_affected > 0)
    }

    /// Removes old keys that no picture is sealed with any more; how many they were.
    pub async fn remove_unused_data_keys(&self) -> Result<u64, Error> {
        let backend = self.reader.get_database_backend();
        let rotated = Statement::from_string(backend, ROTATED);
        let mut removed = 0;
        for row in self.reader.query_all_raw(rotated).await? {
            let owner = OrganisationId::from_uuid(row.try_get_by_index(0)?);
            let transaction = self.begin().await?;
            organisations::lock(&transaction, owner).await?;
            let unused = Statement::from_sql_and_values(backend, UNUSED, [owner.uuid().into()]);
            removed += transaction.execute_raw(unused).await?.rows_affected();
            transaction.commit().await?;
        }
        Ok(removed)
    }
}
