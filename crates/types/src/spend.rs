//! Money as counters and decisions speak of it: levels of a budget, one window of it, what was spent and held in it.

use serde::{Deserialize, Serialize};

use crate::ids::BudgetId;
use crate::money::NanoDollars;
use crate::time::UnixMillis;

/// What a budget's remaining share asks of the choice of targets. The order is from plenty to nothing; of several budgets the
/// greatest holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpendLevel {
    /// The route's own ranking.
    #[default]
    Quality,
    /// Standard model tiers before premium.
    Balanced,
    /// The cheapest capable target.
    Cheapest,
    /// Nothing is left for this call.
    Exhausted,
}

impl SpendLevel {
    /// As headers, metrics and logs write it.
    pub fn as_str(self) -> &'static str {
        match self {
            SpendLevel::Quality => "quality",
            SpendLevel::Balanced => "balanced",
            SpendLevel::Cheapest => "cheapest",
            SpendLevel::Exhausted => "exhausted",
        }
    }
}

/// One window of one budget: the thing that is counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BudgetWindow {
    /// Which budget.
    pub budget: BudgetId,
    /// When the window began; it is the window's name.
    pub start: UnixMillis,
    /// When it ends (exclusive): the counters may be forgotten some time after.
    pub end: UnixMillis,
}

/// What was counted in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BudgetState {
    /// Settled.
    pub spent: NanoDollars,
    /// Held for attempts that have not been settled.
    pub reserved: NanoDollars,
}
