//! The writing task: takes what waits, writes it in batches, and carries it to the spool and back when the store is gone.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashSet;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{error, info, warn};

use crate::error::StoreError;
use crate::records::Records;
use crate::records::entry::Entry;
use crate::records::writer::WriterOptions;
use crate::records::writer::queue::{Queue, Waiter};
use crate::records::writer::spool::{Appended, Spool};

/// Entries in one transaction.
const BATCH_MAX: usize = 1024;
/// The first wait before a store that failed is tried again; it doubles.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// The longest wait.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// A store that was asked for nothing so long is asked whether it would take something.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// How long a write may take before what comes meanwhile is spooled.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long draining the spool may keep new entries waiting.
const DRAIN_MAX: Duration = Duration::from_millis(50);
/// How long closing tries to make safe what neither store nor spool takes.
const CLOSE_MAX: Duration = Duration::from_secs(5);

/// The task's state.
pub struct Task {
    records: Records,
    queue: Arc<Queue>,
    flush: Duration,
    spool: Spooling,
    /// Taken out of the queue, not safe yet.
    held: Vec<Entry>,
    /// Who waits until nothing is held any more.
    waiters: Vec<Waiter>,
    /// The store failed: when it is tried again, and the wait after that.
    retry: Option<(Instant, Duration)>,
    closed: bool,
    /// Also when the task panics, or its runtime ends.
    _end: End,
}

