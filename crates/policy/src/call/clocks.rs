//! The clocks of one attempt: connect, first token, idle, content idle. They only say when; the call decides what
//! follows.
//!
//! Idle clocks start with the first content: before it `first_token` rules, else a reasoning model that thinks in
//! silence would be cut long before its own limit.

use types::time::Mono;

use crate::route::Timeouts;

/// Why the call wants to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimeoutReason {
    /// The call's deadline, or the time within which its client wants the commit.
    Deadline,
    /// The tier's total.
    Total,
    /// The longest a stream may run after its commit.
    StreamMax,
    /// No connection.
    Connect,
    /// No content yet.
    FirstToken,
    /// No byte for too long.
    Idle,
    /// No content for too long.
    ContentIdle,
    /// The wait before a retry is over.
    Backoff,
}

/// The clocks of one attempt; `None` is not running.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clocks {
    connect: Option<Mono>,
    first_token: Option<Mono>,
    idle: Option<Mono>,
    content_idle: Option<Mono>,
    /// Content has come: idle clocks run, unless paused.
    flowing: bool,
    paused: bool,
}

impl Clocks {
    /// The clocks of an attempt that starts now. Unary answers have no first token.
    pub fn start(timeouts: &Timeouts, stream: bool, reasoning: bool, now: Mono) -> Clocks {
        Clocks {
            connect: Some(now + timeouts.connect),
            first_token: stream.then(|| now + timeouts.first_token(reasoning)),
            ..Clocks::default()
        }
    }

    /// The connection stands. Whether that is news.
    pub fn connected(&mut self) -> bool {
        self.connect.take().is_some()
    }

    /// Whether it is still unknown if there will be a connection.
    pub fn connecting(&self) -> bool {
        self.connect.is_some()
    }

    /// Any byte came.
    pub fn alive(&mut self, timeouts: &Timeouts, now: Mono) {
        if self.flowing && !self.paused {
            self.idle = Some(now + timeouts.idle);
        }
    }

    /// Content came.
    pub fn content(&mut self, timeouts: &Timeouts, now: Mono) {
        self.first_token = None;
        self.flowing = true;
        self.alive(timeouts, now);
        if !self.paused {
            self.content_idle = Some(now + timeouts.content_idle);
        }
    }

    /// The client does not read.
    pub fn pause(&mut self) {
        self.paused = true;
        self.idle = None;
        self.content_idle = None;
    }

    /// The client reads again: both idle clocks start anew.
    pub fn resume(&mut self, timeouts: &Timeouts, now: Mono) {
        if !self.paused {
            return;
        }
        self.paused = false;
        if self.flowing {
            self.idle = Some(now + timeouts.idle);
            self.content_idle = Some(now + timeouts.content_idle);
        }
    }

    /// The attempt may take longer than `first_token` says.
    pub fn let_first_token_pass(&mut self) {
        self.first_token = None;
    }

    /// Which of them fires when, each once.
    pub fn all(&self) -> [(Option<Mono>, TimeoutReason); 4] {
        [
            (self.connect, TimeoutReason::Connect),
            (self.first_token, TimeoutReason::FirstToken),
            (self.idle, TimeoutReason::Idle),
            (self.content_idle, TimeoutReason::ContentIdle),
        ]
    }
}
