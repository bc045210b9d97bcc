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
    /// Part of `cache_write_input` that is kept for an hour.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cache_write_1h_input: u64,
    /// Part of `input` that was audio.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub audio_input: u64,
    /// Part of `input` that was images, where the provider counts them apart.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub image_input: u64,
    /// Part of `output` spent on reasoning.
    pub reasoning: u64,
    /// Part of `output` that was audio.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub audio_output: u64,
    /// Part of `output` that was images, where the provider counts them apart.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub image_output: u64,
}

impl Usage {
    /// Prompt and answer together.
    pub fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }

    /// The counts of two attempts together.
    pub fn plus(&self, other: &Usage) -> Usage {
        Usage {
            input: self.input.saturating_add(other.input),
            output: self.output.saturating_add(other.output),
            cached_input: self.cached_input.saturating_add(other.cached_input),
            cache_write_input: self.cache_write_input.saturating_add(other.cache_write_input),
            cache_write_1h_input: self.cache_write_1h_input.saturating_add(other.cache_write_1h_input),
            audio_input: self.audio_input.saturating_add(other.audio_input),
            image_input: self.image_input.saturating_add(other.image_input),
            reasoning: self.reasoning.saturating_add(other.reasoning),
            audio_output: self.audio_output.saturating_add(other.audio_output),
            image_output: self.image_output.saturating_add(other.image_output),
        }
    }
}

/// Rare counts are not written where there are none.
fn is_zero(count: &u64) -> bool {
    *count == 0
}
