//! Log of what a fake was sent and how each answer ended; the other half of every test of a gateway.
//!
//! Bounded: beyond [`ENTRIES_MAX`] entries or [`BODY_BYTES_MAX`] bytes of bodies the oldest are forgotten. Headers are kept as
//! they came, keys included, so that a test can see which credential was used: give a fake no real ones.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use serde::{Serialize, Serializer};
use serde_json::Value;
use tokio::time::Instant;

use crate::dialect::Dialect;

/// More entries than this, and the oldest is forgotten.
pub const ENTRIES_MAX: usize = 20_000;
/// More bytes of bodies than this, and the oldest entries are forgotten.
pub const BODY_BYTES_MAX: usize = 128 << 20;

/// The log of a fake. Reached through `Fake::log`; a clone is the same log.
#[derive(Debug, Clone)]
pub struct Log {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    on: AtomicBool,
    began: Instant,
    last_number: AtomicU64,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    entries: VecDeque<LogEntry>,
    body_bytes: usize,
}

/// One request and its answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LogEntry {
    /// Counts the requests of this fake from 1; never reused.
    pub n: u64,
    /// When the request had been read, in milliseconds since the fake was made (tokio's clock).
    pub at_ms: u64,
    /// The API it was sent to.
    pub dialect: Dialect,
    /// HTTP method.
    pub method: String,
    /// Path with query.
    pub path: String,
    /// The model as it was asked for; empty when none was.
    pub model: String,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// Request headers; values of a repeated one are joined with `, `.
    pub headers: BTreeMap<String, String>,
    /// The body as JSON; `null` when it is none.
    pub body: Value,
    /// The body as it came.
    #[serde(skip)]
    pub raw_body: Bytes,
    /// Label of the behaviour (see `Behaviour::label`).
    pub behaviour: String,
    /// Status that was answered; 0 before there is one.
    pub status: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// Content events sent so far.
    pub events_sent: usize,
    /// When it ended, in milliseconds since the fake was made.
    pub finished_ms: Option<u64>,
}

/// How an answer ended. Compares with its text: `entry.outcome == "cancelled"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Still being answered.
    Pending,
    /// All that was to be sent was sent, be it an error.
    Answered,
    /// The client left first (or the fake was shut down).
    Cancelled,
    /// The fake closed the connection inside the answer, or instead of it.
    Reset,
    /// The fake ended the body cleanly but too early.
    Truncated,
}

impl Outcome {
    /// Its text.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Pending => "pending",
            Outcome::Answered => "answered",
            Outcome::Cancelled => "cancelled",
            Outcome::Reset => "reset",
            Outcome::Truncated => "truncated",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq<&str> for Outcome {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl Log {
    pub(crate) fn new(on: bool) -> Self {
        let shared = Shared {
            on: AtomicBool::new(on),
            began: Instant::now(),
            last_number: AtomicU64::new(0),
            kept: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// All entries that are kept, oldest first.
    pub fn entries(&self) -> Vec<LogEntry> {
        self.shared.lock().entries.iter().cloned().collect()
    }

    /// How many entries are kept.
    pub fn len(&self) -> usize {
        self.shared.lock().entries.len()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The youngest entry.
    pub fn last(&self) -> Option<LogEntry> {
        self.shared.lock().entries.back().cloned()
    }

    /// Forgets all entries; numbers go on.
    pub fn clear(&self) {
        let mut kept = self.shared.lock();
        kept.entries.clear();
        kept.body_bytes = 0;
    }

    pub(crate) fn switch_off(&self) {
        self.shared.on.store(false, Ordering::Relaxed);
    }

    pub(crate) fn is_on(&self) -> bool {
        self.shared.on.load(Ordering::Relaxed)
    }

    pub(crate) fn elapsed_ms(&self) -> u64 {
        self.shared.elapsed_ms()
    }

    /// The number of the next request, whether it is kept or not.
    pub(crate) fn take_number(&self) -> u64 {
        self.shared.last_number.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Writes the beginning of an exchange; what is returned writes its end.
    pub(crate) fn open(&self, mut entry: LogEntry) -> Recording {
        if !self.is_on() {
            return Recording { log: None, n: entry.n };
        }
        let n = entry.n;
        entry.at_ms = self.elapsed_ms();
        let mut kept = self.shared.lock();
        kept.body_bytes += entry.raw_body.len();
        kept.entries.push_back(entry);
        while kept.entries.len() > ENTRIES_MAX || (kept.body_bytes > BODY_BYTES_MAX && kept.entries.len() > 1) {
            let Some(oldest) = kept.entries.pop_front() else { break };
            kept.body_bytes = kept.body_bytes.saturating_sub(oldest.raw_body.len());
        }
        Recording {
            log: Some(self.shared.clone()),
            n,
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// The open end of an entry. Dropped without [`Recording::finish`], the client has left.
#[derive(Debug)]
pub(crate) struct Recording {
    log: Option<Arc<Shared>>,
    n: u64,
}

impl Recording {
    pub(crate) fn status(&self, status: u16) {
        self.change(|entry| entry.status = status);
    }

    pub(crate) fn content_event(&self) {
        self.change(|entry| entry.events_sent += 1);
    }

    pub(crate) fn finish(&mut self, outcome: Outcome) {
        let Some(log) = &self.log else { return };
        let now = log.elapsed_ms();
        self.change(|entry| {
            entry.outcome = outcome;
            entry.finished_ms = Some(now);
        });
        self.log = None;
    }

    fn change(&self, change: impl FnOnce(&mut LogEntry)) {
        let Some(log) = &self.log else { return };
        let mut kept = log.lock();
        // Numbers rise but may have gaps (entries are opened after their number is taken), so search from the back.
        if let Some(entry) = kept.entries.iter_mut().rev().find(|entry| entry.n == self.n) {
            change(entry);
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.finish(Outcome::Cancelled);
    }
}
