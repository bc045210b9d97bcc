//! What a route remembers between calls: its retry budget. The shell keeps one behind a small lock.

use types::time::Now;

use crate::retry_budget::RetryBudget;
use crate::route::RetryBudgetPolicy;

/// The memory of one route.
#[derive(Debug, Clone)]
pub struct RouteCell {
    budget: RetryBudget,
}

impl RouteCell {
    /// A route that has seen no call.
    pub fn new(policy: RetryBudgetPolicy) -> RouteCell {
        RouteCell {
            budget: RetryBudget::new(policy),
        }
    }

    /// The operator changed the policy. What was learned stays; what follows is judged by the new one.
    pub fn reconfigure(&mut self, policy: RetryBudgetPolicy) {
        self.budget.reconfigure(policy);
    }

    /// A call of the route began (`Effect::CallStarted`).
    pub fn call_started(&mut self, now: Now) {
        self.budget.deposit(now);
    }

    /// Takes a retry (`Effect::RetrySpent`); `false` when none was left.
    pub fn withdraw_retry(&mut self, now: Now) -> bool {
        self.budget.withdraw(now)
    }

    /// Whether a retry is left; answers `TargetsView::retry_allowed`.
    pub fn retry_allowed(&self, now: Now) -> bool {
        self.budget.allows(now)
    }
}
