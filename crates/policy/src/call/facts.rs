//! What a decision needs to know of a call: read from the client's request once, before anything is planned.

use std::time::Duration;

use types::features::Features;

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
}
