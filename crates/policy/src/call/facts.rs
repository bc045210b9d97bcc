//! What a decision needs to know of a call: read from the client's request once, before anything is planned.

use std::sync::Arc;
use std::time::Duration;

use types::features::Features;
use types::principal::Priority;
use types::spend::SpendLevel;

use crate::pattern::Allowed;

/// A call as far as policy is concerned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallFacts {
    /// The client wants a stream.
    pub stream: bool,
    /// What it uses.
    pub features: Features,
    /// Characters of text in its prompt, from which a target's own estimate is made.
    pub prompt_chars: u64,
    /// Tokens of its prompt, estimated without knowing the target.
    pub prompt_tokens_estimate: u64,
    /// The output limit it asks for.
    pub max_output_tokens: Option<u64>,
    /// `x-jumpseat-deadline`: lowers the route's.
    pub deadline: Option<Duration>,
    /// How long the client's SDK waits for the commit, 250 ms already taken off.
    pub commit_within: Option<Duration>,
    /// The client named the target itself, not a route.
    pub named_target: bool,
    /// How much it matters when money is short.
    pub priority: Priority,
    /// What the budgets that count it ask of the choice of targets.
    pub spend: SpendLevel,
    /// A budget that counts it bars targets without prices.
    pub priced_only: bool,
    /// The targets that may serve it; `None`: all.
    pub allowed: Option<Arc<Allowed>>,
}
