//! What must not be lost: keys, the ledger, calls, audit, stored responses, what was learned.
//!
//! One face, two backends (SQLite in WAL mode, PostgreSQL), the same versions of migrations, one contract suite. Begin at
//! [`Records`]; what is written on behalf of calls goes through [`writer::Writer`], never straight to it.

pub mod address;
pub mod audit;
mod columns;
pub mod entry;
pub mod keys;
pub mod migrations;
mod postgres;
pub mod query;
mod sqlite;
pub mod writer;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use types::ids::{BudgetId, InstanceId, KeyId};
use types::money::NanoDollars;
use types::record::{AttemptRecord, CallRecord, Payload};
use types::time::UnixMillis;

use crate::error::StoreError;
use crate::records::address::Address;
use crate::records::audit::AuditEntry;
use crate::records::entry::Entry;
use crate::records::keys::KeyRecord;
use crate::records::postgres::Postgres;
use crate::records::query::{CallQuery, Page, StoredResponse};
use crate::records::sqlite::Sqlite;

/// The store of records. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Records {
    backend: Backend,
}

#[derive(Debug, Clone)]
enum Backend {
    Sqlite(Arc<Sqlite>),
    Postgres(Arc<Postgres>),
}

/// How a store is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecordsOptions {
    /// What was written survives a loss of power, not only the end of the process. SQLite then syncs at each batch; PostgreSQL
    /// does so anyway unless its server is told otherwise.
    pub strict: bool,
}

impl Records {
    /// Opens the store at `sqlite:path`, `sqlite::memory:` or `postgres://…` and brings its schema to the newest version.
    pub async fn open(url: &str) -> Result<Records, StoreError> {
        Records::open_with(url, RecordsOptions::default()).await
    }

    /// The same, otherwise than usual.
    pub async fn open_with(url: &str, options: RecordsOptions) -> Result<Records, StoreError> {
        let backend = match Address::parse(url)? {
            Address::Sqlite(path) => Backend::Sqlite(Arc::new(Sqlite::open(&path, options.strict).await?)),
            Address::Postgres(url) => Backend::Postgres(Arc::new(Postgres::open(&url).await?)),
        };
        Ok(Records { backend })
    }

