//! One call from its plan to its end: which target is tried when, what is committed, what the client is told.
//!
//! A state machine without I/O: told events and the time, it answers with actions and effects. At most one attempt is
//! out at a time. Read [`Call::new`], [`Call::handle_event`] and [`Call::handle_timeout`] here; how attempts
//! begin is in `launch`, what follows from their end in `decide`, what follows from a clock in `wake`.
//!
//! Whoever drives it drains [`Call::poll_effect`], then one [`Call::poll_action`], until both are empty, then waits for
//! an event, for [`Call::poll_timeout`], or for the client to leave.

pub mod action;
pub mod clocks;
mod decide;
pub mod event;
pub mod facts;
mod launch;
mod wake;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use types::features::Features;
use types::ids::{AttemptNo, CredentialIx, TargetIx};
use types::outcome::{Failure, OutcomeClass, TimeoutKind};
use types::time::{Mono, Now};

use crate::breaker::Verdict;
use crate::call::action::{Action, AttemptKind, AttemptSummary, Continuation, Effect};
use crate::call::clocks::{Clocks, TimeoutReason};
use crate::call::event::AttemptEvent;
use crate::call::facts::CallFacts;
use crate::plan::{LeftOut, Plan};
use crate::rng::Rng;
use crate::route::{OnStreamFailure, RoutePolicy, Timeouts};
use crate::view::{Admission, TargetsView};

/// A probe's stream that has brought content for this long has proven its target.
const PROVEN_BY_CONTENT: Duration = Duration::from_secs(5);

/// One call.
#[derive(Debug)]
pub struct Call {
    policy: Arc<RoutePolicy>,
    facts: CallFacts,
    rng: Rng,
    plan: Plan,
    /// The candidate whose turn is next.
    next: usize,
    attempts: Vec<AttemptSummary>,
    /// Attempts numbered so far, the refused ones too.
    numbered: u32,
    /// Attempts that were free of charge: fresh connections for dead ones.
    free: u32,
    live: Option<Live>,
    /// The target and credential of the attempt that ended last, when a place it held elsewhere went back with it: until
    /// the effects have been applied, what is seen of its provider still has that place taken.
    freed: Option<(TargetIx, CredentialIx)>,
    waiting: Option<Wait>,
    visit: Option<Visit>,
    /// Until the commit; a unary call's end.
    deadline: Mono,
    committed: Option<AttemptNo>,
    /// Set by the first commit of a stream.
    stream_ends: Option<Mono>,
    /// What was seen that bars a continuation.
    unresumable: Option<&'static str>,
    /// Only targets with a larger window than this are still worth trying.
    window_above: Option<u64>,
    /// What the client will be told if nobody succeeds.
    failure: Option<(Failure, AttemptNo)>,
    /// The earliest time at which a target that was tried is known to take calls again.
    recovery: Option<Mono>,
    fallback_reason: Option<OutcomeClass>,
    /// The least bad target has been brought in; it is tried once.
    least_bad: bool,
    actions: VecDeque<Action>,
    effects: VecDeque<Effect>,
    over: bool,
}

/// The attempt that is out.
#[derive(Debug)]
struct Live {
    attempt: AttemptNo,
    target: TargetIx,
    credential: CredentialIx,
    tier: u32,
    kind: AttemptKind,
    forced: bool,
    fresh: bool,
    continuation: Option<Continuation>,
    /// What is asked of it in words: nothing of it is shown before it is whole.
    degraded: Features,
    /// It went out to a half-open breaker, or past an open one: its success is news before its end.
    probe: bool,
    probation: bool,
    clocks: Clocks,
    started: Mono,
    first_content: Option<Mono>,
    /// Its output goes downstream.
    committed: bool,
    /// Its permit has been given back already.
    settled: bool,
    /// `first_token` passed without cutting it.
    late: bool,
}

/// The wait before the same target is tried again.
#[derive(Debug, Clone, Copy)]
struct Wait {
    target: TargetIx,
    tier: u32,
    degraded: Features,
    until: Mono,
    after_rate_limit: bool,
}

/// The visit to a tier, with its attempts and waits.
#[derive(Debug, Clone, Copy)]
struct Visit {
    tier: u32,
    ends: Option<Mono>,
    /// Its total has passed: no further target of it.
    spent: bool,
    /// Retries of the present target.
    retries: u32,
    /// The present target has had its free attempt on a fresh connection.
    fresh_used: bool,
}

