//! Reading request bodies within limits: size, pace, and the memory all of them together may take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::{Instant, timeout_at};

/// A body that has not ended after this long must have kept the pace.
const PACE_GRACE: Duration = Duration::from_secs(10);

/// The memory for request bodies, shared by all calls.
#[derive(Debug)]
pub struct BodyBudget {
    held: AtomicU64,
    bytes_max: u64,
}

/// A body's share of the memory; given back when dropped.
#[derive(Debug)]
pub struct BodyPermit {
    budget: Arc<BodyBudget>,
    bytes: u64,
}

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// 413.
    #[error("the request body is longer than the {limit} bytes allowed (`server.body_max`)")]
    TooLong {
        /// The limit.
        limit: u64,
    },
    /// 408.
    #[error("the request body came too slowly")]
    TooSlow,
    /// 503: at the cap further calls are shed until others end.
    #[error("too many request bodies are in memory (`server.bodies_in_flight_max`); try again shortly")]
    NoMemory,
    /// 400: the client broke off, or sent no valid body.
    #[error("the request body ended before it was complete")]
    Broken,
}

impl BodyBudget {
    /// A budget of `bytes_max`.
    pub fn new(bytes_max: u64) -> Arc<BodyBudget> {
        Arc::new(BodyBudget {
            held: AtomicU64::new(0),
            bytes_max,
        })
    }

    /// Bytes held now.
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }
}

impl BodyPermit {
    /// A share without bytes.
    pub fn empty(budget: &Arc<BodyBudget>) -> BodyPermit {
        BodyPermit {
            budget: budget.clone(),
            bytes: 0,
        }
    }

    /// Takes room for more bytes.
    pub fn grow(&mut self, bytes: u64) -> Result<(), BodyError> {
        let held = self.budget.held.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.bytes += bytes;
        if held > self.budget.bytes_max {
            Err(BodyError::NoMemory)
        } else {
            Ok(())
        }
    }
}

impl Drop for BodyPermit {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Reads a body whole, holding no more than `limit` bytes of it at any time. Slower than `pace` bytes a second is an
/// attack, or a line on which no call could succeed.
pub async fn read(
    mut body: Incoming,
    limit: u64,
    pace: u64,
    budget: &Arc<BodyBudget>,
) -> Result<(Bytes, BodyPermit), BodyError> {
    let mut permit = BodyPermit::empty(budget);
    let expected = body.size_hint().lower();
    if expected > limit {
        return Err(BodyError::TooLong { limit });
    }
    let begun = Instant::now();
    let mut read = 0u64;
    let mut first: Option<Bytes> = None;
    let mut joined = BytesMut::new();
    loop {
        // Each frame pushes the deadline back by what it brought: a steady slow client may finish, a dripping one not.
        let deadline = begun + PACE_GRACE + Duration::from_secs(read / pace.max(1));
        let frame = match timeout_at(deadline, body.frame()).await {
            Err(_) => return Err(BodyError::TooSlow),
            Ok(None) => break,
            Ok(Some(Err(_))) => return Err(BodyError::Broken),
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(data) = frame.into_data() else { continue };
        read += data.len() as u64;
        if read > limit {
            return Err(BodyError::TooLong { limit });
        }
        permit.grow(data.len() as u64)?;
        match (&first, joined.is_empty()) {
            // Most bodies come in one piece, which is then not copied.
            (None, true) => first = Some(data),
            _ => {
                if let Some(first) = first.take() {
                    joined.reserve(first.len() + data.len());
                    joined.extend_from_slice(&first);
                }
                joined.extend_from_slice(&data);
            }
        }
    }
    Ok((first.unwrap_or_else(|| joined.freeze()), permit))
}
