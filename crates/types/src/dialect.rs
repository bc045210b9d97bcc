//! The wire format a provider or a client speaks, by name.

use serde::{Deserialize, Serialize};

/// An API's wire format. Its code lives in the folder of the same name in `wire`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DialectName {
    /// OpenAI's chat completions, and whoever speaks it too.
    OpenaiChat,
    /// OpenAI's responses.
    OpenaiResponses,
    /// Anthropic's messages.
    AnthropicMessages,
    /// Gemini's generateContent.
    Gemini,
    /// Amazon Bedrock's Converse.
    BedrockConverse,
    /// Cohere's chat, version 2.
    CohereChat,
    /// Ollama's own chat.
    OllamaChat,
}

impl DialectName {
    /// Every dialect.
    pub const ALL: [DialectName; 7] = [
        DialectName::OpenaiChat,
        DialectName::OpenaiResponses,
        DialectName::AnthropicMessages,
        DialectName::Gemini,
        DialectName::BedrockConverse,
        DialectName::CohereChat,
        DialectName::OllamaChat,
    ];

    /// The word used in the configuration and in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            DialectName::OpenaiChat => "openai_chat",
            DialectName::OpenaiResponses => "openai_responses",
            DialectName::AnthropicMessages => "anthropic_messages",
            DialectName::Gemini => "gemini",
            DialectName::BedrockConverse => "bedrock_converse",
            DialectName::CohereChat => "cohere_chat",
            DialectName::OllamaChat => "ollama_chat",
        }
    }
}

/// A dialect that clients may speak to the gateway: those that official SDKs and agents are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IngressDialect {
    /// `POST /v1/chat/completions`.
    OpenaiChat,
    /// `POST /v1/responses`.
    OpenaiResponses,
    /// `POST /v1/messages`.
    AnthropicMessages,
    /// `POST /v1beta/models/{model}:generateContent`.
    Gemini,
}

impl IngressDialect {
    /// Every one.
    pub const ALL: [IngressDialect; 4] = [
        IngressDialect::OpenaiChat,
        IngressDialect::OpenaiResponses,
        IngressDialect::AnthropicMessages,
        IngressDialect::Gemini,
    ];

    /// The same among all dialects: an upstream that speaks it gets the client's bytes.
    pub fn name(self) -> DialectName {
        match self {
            IngressDialect::OpenaiChat => DialectName::OpenaiChat,
            IngressDialect::OpenaiResponses => DialectName::OpenaiResponses,
            IngressDialect::AnthropicMessages => DialectName::AnthropicMessages,
            IngressDialect::Gemini => DialectName::Gemini,
        }
    }
}

/// What is asked of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// An answer to a conversation.
    Generate,
    /// Vectors of texts.
    Embed,
    /// How many tokens a conversation takes, without an answer.
    CountTokens,
}

impl Operation {
    /// The word used in logs and metrics (the GenAI semantic conventions' where they have one).
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Generate => "chat",
            Operation::Embed => "embeddings",
            Operation::CountTokens => "count_tokens",
        }
    }
}
