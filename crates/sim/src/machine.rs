//! The simulator's seam: what it needs of a call, so that a mutant may stand in for the real one.

use std::sync::Arc;

use policy::call::Call;
use policy::call::action::{Action, Effect};
use policy::call::event::AttemptEvent;
use policy::call::facts::CallFacts;
use policy::route::RoutePolicy;
use policy::spend::{self, BudgetPolicy};
use policy::view::TargetsView;
use types::money::NanoDollars;
use types::principal::Priority;
use types::spend::{BudgetState, SpendLevel};
use types::time::{Mono, Now};

/// A call as the simulator drives it: the methods of [`Call`].
pub trait Machine {
    /// Takes in what became of an attempt.
    fn handle_event(&mut self, event: AttemptEvent, view: &dyn TargetsView, now: Now);
    /// Does what is due.
    fn handle_timeout(&mut self, view: &dyn TargetsView, now: Now);
    /// The client left.
    fn cancel(&mut self, now: Now);
    /// The next effect to apply.
    fn poll_effect(&mut self) -> Option<Effect>;
    /// The next thing to do; effects come first.
    fn poll_action(&mut self) -> Option<Action>;
    /// When it wants to be woken.
    fn poll_timeout(&self) -> Option<Mono>;
}

/// Who makes the machines of a run.
pub trait Maker {
    /// A machine for a call that begins now.
    fn make(
        &self,
        policy: &Arc<RoutePolicy>,
        facts: CallFacts,
        seed: u64,
        view: &dyn TargetsView,
        now: Now,
    ) -> Box<dyn Machine>;

    /// What a budget asks of a call of a priority.
    fn level(&self, budget: &BudgetPolicy, state: &BudgetState, priority: Priority) -> SpendLevel {
        spend::level(budget, state, priority)
    }

    /// Whether an amount may be held on behalf of a call of a priority.
    fn may_hold(&self, budget: &BudgetPolicy, state: &BudgetState, priority: Priority, amount: NanoDollars) -> bool {
        spend::fits(spend::ceiling(budget, priority), state, amount)
    }
}

/// Makes the real ones.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealPolicy;

impl Maker for RealPolicy {
    fn make(
        &self,
        policy: &Arc<RoutePolicy>,
        facts: CallFacts,
        seed: u64,
        view: &dyn TargetsView,
        now: Now,
    ) -> Box<dyn Machine> {
        Box::new(Call::new(policy.clone(), facts, seed, view, now))
    }
}

impl Machine for Call {
    fn handle_event(&mut self, event: AttemptEvent, view: &dyn TargetsView, now: Now) {
        Call::handle_event(self, event, view, now);
    }

    fn handle_timeout(&mut self, view: &dyn TargetsView, now: Now) {
        Call::handle_timeout(self, view, now);
    }

    fn cancel(&mut self, now: Now) {
        Call::cancel(self, now);
    }

    fn poll_effect(&mut self) -> Option<Effect> {
        Call::poll_effect(self)
    }

    fn poll_action(&mut self) -> Option<Action> {
        Call::poll_action(self)
    }

    fn poll_timeout(&self) -> Option<Mono> {
        Call::poll_timeout(self).map(|(at, _)| at)
    }
}