/// Tells the queue that nobody takes anything out of it any more.
struct End(Arc<Queue>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Where the spool is. It is moved into a blocking call and back, hence the `Option`.
struct Spooling {
    folder: Option<PathBuf>,
    bytes_max: u64,
    open: Option<Spool>,
    /// Whether its failure was told already.
    told: bool,
}

/// Why a batch was not written.
enum Unwritten {
    /// The store takes nothing now.
    NotNow,
}

impl Task {
    /// A task that has not begun.
    pub fn new(records: Records, options: WriterOptions, queue: Arc<Queue>) -> Task {
        Task {
            records,
            _end: End(queue.clone()),
            queue,
            flush: options.flush,
            spool: Spooling {
                folder: options.spool,
                bytes_max: options.spool_bytes_max,
                open: None,
                told: false,
            },
            held: Vec::new(),
            waiters: Vec::new(),
            retry: None,
            closed: false,
        }
    }

    /// Works until the queue is closed and everything in it is safe.
    pub async fn run(mut self) {
        self.spool.adopt().await;
        self.look().await;
        let mut closing_until = None;
        loop {
            self.step().await;
            self.tell();
            if self.closed {
                let until = *closing_until.get_or_insert_with(|| Instant::now() + CLOSE_MAX);
                if self.held.is_empty() {
                    return;
                }
                if Instant::now() >= until {
                    error!(
                        entries = self.held.len(),
                        "{} records are lost at the end: neither the store nor the spool takes them",
                        self.held.len()
                    );
                    return;
                }
                tokio::time::sleep(BACKOFF_MIN).await;
                self.retry = None;
                continue;
            }
            self.wait().await;
        }
    }

    /// Waits until there is something to do. Cancel-safe: a notification that is not waited for stays.
    async fn wait(&self) {
        let retry = self.retry_at();
        tokio::select! {
            () = self.queue.now() => {}
            () = self.queue.something() => {
                // Others are about to come; they share its transaction.
                let _ = timeout(self.flush, self.queue.now()).await;
            }
            () = sleep_until(retry) => {}
        }
    }

    /// When the task has something to do of its own.
    fn retry_at(&self) -> Instant {
        let waits = !self.held.is_empty() || !self.spool.is_empty();
        let idle = || Instant::now() + if waits { Duration::ZERO } else { IDLE_MAX };
        self.retry.map_or_else(idle, |(at, _)| at)
    }

    fn may_try(&self) -> bool {
        self.retry.is_none_or(|(at, _)| Instant::now() >= at)
    }

    /// Takes what waits and makes it safe, as far as that goes.
    async fn step(&mut self) {
        let taken = self.queue.take();
        self.held.extend(taken.kept);
        self.held.extend(taken.loose);
        self.waiters.extend(taken.waiters);
        self.closed |= taken.closed;
        let cancelled = cancel_out(&mut self.held);
        self.queue.are_safe(cancelled);

        let idle = self.held.is_empty() && self.spool.is_empty() && self.waiters.is_empty() && !self.closed;
        if idle && self.may_try() {
            self.look().await;
        }
        // What came later is written later: while something is in the spool everything goes through it.
        if self.spool.is_empty() && self.may_try() {
            self.write_held().await;
        }
        if !self.held.is_empty() {
            self.spool_held().await;
        }
        if !self.spool.is_empty() && self.may_try() && !self.closed {
            self.drain().await;
        }
        if self.held.is_empty() {
            let drained = self.spool.is_empty() || self.retry.is_some();
            for waiter in self.waiters.extract_if(.., |w| drained || !w.drained) {
                let _ = waiter.safe.send(());
            }
        }
    }

    /// Asks the store whether it takes writes, so that it is known before a call has something to write.
    async fn look(&mut self) {
        let records = self.records.clone();
        match timeout(PATIENCE, records.check()).await {
            Ok(Ok(())) => self.succeeded(),
            Ok(Err(e)) => {
                self.failed(&e);
            }
            // Busy with somebody else's work perhaps; the next write tells.
            Err(_) => {}
        }
    }

    async fn write_held(&mut self) {
        while !self.held.is_empty() {
            let rest = self.held.split_off(self.held.len().min(BATCH_MAX));
            let batch = Arc::new(std::mem::replace(&mut self.held, rest));
            let kept = kept(&batch);
            if let Err(Unwritten::NotNow) = self.write(batch.clone()).await {
                let mut back = Arc::unwrap_or_clone(batch);
                back.append(&mut self.held);
                self.held = back;
                return;
            }
            self.queue.are_safe(kept);
        }
    }

    /// Writes a batch. When the store refuses it for what it says, its entries are tried one by one and the guilty put aside, so
    /// that one bad entry never holds up the rest.
    async fn write(&mut self, batch: Arc<Vec<Entry>>) -> Result<(), Unwritten> {
        match self.write_patiently(batch.clone()).await {
            Ok(()) => {
                self.succeeded();
                return Ok(());
            }
            Err(e) if e.is_transient() => return Err(self.failed(&e)),
            Err(_) => {}
        }
        for entry in batch.iter() {
            match self.records.write(std::slice::from_ref(entry)).await {
                Ok(()) => {}
                // What was written meanwhile is not written again when the batch is repeated.
                Err(e) if e.is_transient() => return Err(self.failed(&e)),
                Err(e) => self.refuse(entry, &e).await,
            }
        }
        self.succeeded();
        Ok(())
    }

    /// Asks the store to write. While it does not answer, as a server does that was stopped, what comes meanwhile goes to the spool,
    /// so that nobody waits for the store's timeout. It may come back before the batch that hangs: of attempts and calls the order
    /// means nothing, of what was learned an older value may win until it is learned again.
    async fn write_patiently(&mut self, batch: Arc<Vec<Entry>>) -> Result<(), StoreError> {
        let records = self.records.clone();
        let mut writing = Box::pin(records.write_shared(batch));
        let mut patience = PATIENCE;
        loop {
            match timeout(patience, &mut writing).await {
                Ok(done) => return done,
                Err(_) => {
                    self.spool_what_waits().await;
                    self.tell();
                    patience = self.flush;
                }
            }
        }
    }

    /// Moves what is in the queue into the spool, as far as that takes it.
    async fn spool_what_waits(&mut self) {
        if self.spool.folder.is_none() {
            return;
        }
        let mut taken = self.queue.take();
        self.closed |= taken.closed;
        let mut late = taken.kept;
        late.append(&mut taken.loose);
        self.queue.are_safe(cancel_out(&mut late));
        while !late.is_empty() {
            let rest = late.split_off(late.len().min(BATCH_MAX));
            let (mut batch, appended) = self.spool.append(std::mem::replace(&mut late, rest)).await;
            match appended {
                Ok(Appended { shed }) => {
                    self.queue.count_shed(shed);
                    self.queue.are_safe(kept(&batch));
                }
                Err(()) => {
                    self.held.append(&mut batch);
                    self.held.append(&mut late);
                    self.waiters.append(&mut taken.waiters);
                    return;
                }
            }
        }
        for waiter in taken.waiters {
            if waiter.drained {
                self.waiters.push(waiter);
            } else {
                let _ = waiter.safe.send(());
            }
        }
    }

    async fn refuse(&mut self, entry: &Entry, why: &StoreError) {
        self.queue.count_refused();
        let kept = self.spool.keep_refused(entry).await;
        error!(kept, "The store refuses a record of call `{}`: {why}", entry.subject());
    }

    fn succeeded(&mut self) {
        self.retry = None;
        if self.queue.tell_failing(None).is_some() {
            info!("The store takes records again");
        }
    }

    fn failed(&mut self, why: &StoreError) -> Unwritten {
        let wait = self.retry.map_or(BACKOFF_MIN, |(_, wait)| (wait * 2).min(BACKOFF_MAX));
        self.retry = Some((Instant::now() + wait, wait));
        if self.queue.tell_failing(Some(why.to_string())).is_none() {
            warn!("Records wait until the store takes them again: {why}");
        }
        Unwritten::NotNow
    }

    /// Moves what is held into the spool. When that fails what may be shed is shed, and the rest stays in memory.
    async fn spool_held(&mut self) {
        while !self.held.is_empty() {
            let rest = self.held.split_off(self.held.len().min(BATCH_MAX));
            let batch = std::mem::replace(&mut self.held, rest);
            let (batch, appended) = self.spool.append(batch).await;
            match appended {
                Ok(Appended { shed }) => {
                    self.queue.count_shed(shed);
                    self.queue.are_safe(kept(&batch));
                }
                Err(()) => {
                    let mut back = batch;
                    back.append(&mut self.held);
                    self.held = back;
                    let before = self.held.len();
                    self.held.retain(|entry| !entry.may_be_shed());
                    self.queue.count_shed((before - self.held.len()) as u64);
                    return;
                }
            }
        }
    }

    /// Writes what is in the spool, the oldest first, for a while.
    async fn drain(&mut self) {
        let begun = Instant::now();
        loop {
            let Some(batch) = self.spool.next().await else {
                // What cannot be read now is tried later.
                if !self.spool.is_empty() {
                    self.retry = Some((Instant::now() + BACKOFF_MAX, BACKOFF_MAX));
                }
                return;
            };
            if !batch.is_empty() {
                let Ok(()) = self.write(Arc::new(batch)).await else {
                    return;
                };
            }
            self.spool.advance().await;
            self.tell();
            if begun.elapsed() >= DRAIN_MAX {
                return;
            }
        }
    }

    fn tell(&self) {
        self.queue.tell(self.held.len(), self.spool.len());
    }
}

impl Spooling {
    /// Opens what an earlier run left, if anything.
    async fn adopt(&mut self) {
        if self.folder.as_ref().is_some_and(|folder| folder.exists()) {
            self.with(|_| Ok(())).await;
        }
        if !self.is_empty() {
            info!(
                entries = self.len(),
                "{} records of an earlier run wait in the spool",
                self.len()
            );
        }
    }

    fn is_empty(&self) -> bool {
        self.open.as_ref().is_none_or(Spool::is_empty)
    }

    fn len(&self) -> u64 {
        self.open.as_ref().map_or(0, Spool::len)
    }

    /// Does something with the spool where it may block, opening it first when that has not been done. `None`: there is no spool,
    /// or it failed.
    async fn with<T, F>(&mut self, work: F) -> Option<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Spool) -> std::io::Result<T> + Send + 'static,
    {
        let folder = self.folder.clone()?;
        let (open, bytes_max) = (self.open.take(), self.bytes_max);
        let blocking = move || {
            let mut spool = match open {
                Some(spool) => spool,
                None => match Spool::open(&folder, bytes_max) {
                    Ok(spool) => spool,
                    Err(e) => return (None, Err(e)),
                },
            };
            let done = work(&mut spool);
            (Some(spool), done)
        };
        let (open, done) = tokio::task::spawn_blocking(blocking).await.ok()?;
        self.open = open;
        match done {
            Ok(value) => {
                self.told = false;
                Some(value)
            }
            Err(e) => {
                if !std::mem::replace(&mut self.told, true) {
                    error!("The spool takes no records, they wait in memory: {e}");
                }
                None
            }
        }
    }

    /// Appends and syncs a batch; gives it back in either case.
    async fn append(&mut self, batch: Vec<Entry>) -> (Vec<Entry>, Result<Appended, ()>) {
        let batch = Arc::new(batch);
        let shared = batch.clone();
        let appended = self.with(move |spool| spool.append(&shared)).await;
        (Arc::unwrap_or_clone(batch), appended.ok_or(()))
    }

    /// The next entries to drain; `None` when there are no more.
    async fn next(&mut self) -> Option<Vec<Entry>> {
        self.with(|spool| spool.next(BATCH_MAX)).await.flatten()
    }

    async fn advance(&mut self) {
        self.with(|spool| spool.advance()).await;
    }

    /// Whether it could be kept.
    async fn keep_refused(&mut self, entry: &Entry) -> bool {
        let entry = entry.clone();
        self.with(move |spool| spool.keep_refused(&entry)).await.is_some()
    }
}

