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
    let mut gathered = Gathered::expecting(expected);
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
        gathered.add(data);
    }
    Ok((gathered.whole(), permit))
}

/// Pieces of a body in few copies and little slack: a buffer that doubled would take twice the body, and a list of the pieces
/// as they come would take more than the body where they are tiny.
struct Gathered {
    blocks: Vec<Bytes>,
    tail: BytesMut,
    expected: usize,
    block: usize,
}

/// Bodies announced as no longer than this are read into one buffer of their length.
const ONE_BUFFER_MAX: usize = 1024 * 1024;
/// Longer ones, and those whose length is not told, into blocks of this.
const BLOCK_BYTES: usize = 256 * 1024;

impl Gathered {
    fn expecting(bytes: u64) -> Gathered {
        let expected = usize::try_from(bytes).unwrap_or(usize::MAX);
        let block = if (1..=ONE_BUFFER_MAX).contains(&expected) {
            expected
        } else {
            BLOCK_BYTES
        };
        Gathered {
            blocks: Vec::new(),
            tail: BytesMut::new(),
            expected,
            block,
        }
    }

    fn add(&mut self, data: Bytes) {
        if self.blocks.is_empty() && self.tail.is_empty() && data.len() >= self.expected.max(1) {
            // Most bodies come in one piece, which is then not copied.
            return self.blocks.push(data);
        }
        if self.tail.len() + data.len() > self.tail.capacity() {
            if !self.tail.is_empty() {
                self.blocks.push(std::mem::take(&mut self.tail).freeze());
            }
            self.tail.reserve(self.block.max(data.len()));
        }
        self.tail.extend_from_slice(&data);
    }

    fn whole(mut self) -> Bytes {
        if !self.tail.is_empty() {
            self.blocks.push(self.tail.freeze());
        }
        match self.blocks.len() {
            1 => self.blocks.swap_remove(0),
            _ => self.blocks.concat().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_the_same_in_however_many_pieces_it_comes() {
        let body: Bytes = (0..700_000u32).map(|n| n as u8).collect::<Vec<u8>>().into();
        for announced in [0, 700_000] {
            for piece in [1, 1_000, 300_000, 699_999, 700_000] {
                let mut gathered = Gathered::expecting(announced);
                for start in (0..body.len()).step_by(piece) {
                    gathered.add(body.slice(start..body.len().min(start + piece)));
                }
                assert!(gathered.whole() == body, "{announced} announced, pieces of {piece}");
            }
        }
        assert_eq!(Gathered::expecting(0).whole(), Bytes::new());
    }
}
