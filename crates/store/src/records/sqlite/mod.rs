//! Records in a SQLite file: one thread that writes and two that read, each with a connection of its own, in WAL mode.
//!
//! A connection blocks, so none is ever used on the runtime: work is sent to its thread and the answer awaited. A database in
//! memory exists in its connection alone; there the writing thread reads as well.

mod connection;
mod delete;
mod read;
mod write;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};
use types::ids::{BudgetId, InstanceId, KeyId};
use types::money::NanoDollars;
use types::record::{AttemptRecord, CallRecord, Payload};
use types::time::UnixMillis;

use crate::error::StoreError;
use crate::records::audit::AuditEntry;
use crate::records::entry::Entry;
use crate::records::keys::KeyRecord;
use crate::records::query::{CallQuery, Page, StoredResponse};

/// Connections that read.
const READERS: usize = 2;
/// Requests that wait for a thread; whoever comes then waits for room.
const WAITING_MAX: usize = 64;

/// What a thread is asked to do with its connection; an error when it has none yet.
type Job = Box<dyn FnOnce(Result<&mut Connection, StoreError>) + Send>;

/// A database.
#[derive(Debug)]
pub struct Sqlite {
    writing: Lane,
    /// None for a database in memory.
    reading: Vec<Lane>,
    turn: AtomicUsize,
}

/// The way to a thread with a connection.
#[derive(Debug)]
struct Lane {
    jobs: mpsc::Sender<Job>,
}

impl Sqlite {
    /// Opens a file, or `:memory:`, and brings its schema to the newest version. `strict`: what is committed survives a loss of
    /// power too, at the price of an fsync for each batch.
    ///
    /// A file of the newest schema that may not be written is opened to be read: every write fails until it may, which each write
    /// tries anew.
    pub async fn open(path: &str, strict: bool) -> Result<Sqlite, StoreError> {
        let in_memory = path == ":memory:";
        let file = PathBuf::from(path);
        let writing = {
            let (open, closed) = (file.clone(), file.clone());
            let open = move || connection::open_to_write(&open, strict);
            Lane::start("records-write", open, move || connection::is_read_only(&closed)).await?
        };
        let mut reading = Vec::new();
        if !in_memory {
            for _ in 0..READERS {
                let file = file.clone();
                let open = move || connection::open_to_read(&file);
                reading.push(Lane::start("records-read", open, || false).await?);
            }
        }
        Ok(Sqlite {
            writing,
            reading,
            turn: AtomicUsize::new(0),
        })
    }

