//! What a call is told about its attempts.
//!
//! Events of an attempt that is no longer the call's own (cancelled, ended) change nothing, so that the shell need not
//! order them against its cancellations.

use types::ids::AttemptNo;
use types::outcome::Failure;

/// News of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptEvent {
    /// The shell got no permit for it (lost the race for a probe, the target began to rest). It costs nothing and was
    /// never an attempt: no `Settle`, no `Record`.
    Refused {
        /// Which attempt.
        attempt: AttemptNo,
    },
    /// Its cost could not be held: the budgets have not so much left. It costs nothing and was never an attempt: no `Settle`, no
    /// `Record`. Money is to be held before the permit is asked for, which would be lost otherwise.
    Unaffordable {
        /// Which attempt.
        attempt: AttemptNo,
    },
    /// The target's dialect cannot say what was asked: a failure of class `unsupported`.
    Unsupported {
        /// Which attempt.
        attempt: AttemptNo,
        /// What cannot be said, for the client.
        message: String,
    },
    /// The connection stands, a pooled one too: it stops the connect clock.
    Connected {
        /// Which attempt.
        attempt: AttemptNo,
    },
    /// A good status line came.
    Headers {
        /// Which attempt.
        attempt: AttemptNo,
    },
    /// Bytes without content came: a ping, a role, an empty delta. Starts the idle clock anew.
    Alive {
        /// Which attempt.
        attempt: AttemptNo,
    },
    /// Content, reasoning or tool tokens came on a stream. The first of it commits, or the one that fills the held-back
    /// bytes.
    Content {
        /// Which attempt.
        attempt: AttemptNo,
        /// Content bytes of this attempt so far.
        bytes: u64,
    },
    /// What was seen on the stream bars another target from continuing it.
    Unresumable {
        /// Which attempt.
        attempt: AttemptNo,
        /// What was seen: `tool call`, `n > 1`, `open reasoning` …
        why: &'static str,
    },
    /// The whole unary answer, or the stream's terminal event.
    Finished {
        /// Which attempt.
        attempt: AttemptNo,
    },
    /// It failed.
    Failed {
        /// Which attempt.
        attempt: AttemptNo,
        /// How, classified.
        failure: Failure,
        /// A pooled connection died before any byte of an answer: tried again on a fresh one, free of charge.
        reused_connection_died: bool,
    },
    /// The client does not read: the stream's clocks stop.
    Paused {
        /// Which attempt.
        attempt: AttemptNo,
    },
    /// The client reads again: the clocks start anew.
    Resumed {
        /// Which attempt.
        attempt: AttemptNo,
    },
}

impl AttemptEvent {
    /// The attempt it is about.
    pub fn attempt(&self) -> AttemptNo {
        match self {
            AttemptEvent::Refused { attempt }
            | AttemptEvent::Unaffordable { attempt }
            | AttemptEvent::Unsupported { attempt, .. }
            | AttemptEvent::Connected { attempt }
            | AttemptEvent::Headers { attempt }
            | AttemptEvent::Alive { attempt }
            | AttemptEvent::Content { attempt, .. }
            | AttemptEvent::Unresumable { attempt, .. }
            | AttemptEvent::Finished { attempt }
            | AttemptEvent::Failed { attempt, .. }
            | AttemptEvent::Paused { attempt }
            | AttemptEvent::Resumed { attempt } => *attempt,
        }
    }

    /// Whether the provider must have been reached for it to happen.
    pub(super) fn shows_connection(&self) -> bool {
        match self {
            AttemptEvent::Connected { .. }
            | AttemptEvent::Headers { .. }
            | AttemptEvent::Alive { .. }
            | AttemptEvent::Content { .. }
            | AttemptEvent::Unresumable { .. }
            | AttemptEvent::Finished { .. } => true,
            AttemptEvent::Failed { failure, .. } => failure.status.is_some(),
            AttemptEvent::Refused { .. }
            | AttemptEvent::Unaffordable { .. }
            | AttemptEvent::Unsupported { .. }
            | AttemptEvent::Paused { .. }
            | AttemptEvent::Resumed { .. } => false,
        }
    }
}
