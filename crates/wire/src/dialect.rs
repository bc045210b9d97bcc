//! The client's role of the dialects. Every verb is written out once a dialect, so that a new one is decided on everywhere.

use http::HeaderMap;
use types::answer::ChatAnswer;
use types::chat::ChatRequest;
use types::dialect::{DialectName, Operation};
use types::outcome::{Failure, Headroom};
use types::time::UnixMillis;

use crate::request::{Encoded, Unsupported, UpstreamModel};
use crate::response::{Decode, RawAnswer};
use crate::{
    anthropic_messages, bedrock_converse, cohere_chat, gemini, inline, limits, ollama_chat, openai_chat,
    openai_responses,
};

/// How a dialect shows its credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CredentialHeader {
    /// Header name, lower case.
    pub name: &'static str,
    /// What stands before the secret (`"Bearer "`).
    pub prefix: &'static str,
}

/// The path of a call, to be appended to the provider's `base_url`; `None` when the dialect has no such operation.
pub fn path(dialect: DialectName, operation: Operation, model: &str, stream: bool) -> Option<String> {
    match dialect {
        DialectName::OpenaiChat => openai_chat::path(operation),
        DialectName::OpenaiResponses => openai_responses::path(operation),
        DialectName::AnthropicMessages => anthropic_messages::path(operation),
        DialectName::Gemini => gemini::path(operation, model, stream),
        DialectName::BedrockConverse => bedrock_converse::path(operation, model, stream),
        DialectName::CohereChat => cohere_chat::path(operation),
        DialectName::OllamaChat => ollama_chat::path(operation),
    }
}

/// The path that lists models: the light question of `health_check`. `None` when the dialect's host has none.
pub fn health_path(dialect: DialectName) -> Option<&'static str> {
    match dialect {
        DialectName::OpenaiChat | DialectName::OpenaiResponses => Some("/models"),
        DialectName::AnthropicMessages => Some("/v1/models?limit=1"),
        DialectName::Gemini => Some("/v1beta/models?pageSize=1"),
        // Bedrock lists its models at another host, with another service's signature.
        DialectName::BedrockConverse => None,
        DialectName::CohereChat => Some("/v1/models?page_size=1"),
        DialectName::OllamaChat => Some("/api/tags"),
    }
}

/// How the dialect shows its credential.
pub fn credential_header(dialect: DialectName) -> CredentialHeader {
    match dialect {
        DialectName::OpenaiChat
        | DialectName::OpenaiResponses
        | DialectName::CohereChat
        | DialectName::OllamaChat
        | DialectName::BedrockConverse => CredentialHeader {
            name: "authorization",
            prefix: "Bearer ",
        },
        DialectName::AnthropicMessages => CredentialHeader {
            name: "x-api-key",
            prefix: "",
        },
        DialectName::Gemini => CredentialHeader {
            name: "x-goog-api-key",
            prefix: "",
        },
    }
}

/// Headers every request of the dialect carries beside its credential (also a health check).
pub fn fixed_headers(dialect: DialectName) -> &'static [(&'static str, &'static str)] {
    match dialect {
        DialectName::AnthropicMessages => &[("anthropic-version", anthropic_messages::VERSION)],
        DialectName::OpenaiChat
        | DialectName::OpenaiResponses
        | DialectName::Gemini
        | DialectName::BedrockConverse
        | DialectName::CohereChat
        | DialectName::OllamaChat => &[],
    }
}

/// Writes a request for a provider.
pub fn encode_request(
    dialect: DialectName,
    request: &ChatRequest,
    upstream: UpstreamModel<'_>,
) -> Result<Encoded, Unsupported> {
    match dialect {
        DialectName::OpenaiChat => openai_chat::encode_request(request, upstream),
        DialectName::AnthropicMessages => anthropic_messages::encode_request(request, upstream),
        DialectName::Gemini => gemini::encode_request(request, upstream),
        DialectName::OpenaiResponses => openai_responses::encode_request(request, upstream),
        DialectName::BedrockConverse => bedrock_converse::encode_request(request, upstream),
        DialectName::CohereChat => cohere_chat::encode_request(request, upstream),
        DialectName::OllamaChat => ollama_chat::encode_request(request, upstream),
    }
}

