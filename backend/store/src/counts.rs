//! How many there are of everything that an operator watches, whoever owns it.

use sea_orm::{ColumnTrait, EntityTrait, QuerySelect};

use crate::{Error, Store, entity::job};

/// Jobs of a kind in a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobCount {
    /// The wire name of the kind.
    pub kind: String,
    /// The wire name of the state.
    pub status: String,
    /// How many.
    pub count: i64,
}

impl Store {
    /// Jobs by kind and state.
    pub async fn count_jobs(&self) -> Result<Vec<JobCount>, Error> {
        let rows: Vec<(String, String, i64)> = job::Entity::find()
            .select_only()
            .column(job::Column::Kind)
            .column(job::Column::Status)
            .column_as(job::Column::Id.count(), "count")
            .group_by(job::Column::Kind)
            .group_by(job::Column::Status)
            .into_tuple()
            .all(&self.reader)
            .await?;
        let counts = rows.into_iter().map(|(kind, status, count)| JobCount {
            kind,
            status,
            count,
        });
        Ok(counts.collect())
    }
}
