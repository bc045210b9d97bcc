//! What was seen in a run, in order: the one thing that checkers and the summary look at.

use std::fmt;
use std::fmt::Write;

use policy::breaker::{BreakerState, Transition, Verdict};
use policy::call::action::Launch;
use policy::call::facts::CallFacts;
use types::ids::{AttemptNo, TargetIx};
use types::money::NanoDollars;
use types::outcome::{OutcomeClass, TimeoutKind};
use types::principal::Priority;
use types::time::{Mono, Now, UnixMillis};

/// When every run starts. Not zero: a cell's "never" must not be taken for "just now".
pub const START: Now = Now {
    mono: Mono(1_000_000_000_000),
    wall: UnixMillis(1_767_225_600_000),
};

/// All that was seen.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    /// In order of time, and of cause within one moment.
    pub entries: Vec<Entry>,
}

/// Something seen.
#[derive(Debug, Clone)]
pub struct Entry {
    /// When.
    pub at: Mono,
    /// Of which call, its number from 0; `None` for what belongs to no call.
    pub call: Option<u32>,
    /// What.
    pub seen: Seen,
}

/// What can be seen.
#[derive(Debug, Clone)]
pub enum Seen {
    /// A call came.
    Arrived {
        /// What it asks.
        facts: CallFacts,
        /// Targets it may use without any reserve.
        ready: TargetSet,
        /// Targets that are not fit for it, or that others are preferred to.
        put_last: TargetSet,
    },
    /// An attempt was admitted and launched.
    Launched(Launched),
    /// An attempt got no permit.
    Refused {
        /// Its number.
        attempt: AttemptNo,
        /// Its target.
        target: TargetIx,
    },
    /// Money was held for an attempt that is about to be launched.
    Held {
        /// Its number.
        attempt: AttemptNo,
        /// How much its call matters.
        priority: Priority,
        /// How much.
        amount: NanoDollars,
        /// The beginning of the window it is charged to.
        window: UnixMillis,
    },
    /// So much money is not left for an attempt.
    Unaffordable {
        /// Its number.
        attempt: AttemptNo,
        /// Its target.
        target: TargetIx,
    },
    /// What an attempt had held gave way to what it came to.
    Paid {
        /// Its number.
        attempt: AttemptNo,
        /// What it came to.
        actual: NanoDollars,
    },
    /// An attempt was given up by policy.
    Cancelled {
        /// Its number.
        attempt: AttemptNo,
    },
    /// How a target ended an attempt: what it said, whatever policy makes of it.
    Reported {
        /// Its number.
        attempt: AttemptNo,
        /// What it means.
        class: OutcomeClass,
        /// It was a pooled connection that died.
        reused_connection_died: bool,
    },
    /// The answer begins, or is continued.
    Committed {
        /// Whose output it is.
        attempt: AttemptNo,
    },
    /// The call ended well.
    Done,
    /// The call ended badly.
    Failed {
        /// What the client is told.
        class: OutcomeClass,
        /// Which clock.
        timeout: Option<TimeoutKind>,
        /// Content was out already.
        after_commit: bool,
        /// Targets it might still have used without any reserve.
        ready: TargetSet,
    },
    /// The client left before the end.
    Left,
    /// A permit came back.
    Settled {
        /// Of which attempt.
        attempt: AttemptNo,
        /// Its target.
        target: TargetIx,
        /// What the breaker is told.
        verdict: Verdict,
        /// There was such a permit out.
        known: bool,
    },
    /// Policy recorded an attempt's end.
    Recorded {
        /// Its number.
        attempt: AttemptNo,
        /// How it ended.
        class: OutcomeClass,
        /// Which clock fired.
        timeout: Option<TimeoutKind>,
        /// Targets the call might use now without any reserve.
        ready: TargetSet,
    },
    /// A same-target retry was charged to the budget.
    RetrySpent {
        /// One was left.
        granted: bool,
    },
    /// A breaker changed.
    Changed {
        /// Whose.
        target: TargetIx,
        /// How.
        transition: Transition,
    },
    /// A target, or all credentials that could be used at it, rest.
    Rests {
        /// Which.
        target: TargetIx,
        /// Until then.
        until: Mono,
    },
}

/// An attempt that was launched, with what was known a moment before.
#[derive(Debug, Clone, Copy)]
pub struct Launched {
    /// The launch.
    pub launch: Launch,
    /// What the target's breaker let through.
    pub breaker: BreakerState,
    /// The provider's breaker was open.
    pub provider_open: bool,
    /// The target, or all its credentials, rested.
    pub resting: bool,
    /// The permit is a probe's.
    pub probe: bool,
    /// Targets the call could have been sent to, fit for it and ready or to be probed.
    pub open_to: TargetSet,
}

/// A set of targets.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct TargetSet(u64);

impl TargetSet {
    /// The set of these.
    pub fn of(targets: impl IntoIterator<Item = TargetIx>) -> TargetSet {
        targets.into_iter().fold(TargetSet::default(), TargetSet::with)
    }

    /// The set with one more.
    pub fn with(self, target: TargetIx) -> TargetSet {
        TargetSet(self.0 | 1 << target.0)
    }

    /// Whether it is among them.
    pub fn has(self, target: TargetIx) -> bool {
        self.0 & (1 << target.0) != 0
    }

    /// Those of both.
    pub fn and(self, other: TargetSet) -> TargetSet {
        TargetSet(self.0 & other.0)
    }

    /// Those of this set that are not of the other.
    pub fn without(self, other: TargetSet) -> TargetSet {
        TargetSet(self.0 & !other.0)
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them, in order.
    pub fn iter(self) -> impl Iterator<Item = TargetIx> {
        (0..64).filter(move |n| self.0 & (1 << n) != 0).map(TargetIx)
    }
}

impl fmt::Debug for TargetSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|t| t.0)).finish()
    }
}

impl Trace {
    /// What was seen of each call, by its number.
    pub fn by_call(&self) -> Vec<Vec<&Entry>> {
        let mut calls: Vec<Vec<&Entry>> = Vec::new();
        for entry in &self.entries {
            let Some(call) = entry.call else { continue };
            if calls.len() <= call as usize {
                calls.resize_with(call as usize + 1, Vec::new);
            }
            calls[call as usize].push(entry);
        }
        calls
    }

    /// The trace as text, one line an entry: the bytes that the same seed gives again.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for entry in &self.entries {
            let _ = writeln!(text, "{entry}");
        }
        text
    }

    /// The lines of one call, for messages.
    pub fn call_text(&self, call: u32) -> String {
        let lines = self.entries.iter().filter(|e| e.call == Some(call));
        lines.map(|e| format!("{e}\n")).collect()
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.at.since(START.mono).as_nanos() as f64 / 1e6;
        match self.call {
            Some(call) => write!(f, "{ms:.6} ms, call {call}: {:?}", self.seen),
            None => write!(f, "{ms:.6} ms: {:?}", self.seen),
        }
    }
}