    async fn write_with<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.writing.run(work).await
    }

    async fn read_with<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    {
        if self.reading.is_empty() {
            return self.writing.run(work).await;
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.reading.len();
        self.reading[turn].run(work).await
    }

    /// See [`crate::records::Records::check`].
    pub async fn check(&self, now: UnixMillis) -> Result<(), StoreError> {
        self.write_with(move |c| write::check(c, now)).await
    }

    /// See [`crate::records::Records::write`].
    pub async fn write(&self, batch: std::sync::Arc<Vec<Entry>>) -> Result<(), StoreError> {
        self.write_with(move |c| write::batch(c, &batch)).await
    }

    /// See [`crate::records::Records::keys`].
    pub async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        self.read_with(|c| read::keys(c)).await
    }

    /// See [`crate::records::Records::put_key`].
    pub async fn put_key(
        &self,
        key: KeyRecord,
        before: Option<KeyRecord>,
        audit: AuditEntry,
    ) -> Result<(), StoreError> {
        self.write_with(move |c| write::key(c, &key, before.as_ref(), &audit))
            .await
    }

    /// See [`crate::records::Records::put_audit`].
    pub async fn put_audit(&self, audit: AuditEntry) -> Result<(), StoreError> {
        self.write_with(move |c| write::audit(c, &audit)).await
    }

    /// See [`crate::records::Records::audit`].
    pub async fn audit(&self, page: Page) -> Result<Vec<AuditEntry>, StoreError> {
        self.read_with(move |c| read::audit(c, &page)).await
    }

    /// See [`crate::records::Records::spent`].
    pub async fn spent(&self, budget: BudgetId, window: UnixMillis) -> Result<NanoDollars, StoreError> {
        self.read_with(move |c| read::spent(c, &budget, window)).await
    }

    /// See [`crate::records::Records::settle_orphans`].
    pub async fn settle_orphans(&self, of: InstanceId, at: UnixMillis) -> Result<Vec<AttemptRecord>, StoreError> {
        self.write_with(move |c| write::orphans(c, &of, at)).await
    }

    /// See [`crate::records::Records::reserving_instances`].
    pub async fn reserving_instances(&self) -> Result<Vec<InstanceId>, StoreError> {
        self.read_with(|c| read::reserving_instances(c)).await
    }

    /// See [`crate::records::Records::calls`].
    pub async fn calls(&self, query: CallQuery) -> Result<Vec<CallRecord>, StoreError> {
        self.read_with(move |c| read::calls(c, &query)).await
    }

    /// See [`crate::records::Records::attempts`].
    pub async fn attempts(&self, query: CallQuery) -> Result<Vec<AttemptRecord>, StoreError> {
        self.read_with(move |c| read::attempts(c, &query)).await
    }

    /// See [`crate::records::Records::payload`].
    pub async fn payload(&self, call: String) -> Result<Option<Payload>, StoreError> {
        self.read_with(move |c| read::payload(c, &call)).await
    }

    /// See [`crate::records::Records::response`].
    pub async fn response(&self, id: String, tenant: Option<String>) -> Result<Option<StoredResponse>, StoreError> {
        self.read_with(move |c| read::response(c, &id, tenant.as_deref())).await
    }

    /// See [`crate::records::Records::response_of_item`].
    pub async fn response_of_item(
        &self,
        item: String,
        tenant: Option<String>,
    ) -> Result<Option<StoredResponse>, StoreError> {
        self.read_with(move |c| read::response_of_item(c, &item, tenant.as_deref()))
            .await
    }

    /// See [`crate::records::Records::delete_response`].
    pub async fn delete_response(&self, id: String, tenant: Option<String>) -> Result<bool, StoreError> {
        self.write_with(move |c| delete::response(c, &id, tenant.as_deref()))
            .await
    }

    /// See [`crate::records::Records::learned`].
    pub async fn learned(&self, prefix: String) -> Result<Vec<(String, String)>, StoreError> {
        self.read_with(move |c| read::learned(c, &prefix)).await
    }

    /// See [`crate::records::Records::forget_before`].
    pub async fn forget_before(&self, before: UnixMillis, max: u32) -> Result<u64, StoreError> {
        self.write_with(move |c| delete::before(c, before, max)).await
    }

    /// See [`crate::records::Records::forget_expired_responses`].
    pub async fn forget_expired_responses(&self, now: UnixMillis, max: u32) -> Result<u64, StoreError> {
        self.write_with(move |c| delete::expired_responses(c, now, max)).await
    }

    /// See [`crate::records::Records::forget_texts_of`].
    pub async fn forget_texts_of(&self, key: KeyId) -> Result<u64, StoreError> {
        self.write_with(move |c| delete::texts_of(c, &key)).await
    }

    /// See [`crate::records::Records::back_up`]. It reads: writing goes on meanwhile.
    pub async fn back_up(&self, to: &Path) -> Result<(), StoreError> {
        let to = to.to_owned();
        self.read_with(move |c| connection::back_up(c, &to)).await
    }

    /// Ends the threads when what they were asked before is done; the last connection that closes tidies the file.
    pub async fn close(&self) {
        for lane in self.reading.iter().chain([&self.writing]) {
            lane.close().await;
        }
    }
}

/// A connection, as [`connection`] opens it.
struct Opened {
    connection: Connection,
    /// The file may not be written. It is opened anew for each job, since one that was opened so stays so, and all that this process
    /// opens beside it with it.
    makeshift: bool,
}

impl Opened {
    fn of(connection: Connection) -> Result<Opened, StoreError> {
        let makeshift = connection.is_readonly("main")?;
        Ok(Opened { connection, makeshift })
    }

    /// For the jobs to come.
    fn kept(self) -> Option<Connection> {
        (!self.makeshift).then_some(self.connection)
    }
}

impl Lane {
    /// Starts a thread and waits for its connection. When there is none and `may_wait` says so, each job tries again.
    async fn start<F, W>(name: &str, mut open: F, may_wait: W) -> Result<Lane, StoreError>
    where
        F: FnMut() -> Result<Opened, StoreError> + Send + 'static,
        W: FnOnce() -> bool + Send + 'static,
    {
        let (jobs, mut asked) = mpsc::channel::<Job>(WAITING_MAX);
        let (opened, outcome) = oneshot::channel();
        let serve = move || {
            let mut kept = match open() {
                Ok(opened) => opened.kept(),
                Err(_) if may_wait() => None,
                Err(e) => {
                    let _ = opened.send(Err(e));
                    return;
                }
            };
            let _ = opened.send(Ok(()));
            while let Some(job) = asked.blocking_recv() {
                match kept.as_mut() {
                    Some(connection) => job(Ok(connection)),
                    None => match open() {
                        Ok(mut opened) => {
                            job(Ok(&mut opened.connection));
                            kept = opened.kept();
                        }
                        Err(e) => job(Err(e)),
                    },
                }
            }
        };
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(serve)
            .map_err(|e| StoreError::Unavailable(format!("no thread for the database: {e}")))?;
        outcome.await.map_err(|_| gone())??;
        Ok(Lane { jobs })
    }

    async fn run<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // Whoever asked may have left meanwhile; the work is done all the same.
            let _ = answer.send(connection.and_then(work));
        });
        self.jobs.send(job).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    async fn close(&self) {
        // The memory database that takes the connection's place keeps the thread's loop simple; the file is closed by the drop.
        let _ = self
            .run(|connection| {
                let empty = Connection::open_in_memory()?;
                drop(std::mem::replace(connection, empty));
                Ok(())
            })
            .await;
    }
}

fn gone() -> StoreError {
    StoreError::Unavailable("its thread has ended".to_owned())
}
