//! How attempts begin: the next candidate of the plan, the same target again, and what bars either.

use types::features::Features;
use types::ids::{AttemptNo, CredentialIx, TargetIx};
use types::time::{Mono, Now};

use crate::call::action::{Action, AttemptKind, AttemptSummary, Continuation, Launch};
use crate::call::clocks::Clocks;
use crate::call::{Call, Live, Visit};
use crate::plan::{Candidate, LeftOut, LeftOutReason};
use crate::rest::RestReason;
use crate::view::{Admission, TargetsView};

/// What is to be launched.
pub(super) struct Start {
    pub(super) target: TargetIx,
    pub(super) tier: u32,
    pub(super) credential: CredentialIx,
    pub(super) kind: AttemptKind,
    pub(super) forced: bool,
    pub(super) fresh: bool,
    pub(super) continuation: Option<Continuation>,
    pub(super) degraded: Features,
    pub(super) probe: bool,
    pub(super) probation: bool,
}

impl Call {
    /// The shell got no permit: as if it had never been tried.
    pub(super) fn refused(&mut self, view: &dyn TargetsView, now: Now) {
        let Some(live) = self.live.take() else { return };
        self.attempts.pop();
        // What replaces nothing is not free: the dead attempt it was for is charged after all.
        self.free -= u32::from(live.fresh);
        let status = view.status(live.target, now);
        let reason = LeftOutReason::of(status.admission).unwrap_or(LeftOutReason::Open { until: now.mono });
        self.leave_out(live.target, live.tier, reason);
        self.launch_next(view, now);
    }

    /// Its cost could not be held: as if it had never been tried.
    pub(super) fn unaffordable(&mut self, view: &dyn TargetsView, now: Now) {
        let Some(live) = self.live.take() else { return };
        self.attempts.pop();
        self.free -= u32::from(live.fresh);
        self.leave_out(live.target, live.tier, LeftOutReason::Unaffordable);
        self.launch_next(view, now);
    }

    /// Tries the next candidate that is worth it, or ends the call.
    pub(super) fn launch_next(&mut self, view: &dyn TargetsView, now: Now) {
        while self.may_attempt() {
            let Some(candidate) = self.plan.candidates.get(self.next).copied() else {
                // Everything the plan held was refused before it was tried: the least bad is still tried once.
                if self.attempts.is_empty() && !self.least_bad {
                    self.least_bad = true;
                    if self.plan.add_least_bad(view, now) {
                        continue;
                    }
                }
                if self.plan.add_short(view, now) {
                    continue;
                }
                break;
            };
            self.next += 1;
            if !self.is_worth_trying(&candidate, view) {
                continue;
            }
            let status = view.status(candidate.target, now);
            let reason = LeftOutReason::of(status.admission);
            let provider = |target| view.facts(target).provider;
            let freed = self
                .freed
                .filter(|(target, _)| provider(*target) == provider(candidate.target))
                .map(|(_, credential)| credential);
            let mut asked = None;
            match reason {
                None => {}
                // Perhaps only the place that this call has just given back bars it. The shell knows when it is asked, and
                // to be refused costs nothing.
                Some(LeftOutReason::Open { .. } | LeftOutReason::Resting { .. })
                    if freed.is_some() && !candidate.forced =>
                {
                    asked = freed;
                }
                // The least bad is tried past its breaker or rest; its own recovery is what the client may wait for.
                Some(LeftOutReason::Open { until } | LeftOutReason::Resting { until, .. }) if candidate.forced => {
                    self.note_recovery(until);
                }
                Some(reason) => {
                    self.leave_out(candidate.target, candidate.tier, reason);
                    continue;
                }
            }
            let kind = if self.committed.is_some() {
                AttemptKind::Resume
            } else if let Some(last) = self.attempts.last() {
                self.fallback_reason = self.fallback_reason.or(last.class);
                AttemptKind::Fallback
            } else {
                AttemptKind::First
            };
            let prefill = view.facts(candidate.target).prefill;
            let continuation = (kind == AttemptKind::Resume).then_some(if prefill {
                Continuation::Prefill
            } else {
                Continuation::Instruct
            });
            self.enter(candidate.tier, now);
            self.launch(
                Start {
                    target: candidate.target,
                    tier: candidate.tier,
                    credential: asked.or(status.credential).unwrap_or(candidate.credential),
                    kind,
                    forced: reason.is_some() && asked.is_none(),
                    fresh: false,
                    continuation,
                    degraded: candidate.degraded,
                    probe: reason.is_some() || status.admission == Admission::Probe,
                    probation: status.probation || asked.is_some(),
                },
                view,
                now,
            );
            return;
        }
        self.fail(now);
    }

