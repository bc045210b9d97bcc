//! What follows from an attempt's end: the same target again, another one, or the call's own end.
//!
//! What each class of outcome permits stands in [`crate::outcome`]; here it meets the call's limits: its caps, clocks,
//! the retry budget, and the commit.

use std::time::Duration;

use types::features::Features;
use types::ids::{AttemptNo, CredentialIx, TargetIx};
use types::outcome::{Failure, OutcomeClass, TimeoutKind};
use types::time::Now;

use crate::backoff;
use crate::breaker::Verdict;
use crate::call::action::{Action, AttemptKind, CallFailure, Continuation, Effect};
use crate::call::launch::Start;
use crate::call::{Call, Wait};
use crate::outcome::{self, FallsBack};
use crate::plan::LeftOutReason;
use crate::rest::RestReason;
use crate::route::{OnContentFilter, OnMalformed, OnStreamFailure};
use crate::view::TargetsView;

/// The longest hint that is waited for before the same target is tried again; also the wait after a rate limit without
/// one when there is no other target.
const HINT_WAITED_FOR: Duration = Duration::from_secs(2);

/// Added to a hint, so that the retry comes after the rest it ends, and calls told the same do not return in step.
const HINT_SLACK: Duration = Duration::from_millis(20);
const HINT_JITTER: Duration = Duration::from_millis(80);

/// The status of a call whose key may not be served by any target.
const FORBIDDEN: u16 = 403;

/// The shortest wait a client is told.
const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);

impl Call {
    /// The live attempt failed. `verdict` is what its breaker is told when that is not what its class says.
    pub(super) fn attempt_failed(
        &mut self,
        mut failure: Failure,
        reused_connection_died: bool,
        verdict: Option<Verdict>,
        view: &dyn TargetsView,
        now: Now,
    ) {
        let Some(live) = &self.live else { return };
        if live.committed && matches!(failure.class, OutcomeClass::Network | OutcomeClass::BadResponse) {
            failure.class = OutcomeClass::StreamBroken;
        }
        let fresh_used = self.visit.is_some_and(|v| v.fresh_used);
        let free = reused_connection_died
            && failure.class == OutcomeClass::Network
            && live.first_content.is_none()
            && !live.fresh
            && !fresh_used;
        let verdict = match verdict {
            Some(verdict) => verdict,
            None if free => Verdict::Neutral,
            None => outcome::counts(failure.class, failure.timeout),
        };
        let ended = Ended {
            attempt: live.attempt,
            target: live.target,
            credential: live.credential,
            tier: live.tier,
            kind: live.kind,
            forced: live.forced,
            continuation: live.continuation,
            degraded: live.degraded,
            committed: live.committed,
            probe: live.probe,
            probation: live.probation,
        };
        self.end_attempt(failure.class, failure.timeout, verdict, now);
        if free {
            // Told only when nobody else can be tried.
            self.failure.get_or_insert((failure, ended.attempt));
            self.on_a_fresh_connection(&ended, view, now);
            return;
        }
        self.tell_cells(&failure, &ended, now);
        if ended.committed {
            self.stream_broke(failure, &ended, view, now);
        } else if self.committed.is_some() {
            self.continuation_failed(&failure, &ended, view, now);
        } else {
            self.failed_before_commit(failure, &ended, view, now);
        }
    }

    /// Ends the call with one failure, whatever was before.
    pub(super) fn fail_with(&mut self, failure: Failure, now: Now) {
        let attempt = self.attempts.last().map_or(AttemptNo(0), |a| a.attempt);
        self.failure = Some((failure, attempt));
        self.fail(now);
    }

    fn failed_before_commit(&mut self, failure: Failure, ended: &Ended, view: &dyn TargetsView, now: Now) {
        let another = match outcome::falls_back(failure.class) {
            FallsBack::Yes => true,
            FallsBack::No => false,
            FallsBack::IfRouteSays => match self.policy.on_content_filter {
                OnContentFilter::Stop => false,
                OnContentFilter::Fallback => true,
            },
            FallsBack::LargerWindow => {
                // Of a window the catalog does not know, nothing can be known to be larger.
                let window = view.facts(ended.target).context_window.unwrap_or(u64::MAX);
                self.window_above = self.window_above.max(Some(window));
                true
            }
        };
        let credential = another
            .then(|| self.other_credential(&failure, ended, view, now))
            .flatten();
        let wait = if another && credential.is_none() {
            self.retry_wait(&failure, ended, view, now)
        } else {
            None
        };
        let says_more = self
            .failure
            .as_ref()
            .is_none_or(|(before, _)| outcome::decisive(failure.class, before.class));
        let after_rate_limit = failure.class == OutcomeClass::RateLimited;
        if says_more {
            self.failure = Some((failure, ended.attempt));
        }
        if let Some(credential) = credential {
            let start = Start {
                credential,
                kind: AttemptKind::Fallback,
                probation: true,
                ..ended.again()
            };
            self.launch(start, view, now);
        } else if let Some(wait) = wait {
            if let Some(visit) = &mut self.visit {
                visit.retries += 1;
            }
            self.effects.push_back(Effect::RetrySpent);
            self.waiting = Some(Wait {
                target: ended.target,
                tier: ended.tier,
                degraded: ended.degraded,
                until: now.mono + wait,
                after_rate_limit,
            });
        } else if another {
            self.launch_next(view, now);
        } else {
            self.fail(now);
        }
    }

