//! Answers that are kept and given again: to the same request, and to the same question in other words.
//!
//! A call whose route caches carries a [`ticket::Ticket`]: it looks for an answer before anything is tried, waits for an equal call
//! under way, gathers what the providers say, and keeps it when the call has ended well. What may be kept, and for how long it is
//! worth something, is `policy::cacheability`'s; where it is kept is `store::shared`'s. Read [`serve()`] first.

pub mod embed;
pub mod flight;
pub mod key;
pub mod metrics;
pub mod replay;
pub mod semantic;
pub mod stored;
pub mod ticket;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use store::shared::Shared;
use wire::request::BadRequest;

use crate::cache::flight::Flights;
use crate::cache::key::Key;
use crate::cache::metrics::CacheMetrics;
use crate::cache::semantic::Questions;
use crate::cache::stored::Stored;
use crate::cache::ticket::Recalled;
use crate::engine::drive::drive;
use crate::engine::output::Output;
use crate::engine::run::Run;
use crate::ingress::reply::Refusal;

/// Work on more bytes than this takes longer than the runtime may be kept from other calls: it goes to a thread of its own.
const INLINE_BYTES_MAX: usize = 64 * 1024;

/// The caches of a gateway.
#[derive(Debug)]
pub struct Caches {
    shared: Shared,
    flights: Arc<Flights>,
    questions: Arc<Questions>,
    metrics: CacheMetrics,
    bytes_max: AtomicU64,
}

/// What a client wishes with `x-jumpseat-cache`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wish {
    /// Nothing: as the route says.
    #[default]
    Usual,
    /// Neither looked up nor kept.
    Off,
    /// Not looked up; the new answer replaces the kept one.
    Refresh,
    /// A kept answer or none.
    Only,
}

/// What a given answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// As good as new.
    Hit,
    /// Older than it should be: nothing else could be had.
    Stale,
}

/// A kept answer for a call.
#[derive(Debug, Clone)]
pub struct Found {
    /// The answer.
    pub stored: Arc<Stored>,
    /// What it is.
    pub status: Status,
    /// How long ago it was kept.
    pub age: Duration,
    /// About how many bytes it has.
    pub bytes: usize,
    /// How alike the question is that it was given to, when that was asked in other words.
    pub similarity: Option<f32>,
}

impl Status {
    /// As headers, logs and records write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Hit => "hit",
            Status::Stale => "stale",
        }
    }
}

impl Wish {
    /// Reads `x-jumpseat-cache`.
    pub fn of(headers: &HeaderMap) -> Result<Wish, BadRequest> {
        let Some(value) = headers.get("x-jumpseat-cache") else {
            return Ok(Wish::Usual);
        };
        match value.to_str().unwrap_or_default().trim() {
            "off" => Ok(Wish::Off),
            "only" => Ok(Wish::Only),
            "refresh" => Ok(Wish::Refresh),
            other => Err(BadRequest {
                message: format!(
                    "`x-jumpseat-cache: {}` is none of `off`, `only` and `refresh`",
                    other.chars().take(32).collect::<String>()
                ),
                param: None,
                code: Some("invalid_header"),
            }),
        }
    }
}

impl Caches {
    /// Caches that keep their answers there.
    pub fn new(shared: Shared, metrics: CacheMetrics) -> Arc<Caches> {
        Arc::new(Caches {
            shared,
            flights: Arc::default(),
            questions: Arc::default(),
            metrics,
            bytes_max: AtomicU64::new(0),
        })
    }

    /// Bounds what is kept in this process.
    fn bound(&self, bytes_max: u64) {
        if self.bytes_max.swap(bytes_max, Ordering::Relaxed) != bytes_max {
            self.shared.set_cache_bytes_max(bytes_max);
        }
    }

    /// What is kept under a key, and how old it is.
    async fn get(&self, key: &Key) -> Option<(Arc<Stored>, Duration, usize)> {
        let (bytes, age) = self.shared.cache_get(key.as_str()).await?;
        let length = bytes.len();
        let stored = aside(length, move || Stored::read(&bytes)).await??;
        Some((Arc::new(stored), age, length))
    }

    async fn put(&self, key: &Key, stored: &Arc<Stored>, about_bytes: usize, keep: Duration) -> usize {
        let stored = stored.clone();
        let Some(written) = aside(about_bytes, move || Bytes::from(stored.write())).await else {
            return 0;
        };
        let length = written.len();
        self.shared.cache_put(key.as_str(), written, keep).await;
        if let Some(held) = self.shared.cache_held() {
            self.metrics.held(held);
        }
        length
    }
}

/// Runs work on so many bytes where it keeps no other call waiting. `None` when the runtime is going down.
pub(crate) async fn aside<T: Send + 'static>(bytes: usize, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    if bytes <= INLINE_BYTES_MAX {
        return Some(work());
    }
    // Who waits here owns it; left alone, it ends by itself within milliseconds.
    tokio::task::spawn_blocking(work).await.ok()
}

/// Runs a call to its end: a kept answer, an equal call's, or its own.
pub async fn serve(mut run: Box<Run>, output: Output) {
    // What few calls wait for is not part of every call's future.
    if !run.may_recall() {
        return drive(run, output).await;
    }
    match Box::pin(run.recall()).await {
        Recalled::Found(found) => Box::pin(run.answer_from(*found, &output)).await,
        Recalled::Missed(_) => drive(run, output).await,
        Recalled::Stopped => Box::pin(run.shut_down(&output)).await,
    }
}

/// The refusal of a call that wanted a kept answer and nothing else.
pub fn not_cached() -> Box<Refusal> {
    let complaint = BadRequest {
        message: "no answer to this request is kept, and `x-jumpseat-cache: only` asks for no other".to_owned(),
        param: None,
        code: Some("not_cached"),
    };
    // What HTTP answers to `only-if-cached`.
    Refusal::new(StatusCode::GATEWAY_TIMEOUT, complaint)
}
