//! What a call says downstream, handed from the engine's loop to hyper without a task or a channel between them.
//!
//! The loop is a future owned by the response's body: when hyper wants the next frame, the body polls the loop, and
//! the loop leaves at most one part in the slot. So a client that does not read stops the loop (and with it the
//! upstream read), and a client that leaves drops the loop, which cancels the attempt.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::response::Parts;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

/// A pause in the client's reading that is worth telling the stream's clocks.
const PAUSE_MIN: Duration = Duration::from_millis(500);

/// While an answer whose headers went out early waits for its commit, the client is sent a comment this often: below
/// the 30 s after which the most impatient load balancers cut a silent connection.
const COMMENT_INTERVAL: Duration = Duration::from_secs(15);

/// What a client is sent while it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// A comment, which readers of server-sent events skip.
    Comment,
    /// Empty lines: Google's SDKs take a comment for a broken chunk and skip these.
    EmptyLines,
}

impl Waiting {
    fn bytes(self) -> &'static [u8] {
        match self {
            Waiting::Comment => b": waiting\n\n",
            Waiting::EmptyLines => b"\n\n",
        }
    }
}

/// One part of an answer.
#[derive(Debug)]
pub enum Part {
    /// Status and headers; always first, exactly once.
    Head(Box<Parts>),
    /// A piece of the body.
    Data(Bytes),
}

#[derive(Debug, Default)]
struct Slot {
    part: Option<Part>,
    client_paused: bool,
}

/// The loop's end of the slot.
#[derive(Debug, Clone, Default)]
pub struct Output(Arc<Mutex<Slot>>);

impl Output {
    fn slot(&self) -> std::sync::MutexGuard<'_, Slot> {
        // A panic while the slot is held leaves it whole: it is only ever moved in and out of.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves a part for the client; waits while the one before it has not been taken.
    pub async fn send(&self, part: Part) {
        let mut part = Some(part);
        poll_fn(|_| {
            let mut slot = self.slot();
            if slot.part.is_some() {
                // No waker to keep: the body polls the loop again whenever hyper asks for more.
                return Poll::Pending;
            }
            slot.part = part.take();
            Poll::Ready(())
        })
        .await;
    }

    /// The part that waits, if any.
    pub fn take(&self) -> Option<Part> {
        self.slot().part.take()
    }

    /// Whether the client stopped reading for a while since this was last asked.
    pub fn take_client_paused(&self) -> bool {
        std::mem::take(&mut self.slot().client_paused)
    }
}

/// The engine's loop as it runs behind an answer.
pub type Loop = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs the loop until it leaves the head of the answer. `None` when the loop ended without one, which it never does
/// unless it was told to stop.
pub async fn head(run: &mut Loop, output: &Output) -> Option<Box<Parts>> {
    poll_fn(|cx| {
        let ended = run.as_mut().poll(cx).is_ready();
        match output.take() {
            Some(Part::Head(parts)) => Poll::Ready(Some(parts)),
            Some(Part::Data(_)) => unreachable!("the head is always sent before any data"),
            None if ended => Poll::Ready(None),
            None => Poll::Pending,
        }
    })
    .await
}

/// The body of a streamed answer: polls the loop for its next part.
pub struct RunningBody {
    run: Option<Loop>,
    output: Output,
    last_given: Option<Instant>,
    /// Runs until the first part, when headers went out before the commit.
    comment: Option<Pin<Box<Sleep>>>,
    waiting: Waiting,
}

impl std::fmt::Debug for RunningBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunningBody")
            .field("over", &self.run.is_none())
            .finish()
    }
}

impl RunningBody {
    /// A body that goes on with `run` after its head was taken.
    pub fn new(run: Loop, output: Output) -> RunningBody {
        RunningBody {
            run: Some(run),
            output,
            last_given: None,
            comment: None,
            waiting: Waiting::Comment,
        }
    }

    /// A body whose headers were sent before the commit: comments, or what the client skips as well, keep the connection open
    /// until then.
    pub fn early(run: Loop, output: Output, waiting: Waiting) -> RunningBody {
        RunningBody {
            waiting,
            comment: Some(Box::pin(sleep(COMMENT_INTERVAL))),
            ..RunningBody::new(run, output)
        }
    }

    fn poll_comment(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(comment) = &mut self.comment else {
            return Poll::Pending;
        };
        ready!(comment.as_mut().poll(cx));
        comment.as_mut().reset(Instant::now() + COMMENT_INTERVAL);
        Poll::Ready(())
    }
}

impl Body for RunningBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        // Between giving a frame and being asked for the next, hyper was writing. If that took long, the client was
        // slow, and the silence of that time was not the provider's.
        if let Some(given) = this.last_given.take()
            && given.elapsed() > PAUSE_MIN
        {
            this.output.slot().client_paused = true;
        }
        if let Some(run) = &mut this.run
            && run.as_mut().poll(cx).is_ready()
        {
            this.run = None;
        }
        match this.output.take() {
            Some(Part::Data(bytes)) => {
                this.last_given = Some(Instant::now());
                this.comment = None;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Some(Part::Head(_)) => unreachable!("the head is sent once and was taken before the body was made"),
            None if this.run.is_none() => Poll::Ready(None),
            None => {
                let bytes = this.waiting.bytes();
                let wait = this.poll_comment(cx);
                wait.map(|()| Some(Ok(Frame::data(Bytes::from_static(bytes)))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.run.is_none() && self.output.slot().part.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// Runs the loop to its end and gives the body it left: for answers that are sent whole.
pub async fn whole(mut run: Loop, output: &Output) -> Bytes {
    let mut pieces: Vec<Bytes> = Vec::with_capacity(1);
    poll_fn(|cx| {
        loop {
            let ended = run.as_mut().poll(cx).is_ready();
            match output.take() {
                Some(Part::Data(bytes)) => pieces.push(bytes),
                Some(Part::Head(_)) => unreachable!("the head was taken before the body is asked for"),
                None if !ended => return Poll::Pending,
                None => return Poll::Ready(()),
            }
            if ended {
                return Poll::Ready(());
            }
        }
    })
    .await;
    match pieces.len() {
        1 => pieces.swap_remove(0),
        _ => pieces.concat().into(),
    }
}
