//! Chooses among the dialects. Every verb is written out once a dialect, so that a new one is decided on everywhere.

use http::HeaderMap;
use types::answer::ChatAnswer;
use types::chat::ChatRequest;
use types::dialect::DialectName;
use types::outcome::{Failure, Headroom};
use types::time::UnixMillis;

use crate::request::{Encoded, Unsupported, UpstreamModel};
use crate::response::{Decode, RawAnswer};
use crate::{anthropic_messages, gemini, limits, openai_chat};

/// How a dialect shows its credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CredentialHeader {
    /// Header name, lower case.
    pub name: &'static str,
    /// What stands before the secret (`"Bearer "`).
    pub prefix: &'static str,
}

/// The path of a call, to be appended to the provider's `base_url`.
pub fn path(dialect: DialectName, model: &str, stream: bool) -> String {
    match dialect {
        DialectName::OpenaiChat => openai_chat::path(),
        DialectName::AnthropicMessages => anthropic_messages::path(),
        DialectName::Gemini => gemini::path(model, stream),
    }
}

/// The path that lists models: the light question of `health_check`.
pub fn health_path(dialect: DialectName) -> &'static str {
    match dialect {
        DialectName::OpenaiChat => "/models",
        DialectName::AnthropicMessages => "/v1/models?limit=1",
        DialectName::Gemini => "/v1beta/models?pageSize=1",
    }
}

/// How the dialect shows its credential.
pub fn credential_header(dialect: DialectName) -> CredentialHeader {
    match dialect {
        DialectName::OpenaiChat => CredentialHeader {
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
        DialectName::OpenaiChat | DialectName::Gemini => &[],
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
    }
}

/// Reads a whole answer: a 2xx body as an answer, everything else (an error, HTML, an empty answer) as a failure.
pub fn decode_answer(dialect: DialectName, raw: RawAnswer<'_>) -> Result<ChatAnswer, Failure> {
    match dialect {
        DialectName::OpenaiChat => openai_chat::decode_answer(raw),
        DialectName::AnthropicMessages => anthropic_messages::decode_answer(raw),
        DialectName::Gemini => gemini::decode_answer(raw),
    }
}

/// Classifies an answer whose status is not 2xx, or whose body is no answer.
pub fn classify(dialect: DialectName, raw: RawAnswer<'_>) -> Failure {
    match dialect {
        DialectName::OpenaiChat => openai_chat::classify(raw),
        DialectName::AnthropicMessages => anthropic_messages::classify(raw),
        DialectName::Gemini => gemini::classify(raw),
    }
}

/// A decoder for a 2xx stream of the dialect.
pub fn stream_decoder(dialect: DialectName) -> Box<dyn Decode + Send> {
    match dialect {
        DialectName::OpenaiChat => Box::new(openai_chat::StreamDecoder::new()),
        DialectName::AnthropicMessages => Box::new(anthropic_messages::StreamDecoder::new()),
        DialectName::Gemini => Box::new(gemini::StreamDecoder::new()),
    }
}

/// What the provider's rate-limit headers say is left.
pub fn headroom(headers: &HeaderMap, received: UnixMillis) -> Headroom {
    limits::headroom(headers, received)
}
