//! Tokens a provider says a call took.

use serde::{Deserialize, Serialize};

/// Token counts of one attempt, as the provider told them, brought to one meaning.
///
/// `input` includes what was read from and written to a prompt cache (OpenAI's sense; Anthropic's `input_tokens`
/// excludes both and is added up by its decoder). `output` includes reasoning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// All tokens of the prompt.
    pub input: u64,
    /// All tokens generated.
    pub output: u64,
    /// Part of `input` read from the provider's prompt cache.
    pub cached_input: u64,
    /// Part of `input` written to the provider's prompt cache.
    pub cache_write_input: u64,
    /// Part of `output` spent on reasoning.
    pub reasoning: u64,
}

impl Usage {
    /// Prompt and answer together.
    pub fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }
}