    /// The wait is over: the same target again, unless its breaker opened meanwhile.
    pub(super) fn launch_retry(&mut self, view: &dyn TargetsView, now: Now) {
        let Some(wait) = self.waiting.take() else {
            return;
        };
        let status = view.status(wait.target, now);
        let forced = match status.admission {
            Admission::Ready | Admission::Probe => false,
            // It is the rest this very call was told of; it has waited for as long as it was told.
            Admission::Resting {
                why: RestReason::RateLimited,
                ..
            } if wait.after_rate_limit => true,
            Admission::Resting { .. } | Admission::Open { .. } | Admission::Disabled { .. } => {
                self.launch_next(view, now);
                return;
            }
        };
        self.launch(
            Start {
                target: wait.target,
                tier: wait.tier,
                credential: status.credential.unwrap_or(CredentialIx(0)),
                kind: AttemptKind::Retry,
                forced,
                fresh: false,
                continuation: None,
                degraded: wait.degraded,
                probe: status.admission == Admission::Probe,
                probation: status.probation,
            },
            view,
            now,
        );
    }

    /// Whether another target could be tried now instead of the live one.
    pub(super) fn has_other(&self, view: &dyn TargetsView, now: Now) -> bool {
        self.may_attempt()
            && self.plan.candidates[self.next..].iter().any(|c| {
                self.is_worth_trying(c, view)
                    && matches!(
                        view.status(c.target, now).admission,
                        Admission::Ready | Admission::Probe
                    )
            })
    }

    pub(super) fn launch(&mut self, start: Start, view: &dyn TargetsView, now: Now) {
        assert!(
            self.committed.is_none() || start.kind == AttemptKind::Resume,
            "after the commit only a continuation is launched"
        );
        assert!(self.live.is_none() && !self.over, "one attempt at a time");
        self.freed = None;
        self.numbered += 1;
        let attempt = AttemptNo(self.numbered);
        let reasoning = view.facts(start.target).reasoning;
        let clocks = Clocks::start(self.timeouts(start.tier), self.facts.stream, reasoning, now.mono);
        self.attempts.push(AttemptSummary {
            attempt,
            target: start.target,
            credential: start.credential,
            tier: start.tier,
            kind: start.kind,
            class: None,
            timeout: None,
            started: now.mono,
            ended: None,
            first_token: None,
        });
        self.actions.push_back(Action::Launch(Launch {
            attempt,
            target: start.target,
            credential: start.credential,
            tier: start.tier,
            kind: start.kind,
            forced: start.forced,
            fresh_connection: start.fresh,
            continuation: start.continuation,
            degraded: start.degraded,
        }));
        self.live = Some(Live {
            attempt,
            target: start.target,
            credential: start.credential,
            tier: start.tier,
            kind: start.kind,
            forced: start.forced,
            fresh: start.fresh,
            continuation: start.continuation,
            degraded: start.degraded,
            probe: start.probe,
            probation: start.probation,
            clocks,
            started: now.mono,
            first_content: None,
            committed: false,
            settled: false,
            late: false,
        });
    }

    /// Begins the visit of a tier, or goes to the next target of the one that goes on.
    fn enter(&mut self, tier: u32, now: Now) {
        match &mut self.visit {
            Some(visit) if visit.tier == tier => {
                visit.retries = 0;
                visit.fresh_used = false;
            }
            Some(_) | None => {
                self.visit = Some(Visit {
                    tier,
                    ends: self.timeouts(tier).total.map(|total| now.mono + total),
                    spent: false,
                    retries: 0,
                    fresh_used: false,
                });
            }
        }
    }

    pub(super) fn may_attempt(&self) -> bool {
        let charged = (self.attempts.len() as u32).saturating_sub(self.free);
        charged < self.policy.attempts_max.max(1)
    }

    /// Whether the call's limits and what it has learnt leave room for a candidate. Its state is another question.
    fn is_worth_trying(&self, candidate: &Candidate, view: &dyn TargetsView) -> bool {
        let spent = self.visit.is_some_and(|v| v.spent && v.tier == candidate.tier);
        // Each tier once, however often it is come back to: by price, targets of different tiers take turns.
        let visited = || self.attempts.iter().map(|a| a.tier).chain([candidate.tier]);
        let first_of_tier = |(place, tier): &(usize, u32)| !visited().take(*place).any(|before| before == *tier);
        let tiers = visited().enumerate().filter(first_of_tier).count();
        let large_enough = self.window_above.is_none_or(|above| {
            view.facts(candidate.target)
                .context_window
                .is_some_and(|window| window > above)
        });
        // A stream is continued by another target than the one that broke it.
        let broke = self.committed.is_some_and(|committed| {
            self.attempts
                .iter()
                .any(|a| a.attempt == committed && a.target == candidate.target)
        });
        !spent && tiers <= self.policy.tiers_max.max(1) as usize && large_enough && !broke
    }

    fn leave_out(&mut self, target: TargetIx, tier: u32, reason: LeftOutReason) {
        let weight = self
            .plan
            .candidates
            .iter()
            .find(|c| c.target == target && c.tier == tier)
            .map_or(0, |c| c.weight);
        self.plan.left_out.push(LeftOut {
            target,
            tier,
            weight,
            reason,
        });
    }

    pub(super) fn note_recovery(&mut self, at: Mono) {
        self.recovery = Some(self.recovery.map_or(at, |before| before.min(at)));
    }
}
