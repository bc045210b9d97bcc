//! The clocks of one connection: idle, a head that does not come, an answer that is not taken.
//!
//! hyper waits for ever for a first byte and for a socket to become writable, and takes a connection that rests between two
//! calls for one whose head is slow. So the clocks run here, below it: they know from [`Busy`] whether a call is under way,
//! during which a silent client is just waiting.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// How long a connection may rest in each of its states.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From a request's first byte (or the connection's start) to the end of its head.
    pub head: Duration,
    /// Between two calls.
    pub idle: Duration,
    /// Without a byte of the answer being taken.
    pub write: Duration,
}

/// Calls under way on a connection.
#[derive(Debug, Clone)]
pub struct Busy(Arc<Calls>);

#[derive(Debug)]
struct Calls {
    under_way: AtomicUsize,
    origin: Instant,
    /// Milliseconds from `origin` to the end of the last call.
    last_end_ms: AtomicU64,
    /// HTTP/2 talks between calls too: a byte is no sign of a head to come.
    multiplexed: AtomicBool,
}

/// A call under way; over when dropped.
#[derive(Debug)]
pub struct BusyCall(Busy);

impl Busy {
    /// A connection that begins now.
    pub fn new() -> Busy {
        Busy(Arc::new(Calls {
            under_way: AtomicUsize::new(0),
            origin: Instant::now(),
            last_end_ms: AtomicU64::new(0),
            multiplexed: AtomicBool::new(false),
        }))
    }

    /// A call begins.
    pub fn begin(&self, version: http::Version) -> BusyCall {
        if version == http::Version::HTTP_2 {
            self.0.multiplexed.store(true, Ordering::Relaxed);
        }
        self.0.under_way.fetch_add(1, Ordering::Relaxed);
        BusyCall(self.clone())
    }

    fn is_busy(&self) -> bool {
        self.0.under_way.load(Ordering::Relaxed) > 0
    }

    fn is_multiplexed(&self) -> bool {
        self.0.multiplexed.load(Ordering::Relaxed)
    }

    fn last_end(&self) -> Instant {
        self.0.origin + Duration::from_millis(self.0.last_end_ms.load(Ordering::Relaxed))
    }
}

impl Default for Busy {
    fn default() -> Busy {
        Busy::new()
    }
}

impl Drop for BusyCall {
    fn drop(&mut self) {
        let calls = &self.0.0;
        calls
            .last_end_ms
            .store(calls.origin.elapsed().as_millis() as u64, Ordering::Relaxed);
        calls.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection with clocks.
pub struct ConnectionGuard<IO> {
    io: IO,
    patience: Patience,
    busy: Busy,
    /// When the head that is being read began; `None` between heads.
    head_since: Option<Instant>,
    /// Rings at the earliest of what was waited for when it was set; whether that still holds is looked at then, so that a
    /// busy connection does not move a timer at every call.
    alarm: Option<Pin<Box<Sleep>>>,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<IO> ConnectionGuard<IO> {
    /// Guards a connection just accepted.
    pub fn new(io: IO, patience: Patience, busy: Busy) -> ConnectionGuard<IO> {
        ConnectionGuard {
            io,
            patience,
            busy,
            head_since: Some(Instant::now()),
            alarm: None,
            stalled: None,
        }
    }

    /// Nothing could be read: fails when it was waited for long enough.
    ///
    /// A busy connection is looked at again too: hyper, which knows that the socket will wake it, does not ask again when the
    /// call is over, so that only the alarm tells that the connection rests.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            let busy = self.busy.is_busy();
            if busy {
                self.head_since = None;
            }
            let (deadline, what) = match self.head_since {
                Some(since) => (since + self.patience.head, "no request came in time"),
                None if busy => (Instant::now() + self.patience.idle, "a call is under way"),
                None => (self.busy.last_end() + self.patience.idle, "the connection was idle"),
            };
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            if alarm.deadline() > deadline {
                alarm.as_mut().reset(deadline);
            }
            ready!(alarm.as_mut().poll(cx));
            if !busy && Instant::now() >= deadline {
                return Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, what));
            }
            alarm.as_mut().reset(deadline);
        }
    }

    /// A pending write starts the clock; progress stops it.
    fn watch<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let patience = self.patience.write;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(stalled.as_mut().poll(cx));
        stalled.as_mut().reset(Instant::now() + patience);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes no data")))
    }
}

impl<IO: Read + Unpin> Read for ConnectionGuard<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        match Pin::new(&mut this.io).poll_read(cx, buf) {
            Poll::Ready(read) => {
                if !this.busy.is_busy() && !this.busy.is_multiplexed() {
                    this.head_since.get_or_insert_with(Instant::now);
                }
                Poll::Ready(read)
            }
            Poll::Pending => this.wait(cx).map(Err),
        }
    }
}

impl<IO: Write + Unpin> Write for ConnectionGuard<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.watch(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.watch(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.watch(cx, written)
    }
}
