//! What a call answers with: actions for its own attempts, effects on what outlives it.
//!
//! The shell applies all effects before it takes the next action: a permit that comes back with `Settle` may be the one
//! that the following `Launch` needs.

use std::time::Duration;

use types::features::Features;
use types::ids::{AttemptNo, CredentialIx, TargetIx};
use types::outcome::{Failure, OutcomeClass, Scope, TimeoutKind};
use types::time::Mono;

use crate::breaker::Verdict;
use crate::rest::RestReason;

/// What the shell must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Start an attempt.
    Launch(Launch),
    /// Drop an attempt: close its connection, forget what it held.
    Cancel(AttemptNo),
    /// What the attempt held goes downstream; from here on its output is the answer. Comes once, and once more for each
    /// target that continues a broken stream.
    Commit(AttemptNo),
    /// The call ended well. The last action.
    Done,
    /// The call ended badly. The last action.
    Fail(CallFailure),
}

/// An attempt to be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Launch {
    /// Its number.
    pub attempt: AttemptNo,
    /// At which target.
    pub target: TargetIx,
    /// With which credential.
    pub credential: CredentialIx,
    /// The target's tier, from 0.
    pub tier: u32,
    /// What it is to the call.
    pub kind: AttemptKind,
    /// Admit it whatever breakers and rests say.
    pub forced: bool,
    /// Not on a pooled connection: it replaces an attempt (of the same kind) whose pooled connection was dead, and is
    /// charged to neither the retry budget nor the cap of attempts.
    pub fresh_connection: bool,
    /// How it continues what was said, on [`AttemptKind::Resume`] only.
    pub continuation: Option<Continuation>,
    /// What the target lacks and is asked for in words. Its answer is checked whole before it is shown.
    pub degraded: Features,
}

/// What an attempt is to its call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AttemptKind {
    /// The first.
    First,
    /// The same target again; spends the retry budget.
    Retry,
    /// Another target, or another credential of the same one.
    Fallback,
    /// Continues a stream that broke after its commit.
    Resume,
}

/// How a target is made to continue a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Continuation {
    /// The text stands as a trailing assistant message.
    Prefill,
    /// An instruction asks for it.
    Instruct,
}

/// A call's bad end. The attempts are told by `Call::attempts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallFailure {
    /// What the client is told: the end of the last attempt that says something. A target whose dialect or window is
    /// merely too small does not hide an earlier failure; after the commit it is the stream's own end.
    pub failure: Failure,
    /// Content is out already: an error event, not a status.
    pub after_commit: bool,
    /// Nobody was tried, and money is (also) why: the client is to be told which budget, and when it resets.
    pub unaffordable: bool,
    /// When to come again, where waiting helps and a recovery is known; at least one second.
    pub retry_after: Option<Duration>,
    /// The route wants malformed output as it came: that of this attempt, if the shell still holds it.
    pub malformed_text: Option<AttemptNo>,
}

/// What outlives the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The call began: `RouteCell::call_started`.
    CallStarted,
    /// A same-target retry was decided: `RouteCell::withdraw_retry`.
    RetrySpent,
    /// The attempt's permit goes back with this verdict: exactly one an attempt that was not refused. An attempt for
    /// which the shell never asked for a permit has none to give back.
    Settle {
        /// Which attempt.
        attempt: AttemptNo,
        /// Its target.
        target: TargetIx,
        /// What its breaker is told.
        verdict: Verdict,
    },
    /// Someone was told to rest: `CredentialCell::rest` for [`Scope::Credential`], `TargetCell::rest` for all others.
    Rest {
        /// The attempt's target.
        target: TargetIx,
        /// The attempt's credential.
        credential: CredentialIx,
        /// Who rests.
        scope: Scope,
        /// Why.
        reason: RestReason,
        /// How long the provider asked for.
        hint: Option<Duration>,
    },
    /// A credential on probation worked: `CredentialCell::recovered` and `TargetCell::recovered`.
    Recovered {
        /// Where.
        target: TargetIx,
        /// Which.
        credential: CredentialIx,
    },
    /// An attempt with a credential on probation ended without success, and its place is free again:
    /// `CredentialCell::release` and `TargetCell::release_credential`. When the credential was refused once more, its
    /// `Rest` follows.
    CredentialReleased {
        /// Where.
        target: TargetIx,
        /// Which.
        credential: CredentialIx,
    },
    /// An attempt that may have been let through to see whether the provider can be reached ended without a connection,
    /// and its place is free again: `ProviderCell::release`. When it could not be reached, `ConnectFailed` follows.
    ProviderReleased {
        /// The attempt's target.
        target: TargetIx,
    },
    /// The target's provider could not be reached: `ProviderCell::connect_failed`.
    ConnectFailed {
        /// The target.
        target: TargetIx,
    },
    /// It could: `ProviderCell::connected`.
    ConnectOk {
        /// The target.
        target: TargetIx,
    },
    /// How an attempt ended, for logs and metrics: one an attempt that was not refused.
    Record {
        /// Which attempt.
        attempt: AttemptNo,
        /// How.
        class: OutcomeClass,
        /// Which clock fired; with a class other than `timeout`, the first-token clock that did not cut it.
        timeout: Option<TimeoutKind>,
    },
    /// Someone should look: waiting does not mend it.
    Alert {
        /// Where.
        target: TargetIx,
        /// What.
        reason: RestReason,
    },
}

/// What is told of an attempt, while it runs and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptSummary {
    /// Its number.
    pub attempt: AttemptNo,
    /// Its target.
    pub target: TargetIx,
    /// Its credential.
    pub credential: CredentialIx,
    /// The target's tier, from 0.
    pub tier: u32,
    /// What it was to the call.
    pub kind: AttemptKind,
    /// How it ended; `None` while it runs.
    pub class: Option<OutcomeClass>,
    /// Which clock fired.
    pub timeout: Option<TimeoutKind>,
    /// When it began.
    pub started: Mono,
    /// When it ended.
    pub ended: Option<Mono>,
    /// When its first content came; a stream's only.
    pub first_token: Option<Mono>,
}
