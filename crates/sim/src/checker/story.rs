//! One call as it was seen from outside: when it came, what was tried, how it ended.

use policy::breaker::Verdict;
use policy::call::facts::CallFacts;
use types::ids::{AttemptNo, TargetIx};
use types::outcome::{OutcomeClass, TimeoutKind};
use types::time::Mono;

use crate::trace::{Launched, Seen, TargetSet, Trace};

/// One call.
#[derive(Debug, Clone)]
pub struct Story {
    /// Its number.
    pub call: u32,
    /// When it came.
    pub arrived: Mono,
    /// What it asks.
    pub facts: CallFacts,
    /// Targets it might have used without any reserve when it came.
    pub ready: TargetSet,
    /// Its attempts, in order.
    pub tries: Vec<Try>,
    /// Targets that refused it a permit, or that it could not pay.
    pub refused: TargetSet,
    /// When its answer began.
    pub committed: Option<Mono>,
    /// When and how it ended.
    pub end: Option<(Mono, End)>,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Well.
    Done,
    /// Badly.
    Failed {
        /// What the client was told.
        class: OutcomeClass,
        /// Which clock.
        timeout: Option<TimeoutKind>,
        /// Content was out already.
        after_commit: bool,
        /// Targets it might still have used without any reserve.
        ready: TargetSet,
    },
    /// The client left.
    Left,
}

/// An attempt that was launched.
#[derive(Debug, Clone)]
pub struct Try {
    /// When.
    pub at: Mono,
    /// What was launched.
    pub launched: Launched,
    /// A launch was refused between the attempt before and this one.
    pub after_refusal: bool,
    /// How its target ended it, and when; whether it was a pooled connection that died.
    pub reported: Option<(Mono, OutcomeClass, bool)>,
    /// How policy recorded it, each time.
    pub recorded: Vec<Recorded>,
    /// What its breaker was told, each time.
    pub settled: Vec<(Mono, Verdict)>,
}

/// How policy recorded an attempt.
#[derive(Debug, Clone, Copy)]
pub struct Recorded {
    /// When.
    pub at: Mono,
    /// As what.
    pub class: OutcomeClass,
    /// Which clock fired.
    pub timeout: Option<TimeoutKind>,
    /// Targets the call might have used then without any reserve.
    pub ready: TargetSet,
}

impl Story {
    /// The stories of all calls, by number.
    pub fn all(trace: &Trace) -> Vec<Story> {
        let mut stories: Vec<Story> = Vec::new();
        let mut after_refusal = Vec::new();
        for entry in &trace.entries {
            let Some(call) = entry.call else { continue };
            if let Seen::Arrived { facts, ready, .. } = &entry.seen {
                assert_eq!(stories.len(), call as usize, "calls come in order");
                after_refusal.push(false);
                stories.push(Story {
                    call,
                    arrived: entry.at,
                    facts: facts.clone(),
                    ready: *ready,
                    tries: Vec::new(),
                    refused: TargetSet::default(),
                    committed: None,
                    end: None,
                });
                continue;
            }
            let after_refusal = &mut after_refusal[call as usize];
            stories[call as usize].take(entry.at, &entry.seen, after_refusal);
        }
        stories
    }

    fn take(&mut self, at: Mono, seen: &Seen, after_refusal: &mut bool) {
        match *seen {
            Seen::Launched(launched) => self.tries.push(Try {
                at,
                launched,
                after_refusal: std::mem::take(after_refusal),
                reported: None,
                recorded: Vec::new(),
                settled: Vec::new(),
            }),
            Seen::Refused { target, .. } | Seen::Unaffordable { target, .. } => {
                self.refused = self.refused.with(target);
                *after_refusal = true;
            }
            Seen::Reported {
                attempt,
                class,
                reused_connection_died,
            } => self.of(attempt, |t| t.reported = Some((at, class, reused_connection_died))),
            Seen::Settled { attempt, verdict, .. } => self.of(attempt, |t| t.settled.push((at, verdict))),
            Seen::Recorded {
                attempt,
                class,
                timeout,
                ready,
            } => {
                let recorded = Recorded {
                    at,
                    class,
                    timeout,
                    ready,
                };
                self.of(attempt, |t| t.recorded.push(recorded));
            }
            Seen::Committed { .. } => self.committed = self.committed.or(Some(at)),
            Seen::Done => self.ended(at, End::Done),
            Seen::Failed {
                class,
                timeout,
                after_commit,
                ready,
            } => self.ended(
                at,
                End::Failed {
                    class,
                    timeout,
                    after_commit,
                    ready,
                },
            ),
            Seen::Left => self.ended(at, End::Left),
            Seen::Arrived { .. }
            | Seen::Cancelled { .. }
            | Seen::RetrySpent { .. }
            | Seen::Held { .. }
            | Seen::Paid { .. }
            | Seen::Changed { .. }
            | Seen::Rests { .. } => {}
        }
    }

    /// An attempt with the one before it, where there is one.
    pub fn pairs(&self) -> impl Iterator<Item = (Option<&Try>, &Try)> {
        let before = std::iter::once(None).chain(self.tries.iter().map(Some));
        before.zip(&self.tries)
    }

    /// Attempts that count against the caps.
    pub fn charged(&self) -> usize {
        self.pairs().filter(|(before, this)| !this.is_free(*before)).count()
    }

    /// Since when the visit to a tier has gone on that the attempt at this place belongs to.
    pub fn visit_start(&self, place: usize) -> Mono {
        let tier = self.tries[place].launched.launch.tier;
        let mut start = place;
        while start > 0 && self.tries[start - 1].launched.launch.tier == tier && !self.tries[start].after_refusal {
            start -= 1;
        }
        self.tries[start].at
    }

    fn ended(&mut self, at: Mono, end: End) {
        self.end = self.end.or(Some((at, end)));
    }

    fn of(&mut self, attempt: AttemptNo, change: impl FnOnce(&mut Try)) {
        let found = self.tries.iter_mut().find(|t| t.launched.launch.attempt == attempt);
        found.map(change);
    }
}

impl Try {
    /// At which target.
    pub fn target(&self) -> TargetIx {
        self.launched.launch.target
    }

    /// When it was over: recorded first.
    pub fn ended(&self) -> Option<Mono> {
        self.recorded.first().map(|r| r.at)
    }

    /// It repeats, on a fresh connection, the attempt before it, whose pooled connection died.
    pub fn is_free(&self, before: Option<&Try>) -> bool {
        self.launched.launch.fresh_connection
            && before.is_some_and(|b| b.target() == self.target() && matches!(b.reported, Some((_, _, true))))
    }

    /// It is the same target again with the same credential: what the retry budget is for.
    pub fn is_retry(&self, before: Option<&Try>) -> bool {
        let (this, Some(b)) = (&self.launched.launch, before) else {
            return false;
        };
        let last = &b.launched.launch;
        (this.target, this.tier, this.credential) == (last.target, last.tier, last.credential)
            && this.continuation.is_none()
            && !self.is_free(before)
    }
}
