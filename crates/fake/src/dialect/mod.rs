//! Dialects: the wire formats that the fake speaks, and which of them a path belongs to.
//!
//! Each dialect's file reads a request into a `Prompt` and writes an
//! `Answer` as one body or as events. Written from the providers' documents, not from the gateway's code.

pub(crate) mod anthropic_messages;
pub(crate) mod bedrock_converse;
pub(crate) mod cloud;
pub(crate) mod cohere_chat;
pub(crate) mod face;
pub(crate) mod gemini;
pub(crate) mod ollama_chat;
pub(crate) mod openai_chat;
pub(crate) mod openai_responses;

use std::fmt;

use http::HeaderMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::{
    answer::Answer,
    errors::{ErrorAnswer, ErrorContext, generic},
    event::Event,
    prompt::Prompt,
};

/// A wire format. Compares with its name: `entry.dialect == "openai_chat"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAI's chat completions and everything compatible with it.
    OpenaiChat,
    /// Anthropic's messages.
    AnthropicMessages,
    /// Google's generateContent.
    Gemini,
    /// OpenAI's Responses API.
    OpenaiResponses,
    /// Amazon Bedrock's Converse.
    BedrockConverse,
    /// Cohere's chat, version 2.
    CohereChat,
    /// Ollama's own chat.
    OllamaChat,
}

/// Names of rows by neutral name, and by status.
pub(crate) type OwnRows = (&'static [(&'static str, &'static str)], &'static [(u16, &'static str)]);

/// Why a request is refused by the fake's own judgement: status, message and the field it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) message: String,
    pub(crate) field: Option<String>,
    /// Where the envelope has a place for it.
    pub(crate) code: Option<&'static str>,
}

impl Refusal {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self {
            status: 400,
            message: message.into(),
            field: None,
            code: None,
        }
    }

    pub(crate) fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            status: 400,
            message: message.into(),
            field: Some(field.into()),
            code: None,
        }
    }

    pub(crate) fn with_status(status: u16, message: impl Into<String>) -> Self {
        Self {
            status,
            ..Self::invalid(message)
        }
    }

    /// The same with the provider's code.
    pub(crate) fn coded(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    pub(crate) fn error(&self, context: ErrorContext<'_>) -> ErrorAnswer {
        let error = generic(context, self.status, &self.message, self.field.as_deref());
        match self.code {
            Some(code) => error.with_code(code),
            None => error,
        }
    }
}

impl Dialect {
    /// All of them.
    pub const ALL: [Dialect; 7] = [
        Dialect::OpenaiChat,
        Dialect::AnthropicMessages,
        Dialect::Gemini,
        Dialect::OpenaiResponses,
        Dialect::BedrockConverse,
        Dialect::CohereChat,
        Dialect::OllamaChat,
    ];

    /// Its name in configurations.
    pub fn as_str(self) -> &'static str {
        match self {
            Dialect::OpenaiChat => "openai_chat",
            Dialect::OpenaiResponses => "openai_responses",
            Dialect::AnthropicMessages => "anthropic_messages",
            Dialect::Gemini => "gemini",
            Dialect::BedrockConverse => "bedrock_converse",
            Dialect::CohereChat => "cohere_chat",
            Dialect::OllamaChat => "ollama_chat",
        }
    }

    pub(crate) fn index(self) -> usize {
        self as usize
    }

    /// Reads a request, or says why the provider would refuse it.
    pub(crate) fn read(self, body: &Value, headers: &HeaderMap, model: &str) -> Result<Prompt, Refusal> {
        match self {
            Dialect::OpenaiChat => openai_chat::read::read(body),
            Dialect::OpenaiResponses => openai_responses::read::read(body),
            Dialect::AnthropicMessages => anthropic_messages::read::read(body, headers),
            Dialect::Gemini => gemini::read::read(body, model),
            Dialect::BedrockConverse => bedrock_converse::read::read(body),
            Dialect::CohereChat => cohere_chat::read::read(body),
            Dialect::OllamaChat => ollama_chat::read::read(body),
        }
    }

    /// Why the provider would refuse this request for the model; `None` when it would take it.
    pub fn complaint(self, body: &Value, headers: &HeaderMap, model: &str) -> Option<String> {
        self.read(body, headers, model).err().map(|refusal| refusal.message)
    }

    /// The answer as one body.
    pub(crate) fn unary(self, answer: &Answer) -> Value {
        match self {
            Dialect::OpenaiChat => openai_chat::write::unary(answer),
            Dialect::OpenaiResponses => openai_responses::write::unary(answer),
            Dialect::AnthropicMessages => anthropic_messages::write::unary(answer),
            Dialect::Gemini => gemini::write::unary(answer),
            Dialect::BedrockConverse => bedrock_converse::write::unary(answer),
            Dialect::CohereChat => cohere_chat::write::unary(answer),
            Dialect::OllamaChat => ollama_chat::write::unary(answer),
        }
    }

    /// The answer as a stream.
    pub(crate) fn events(self, answer: &Answer) -> Vec<Event> {
        match self {
            Dialect::OpenaiChat => openai_chat::write::events(answer),
            Dialect::OpenaiResponses => openai_responses::write::events(answer),
            Dialect::AnthropicMessages => anthropic_messages::write::events(answer),
            Dialect::Gemini => gemini::write::events(answer),
            Dialect::BedrockConverse => bedrock_converse::write::events(answer),
            Dialect::CohereChat => cohere_chat::write::events(answer),
            Dialect::OllamaChat => ollama_chat::write::events(answer),
        }
    }

    /// The rows of the error table by neutral name and by status, where the dialect keeps its own.
    pub(crate) fn own_rows(self) -> Option<OwnRows> {
        match self {
            Dialect::BedrockConverse => Some((bedrock_converse::errors::NEUTRAL, bedrock_converse::errors::BY_STATUS)),
            Dialect::CohereChat => Some((cohere_chat::errors::NEUTRAL, cohere_chat::errors::BY_STATUS)),
            Dialect::OllamaChat => Some((ollama_chat::errors::NEUTRAL, ollama_chat::errors::BY_STATUS)),
            Dialect::OpenaiChat | Dialect::OpenaiResponses | Dialect::AnthropicMessages | Dialect::Gemini => None,
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq<&str> for Dialect {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl Serialize for Dialect {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}
