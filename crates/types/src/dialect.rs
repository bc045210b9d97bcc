//! The wire formats this house speaks, by name.

use serde::{Deserialize, Serialize};

/// An API's wire format. Its code lives in the folder of the same name in `wire`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DialectName {
    /// OpenAI's chat completions, and whoever speaks it too.
    OpenaiChat,
    /// Anthropic's messages.
    AnthropicMessages,
    /// Gemini's generateContent.
    Gemini,
}

impl DialectName {
    /// Every dialect.
    pub const ALL: [DialectName; 3] = [
        DialectName::OpenaiChat,
        DialectName::AnthropicMessages,
        DialectName::Gemini,
    ];

    /// The word used in the configuration and in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            DialectName::OpenaiChat => "openai_chat",
            DialectName::AnthropicMessages => "anthropic_messages",
            DialectName::Gemini => "gemini",
        }
    }
}
