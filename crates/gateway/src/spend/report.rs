//! How budgets stand: their level, what was spent, how fast, and when the money ends. For `jumpseat budgets`, the admin API and the
//! metrics.

use jiff::Timestamp;
use policy::spend::burn::burn;
use policy::spend::{level, remaining};
use serde::{Deserialize, Serialize};
use types::money::NanoDollars;
use types::principal::Priority;
use types::spend::SpendLevel;
use types::time::UnixMillis;

use crate::spend::budget::{Budget, Budgets};
use crate::spend::spender::Spender;

/// How one budget stands.
#[derive(Debug, Clone, PartialEq)]
pub struct BudgetReport {
    /// Its id: the configuration's name, or `key:<id>/<name>`.
    pub id: String,
    /// `hour`, `day`, `week` or `month`.
    pub window: &'static str,
    /// Its zone.
    pub timezone: String,
    /// When its window began.
    pub start: UnixMillis,
    /// When it begins anew.
    pub end: UnixMillis,
    /// What it has.
    pub limit: NanoDollars,
    /// What of that only critical calls may take.
    pub reserve: NanoDollars,
    /// Settled.
    pub spent: NanoDollars,
    /// Held for attempts under way.
    pub reserved: NanoDollars,
    /// The share that is left for standard calls, 0 to 1.
    pub remaining: f64,
    /// What it asks of standard calls.
    pub level: SpendLevel,
    /// Spent an hour, over the window so far.
    pub burn: NanoDollars,
    /// When nothing is left for standard calls if it goes on so; `None` when it lasts.
    pub ends: Option<UnixMillis>,
}

/// The same for machines: times as RFC 3339, money as dollars in decimal text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct BudgetView {
    /// Its id: the configuration's name, or `key:<id>/<name>`.
    pub id: String,
    /// `quality`, `balanced`, `cheapest` or `exhausted`: what it asks of standard calls.
    pub level: String,
    /// `hour`, `day`, `week` or `month`.
    pub window: String,
    /// Its zone, by IANA name.
    pub timezone: String,
    /// When its window began.
    pub window_start: String,
    /// When it begins anew.
    pub resets_at: String,
    /// Dollars a window.
    pub limit_usd: String,
    /// Dollars of it that only critical calls may take.
    pub reserve_usd: String,
    /// Dollars settled.
    pub spent_usd: String,
    /// Dollars held for attempts under way.
    pub reserved_usd: String,
    /// The share that is left for standard calls, 0 to 1.
    pub remaining: f64,
    /// Dollars spent an hour, over the window so far.
    pub burn_usd_per_hour: String,
    /// When the money ends if it goes on so; absent when it lasts.
    pub ends_at: Option<String>,
}

impl BudgetReport {
    /// For machines.
    pub fn view(&self) -> BudgetView {
        BudgetView {
            id: self.id.clone(),
            level: self.level.as_str().to_owned(),
            window: self.window.to_owned(),
            timezone: self.timezone.clone(),
            window_start: written(self.start),
            resets_at: written(self.end),
            limit_usd: self.limit.to_string(),
            reserve_usd: self.reserve.to_string(),
            spent_usd: self.spent.to_string(),
            reserved_usd: self.reserved.to_string(),
            remaining: self.remaining,
            burn_usd_per_hour: self.burn.to_string(),
            ends_at: self.ends.map(written),
        }
    }
}

fn written(at: UnixMillis) -> String {
    let at = Timestamp::from_millisecond(i64::try_from(at.0).unwrap_or(i64::MAX));
    at.map(|at| at.to_string()).unwrap_or_default()
}

impl Spender {
    /// How the budgets of the configuration and those of keys stand.
    pub fn report(&self, budgets: &Budgets) -> Vec<BudgetReport> {
        let now = self.clock.now().wall;
        let of_keys = self.keys.budgets();
        budgets
            .iter()
            .chain(&of_keys)
            .map(|budget| self.one(budget, now))
            .collect()
    }

    fn one(&self, budget: &Budget, now: UnixMillis) -> BudgetReport {
        let policy = &budget.policy;
        let window = budget.window(now);
        let state = self.stores.shared.budget(&window).unwrap_or_default();
        let burn = burn(policy, &state, &window, now);
        BudgetReport {
            id: policy.id.to_string(),
            window: policy.window.as_str(),
            timezone: policy.zone.to_string(),
            start: window.start,
            end: window.end,
            limit: policy.limit,
            reserve: policy.reserved_amount(),
            spent: state.spent,
            reserved: state.reserved,
            remaining: remaining(policy, &state, Priority::Standard).as_f64(),
            level: level(policy, &state, Priority::Standard),
            burn: burn.per_hour,
            ends: burn.ends,
        }
    }
}
