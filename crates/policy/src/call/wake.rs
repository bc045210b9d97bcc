//! What follows when a clock of a call fires.

use types::outcome::{Failure, OutcomeClass, Scope, TimeoutKind};
use types::time::{Mono, Now};

use crate::breaker::Verdict;
use crate::call::Call;
use crate::call::action::{Action, Effect};
use crate::call::clocks::TimeoutReason;
use crate::view::TargetsView;

impl Call {
    /// Does what is due. Harmless when nothing is.
    pub fn handle_timeout(&mut self, view: &dyn TargetsView, now: Now) {
        // Each clock that fires is stopped by what follows from it, so the loop ends.
        while let Some((at, reason)) = self.earliest_clock()
            && at <= now.mono
        {
            match reason {
                TimeoutReason::Deadline => self.deadline_passed(now),
                TimeoutReason::Total => self.total_passed(view, now),
                TimeoutReason::StreamMax => self.cut(
                    Failure::timeout(TimeoutKind::Total, "the stream ran longer than allowed"),
                    None,
                    view,
                    now,
                ),
                TimeoutReason::Connect => self.cut(
                    Failure::timeout(TimeoutKind::Connect, "no connection in time").with_scope(Scope::Provider),
                    None,
                    view,
                    now,
                ),
                TimeoutReason::FirstToken => self.first_token_passed(view, now),
                TimeoutReason::Idle => self.cut(
                    Failure::timeout(TimeoutKind::Idle, "the stream fell silent"),
                    None,
                    view,
                    now,
                ),
                TimeoutReason::ContentIdle => self.cut(
                    Failure::timeout(TimeoutKind::Idle, "the stream brought no more content"),
                    None,
                    view,
                    now,
                ),
                TimeoutReason::Backoff => self.launch_retry(view, now),
            }
        }
    }

    pub(super) fn earliest_clock(&self) -> Option<(Mono, TimeoutReason)> {
        if self.over {
            return None;
        }
        let before_commit = self.committed.is_none();
        let total = self.visit.and_then(|v| v.ends).filter(|_| before_commit);
        let mut earliest: Option<(Mono, TimeoutReason)> = None;
        // Of clocks that fire at once the first of this order wins.
        let mut consider = |at: Option<Mono>, reason| {
            if let Some(at) = at
                && earliest.is_none_or(|(best, _)| at < best)
            {
                earliest = Some((at, reason));
            }
        };
        consider(before_commit.then_some(self.deadline), TimeoutReason::Deadline);
        consider(self.stream_ends, TimeoutReason::StreamMax);
        consider(total, TimeoutReason::Total);
        if let Some(live) = &self.live {
            for (at, reason) in live.clocks.all() {
                consider(at, reason);
            }
        }
        consider(self.waiting.map(|w| w.until), TimeoutReason::Backoff);
        earliest
    }

    fn deadline_passed(&mut self, now: Now) {
        if self.commit_what_is_held(now) {
            return;
        }
        self.waiting = None;
        let failure = Failure::timeout(TimeoutKind::Deadline, "no answer within the deadline");
        if let Some(live) = &self.live {
            let attempt = live.attempt;
            self.actions.push_back(Action::Cancel(attempt));
            let timeout = Some(TimeoutKind::Deadline);
            self.end_attempt(OutcomeClass::Timeout, timeout, Verdict::Neutral, now);
        }
        self.failure = None;
        self.fail_with(failure, now);
    }

    fn total_passed(&mut self, view: &dyn TargetsView, now: Now) {
        let Some(visit) = &mut self.visit else { return };
        visit.ends = None;
        if self.live.is_some() && self.commit_what_is_held(now) {
            return;
        }
        if let Some(visit) = &mut self.visit {
            visit.spent = true;
        }
        self.waiting = None;
        let Some(live) = &self.live else {
            self.launch_next(view, now);
            return;
        };
        // Who began shortly before the end of a visit that others used up is not to blame for it.
        let total = self.timeouts(live.tier).total.unwrap_or_default();
        let ran = now.mono.since(live.started);
        let verdict = (ran * 2 < total).then_some(Verdict::Neutral);
        let failure = Failure::timeout(TimeoutKind::Total, "the tier's time is up");
        self.cut(failure, verdict, view, now);
    }

    fn first_token_passed(&mut self, view: &dyn TargetsView, now: Now) {
        let failure = Failure::timeout(TimeoutKind::FirstToken, "no content in time");
        // After a commit the client is in the middle of a text: waiting on has no better end than an error.
        if self.committed.is_some() || self.has_other(view, now) {
            self.cut(failure, None, view, now);
            return;
        }
        // The last target left is not cut, for there is nothing better to do than to wait; its breaker hears of it.
        if let Some(live) = &mut self.live {
            live.clocks.let_first_token_pass();
            live.late = true;
            if !live.settled {
                live.settled = true;
                self.effects.push_back(Effect::Settle {
                    attempt: live.attempt,
                    target: live.target,
                    verdict: Verdict::Failure,
                });
            }
        }
    }

    /// Content that is held back is better than an error: a clock that bounds the time to the commit makes it.
    fn commit_what_is_held(&mut self, now: Now) -> bool {
        let held = self
            .live
            .as_ref()
            .is_some_and(|live| live.first_content.is_some() && !live.committed && live.degraded.is_empty());
        if held {
            self.commit(now);
        }
        held
    }

    fn cut(&mut self, failure: Failure, verdict: Option<Verdict>, view: &dyn TargetsView, now: Now) {
        let Some(live) = &self.live else { return };
        self.actions.push_back(Action::Cancel(live.attempt));
        self.attempt_failed(failure, false, verdict, view, now);
    }
}
