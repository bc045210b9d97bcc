//! The neutral model of a whole answer.

use serde::{Deserialize, Serialize};

use crate::chat::{Json, Reasoning, ToolCall};
use crate::usage::Usage;

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ChatAnswer {
    /// The provider's id of it; empty when it has none.
    pub id: String,
    /// The model that answered, as the provider calls it.
    pub model: String,
    /// Unix seconds; 0 when the dialect does not tell.
    pub created: u64,
    /// One answer a choice.
    pub choices: Vec<Choice>,
    /// Absent when the provider did not tell.
    pub usage: Option<Usage>,
    /// OpenAI's `system_fingerprint`.
    pub fingerprint: Option<String>,
    /// OpenAI's `service_tier` and its cousins.
    pub service_tier: Option<String>,
}

/// One of the asked-for answers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Choice {
    /// Position, from 0.
    pub index: u32,
    /// What was said, in order.
    pub parts: Vec<AnswerPart>,
    /// Why it ended.
    pub finish: Option<FinishReason>,
    /// OpenAI's `logprobs` object, as written.
    pub logprobs: Option<Json>,
}

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "part", rename_all = "snake_case")]
pub enum AnswerPart {
    /// Text.
    Text {
        /// The text.
        text: String,
    },
    /// Reasoning.
    Reasoning(Reasoning),
    /// A refusal in words.
    Refusal {
        /// The words.
        text: String,
    },
    /// A tool call.
    ToolCall(ToolCall),
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// It was done, or met a stop sequence.
    Stop,
    /// The output limit or the context window was reached.
    Length,
    /// It calls tools.
    ToolCalls,
    /// A filter or a refusal for safety ended it.
    ContentFilter,
    /// The model's output was malformed (Gemini's MALFORMED_FUNCTION_CALL and the like).
    Malformed,
}

impl ChatAnswer {
    /// All text of the first choice, joined.
    pub fn text(&self) -> String {
        let parts = self.choices.first().map(|c| c.parts.as_slice()).unwrap_or_default();
        parts
            .iter()
            .filter_map(|p| match p {
                AnswerPart::Text { text } => Some(text.as_str()),
                AnswerPart::Reasoning(_) | AnswerPart::Refusal { .. } | AnswerPart::ToolCall(_) => None,
            })
            .collect()
    }
}
