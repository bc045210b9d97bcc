//! The batching writer between calls and the records: a queue, a flush every few milliseconds, a spool on disk when the store is gone.
//!
//! Read [`Writer`], then `task`, which does the work. What must not be shed is in the queue, in the task's hands, in the spool or
//! in the store, and leaves one of them only when the next has it.

mod queue;
mod spool;
mod task;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::records::Records;
use crate::records::entry::Entry;
use crate::records::writer::queue::{Queue, Waiter};
use crate::records::writer::task::Task;

/// How the writer behaves.
#[derive(Debug, Clone)]
pub struct WriterOptions {
    /// The longest an entry waits before it is written, at most 100 ms.
    pub flush: Duration,
    /// Where entries wait while the store is gone; `None`: in memory alone. The folder is made when it is first needed.
    pub spool: Option<PathBuf>,
    /// The most the spool may take. What may be shed gets half of it at most.
    pub spool_bytes_max: u64,
    /// Entries that may wait in memory. At the limit what may be shed is shed, and [`Writer::is_full`] says so.
    pub queue_max: usize,
}

/// Takes entries without waiting. Cheap to clone. End it with [`Writer::close`]; when it is merely dropped, what is queued is still
/// written as long as the runtime lives.
#[derive(Debug, Clone)]
pub struct Writer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    queue: Arc<Queue>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// How the writer is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriterHealth {
    /// Entries that wait in memory.
    pub queued: u64,
    /// Entries that wait in the spool.
    pub spooled: u64,
    /// Entries shed since the start.
    pub shed: u64,
    /// Entries since the start that the store refused for what they say (an amount no column holds) and will not take later either.
    /// They are kept in the spool's folder, in files named `*.refused`.
    pub refused: u64,
    /// Why the store takes nothing, while it does not.
    pub failing: Option<String>,
}

impl Writer {
    /// Starts the writing task; what an earlier run left in the spool is written first.
    pub fn start(records: Records, options: WriterOptions) -> Writer {
        let queue = Arc::new(Queue::new(options.queue_max));
        let task = tokio::spawn(Task::new(records, options, queue.clone()).run());
        Writer {
            inner: Arc::new(Inner {
                queue,
                task: Mutex::new(Some(task)),
            }),
        }
    }

    /// Queues an entry. Never waits; what is shed is counted.
    pub fn write(&self, entry: Entry) {
        self.inner.queue.push(entry);
    }

    /// Queues entries and resolves when they are safe: in the store, or in the spool and synced. For `durability: strict`; the store
    /// is to be opened with [`crate::records::RecordsOptions::strict`] then. Calls that wait at once share one transaction.
    pub async fn write_durably(&self, entries: Vec<Entry>) {
        self.safe(entries, false).await;
    }

    /// Nothing more that must not be shed fits: new calls are refused until it does. What calls under way still write is taken all
    /// the same.
    pub fn is_full(&self) -> bool {
        self.inner.queue.is_full()
    }

    /// Resolves when everything queued so far is safe, and what an earlier run left in the spool is in the store if the store
    /// takes it.
    pub async fn flush(&self) {
        self.safe(Vec::new(), true).await;
    }

    async fn safe(&self, entries: Vec<Entry>, drained: bool) {
        let (safe, wait) = oneshot::channel();
        self.inner.queue.push_durably(entries, Waiter { safe, drained });
        // An error means that the task has ended; nobody is left who could say more.
        let _ = wait.await;
    }

    /// Writes what is queued and ends the task. What the store does not take goes to the spool; when that does not either, it is
    /// tried for some seconds, and what is lost is logged.
    pub async fn close(&self) {
        self.inner.queue.close();
        let task = self.inner.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            let _ = task.await;
        }
    }

    /// How it is.
    pub fn health(&self) -> WriterHealth {
        self.inner.queue.health()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue.close();
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    fn options() -> WriterOptions {
        WriterOptions {
            flush: Duration::from_millis(1),
            spool: None,
            spool_bytes_max: 0,
            queue_max: 10,
        }
    }

    fn learned() -> Entry {
        Entry::Learned {
            name: "name".to_owned(),
            value: "1".to_owned(),
        }
    }

    #[tokio::test]
    async fn nobody_waits_for_a_task_that_has_ended() {
        let records = Records::open("sqlite::memory:").await.unwrap();
        let writer = Writer::start(records.clone(), options());
        writer.write_durably(vec![learned()]).await;
        writer.close().await;
        let second = Duration::from_secs(1);
        timeout(second, writer.write_durably(vec![learned()])).await.unwrap();
        timeout(second, writer.flush()).await.unwrap();
        // And when it was torn away.
        let writer = Writer::start(records, options());
        writer.inner.task.lock().unwrap().as_ref().unwrap().abort();
        timeout(second, writer.write_durably(vec![learned()])).await.unwrap();
        timeout(second, writer.flush()).await.unwrap();
    }
}