/// Entries of a batch that must not be shed.
fn kept(batch: &[Entry]) -> usize {
    batch.iter().filter(|entry| !entry.may_be_shed()).count()
}

/// Leaves out reservations whose end is in the same batch. Returns how many.
fn cancel_out(batch: &mut Vec<Entry>) -> usize {
    if !batch.iter().any(|entry| matches!(entry, Entry::Reserved(_))) {
        return 0;
    }
    let before = batch.len();
    let settled: FxHashSet<(&str, u32)> = batch.iter().filter_map(settles).collect();
    let over: Vec<bool> = batch
        .iter()
        .map(|entry| reserves(entry).is_some_and(|it| settled.contains(&it)))
        .collect();
    let mut over = over.into_iter();
    batch.retain(|_| over.next() != Some(true));
    before - batch.len()
}

/// The attempt that an entry holds money for.
fn reserves(entry: &Entry) -> Option<(&str, u32)> {
    match entry {
        Entry::Reserved(held) => Some((&held.call, held.attempt)),
        Entry::Settled(_) | Entry::Call(_) | Entry::Payload(_) | Entry::Response(_) | Entry::Learned { .. } => None,
    }
}

/// The attempt that an entry settles.
fn settles(entry: &Entry) -> Option<(&str, u32)> {
    match entry {
        Entry::Settled(attempt) => Some((&attempt.call, attempt.attempt)),
        Entry::Reserved(_) | Entry::Call(_) | Entry::Payload(_) | Entry::Response(_) | Entry::Learned { .. } => None,
    }
}