    /// The answer broke off in the middle.
    fn stream_broke(&mut self, failure: Failure, ended: &Ended, view: &dyn TargetsView, now: Now) {
        let may_resume = match self.policy.on_stream_failure {
            OnStreamFailure::Resume => {
                self.unresumable.is_none()
                    && outcome::resumes(failure.class)
                    && failure.timeout != Some(TimeoutKind::Total)
            }
            OnStreamFailure::Error | OnStreamFailure::HoldBack { .. } => false,
        };
        self.failure = Some((failure, ended.attempt));
        if may_resume {
            self.launch_next(view, now);
        } else {
            self.fail(now);
        }
    }

    /// A target that was to continue a stream failed before its first content. The client is told of the stream's own
    /// end, not of this.
    fn continuation_failed(&mut self, failure: &Failure, ended: &Ended, view: &dyn TargetsView, now: Now) {
        // Some servers word it as something that the model does not support.
        let refused = matches!(failure.class, OutcomeClass::InvalidRequest | OutcomeClass::Unsupported);
        let refuses_prefill = refused && ended.continuation == Some(Continuation::Prefill);
        if refuses_prefill && self.may_attempt() {
            let start = Start {
                continuation: Some(Continuation::Instruct),
                ..ended.again()
            };
            self.launch(start, view, now);
            return;
        }
        let another = match failure.class {
            // The request was ours, not the client's: another target may take it.
            OutcomeClass::InvalidRequest => true,
            OutcomeClass::ContentFiltered => self.policy.on_content_filter == OnContentFilter::Fallback,
            // Its time was up with the stream's.
            OutcomeClass::Timeout if failure.timeout == Some(TimeoutKind::Total) => false,
            class => outcome::resumes(class),
        };
        if another {
            self.launch_next(view, now);
        } else {
            self.fail(now);
        }
    }

    fn on_a_fresh_connection(&mut self, ended: &Ended, view: &dyn TargetsView, now: Now) {
        self.free += 1;
        if let Some(visit) = &mut self.visit {
            visit.fresh_used = true;
        }
        // Its breaker is asked by the shell, after the permit of the dead attempt has come back.
        let start = Start {
            fresh: true,
            ..ended.again()
        };
        self.launch(start, view, now);
    }

    /// How long to wait before the same target is tried again; `None`: it is not.
    fn retry_wait(&mut self, failure: &Failure, ended: &Ended, view: &dyn TargetsView, now: Now) -> Option<Duration> {
        let visit = self.visit?;
        let configured = &self.policy.tiers[ended.tier as usize].retries;
        let allowed = outcome::retries(failure.class, failure.timeout, configured);
        // The least bad target is tried once.
        if ended.forced || visit.spent || visit.retries >= allowed || !self.may_attempt() {
            return None;
        }
        let wait = match (failure.class, failure.retry_after) {
            (_, Some(hint)) if hint > HINT_WAITED_FOR => return None,
            (OutcomeClass::RateLimited, Some(hint)) => hint + HINT_SLACK + self.rng.duration_to(HINT_JITTER),
            (OutcomeClass::RateLimited, None) if self.has_other(view, now) => return None,
            (OutcomeClass::RateLimited, None) => HINT_WAITED_FOR,
            (_, hint) => {
                backoff::wait(&self.policy.backoff, visit.retries, &mut self.rng).max(hint.unwrap_or_default())
            }
        };
        let at = now.mono + wait;
        let fits = at < self.deadline && visit.ends.is_none_or(|ends| at < ends);
        (fits && view.retry_allowed(now)).then_some(wait)
    }