/// The addresses of media that the dialect's encoder cannot write: whoever may, fetches them and puts their bytes in their
/// places ([`ChatRequest::inline`]) before the request is encoded. Where that is off, the encoder says [`Unsupported`].
/// Empty for dialects whose providers fetch themselves.
pub fn needs_fetch(dialect: DialectName, request: &ChatRequest) -> Vec<String> {
    match dialect {
        DialectName::OpenaiChat
        | DialectName::OpenaiResponses
        | DialectName::AnthropicMessages
        | DialectName::Gemini
        | DialectName::CohereChat => Vec::new(),
        DialectName::BedrockConverse | DialectName::OllamaChat => inline::addresses(request, inline::on_the_web),
    }
}

/// Reads a whole answer: a 2xx body as an answer, everything else (an error, HTML, an empty answer) as a failure.
pub fn decode_answer(dialect: DialectName, raw: RawAnswer<'_>) -> Result<ChatAnswer, Failure> {
    match dialect {
        DialectName::OpenaiChat => openai_chat::decode_answer(raw),
        DialectName::AnthropicMessages => anthropic_messages::decode_answer(raw),
        DialectName::Gemini => gemini::decode_answer(raw),
        DialectName::OpenaiResponses => openai_responses::decode_answer(raw),
        DialectName::BedrockConverse => bedrock_converse::decode_answer(raw),
        DialectName::CohereChat => cohere_chat::decode_answer(raw),
        DialectName::OllamaChat => ollama_chat::decode_answer(raw),
    }
}

/// Writes the question how many tokens a request takes.
pub fn encode_count_request(
    dialect: DialectName,
    request: &ChatRequest,
    upstream: UpstreamModel<'_>,
) -> Result<Encoded, Unsupported> {
    match dialect {
        DialectName::AnthropicMessages => anthropic_messages::count::encode_count_request(request, upstream),
        DialectName::Gemini => gemini::count::encode_count_request(request, upstream),
        DialectName::OpenaiChat
        | DialectName::OpenaiResponses
        | DialectName::BedrockConverse
        | DialectName::CohereChat
        | DialectName::OllamaChat => Err(Unsupported {
            dialect,
            what: "a question for a token count".to_owned(),
            param: None,
        }),
    }
}

/// Reads a token count; `None` where the dialect has none. Everything that is no count is a failure.
pub fn decode_count(dialect: DialectName, raw: RawAnswer<'_>) -> Option<Result<u64, Failure>> {
    match dialect {
        DialectName::AnthropicMessages => Some(anthropic_messages::count::decode_count(raw)),
        DialectName::Gemini => Some(gemini::count::decode_count(raw)),
        DialectName::OpenaiChat
        | DialectName::OpenaiResponses
        | DialectName::BedrockConverse
        | DialectName::CohereChat
        | DialectName::OllamaChat => None,
    }
}

/// Classifies an answer whose status is not 2xx, or whose body is no answer.
pub fn classify(dialect: DialectName, raw: RawAnswer<'_>) -> Failure {
    match dialect {
        DialectName::OpenaiChat => openai_chat::classify(raw),
        DialectName::AnthropicMessages => anthropic_messages::classify(raw),
        DialectName::Gemini => gemini::classify(raw),
        DialectName::OpenaiResponses => openai_responses::classify(raw),
        DialectName::BedrockConverse => bedrock_converse::classify(raw),
        DialectName::CohereChat => cohere_chat::classify(raw),
        DialectName::OllamaChat => ollama_chat::classify(raw),
    }
}

/// A decoder for a 2xx stream of the dialect.
pub fn stream_decoder(dialect: DialectName) -> Box<dyn Decode + Send> {
    match dialect {
        DialectName::OpenaiChat => Box::new(openai_chat::StreamDecoder::new()),
        DialectName::AnthropicMessages => Box::new(anthropic_messages::StreamDecoder::new()),
        DialectName::Gemini => Box::new(gemini::StreamDecoder::new()),
        DialectName::OpenaiResponses => Box::new(openai_responses::StreamDecoder::new()),
        DialectName::BedrockConverse => Box::new(bedrock_converse::StreamDecoder::new()),
        DialectName::CohereChat => Box::new(cohere_chat::StreamDecoder::new()),
        DialectName::OllamaChat => Box::new(ollama_chat::StreamDecoder::new()),
    }
}

/// What the provider's rate-limit headers say is left.
pub fn headroom(headers: &HeaderMap, received: UnixMillis) -> Headroom {
    limits::headroom(headers, received)
}
