//! Mutants: the real call with one mistake each, made at the simulator's seam. A checker that does not catch its mutant
//! checks nothing.

use std::collections::VecDeque;
use std::sync::Arc;

use policy::breaker::Verdict;
use policy::call::Call;
use policy::call::action::{Action, AttemptKind, CallFailure, Effect, Launch};
use policy::call::event::AttemptEvent;
use policy::call::facts::CallFacts;
use policy::route::{Retries, RoutePolicy};
use policy::spend::{BudgetPolicy, Share};
use policy::target::{DomainIx, TargetFacts};
use policy::view::{Admission, TargetStatus, TargetsView};
use types::ids::{AttemptNo, CredentialIx, TargetIx};
use types::money::NanoDollars;
use types::outcome::{Failure, OutcomeClass};
use types::principal::Priority;
use types::spend::{BudgetState, SpendLevel};
use types::time::{Mono, Now};

use crate::checker::{self, Checker};
use crate::machine::{Machine, Maker, RealPolicy};

/// Numbers of attempts that the real call knows nothing of.
const STRAY_ATTEMPTS: u32 = 1_000;

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mutation {
    /// It takes four times its deadline.
    IgnoresTheDeadline,
    /// It does not leave a tier whose total is over.
    IgnoresTotals,
    /// It launches another attempt when it has committed.
    LaunchesAfterTheCommit,
    /// It retries whether the budget allows it or not.
    RetriesUnasked,
    /// It takes an open breaker for a closed one, and forces its way.
    PassesOpenBreakers,
    /// It never probes.
    NeverProbes,
    /// It never gives the first tier's last target anything first.
    StarvesTheLast,
    /// It keeps the permit of an attempt that the client left.
    KeepsCancelledPermits,
    /// It gives each permit back twice.
    SettlesTwice,
    /// It takes a bad request for an error of the server.
    ShowsBadRequestsAround,
    /// It tells the breaker of what was nobody's fault.
    BlamesTheInnocent,
    /// It knows no caps.
    NeverGivesUp,
    /// It retries what must not be retried so often.
    RetriesTooOften,
    /// It tells the breaker of no failure.
    ForgivesFailures,
    /// It fails with the first target.
    NeverFallsBack,
    /// It holds money for as many as come, as long as too little is spent yet.
    ForgetsWhatIsHeld,
    /// It lets everyone at the reserve.
    OpensTheReserve,
    /// It goes on when nothing is left.
    SpendsWithoutMoney,
}

impl Mutation {
    /// All of them.
    pub const ALL: [Mutation; 18] = [
        Mutation::IgnoresTheDeadline,
        Mutation::IgnoresTotals,
        Mutation::LaunchesAfterTheCommit,
        Mutation::RetriesUnasked,
        Mutation::PassesOpenBreakers,
        Mutation::NeverProbes,
        Mutation::StarvesTheLast,
        Mutation::KeepsCancelledPermits,
        Mutation::SettlesTwice,
        Mutation::ShowsBadRequestsAround,
        Mutation::BlamesTheInnocent,
        Mutation::NeverGivesUp,
        Mutation::RetriesTooOften,
        Mutation::ForgivesFailures,
        Mutation::NeverFallsBack,
        Mutation::ForgetsWhatIsHeld,
        Mutation::OpensTheReserve,
        Mutation::SpendsWithoutMoney,
    ];

