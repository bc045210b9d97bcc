//! The clocks of one connection: idle, a head that does not come, an answer that is not taken.
//!
//! hyper waits for ever for a first byte and for a socket to become writable, and takes a connection that rests between two
//! calls for one whose head is slow. So the clocks run here, below it: they know from [`Busy`] whether a call is under way,
//! during which a silent client is just waiting.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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
#[derive(Debug, Clone, Default)]
pub struct Busy(Arc<AtomicUsize>);

/// A call under way; over when dropped.
#[derive(Debug)]
pub struct BusyCall(Busy);

impl Busy {
    /// A call begins.
    pub fn begin(&self) -> BusyCall {
        self.0.fetch_add(1, Ordering::Relaxed);
        BusyCall(self.clone())
    }

    fn is_busy(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

impl Drop for BusyCall {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection with clocks.
pub struct ConnectionGuard<IO> {
    io: IO,
    patience: Patience,
    busy: Busy,
    waiting: Waiting,
    /// Rings at the earliest of what was waited for when it was set; whether that still holds is looked at then, so that a
    /// busy connection does not move a timer at every call.
    alarm: Option<Pin<Box<Sleep>>>,
    stalled: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Waiting {
    /// For the rest of a head that began then.
    Head(Instant),
    /// For the next call, since then.
    Idle(Instant),
    /// For nothing: a call is under way.
    Call,
}

impl<IO> ConnectionGuard<IO> {
    /// Guards a connection just accepted.
    pub fn new(io: IO, patience: Patience, busy: Busy) -> ConnectionGuard<IO> {
        let waiting = Waiting::Head(Instant::now());
        ConnectionGuard {
            io,
            patience,
            busy,
            waiting,
            alarm: None,
            stalled: None,
        }
    }

    /// Nothing could be read: fails when it was waited for long enough.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            self.waiting = match (self.busy.is_busy(), self.waiting) {
                (true, _) => Waiting::Call,
                (false, Waiting::Call) => Waiting::Idle(Instant::now()),
                (false, waiting) => waiting,
            };
            let (deadline, what) = match self.waiting {
                Waiting::Call => return Poll::Pending,
                Waiting::Head(since) => (since + self.patience.head, "no request came in time"),
                Waiting::Idle(since) => (since + self.patience.idle, "the connection was idle"),
            };
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            if alarm.deadline() > deadline {
                alarm.as_mut().reset(deadline);
            }
            ready!(alarm.as_mut().poll(cx));
            if Instant::now() >= deadline {
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
                if !matches!(this.waiting, Waiting::Head(_)) && !this.busy.is_busy() {
                    this.waiting = Waiting::Head(Instant::now());
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