impl Call {
    /// Plans a call and begins it: its first actions are ready to be polled.
    pub fn new(policy: Arc<RoutePolicy>, facts: CallFacts, seed: u64, view: &dyn TargetsView, now: Now) -> Call {
        let mut rng = Rng::new(seed);
        let plan = Plan::new(&policy, &facts, &mut rng, view, now);
        let within = [facts.deadline, facts.commit_within]
            .into_iter()
            .flatten()
            .fold(policy.deadline, Duration::min);
        let mut call = Call {
            least_bad: plan.candidates.iter().any(|c| c.forced),
            policy,
            facts,
            rng,
            plan,
            next: 0,
            attempts: Vec::with_capacity(2),
            numbered: 0,
            free: 0,
            live: None,
            freed: None,
            waiting: None,
            visit: None,
            deadline: now.mono + within,
            committed: None,
            stream_ends: None,
            unresumable: None,
            window_above: None,
            failure: None,
            recovery: None,
            fallback_reason: None,
            actions: VecDeque::with_capacity(2),
            effects: VecDeque::with_capacity(4),
            over: false,
        };
        call.effects.push_back(Effect::CallStarted);
        call.launch_next(view, now);
        call
    }

    /// Takes in what became of an attempt.
    pub fn handle_event(&mut self, event: AttemptEvent, view: &dyn TargetsView, now: Now) {
        // A shell that wakes late must not commit past the deadline.
        if self.committed.is_none() && now.mono > self.deadline {
            self.handle_timeout(view, now);
        }
        let Some(live) = &mut self.live else { return };
        if live.attempt != event.attempt() {
            return;
        }
        let timeouts = &self.policy.tiers[live.tier as usize].timeouts;
        if event.shows_connection() && live.clocks.connected() {
            let target = live.target;
            self.effects.push_back(Effect::ConnectOk { target });
        }
        match event {
            AttemptEvent::Refused { .. } => self.refused(view, now),
            AttemptEvent::Unaffordable { .. } => self.unaffordable(view, now),
            AttemptEvent::Unsupported { message, .. } => {
                let failure = Failure::new(OutcomeClass::Unsupported, message);
                self.attempt_failed(failure, false, None, view, now);
            }
            AttemptEvent::Connected { .. } => {}
            AttemptEvent::Headers { .. } | AttemptEvent::Alive { .. } => {
                live.clocks.alive(timeouts, now.mono);
            }
            AttemptEvent::Content { bytes, .. } => self.content(bytes, now),
            AttemptEvent::Unresumable { why, .. } => self.unresumable = Some(why),
            AttemptEvent::Finished { .. } => self.finished(now),
            AttemptEvent::Failed {
                failure,
                reused_connection_died,
                ..
            } => match failure.class {
                OutcomeClass::Cancelled => self.cancel(now),
                // A failure that calls itself a success is no answer anyone can use.
                OutcomeClass::Success => {
                    let failure = Failure {
                        class: OutcomeClass::BadResponse,
                        ..failure
                    };
                    self.attempt_failed(failure, false, None, view, now);
                }
                _ => self.attempt_failed(failure, reused_connection_died, None, view, now),
            },
            AttemptEvent::Paused { .. } => live.clocks.pause(),
            AttemptEvent::Resumed { .. } => live.clocks.resume(timeouts, now.mono),
        }
    }

    /// The client left: whatever is out is cancelled, and nobody is blamed.
    pub fn cancel(&mut self, now: Now) {
        if self.over {
            return;
        }
        self.over = true;
        self.waiting = None;
        if let Some(live) = &self.live {
            self.actions.push_back(Action::Cancel(live.attempt));
            self.end_attempt(OutcomeClass::Cancelled, None, Verdict::Neutral, now);
        }
    }

    /// The next thing to do. Effects come first: see [`action`].
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The next effect to apply.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When [`Call::handle_timeout`] wants to be called, and why; `None` when the call is over. Deadlines come first
    /// among equals: they are nobody's fault.
    pub fn poll_timeout(&self) -> Option<(Mono, TimeoutReason)> {
        self.earliest_clock()
    }

    /// The plan, with what was left out since.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The attempts so far, in order, without refused ones.
    pub fn attempts(&self) -> &[AttemptSummary] {
        &self.attempts
    }

    /// Why the first target was left for another; `None` when none was, or when it was never tried (see
    /// [`Call::fallback_word`]).
    pub fn fallback_reason(&self) -> Option<OutcomeClass> {
        self.fallback_reason
    }