    /// Who must catch it.
    pub fn caught_by(self) -> &'static dyn Checker {
        match self {
            Mutation::IgnoresTheDeadline | Mutation::IgnoresTotals => &checker::deadline::Deadline,
            Mutation::LaunchesAfterTheCommit => &checker::after_commit::AfterCommit,
            Mutation::RetriesUnasked => &checker::retry_budget::RetryBudget,
            Mutation::PassesOpenBreakers => &checker::open_breaker::OpenBreaker,
            Mutation::NeverProbes | Mutation::StarvesTheLast => &checker::starvation::Starvation,
            Mutation::KeepsCancelledPermits | Mutation::SettlesTwice => &checker::settle::Settle,
            Mutation::ShowsBadRequestsAround | Mutation::BlamesTheInnocent => &checker::blame::Blame,
            Mutation::NeverGivesUp | Mutation::RetriesTooOften => &checker::caps::Caps,
            Mutation::ForgivesFailures => &checker::dead_target::DeadTarget,
            Mutation::NeverFallsBack => &checker::fallback::Fallback,
            Mutation::ForgetsWhatIsHeld => &checker::money::WithinLimit,
            Mutation::OpensTheReserve => &checker::money::ReserveForCritical,
            Mutation::SpendsWithoutMoney => &checker::money::ExhaustedLaunchesNothing,
        }
    }

    fn changed_policy(self, policy: &Arc<RoutePolicy>) -> Arc<RoutePolicy> {
        let mut changed = RoutePolicy::clone(policy);
        match self {
            Mutation::IgnoresTheDeadline => changed.deadline *= 4,
            Mutation::IgnoresTotals => changed.tiers.iter_mut().for_each(|t| t.timeouts.total = None),
            Mutation::StarvesTheLast => {
                if let Some(last) = changed.tiers[0].targets.last_mut() {
                    last.weight = 0;
                }
            }
            Mutation::NeverGivesUp => {
                changed.attempts_max *= 4;
                changed.tiers_max *= 4;
            }
            Mutation::RetriesTooOften => {
                for tier in &mut changed.tiers {
                    tier.retries = Retries {
                        default: Some(3),
                        by_class: tier.retries.by_class.iter().map(|(class, n)| (*class, n + 2)).collect(),
                    };
                }
            }
            Mutation::LaunchesAfterTheCommit
            | Mutation::RetriesUnasked
            | Mutation::PassesOpenBreakers
            | Mutation::NeverProbes
            | Mutation::KeepsCancelledPermits
            | Mutation::SettlesTwice
            | Mutation::ShowsBadRequestsAround
            | Mutation::BlamesTheInnocent
            | Mutation::ForgivesFailures
            | Mutation::NeverFallsBack
            | Mutation::ForgetsWhatIsHeld
            | Mutation::OpensTheReserve
            | Mutation::SpendsWithoutMoney => return policy.clone(),
        }
        Arc::new(changed)
    }

    fn changed_status(self, status: TargetStatus, now: Now) -> TargetStatus {
        let admission = match (self, status.admission) {
            (Mutation::PassesOpenBreakers, Admission::Open { .. }) => Admission::Ready,
            (Mutation::NeverProbes, Admission::Probe) => Admission::Open { until: now.mono },
            (_, admission) => admission,
        };
        TargetStatus { admission, ..status }
    }
}

impl Maker for Mutation {
    fn make(
        &self,
        policy: &Arc<RoutePolicy>,
        facts: CallFacts,
        seed: u64,
        view: &dyn TargetsView,
        now: Now,
    ) -> Box<dyn Machine> {
        let facts = match self {
            Mutation::IgnoresTheDeadline => CallFacts {
                deadline: None,
                commit_within: None,
                ..facts
            },
            _ => facts,
        };
        let view = MutantView { mutation: *self, view };
        Box::new(Mutant {
            call: Call::new(self.changed_policy(policy), facts, seed, &view, now),
            mutation: *self,
            now,
            actions: VecDeque::new(),
            effects: VecDeque::new(),
            last: None,
            blameless: None,
        })
    }

    fn level(&self, budget: &BudgetPolicy, state: &BudgetState, priority: Priority) -> SpendLevel {
        match self {
            Mutation::OpensTheReserve => RealPolicy.level(&without_reserve(budget), state, priority),
            Mutation::SpendsWithoutMoney => RealPolicy.level(budget, state, priority).min(SpendLevel::Cheapest),
            _ => RealPolicy.level(budget, state, priority),
        }
    }

    fn may_hold(&self, budget: &BudgetPolicy, state: &BudgetState, priority: Priority, amount: NanoDollars) -> bool {
        let settled = BudgetState {
            reserved: NanoDollars::ZERO,
            ..*state
        };
        match self {
            Mutation::ForgetsWhatIsHeld => RealPolicy.may_hold(budget, &settled, priority, amount),
            Mutation::OpensTheReserve => RealPolicy.may_hold(&without_reserve(budget), state, priority, amount),
            Mutation::SpendsWithoutMoney => true,
            _ => RealPolicy.may_hold(budget, state, priority, amount),
        }
    }
}

fn without_reserve(budget: &BudgetPolicy) -> BudgetPolicy {
    BudgetPolicy {
        reserve: Share::ZERO,
        ..budget.clone()
    }
}

struct Mutant {
    call: Call,
    mutation: Mutation,
    now: Now,
    actions: VecDeque<Action>,
    effects: VecDeque<Effect>,
    last: Option<Launch>,
    /// The attempt that ended by nobody's fault.
    blameless: Option<AttemptNo>,
}

impl Machine for Mutant {
    fn handle_event(&mut self, event: AttemptEvent, view: &dyn TargetsView, now: Now) {
        self.now = now;
        let event = self.changed_event(event);
        let mutation = self.mutation;
        self.call.handle_event(event, &MutantView { mutation, view }, now);
    }

