//! Token counts and finish reasons: how the API tells them, brought to the house's meaning, and back.
//!
//! The API's `input_tokens` leave out what was read from and written to the prompt cache; ours hold all. A later report is
//! cumulative and replaces what it names; what it does not name stays.

use serde::Deserialize;
use serde_json::{Value, json};
use types::answer::FinishReason;
use types::usage::Usage;

/// `usage`, of an answer, of `message_start` or of `message_delta`.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) struct Reported {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_creation: Option<CacheCreation>,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct CacheCreation {
    ephemeral_5m_input_tokens: Option<u64>,
    ephemeral_1h_input_tokens: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct OutputDetails {
    thinking_tokens: Option<u64>,
}

impl Reported {
    /// Takes in a later report.
    pub fn update(&mut self, later: Reported) {
        self.input_tokens = later.input_tokens.or(self.input_tokens);
        self.output_tokens = later.output_tokens.or(self.output_tokens);
        self.cache_read_input_tokens = later.cache_read_input_tokens.or(self.cache_read_input_tokens);
        if later.cache_creation_input_tokens.is_some() || later.cache_creation.is_some() {
            self.cache_creation_input_tokens = later.cache_creation_input_tokens;
            self.cache_creation = later.cache_creation;
        }
        self.output_tokens_details = later.output_tokens_details.or(self.output_tokens_details);
    }

    /// The counts in the house's meaning.
    pub fn usage(&self) -> Usage {
        let by_ttl = self.cache_creation.unwrap_or_default();
        let written = self.cache_creation_input_tokens.unwrap_or_else(|| {
            let short = by_ttl.ephemeral_5m_input_tokens.unwrap_or(0);
            short.saturating_add(by_ttl.ephemeral_1h_input_tokens.unwrap_or(0))
        });
        let read = self.cache_read_input_tokens.unwrap_or(0);
        Usage {
            input: self
                .input_tokens
                .unwrap_or(0)
                .saturating_add(read)
                .saturating_add(written),
            output: self.output_tokens.unwrap_or(0),
            cached_input: read,
            cache_write_input: written,
            cache_write_1h_input: by_ttl.ephemeral_1h_input_tokens.unwrap_or(0).min(written),
            reasoning: self
                .output_tokens_details
                .and_then(|details| details.thinking_tokens)
                .unwrap_or(0),
            ..Usage::default()
        }
    }
}

/// What a `stop_reason` means. A refusal is an answer: the model was stopped for safety, and nobody else is to be asked.
/// `pause_turn` (a server tool took long) has no word elsewhere; the turn is over for whoever cannot hand it back.
pub(super) fn finish_reason(stop_reason: &str) -> FinishReason {
    match stop_reason {
        "end_turn" | "stop_sequence" | "pause_turn" => FinishReason::Stop,
        "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
        "tool_use" => FinishReason::ToolCalls,
        "refusal" => FinishReason::ContentFilter,
        // Reasons of tomorrow (`compaction` is one of the betas): the answer is whole, that much is sure.
        _ => FinishReason::Stop,
    }
}

/// The dialect's word. It has none for malformed output, which ends as a turn does.
pub(super) fn stop_reason(finish: FinishReason) -> &'static str {
    match finish {
        FinishReason::Stop | FinishReason::Malformed => "end_turn",
        FinishReason::Length => "max_tokens",
        FinishReason::ToolCalls => "tool_use",
        FinishReason::ContentFilter => "refusal",
    }
}

/// `usage`: the input without what was read from and written to the cache.
pub(super) fn usage_json(usage: &Usage) -> Value {
    let cached = usage.cached_input.saturating_add(usage.cache_write_input);
    let mut written = json!({
        "input_tokens": usage.input.saturating_sub(cached),
        "cache_creation_input_tokens": usage.cache_write_input,
        "cache_read_input_tokens": usage.cached_input,
        "output_tokens": usage.output,
    });
    if usage.cache_write_1h_input > 0 {
        let short = usage.cache_write_input.saturating_sub(usage.cache_write_1h_input);
        let long = usage.cache_write_1h_input;
        written["cache_creation"] = json!({"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long});
    }
    if usage.reasoning > 0 {
        written["output_tokens_details"] = json!({"thinking_tokens": usage.reasoning});
    }
    written
}

/// `stop_details` of a refusal; `null` for every other end.
pub(super) fn stop_details(finish: FinishReason, explanation: Option<&str>) -> Value {
    match finish {
        FinishReason::ContentFilter => json!({"type": "refusal", "category": null, "explanation": explanation}),
        FinishReason::Stop | FinishReason::Length | FinishReason::ToolCalls | FinishReason::Malformed => Value::Null,
    }
}
