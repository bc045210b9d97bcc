//! What an admission asks, is answered, and how it is settled.

use std::time::Duration;

use types::ids::KeyId;
use types::money::NanoDollars;
use types::spend::{BudgetState, BudgetWindow};

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// Calls a minute.
    Requests,
    /// Tokens a minute.
    Tokens,
    /// Calls under way.
    Concurrent,
}

impl Dimension {
    /// The word in headers, messages and keys of Redis.
    pub fn as_str(self) -> &'static str {
        match self {
            Dimension::Requests => "requests",
            Dimension::Tokens => "tokens",
            Dimension::Concurrent => "concurrent",
        }
    }
}

/// So much of a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitAsk {
    /// Whose limit.
    pub key: KeyId,
    /// What it counts.
    pub dimension: Dimension,
    /// The limit: a minute, or at once.
    pub limit: u64,
    /// How much of it: 1, or estimated tokens.
    pub amount: u64,
}

/// So much of a budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Which window.
    pub window: BudgetWindow,
    /// How much.
    pub amount: NanoDollars,
    /// Granted only while `spent + reserved + amount ≤ ceiling` (the limit, or the limit less the reserve).
    pub ceiling: NanoDollars,
}

/// What an attempt needs before it may begin.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ask {
    /// The call's id, for places of [`Dimension::Concurrent`].
    pub call: String,
    /// Limits; only with a call's first ask.
    pub limits: Vec<LimitAsk>,
    /// Budgets.
    pub holds: Vec<Hold>,
}

/// Whether it was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All of it.
    Granted,
    /// A limit does not allow it; nothing was taken.
    Limited {
        /// Which of [`Ask::limits`].
        which: usize,
        /// When it would be granted, if nobody else came. Never zero.
        retry_after: Duration,
    },
    /// A budget does not allow it; nothing was taken.
    Exhausted {
        /// Which of [`Ask::holds`].
        which: usize,
    },
}

/// What is left of a limit after the ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LimitState {
    /// What is left now.
    pub remaining: u64,
    /// Until it is full again.
    pub reset: Duration,
}

/// The answer to an [`Ask`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The verdict.
    pub verdict: Verdict,
    /// One for each of [`Ask::limits`].
    pub limits: Vec<LimitState>,
    /// One for each of [`Ask::holds`], after it when it was granted.
    pub budgets: Vec<BudgetState>,
    /// The shared state is gone: this instance's fair share decided.
    pub degraded: bool,
}

/// The end of what was granted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settlement {
    /// The call's id.
    pub call: String,
    /// What was held, and what it came to.
    pub spends: Vec<(BudgetWindow, Spend)>,
    /// Token limits: what was taken, and what it came to.
    pub tokens: Vec<(LimitAsk, u64)>,
    /// Keys whose place of [`Dimension::Concurrent`] is given back.
    pub places: Vec<KeyId>,
}

/// Held, and come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spend {
    /// What had been held.
    pub held: NanoDollars,
    /// What it came to.
    pub actual: NanoDollars,
}
