//! Locks between the servers of one PostgreSQL: who publishes and who removes, who leads, who works on an import or an archive.
//!
//! Each is a transaction of its own, on connections of their own: it ends with its connection, whatever becomes of who held it,
//! and whoever holds it waits for no connection that another holder has. SQLite belongs to one server: there a lock is held against that
//! server's own tasks, and none is needed that is shared.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, Statement,
    TransactionTrait,
};
use shared::{ImportId, UploadId};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::{Error, Store};

/// Holders of one server at once; more wait.
pub(crate) const CONNECTIONS: u32 = 16;
/// Who has a lock alone and says nothing for so long is cut off by the database: it hangs, and others wait.
const SILENCE: Duration = Duration::from_secs(10);
/// Well below that.
const RENEWAL: Duration = Duration::from_secs(2);
/// Whoever holds a lock gives it up so long before the database does.
const MARGIN: Duration = Duration::from_secs(2);

/// What only one server does at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// Removing objects that no row names; shared by those whose objects are about to be named.
    Objects,
    /// The rounds that one server makes for all.
    Leader,
    /// The work on one import.
    Import(ImportId),
    /// Unpacking one archive of pictures.
    Archive(UploadId),
}

impl Lock {
    /// Any numbers that nobody else locks in the same database.
    fn key(self) -> i64 {
        const FIRST: i64 = 0x7065_7273_6775_0000;
        match self {
            Self::Objects => FIRST,
            Self::Leader => FIRST + 1,
            Self::Import(id) => folded(id.uuid()),
            Self::Archive(id) => folded(id.uuid()),
        }
    }
}

/// Ids are random, so that two of them hardly ever lock the same number.
fn folded(id: Uuid) -> i64 {
    let (high, low) = id.as_u64_pair();
    (high ^ low).cast_signed()
}

/// Who keeps locks.
#[derive(Clone, Debug)]
pub(crate) enum Locks {
    /// This process, which has the database for itself: what its tasks hold.
    Process(Arc<Mutex<HashSet<i64>>>),
    /// The database, on these connections.
    Database(DatabaseConnection),
}

impl Locks {
    pub(crate) fn of_process() -> Self {
        Self::Process(Arc::default())
    }
}

/// What a task holds against others of its process.
#[derive(Debug)]
struct Own {
    all: Arc<Mutex<HashSet<i64>>>,
    key: i64,
}

impl Own {
    fn take(all: &Arc<Mutex<HashSet<i64>>>, key: i64) -> Option<Self> {
        let is_free = all
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key);
        is_free.then(|| Self {
            all: Arc::clone(all),
            key,
        })
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&self.key);
    }
}

#[derive(Debug)]
enum Holding {
    /// Nobody else could.
    Nothing,
    Own(#[expect(dead_code, reason = "dropping it frees the lock")] Own),
    Transaction(DatabaseTransaction),
}

/// A lock that is held until this is dropped.
#[derive(Debug)]
#[must_use = "dropped, it is let go"]
pub struct Held(Holding);

impl Held {
    /// Fails once it is lost; asking is also the sign of life that keeps it.
    pub async fn renew(&self) -> Result<(), Error> {
        if let Holding::Transaction(transaction) = &self.0 {
            transaction.execute_unprepared("SELECT 1").await?;
        }
        Ok(())
    }

    /// Works for as long as it is held; the work is dropped, and this is `None`, once it is not.
    pub async fn during<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let lost = async {
            let mut heard = Instant::now();
            loop {
                tokio::time::sleep(RENEWAL).await;
                let asked = Instant::now();
                // Before the database gives it to somebody else.
                let renewed = timeout_at(heard + SILENCE - MARGIN, self.renew()).await;
                if !matches!(renewed, Ok(Ok(()))) {
                    return;
                }
                heard = asked;
            }
        };
        tokio::select! {
            done = work => Some(done),
            () = lost => None,
        }
    }

    /// Lets it go before this returns.
    pub async fn release(self) -> Result<(), Error> {
        if let Holding::Transaction(transaction) = self.0 {
            transaction.rollback().await?;
        }
        Ok(())
    }
}

fn call(function: &str, lock: Lock) -> Statement {
    let sql = format!("SELECT {function}($1) AS got");
    Statement::from_sql_and_values(DbBackend::Postgres, sql, [lock.key().into()])
}

async fn begin(pool: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    let transaction = pool.begin().await?;
    let silence = SILENCE.as_millis();
    let silence = format!("SET LOCAL idle_in_transaction_session_timeout = {silence}");
    transaction.execute_unprepared(&silence).await?;
    Ok(transaction)
}

impl Store {
    /// Whether other servers may use this database, too.
    pub fn is_shared(&self) -> bool {
        matches!(self.locks, Locks::Database(_))
    }

    /// Holds a lock together with others who share it; waits while somebody has it alone.
    pub async fn share(&self, lock: Lock) -> Result<Held, Error> {
        let Locks::Database(pool) = &self.locks else {
            return Ok(Held(Holding::Nothing));
        };
        let transaction = pool.begin().await?;
        transaction
            .query_one_raw(call("pg_advisory_xact_lock_shared", lock))
            .await?;
        Ok(Held(Holding::Transaction(transaction)))
    }

    /// Holds a lock alone. Whoever wants to share it waits behind this, so that it gives up after `patience`.
    ///
    /// Work [`Held::during`] it: without signs of life it is lost.
    pub async fn hold(&self, lock: Lock, patience: Duration) -> Result<Held, Error> {
        let Locks::Database(pool) = &self.locks else {
            return Ok(Held(Holding::Nothing));
        };
        let transaction = begin(pool).await?;
        let patience = format!("SET LOCAL lock_timeout = {}", patience.as_millis());
        transaction.execute_unprepared(&patience).await?;
        transaction
            .query_one_raw(call("pg_advisory_xact_lock", lock))
            .await?;
        Ok(Held(Holding::Transaction(transaction)))
    }

    /// Holds a lock alone, unless somebody has it. Work [`Held::during`] it.
    pub async fn try_hold(&self, lock: Lock) -> Result<Option<Held>, Error> {
        let pool = match &self.locks {
            Locks::Process(all) => {
                let own = Own::take(all, lock.key());
                return Ok(own.map(|own| Held(Holding::Own(own))));
            }
            Locks::Database(pool) => pool,
        };
        let transaction = begin(pool).await?;
        let row = transaction
            .query_one_raw(call("pg_try_advisory_xact_lock", lock))
            .await?;
        let got = row.map(|row| row.try_get::<bool>("", "got")).transpose()?;
        if got == Some(true) {
            return Ok(Some(Held(Holding::Transaction(transaction))));
        }
        transaction.rollback().await?;
        Ok(None)
    }
}