    /// Whether it answers and takes writes. On SQLite it writes, since nothing less tells a full disk.
    pub async fn check(&self) -> Result<(), StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.check(wall()).await,
            Backend::Postgres(postgres) => postgres.check(wall()).await,
        }
    }

    /// Writes a batch in one transaction: all of it or nothing. What is already there (by its identity) is not written again, and
    /// its charges are not added again, so that a batch may be repeated whose outcome is not known. One exception: an attempt that
    /// was settled as orphaned, and is settled truly after all, takes the orphan's place in the ledger and in the sums.
    pub async fn write(&self, batch: &[Entry]) -> Result<(), StoreError> {
        self.write_shared(Arc::new(batch.to_vec())).await
    }

    /// [`Records::write`] without a copy of the entries.
    pub async fn write_shared(&self, batch: Arc<Vec<Entry>>) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.write(batch).await,
            Backend::Postgres(postgres) => postgres.write(batch).await,
        }
    }

    /// All keys, revoked and expired ones too, the oldest first.
    pub async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.keys().await,
            Backend::Postgres(postgres) => postgres.keys().await,
        }
    }

    /// Adds a key, or changes one, and writes what was done into the audit log, in one transaction. `before` is the key as it was read,
    /// `None` for one that is new.
    ///
    /// # Errors
    /// [`StoreError::Changed`] where the key is there already, or was revoked or given another secret since it was read: two instances
    /// that change a key at once never bring a revoked key or an old secret back.
    pub async fn put_key(
        &self,
        key: &KeyRecord,
        before: Option<&KeyRecord>,
        audit: &AuditEntry,
    ) -> Result<(), StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.put_key(key.clone(), before.cloned(), audit.clone()).await,
            Backend::Postgres(postgres) => postgres.put_key(key, before, audit).await,
        }
    }

    /// Writes into the audit log alone.
    pub async fn put_audit(&self, audit: &AuditEntry) -> Result<(), StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.put_audit(audit.clone()).await,
            Backend::Postgres(postgres) => postgres.put_audit(audit).await,
        }
    }

    /// The audit log, the newest first.
    pub async fn audit(&self, page: Page) -> Result<Vec<AuditEntry>, StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.audit(page).await,
            Backend::Postgres(postgres) => postgres.audit(&page).await,
        }
    }

    /// What was charged to a window of a budget: settled attempts alone.
    pub async fn spent(&self, budget: &BudgetId, window: UnixMillis) -> Result<NanoDollars, StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.spent(budget.clone(), window).await,
            Backend::Postgres(postgres) => postgres.spent(budget, window).await,
        }
    }

    /// Settles what an instance that is gone had reserved, at its estimate, marked [`types::record::Basis::Orphaned`]. Returns what
    /// was settled. What waits in a spool is to be written first ([`writer::Writer::flush`]): it may hold the true ends.
    pub async fn settle_orphans(&self, of: &InstanceId, at: UnixMillis) -> Result<Vec<AttemptRecord>, StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.settle_orphans(of.clone(), at).await,
            Backend::Postgres(postgres) => postgres.settle_orphans(of, at).await,
        }
    }

    /// The instances that hold reservations.
    pub async fn reserving_instances(&self) -> Result<Vec<InstanceId>, StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.reserving_instances().await,
            Backend::Postgres(postgres) => postgres.reserving_instances().await,
        }
    }

    /// Calls that match, by time ascending, at most `query.limit`; the next page begins after the last one's `at` and `id`
    /// ([`CallQuery::after_call`]).
    pub async fn calls(&self, query: &CallQuery) -> Result<Vec<CallRecord>, StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.calls(query.clone()).await,
            Backend::Postgres(postgres) => postgres.calls(query).await,
        }
    }

    /// Attempts that ended in a query's time, the same way; the next page begins at [`CallQuery::after_attempt`] of the last one.
    pub async fn attempts(&self, query: &CallQuery) -> Result<Vec<AttemptRecord>, StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.attempts(query.clone()).await,
            Backend::Postgres(postgres) => postgres.attempts(query).await,
        }
    }

    /// The texts of a call, if they were kept.
    pub async fn payload(&self, call: &str) -> Result<Option<Payload>, StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.payload(call.to_owned()).await,
            Backend::Postgres(postgres) => postgres.payload(call).await,
        }
    }

    /// A stored response (Responses API), of this tenant alone. It may have expired: compare [`StoredResponse::expires`].
    pub async fn response(&self, id: &str, tenant: Option<&str>) -> Result<Option<StoredResponse>, StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.response(id.to_owned(), tenant.map(str::to_owned)).await,
            Backend::Postgres(postgres) => postgres.response(id, tenant).await,
        }
    }

    /// The newest stored response of the tenant whose answer holds an item of this id. It may have expired.
    pub async fn response_of_item(
        &self,
        item: &str,
        tenant: Option<&str>,
    ) -> Result<Option<StoredResponse>, StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => {
                sqlite
                    .response_of_item(item.to_owned(), tenant.map(str::to_owned))
                    .await
            }
            Backend::Postgres(postgres) => postgres.response_of_item(item, tenant).await,
        }
    }

    /// Forgets a stored response; whether there was one.
    pub async fn delete_response(&self, id: &str, tenant: Option<&str>) -> Result<bool, StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.delete_response(id.to_owned(), tenant.map(str::to_owned)).await,
            Backend::Postgres(postgres) => postgres.delete_response(id, tenant).await,
        }
    }

    /// What was learned under names that begin so, such as `tokens:`, by name: each with its value, JSON text.
    pub async fn learned(&self, prefix: &str) -> Result<Vec<(String, String)>, StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.learned(prefix.to_owned()).await,
            Backend::Postgres(postgres) => postgres.learned(prefix).await,
        }
    }

    /// Deletes calls that began before a time, the oldest first, at most `max`, with their attempts and payloads; sums of budgets
    /// stay. When fewer were left it deletes, of that age, what belongs to no call. Returns how many calls went: repeat while that
    /// is `max`.
    pub async fn forget_before(&self, before: UnixMillis, max: u32) -> Result<u64, StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.forget_before(before, max).await,
            Backend::Postgres(postgres) => postgres.forget_before(before, max).await,
        }
    }

    /// Deletes stored responses that have expired, at most `max`. Returns how many went.
    pub async fn forget_expired_responses(&self, now: UnixMillis, max: u32) -> Result<u64, StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.forget_expired_responses(now, max).await,
            Backend::Postgres(postgres) => postgres.forget_expired_responses(now, max).await,
        }
    }

    /// Deletes the texts and stored responses of a key; the ledger stays. Stored responses belong to tenants: those of an owner go
    /// only with the owner's last key. Returns how many texts and responses went.
    pub async fn forget_texts_of(&self, key: &KeyId) -> Result<u64, StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.forget_texts_of(key.clone()).await,
            Backend::Postgres(postgres) => postgres.forget_texts_of(key).await,
        }
    }

    /// Copies the store, while it is in use, into a new file that [`Records::open`] opens (SQLite). PostgreSQL has its own tools.
    pub async fn back_up(&self, to: &std::path::Path) -> Result<(), StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.back_up(to).await,
            Backend::Postgres(_) => {
                let message = "a PostgreSQL database is backed up by its own tools: pg_dump, or the server's archive";
                Err(StoreError::Invalid(message.to_owned()))
            }
        }
    }

    /// Ends its threads and connections when what was asked before is done. After it every question is answered by an error.
    pub async fn close(&self) {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.close().await,
            Backend::Postgres(postgres) => postgres.close(),
        }
    }

    /// `sqlite` or `postgres`.
    pub fn kind(&self) -> &'static str {
        match &self.backend {
            Backend::Sqlite(_) => "sqlite",
            Backend::Postgres(_) => "postgres",
        }
    }
}

fn wall() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(since.as_millis() as u64)
}
