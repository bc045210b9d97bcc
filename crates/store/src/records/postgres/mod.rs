//! Records in a PostgreSQL database: a few connections, batches written set by set in one transaction.

mod connection;
mod delete;
mod read;
mod tls;
mod write;

use std::sync::Arc;

use types::ids::{BudgetId, InstanceId, KeyId};
use types::money::NanoDollars;
use types::record::{AttemptRecord, CallRecord, Payload};
use types::time::UnixMillis;

use crate::error::StoreError;
use crate::records::audit::AuditEntry;
use crate::records::entry::Entry;
use crate::records::keys::KeyRecord;
use crate::records::postgres::connection::{LONG_MAX, Pool, QUESTION_MAX, within};
use crate::records::query::{CallQuery, Page, StoredResponse};

/// A database on a server.
pub struct Postgres {
    pool: Pool,
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The configuration of the pool knows the password.
        f.write_str("Postgres")
    }
}

/// Does something with a connection of the pool, within a time.
macro_rules! ask {
    ($self:ident, $max:expr, $connection:ident => $question:expr) => {{
        let mut lease = $self.pool.take().await?;
        let $connection = &mut lease.connection;
        let answer = within($max, $question).await;
        lease.settle(answer)
    }};
}

impl Postgres {
    /// Connects, and brings the schema to the newest version.
    pub async fn open(url: &str) -> Result<Postgres, StoreError> {
        let postgres = Postgres { pool: Pool::new(url)? };
        ask!(postgres, LONG_MAX, c => c.migrate())?;
        Ok(postgres)
    }

    /// See [`crate::records::Records::check`].
    pub async fn check(&self, now: UnixMillis) -> Result<(), StoreError> {
        ask!(self, QUESTION_MAX, c => write::check(c, now))
    }

    /// See [`crate::records::Records::write`].
    pub async fn write(&self, batch: Arc<Vec<Entry>>) -> Result<(), StoreError> {
        ask!(self, QUESTION_MAX, c => write::batch(c, &batch))
    }

    /// See [`crate::records::Records::keys`].
    pub async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        ask!(self, QUESTION_MAX, c => read::keys(c))
    }

    /// See [`crate::records::Records::put_key`].
    pub async fn put_key(
        &self,
        key: &KeyRecord,
        before: Option<&KeyRecord>,
        audit: &AuditEntry,
    ) -> Result<(), StoreError> {
        ask!(self, QUESTION_MAX, c => write::key(c, key, before, audit))
    }

    /// See [`crate::records::Records::put_audit`].
    pub async fn put_audit(&self, audit: &AuditEntry) -> Result<(), StoreError> {
        ask!(self, QUESTION_MAX, c => write::audit(c, audit))
    }

    /// See [`crate::records::Records::audit`].
    pub async fn audit(&self, page: &Page) -> Result<Vec<AuditEntry>, StoreError> {
        ask!(self, QUESTION_MAX, c => read::audit(c, page))
    }

    /// See [`crate::records::Records::spent`].
    pub async fn spent(&self, budget: &BudgetId, window: UnixMillis) -> Result<NanoDollars, StoreError> {
        ask!(self, QUESTION_MAX, c => read::spent(c, budget, window))
    }

    /// See [`crate::records::Records::settle_orphans`].
    pub async fn settle_orphans(&self, of: &InstanceId, at: UnixMillis) -> Result<Vec<AttemptRecord>, StoreError> {
        ask!(self, QUESTION_MAX, c => write::orphans(c, of, at))
    }

    /// See [`crate::records::Records::reserving_instances`].
    pub async fn reserving_instances(&self) -> Result<Vec<InstanceId>, StoreError> {
        ask!(self, QUESTION_MAX, c => read::reserving_instances(c))
    }

    /// See [`crate::records::Records::calls`].
    pub async fn calls(&self, query: &CallQuery) -> Result<Vec<CallRecord>, StoreError> {
        ask!(self, QUESTION_MAX, c => read::calls(c, query))
    }

    /// See [`crate::records::Records::attempts`].
    pub async fn attempts(&self, query: &CallQuery) -> Result<Vec<AttemptRecord>, StoreError> {
        ask!(self, QUESTION_MAX, c => read::attempts(c, query))
    }

    /// See [`crate::records::Records::payload`].
    pub async fn payload(&self, call: &str) -> Result<Option<Payload>, StoreError> {
        ask!(self, QUESTION_MAX, c => read::payload(c, call))
    }

    /// See [`crate::records::Records::response`].
    pub async fn response(&self, id: &str, tenant: Option<&str>) -> Result<Option<StoredResponse>, StoreError> {
        ask!(self, QUESTION_MAX, c => read::response(c, id, tenant))
    }

    /// See [`crate::records::Records::response_of_item`].
    pub async fn response_of_item(
        &self,
        item: &str,
        tenant: Option<&str>,
    ) -> Result<Option<StoredResponse>, StoreError> {
        ask!(self, QUESTION_MAX, c => read::response_of_item(c, item, tenant))
    }

    /// See [`crate::records::Records::delete_response`].
    pub async fn delete_response(&self, id: &str, tenant: Option<&str>) -> Result<bool, StoreError> {
        ask!(self, QUESTION_MAX, c => delete::response(c, id, tenant))
    }

    /// See [`crate::records::Records::learned`].
    pub async fn learned(&self, prefix: &str) -> Result<Vec<(String, String)>, StoreError> {
        ask!(self, QUESTION_MAX, c => read::learned(c, prefix))
    }

    /// See [`crate::records::Records::forget_before`].
    pub async fn forget_before(&self, before: UnixMillis, max: u32) -> Result<u64, StoreError> {
        ask!(self, LONG_MAX, c => delete::before(c, before, max))
    }

    /// See [`crate::records::Records::forget_expired_responses`].
    pub async fn forget_expired_responses(&self, now: UnixMillis, max: u32) -> Result<u64, StoreError> {
        ask!(self, LONG_MAX, c => delete::expired_responses(c, now, max))
    }

    /// See [`crate::records::Records::forget_texts_of`].
    pub async fn forget_texts_of(&self, key: &KeyId) -> Result<u64, StoreError> {
        ask!(self, LONG_MAX, c => delete::texts_of(c, key))
    }

    /// Closes what is idle.
    pub fn close(&self) {
        self.pool.close();
    }
}
