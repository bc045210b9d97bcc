//! The counters of a scenario's budget, used as the gateway uses those it shares: held before an attempt, settled after it.

use std::collections::BTreeMap;

use policy::spend::window::window_at;
use types::ids::AttemptNo;
use types::money::NanoDollars;
use types::principal::Priority;
use types::spend::{BudgetState, SpendLevel};
use types::time::UnixMillis;

use crate::machine::Maker;
use crate::scenario::ScriptedBudget;

/// What was counted, by window, and what is held.
#[derive(Debug)]
pub struct Purse<'a> {
    budget: &'a ScriptedBudget,
    windows: BTreeMap<UnixMillis, BudgetState>,
    held: BTreeMap<(u32, AttemptNo), Held>,
}

/// What an attempt holds.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    /// The beginning of the window that it is charged to.
    pub window: UnixMillis,
    /// How much.
    pub amount: NanoDollars,
}

impl Purse<'_> {
    /// Nothing is spent yet.
    pub fn new(budget: &ScriptedBudget) -> Purse<'_> {
        Purse {
            budget,
            windows: BTreeMap::new(),
            held: BTreeMap::new(),
        }
    }

    /// What the budget asks of a call of a priority now.
    pub fn level(&self, maker: &dyn Maker, priority: Priority, now: UnixMillis) -> SpendLevel {
        let window = window_at(&self.budget.policy, now).start;
        let state = self.windows.get(&window).copied().unwrap_or_default();
        maker.level(&self.budget.policy, &state, priority)
    }

    /// Holds an amount for an attempt, in the window of now; `None` when so much is not left.
    pub fn hold(
        &mut self,
        maker: &dyn Maker,
        of: (u32, AttemptNo),
        priority: Priority,
        amount: NanoDollars,
        now: UnixMillis,
    ) -> Option<Held> {
        let window = window_at(&self.budget.policy, now).start;
        let state = self.windows.entry(window).or_default();
        if !maker.may_hold(&self.budget.policy, state, priority, amount) {
            return None;
        }
        state.reserved += amount;
        let held = Held { window, amount };
        self.held.insert(of, held);
        Some(held)
    }

    /// What was held gives way to what it came to. `None`: nothing was held.
    pub fn settle(
        &mut self,
        of: (u32, AttemptNo),
        actual: impl FnOnce(NanoDollars) -> NanoDollars,
    ) -> Option<(Held, NanoDollars)> {
        let held = self.held.remove(&of)?;
        let actual = actual(held.amount);
        let state = self.windows.entry(held.window).or_default();
        state.reserved = state.reserved.saturating_sub(held.amount);
        state.spent += actual;
        Some((held, actual))
    }
}