    /// Another credential of the same target, when the failure was the first one's and not the target's.
    fn other_credential(
        &self,
        failure: &Failure,
        ended: &Ended,
        view: &dyn TargetsView,
        now: Now,
    ) -> Option<CredentialIx> {
        let of_credential = outcome::is_of_credential(failure)
            && view.facts(ended.target).credentials > 1
            && !ended.forced
            && self.may_attempt();
        if !of_credential {
            return None;
        }
        let tried: Vec<CredentialIx> = self
            .attempts
            .iter()
            .filter(|a| a.target == ended.target)
            .map(|a| a.credential)
            .collect();
        view.other_credential(ended.target, &tried, now)
            .filter(|c| !tried.contains(c))
    }

    /// Tells breakers' neighbours what the failure says of them.
    fn tell_cells(&mut self, failure: &Failure, ended: &Ended, now: Now) {
        let target = ended.target;
        if outcome::is_connect_failure(failure) {
            self.effects.push_back(Effect::ConnectFailed { target });
        }
        if let Some(hint) = failure.retry_after {
            self.note_recovery(now.mono + hint);
        }
        if let Some((scope, reason)) = outcome::rest(failure) {
            // What was known of the least bad target's recovery is overtaken by what it says now.
            if ended.forced && reason != RestReason::RateLimited {
                self.recovery = None;
            }
            self.effects.push_back(Effect::Rest {
                target,
                credential: ended.credential,
                scope,
                reason,
                hint: failure.retry_after,
            });
            if outcome::alerts(failure.class) {
                self.effects.push_back(Effect::Alert { target, reason });
            }
        }
    }

    pub(super) fn fail(&mut self, now: Now) {
        let unaffordable = self.failure.is_none() && self.plan.lacks_money();
        let (failure, attempt) = match self.failure.take() {
            Some(known) => known,
            None => (self.nobody_could_be_tried(), AttemptNo(0)),
        };
        let after_commit = self.committed.is_some();
        let recovery = match (self.plan.earliest_recovery(), self.recovery) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let helps = !after_commit && outcome::waiting_helps(failure.class);
        let retry_after = recovery
            .filter(|_| helps)
            .map(|at| at.since(now.mono).max(RETRY_AFTER_MIN));
        let as_text = !after_commit
            && failure.class == OutcomeClass::MalformedOutput
            && self.policy.malformed_output == OnMalformed::Text;
        self.over = true;
        self.actions.push_back(Action::Fail(CallFailure {
            failure,
            after_commit,
            unaffordable,
            retry_after,
            malformed_text: as_text.then_some(attempt),
        }));
    }

    /// What the client is told when there was no attempt at all.
    fn nobody_could_be_tried(&self) -> Failure {
        let route = &self.policy.name;
        let unfit = self.plan.left_out.iter().find_map(|l| match l.reason {
            LeftOutReason::Unfit(unfit) => Some(unfit),
            LeftOutReason::Open { .. }
            | LeftOutReason::Resting { .. }
            | LeftOutReason::Disabled { .. }
            | LeftOutReason::NotAllowed
            | LeftOutReason::Unpriced
            | LeftOutReason::Unaffordable
            | LeftOutReason::Exhausted => None,
        });
        let any = |reason| self.plan.left_out.iter().any(|l| l.reason == reason);
        if self.plan.lacks_money() {
            let message = format!("the budgets have too little left for any target of `{route}`");
            Failure::new(OutcomeClass::QuotaExhausted, message)
        } else if let Some(unfit) = unfit {
            let message = format!("no target of `{route}` can take this call: the first one {unfit}");
            Failure::new(OutcomeClass::Unsupported, message)
        } else if any(LeftOutReason::NotAllowed) {
            Failure {
                status: Some(FORBIDDEN),
                ..Failure::new(
                    OutcomeClass::InvalidRequest,
                    format!("this key may not be served by any target of `{route}`"),
                )
            }
        } else if any(LeftOutReason::Unpriced) {
            let message =
                format!("no target of `{route}` has prices, and a budget that counts this call asks for them");
            Failure::new(OutcomeClass::Unsupported, message)
        } else {
            Failure::new(
                OutcomeClass::Overloaded,
                format!("no target of `{route}` can be tried now"),
            )
        }
    }
}

/// What is still needed of an attempt that ended.
struct Ended {
    attempt: AttemptNo,
    target: TargetIx,
    credential: CredentialIx,
    tier: u32,
    kind: AttemptKind,
    forced: bool,
    continuation: Option<Continuation>,
    degraded: Features,
    committed: bool,
    probe: bool,
    probation: bool,
}

impl Ended {
    /// The same attempt once more.
    fn again(&self) -> Start {
        Start {
            target: self.target,
            tier: self.tier,
            credential: self.credential,
            kind: self.kind,
            forced: self.forced,
            fresh: false,
            continuation: self.continuation,
            degraded: self.degraded,
            probe: self.probe,
            probation: self.probation,
        }
    }
}