    fn handle_timeout(&mut self, view: &dyn TargetsView, now: Now) {
        self.now = now;
        let mutation = self.mutation;
        self.call.handle_timeout(&MutantView { mutation, view }, now);
    }

    fn cancel(&mut self, now: Now) {
        self.now = now;
        self.call.cancel(now);
    }

    fn poll_effect(&mut self) -> Option<Effect> {
        if let Some(effect) = self.effects.pop_front() {
            return Some(effect);
        }
        let effect = self.call.poll_effect()?;
        let Effect::Settle {
            attempt,
            target,
            verdict,
        } = effect
        else {
            return Some(effect);
        };
        let settle = |verdict| Effect::Settle {
            attempt,
            target,
            verdict,
        };
        match (self.mutation, verdict) {
            (Mutation::KeepsCancelledPermits, Verdict::Neutral) => self.poll_effect(),
            (Mutation::ForgivesFailures, Verdict::Failure) => Some(settle(Verdict::Neutral)),
            (Mutation::BlamesTheInnocent, Verdict::Neutral) if self.blameless == Some(attempt) => {
                Some(settle(Verdict::Failure))
            }
            (Mutation::SettlesTwice, _) => {
                self.effects.push_back(settle(verdict));
                Some(settle(verdict))
            }
            _ => Some(settle(verdict)),
        }
    }

    fn poll_action(&mut self) -> Option<Action> {
        if let Some(action) = self.actions.pop_front() {
            return Some(action);
        }
        let action = self.call.poll_action()?;
        match (self.mutation, action) {
            (Mutation::NeverFallsBack, Action::Launch(launch)) if launch.kind == AttemptKind::Fallback => {
                let attempts = self.call.attempts();
                let failure = attempts.iter().rev().find_map(|a| a.class);
                Some(Action::Fail(CallFailure {
                    failure: Failure::new(failure.unwrap_or(OutcomeClass::Overloaded), "given up"),
                    after_commit: false,
                    unaffordable: false,
                    retry_after: None,
                    malformed_text: None,
                }))
            }
            (Mutation::PassesOpenBreakers, Action::Launch(launch)) => {
                Some(Action::Launch(Launch { forced: true, ..launch }))
            }
            (Mutation::LaunchesAfterTheCommit, Action::Commit(attempt)) => {
                if let Some(last) = self.last {
                    let stray = AttemptNo(STRAY_ATTEMPTS + attempt.0);
                    self.actions.push_back(Action::Launch(Launch {
                        attempt: stray,
                        kind: AttemptKind::Fallback,
                        ..last
                    }));
                }
                Some(Action::Commit(attempt))
            }
            (_, Action::Launch(launch)) => {
                self.last = Some(launch);
                Some(Action::Launch(launch))
            }
            (_, action) => Some(action),
        }
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.call.poll_timeout().map(|(at, _)| at)
    }
}

impl Mutant {
    fn changed_event(&mut self, event: AttemptEvent) -> AttemptEvent {
        let AttemptEvent::Failed {
            attempt,
            mut failure,
            reused_connection_died,
        } = event
        else {
            return event;
        };
        let bad = matches!(
            failure.class,
            OutcomeClass::InvalidRequest | OutcomeClass::ContentFiltered
        );
        if bad {
            self.blameless = Some(attempt);
        }
        if bad && self.mutation == Mutation::ShowsBadRequestsAround {
            failure.class = OutcomeClass::ServerError;
        }
        AttemptEvent::Failed {
            attempt,
            failure,
            reused_connection_died,
        }
    }
}

/// What a mutant sees.
struct MutantView<'a> {
    mutation: Mutation,
    view: &'a dyn TargetsView,
}

impl TargetsView for MutantView<'_> {
    fn facts(&self, target: TargetIx) -> &TargetFacts {
        self.view.facts(target)
    }

    fn status(&self, target: TargetIx, now: Now) -> TargetStatus {
        self.mutation.changed_status(self.view.status(target, now), now)
    }

    fn retry_allowed(&self, now: Now) -> bool {
        self.mutation == Mutation::RetriesUnasked || self.view.retry_allowed(now)
    }

    fn troubled_domain(&self, domain: DomainIx) -> bool {
        self.view.troubled_domain(domain)
    }

    fn expected_cost(&self, target: TargetIx, call: &CallFacts) -> Option<NanoDollars> {
        self.view.expected_cost(target, call)
    }

    fn other_credential(&self, target: TargetIx, tried: &[CredentialIx], now: Now) -> Option<CredentialIx> {
        self.view.other_credential(target, tried, now)
    }
}