    /// The same as a word, including `breaker_open`, `resting` and the like when an earlier tier was never tried.
    pub fn fallback_word(&self) -> Option<&'static str> {
        self.fallback_reason.map(OutcomeClass::as_str).or_else(|| {
            let first = self.attempts.first()?;
            let before = |l: &&LeftOut| l.tier < first.tier;
            Some(self.plan.left_out.iter().find(before)?.reason.as_str())
        })
    }

    /// How long until the first of the targets that were tried takes calls again, as their cells say now: for a failure
    /// whose own hint is missing, once its effects have been applied. `None` when one of them takes calls already, or
    /// when waiting does not mend this class of failure.
    pub fn recovery_of_tried(&self, class: OutcomeClass, view: &dyn TargetsView, now: Now) -> Option<Duration> {
        if !crate::outcome::waiting_helps(class) || self.committed.is_some() {
            return None;
        }
        let mut earliest: Option<Mono> = None;
        for attempt in &self.attempts {
            match view.status(attempt.target, now).admission {
                Admission::Ready | Admission::Probe => return None,
                Admission::Open { until } | Admission::Resting { until, .. } => {
                    earliest = Some(earliest.map_or(until, |before| before.min(until)));
                }
                Admission::Disabled { .. } => {}
            }
        }
        earliest.map(|at| at.since(now.mono).max(Duration::from_secs(1)))
    }

    /// The attempt whose output is the answer; of a continued stream the last.
    pub fn committed(&self) -> Option<AttemptNo> {
        self.committed
    }

    /// Whether nothing more will come of it, once actions and effects are drained.
    pub fn is_over(&self) -> bool {
        self.over
    }

    fn content(&mut self, bytes: u64, now: Now) {
        let Some(live) = &mut self.live else { return };
        if !self.facts.stream {
            return;
        }
        let timeouts = &self.policy.tiers[live.tier as usize].timeouts;
        live.clocks.content(timeouts, now.mono);
        let first = *live.first_content.get_or_insert(now.mono);
        let summary = self.attempts.last_mut().expect("the live attempt is the last");
        summary.first_token = Some(first);
        if live.probe && !live.settled && now.mono.since(first) >= PROVEN_BY_CONTENT {
            live.settled = true;
            self.effects.push_back(Effect::Settle {
                attempt: live.attempt,
                target: live.target,
                verdict: Verdict::Success,
            });
        }
        let enough = match self.policy.on_stream_failure {
            OnStreamFailure::HoldBack { bytes: wanted } => bytes >= wanted,
            OnStreamFailure::Error | OnStreamFailure::Resume => true,
        };
        // What was asked for in words is checked whole before any of it is shown.
        let enough = enough && live.degraded.is_empty();
        if enough && !live.committed {
            self.commit(now);
        }
    }

    fn finished(&mut self, now: Now) {
        let Some(live) = &self.live else { return };
        let (target, credential) = (live.target, live.credential);
        let (committed, probation) = (live.committed, live.probation);
        if !committed {
            self.commit(now);
        }
        self.end_attempt(OutcomeClass::Success, None, Verdict::Success, now);
        if probation {
            self.effects.push_back(Effect::Recovered { target, credential });
        }
        self.actions.push_back(Action::Done);
        self.over = true;
    }

    /// From here on another target can only continue, never answer instead.
    fn commit(&mut self, now: Now) {
        let live = self.live.as_mut().expect("who commits is live");
        live.committed = true;
        self.committed = Some(live.attempt);
        self.actions.push_back(Action::Commit(live.attempt));
        let ends = now.mono + self.policy.stream_max;
        self.stream_ends.get_or_insert(ends);
    }

    /// Ends the live attempt: its permit goes back once, its record is written once.
    fn end_attempt(&mut self, class: OutcomeClass, timeout: Option<TimeoutKind>, verdict: Verdict, now: Now) {
        let Some(live) = self.live.take() else { return };
        let timeout = timeout.or(live.late.then_some(TimeoutKind::FirstToken));
        if !live.settled {
            self.effects.push_back(Effect::Settle {
                attempt: live.attempt,
                target: live.target,
                verdict,
            });
        }
        // Whatever became of it, a place it may have taken elsewhere goes back. Who was refused again, or could not be
        // reached, is told so next.
        let (target, credential) = (live.target, live.credential);
        self.freed = None;
        if live.probation && !live.forced && class != OutcomeClass::Success {
            self.freed = Some((target, credential));
            self.effects
                .push_back(Effect::CredentialReleased { target, credential });
        }
        if live.probe && !live.forced && live.clocks.connecting() {
            self.freed = Some((target, credential));
            self.effects.push_back(Effect::ProviderReleased { target });
        }
        self.effects.push_back(Effect::Record {
            attempt: live.attempt,
            class,
            timeout,
        });
        let summary = self.attempts.last_mut().expect("the live attempt is the last");
        summary.class = Some(class);
        summary.timeout = timeout;
        summary.ended = Some(now.mono);
    }

    fn timeouts(&self, tier: u32) -> &Timeouts {
        &self.policy.tiers[tier as usize].timeouts
    }
}

#[cfg(test)]
mod money;
#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;
