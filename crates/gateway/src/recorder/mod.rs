//! Remembers calls when they are over: their facts always, where there is a store; their texts as the configuration says.
//!
//! Nothing here delays a call. Facts are handed to the store's writer; texts go to a thread of their own, which redacts them before
//! anybody keeps them, through a queue that sheds and counts at its limit. Begin at [`Recorder::call`].

pub mod forget;
pub mod metrics;
pub mod redact;
pub mod texts;
pub mod wish;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use store::records::entry::Entry;
use store::records::writer::Writer;
use tracing::warn;
use types::record::{CallRecord, Payload};
use types::time::UnixMillis;

use crate::fleet::memory::lock;
use crate::recorder::metrics::RecorderMetrics;
use crate::recorder::texts::Texts;
use crate::recorder::wish::Wish;
use crate::telemetry::otlp::Otlp;
use crate::telemetry::otlp::span::{CallEnd, Trace};

/// Calls whose texts may wait to be redacted. Their requests are within the memory for bodies, their answers within
/// `record.bytes_max` each.
const WAITING_MAX: usize = 256;
/// How long a flush waits for texts that are being redacted.
const FLUSH_WAIT: Duration = Duration::from_secs(5);

/// Remembers calls. Cheap to clone.
#[derive(Clone, Default)]
pub struct Recorder {
    writer: Option<Writer>,
    strict: bool,
    texts: Option<SyncSender<Job>>,
    otlp: Option<Arc<Otlp>>,
    metrics: RecorderMetrics,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

enum Job {
    Keep(Box<Waiting>),
    /// Answer when everything before is written.
    Flush(SyncSender<()>),
}

/// A call's texts on their way to the store.
struct Waiting {
    call: String,
    at: UnixMillis,
    tenant: Option<String>,
    texts: Texts,
}

impl Recorder {
    /// One that writes to the store and tells the collector, as far as there are any. `strict`: an answer ends only when its call is
    /// safe.
    pub fn start(writer: Option<Writer>, strict: bool, otlp: Option<Arc<Otlp>>, metrics: RecorderMetrics) -> Recorder {
        let mut recorder = Recorder {
            strict: strict && writer.is_some(),
            otlp,
            metrics,
            ..Recorder::default()
        };
        if let Some(writer) = writer {
            let (sender, queue) = sync_channel(WAITING_MAX);
            let (to, metrics) = (writer.clone(), recorder.metrics.clone());
            let thread = std::thread::Builder::new()
                .name("redactor".into())
                .spawn(move || keep_texts(&queue, &to, &metrics))
                .expect("a thread can be started at start-up");
            recorder.thread = Arc::new(Mutex::new(Some(thread)));
            recorder.texts = Some(sender);
            recorder.writer = Some(writer);
        }
        recorder
    }

    /// Whether calls' texts have anywhere to go.
    pub fn keeps(&self) -> bool {
        self.writer.is_some()
    }

    /// Whether anybody wants to know of calls.
    pub fn is_on(&self) -> bool {
        self.writer.is_some() || self.otlp.is_some()
    }

    /// Whether anybody wants to know of a call's attempts (the ledger has them from elsewhere).
    pub fn wants_attempts(&self) -> bool {
        self.otlp.is_some()
    }

    /// Whether an answer waits for [`Recorder::durable`] before it ends.
    pub fn is_strict(&self) -> bool {
        self.strict
    }

    /// Writes entries and resolves when they, and everything written before, are safe: for `durability: strict`.
    pub async fn durable(&self, entries: Vec<Entry>) {
        let Some(writer) = self.writer.as_ref().filter(|_| self.strict) else {
            return;
        };
        match entries.is_empty() {
            true => writer.flush().await,
            false => writer.write_durably(entries).await,
        }
    }

    /// A call is over. `texts` are what it was asked to keep, when it is one whose texts are kept.
    pub fn call(&self, end: CallEnd, trace: Option<&Trace>, texts: Option<Texts>) {
        if let Some(texts) = texts {
            self.keep(&end.record, texts);
        }
        if let Some(otlp) = &self.otlp {
            otlp.call(&end, trace);
        }
        if let Some(writer) = &self.writer {
            writer.write(Entry::Call(Box::new(end.record)));
        }
    }

    fn keep(&self, record: &CallRecord, texts: Texts) {
        let Some(queue) = &self.texts else { return };
        let waiting = Waiting {
            call: record.id.clone(),
            at: record.at,
            tenant: record.tenant.clone(),
            texts,
        };
        if queue.try_send(Job::Keep(Box::new(waiting))).is_err() {
            self.metrics.payloads_shed.inc();
        }
    }

    /// Returns when the texts given so far are with the writer, or after a few seconds. It blocks: for the end of the program.
    pub fn flush(&self) {
        let Some(queue) = &self.texts else { return };
        let (done, wait) = sync_channel(1);
        let mut job = Job::Flush(done);
        // As long as the queue is full its thread is at work.
        for _ in 0..500 {
            match queue.try_send(job) {
                Ok(()) => break,
                Err(TrySendError::Full(unsent)) => job = unsent,
                Err(TrySendError::Disconnected(_)) => return,
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = wait.recv_timeout(FLUSH_WAIT);
    }

    /// Waits for the thread to end. Only after every other clone is gone.
    pub fn join(self) {
        let thread = lock(&self.thread).take();
        drop(self);
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

fn keep_texts(queue: &Receiver<Job>, writer: &Writer, metrics: &RecorderMetrics) {
    while let Ok(job) = queue.recv() {
        match job {
            Job::Keep(waiting) => {
                // A text that the redactor cannot take is lost alone: it is the one thing that must not be kept as it is.
                let Ok(payload) = catch_unwind(AssertUnwindSafe(|| payload(*waiting))) else {
                    warn!("The texts of a call could not be redacted, and are not kept");
                    continue;
                };
                metrics.payloads_kept.inc();
                if payload.redacted {
                    metrics.payloads_redacted.inc();
                }
                writer.write(Entry::Payload(Box::new(payload)));
            }
            Job::Flush(done) => {
                let _ = done.send(());
            }
        }
    }
}

fn payload(waiting: Waiting) -> Payload {
    let Wish {
        redactor, bytes_max, ..
    } = waiting.texts.wish;
    let request = redactor.redact(&waiting.texts.request);
    let response = match waiting.texts.cut {
        true => redactor.redact_cut(&waiting.texts.response),
        false => redactor.redact(&waiting.texts.response),
    };
    let redacted = request.changed || response.changed;
    let (request, request_cut) = bounded(request.text, bytes_max);
    let (response, response_cut) = bounded(response.text, bytes_max);
    Payload {
        call: waiting.call,
        at: waiting.at,
        tenant: waiting.tenant,
        request,
        response,
        redacted,
        truncated: request_cut || response_cut || waiting.texts.cut,
    }
}

/// The first so many bytes. After the redaction, so that nothing is cut before it was known.
fn bounded(mut text: String, bytes_max: usize) -> (String, bool) {
    if text.len() <= bytes_max {
        return (text, false);
    }
    let mut end = bytes_max;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    (text, true)
}
