//! What waits in memory for the writing task, and what is told about it. One short lock, never held across a wait.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use crate::records::entry::Entry;
use crate::records::writer::WriterHealth;

/// When so many wait they are written without waiting for the flush.
const BATCH_FULL: usize = 1024;
/// The most that entries which may be shed take in memory, in bytes of their texts.
const LOOSE_BYTES_MAX: usize = 64 << 20;

/// The queue.
#[derive(Debug)]
pub struct Queue {
    waiting: Mutex<Waiting>,
    /// The first entry came.
    something: Notify,
    /// It is to be written without delay.
    now: Notify,
    /// Entries that must not be shed, in the queue and in the task's hands.
    kept: AtomicUsize,
    kept_max: usize,
    in_hand: AtomicU64,
    spooled: AtomicU64,
    shed: AtomicU64,
    refused: AtomicU64,
    failing: Mutex<Option<String>>,
}

/// What the task takes out at once.
#[derive(Debug, Default)]
pub struct Waiting {
    /// What must not be shed, in the order it came.
    pub kept: Vec<Entry>,
    /// What may be shed, in the order it came.
    pub loose: Vec<Entry>,
    /// Who waits until all of it is safe.
    pub waiters: Vec<Waiter>,
    /// Nobody will write any more.
    pub closed: bool,
    /// Nobody will take anything out any more.
    ended: bool,
    loose_bytes: usize,
}

/// Who waits.
#[derive(Debug)]
pub struct Waiter {
    /// Told when everything queued before is safe.
    pub safe: oneshot::Sender<()>,
    /// And what is in the spool is in the store, if the store takes it.
    pub drained: bool,
}

impl Queue {
    /// An empty queue for so many entries.
    pub fn new(kept_max: usize) -> Queue {
        Queue {
            waiting: Mutex::default(),
            something: Notify::new(),
            now: Notify::new(),
            kept: AtomicUsize::new(0),
            kept_max: kept_max.max(1),
            in_hand: AtomicU64::new(0),
            spooled: AtomicU64::new(0),
            shed: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            failing: Mutex::default(),
        }
    }

    /// Adds an entry, or sheds it.
    pub fn push(&self, entry: Entry) {
        let len = {
            let mut waiting = self.lock();
            self.put(&mut waiting, entry);
            waiting.kept.len() + waiting.loose.len()
        };
        match len {
            1 => self.something.notify_one(),
            BATCH_FULL => self.now.notify_one(),
            _ => {}
        }
    }

    /// Adds entries that somebody waits for.
    pub fn push_durably(&self, entries: Vec<Entry>, waiter: Waiter) {
        {
            let mut waiting = self.lock();
            for entry in entries {
                self.put(&mut waiting, entry);
            }
            // Dropped, it is told that nobody is left who could make anything safe.
            if !waiting.ended {
                waiting.waiters.push(waiter);
            }
        }
        self.now.notify_one();
    }

    fn put(&self, waiting: &mut Waiting, entry: Entry) {
        if !entry.may_be_shed() {
            self.kept.fetch_add(1, Ordering::Relaxed);
            waiting.kept.push(entry);
            return;
        }
        let bytes = entry.text_bytes();
        if waiting.loose.len() >= self.kept_max || waiting.loose_bytes + bytes > LOOSE_BYTES_MAX || self.is_full() {
            self.shed.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.loose_bytes += bytes;
        waiting.loose.push(entry);
    }

    /// Nobody will write any more.
    pub fn close(&self) {
        self.lock().closed = true;
        self.now.notify_one();
    }

    /// The task has ended, however that came: whoever waits waits no more.
    pub fn end(&self) {
        let mut waiting = self.lock();
        waiting.ended = true;
        waiting.waiters.clear();
    }

    /// Takes everything.
    pub fn take(&self) -> Waiting {
        let mut waiting = self.lock();
        let (closed, ended) = (waiting.closed, waiting.ended);
        let taken = std::mem::take(&mut *waiting);
        (waiting.closed, waiting.ended) = (closed, ended);
        // What comes next is probably as much again.
        waiting.kept.reserve(taken.kept.len().min(BATCH_FULL));
        taken
    }

    /// Resolves when the first entry has come.
    pub async fn something(&self) {
        self.something.notified().await;
    }

    /// Resolves when what is there is to be written at once.
    pub async fn now(&self) {
        self.now.notified().await;
    }

    /// Whether nothing more that must not be shed fits.
    pub fn is_full(&self) -> bool {
        self.kept.load(Ordering::Relaxed) >= self.kept_max
    }

    /// Entries of those in hand are safe now: so many that must not be shed.
    pub fn are_safe(&self, kept: usize) {
        self.kept.fetch_sub(kept, Ordering::Relaxed);
    }

    /// Counts entries that were shed later than on the way in.
    pub fn count_shed(&self, entries: u64) {
        self.shed.fetch_add(entries, Ordering::Relaxed);
    }

    /// Counts an entry that the store will never take.
    pub fn count_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Tells what is in the task's hands and in the spool.
    pub fn tell(&self, in_hand: usize, spooled: u64) {
        self.in_hand.store(in_hand as u64, Ordering::Relaxed);
        self.spooled.store(spooled, Ordering::Relaxed);
    }

    /// Tells why the store takes nothing; `None`: it does. Returns what was told before.
    pub fn tell_failing(&self, why: Option<String>) -> Option<String> {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut failing, why)
    }

    /// What is known of the writer.
    pub fn health(&self) -> WriterHealth {
        let queued = {
            let waiting = self.lock();
            waiting.kept.len() + waiting.loose.len()
        };
        WriterHealth {
            queued: queued as u64 + self.in_hand.load(Ordering::Relaxed),
            spooled: self.spooled.load(Ordering::Relaxed),
            shed: self.shed.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            failing: self.failing.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
