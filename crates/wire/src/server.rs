//! The server's role of the dialects: what is needed to take calls in one and answer in it. Every verb is written out once a
//! dialect, so that a new one is decided on everywhere.
//!
//! [`read_head`] and [`pass`] are the pass-through; [`decode_request`], [`encode_answer`] and [`stream_encoder`] translate;
//! the rest says how failures are told.
//!
//! # An offered tool is an offer
//! Clients offer tools that only their own API can run or understand: web search, code execution, computers, tool servers, the search
//! for tools, the editors and shells whose schema only its models know. Agents do so on every call. [`decode_request`] treats
//! them alike in every dialect:
//! - Where the model may do without (no tool choice, `auto`, `none`) the tool is left out, and told as dropped by its place and
//!   kind: `tools[9].web_search`, `tools[0].code_execution_20250825`, `tools[1].googleSearch`, `tools[2].custom` (chat
//!   completions), `functions`, `web_search_options`, `mcp_servers`, `container`. A target of the client's own dialect is offered it all the same.
//! - Where the choice forces such a tool, or forces a call and nothing else is left, the request is untranslatable: only a
//!   target that speaks the API itself can serve it.
//! - So is a conversation that holds calls or results of such a tool: without them the next turn would lack what it rests on.
//! - What a function can stand in for is translated, not left out. A custom tool of `openai_responses` becomes a function
//!   with one string, its grammar told in the description (and reported: nothing enforces it); the functions of a namespace
//!   become functions under longer names. Calls of both are said back as the client knows them. Tools that an item
//!   `additional_tools` of the input offers are no different from those in `tools`.

use bytes::Bytes;
use http::HeaderMap;
use types::answer::ChatAnswer;
use types::chat::ChatRequest;
use types::dialect::{IngressDialect, Operation};
use types::outcome::Failure;

use crate::call_error::CallError;
use crate::framing::pass::{Pass, PassScanner};
use crate::head::Head;
use crate::request::BadRequest;
use crate::response::{AnswerFacts, Encode, EncoderOptions, RawAnswer};
use crate::{anthropic_messages, gemini, openai_chat, openai_responses};

/// A request as it came in.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The body.
    pub body: &'a Bytes,
    /// The client's headers; the dialect reads what is its own (`anthropic-version`, `anthropic-beta`).
    pub headers: &'a HeaderMap,
    /// The model, where it stands in the path (Gemini), unescaped.
    pub path_model: Option<&'a str>,
    /// The path asks for a stream (Gemini).
    pub path_stream: bool,
    /// What the path asks for: a question for a token count needs no output limit.
    pub operation: Operation,
}

/// Reads what routing must know. The error is a 400 that names the place.
pub fn read_head(dialect: IngressDialect, asked: Asked<'_>) -> Result<Head, BadRequest> {
    match dialect {
        IngressDialect::OpenaiChat => openai_chat::read_head(asked.body),
        IngressDialect::OpenaiResponses => openai_responses::read_head(asked.body),
        IngressDialect::AnthropicMessages => anthropic_messages::read_head(asked.body, asked.headers, asked.operation),
        IngressDialect::Gemini => {
            gemini::read_head(asked.body, asked.path_model.unwrap_or_default(), asked.path_stream)
        }
    }
}

/// The client's headers that go on to a provider of the same dialect with the client's bytes, lower case.
pub fn forwarded_headers(dialect: IngressDialect) -> &'static [&'static str] {
    match dialect {
        IngressDialect::OpenaiChat | IngressDialect::OpenaiResponses | IngressDialect::Gemini => &[],
        IngressDialect::AnthropicMessages => &["anthropic-version", "anthropic-beta"],
    }
}

/// Of those headers the ones that go along too when a request is written anew for a target of its own dialect: they are about
/// its fields, which are kept. Which version it is written in the writer decides.
pub fn rewritten_headers(dialect: IngressDialect) -> &'static [&'static str] {
    match dialect {
        IngressDialect::OpenaiChat | IngressDialect::OpenaiResponses | IngressDialect::Gemini => &[],
        IngressDialect::AnthropicMessages => &["anthropic-beta"],
    }
}

/// A body that passes to a target of its own dialect, without the reasoning of others that only stands in it to be handed
/// back: the provider would refuse what it did not write. The same bytes where there is none.
pub fn without_foreign(dialect: IngressDialect, body: &Bytes) -> Bytes {
    match dialect {
        IngressDialect::OpenaiResponses => openai_responses::carry::without_carried(body),
        // Has no place for it; the others' bodies are written anew, see `must_translate`.
        IngressDialect::OpenaiChat | IngressDialect::AnthropicMessages | IngressDialect::Gemini => body.clone(),
    }
}

/// Reads the whole request into the neutral model. `head` is what [`read_head`] gave for it.
pub fn decode_request(dialect: IngressDialect, body: &Bytes, head: &Head) -> Result<ChatRequest, BadRequest> {
    match dialect {
        IngressDialect::OpenaiChat => openai_chat::decode_request(body),
        IngressDialect::OpenaiResponses => openai_responses::decode_request(body),
        IngressDialect::AnthropicMessages => anthropic_messages::decode_request(body),
        IngressDialect::Gemini => gemini::decode_request(body, head),
    }
}

/// Whether a body that could pass to a target of its own dialect must be read and written anew instead: it carries reasoning
/// that another dialect signed, which only our encoder leaves out (and tells).
pub fn must_translate(dialect: IngressDialect, body: &[u8]) -> bool {
    match dialect {
        IngressDialect::AnthropicMessages => anthropic_messages::carried::is_in(body),
        IngressDialect::Gemini => gemini::carried::is_in(body),
        IngressDialect::OpenaiChat | IngressDialect::OpenaiResponses => false,
    }
}

/// Looks at a 2xx stream of the dialect as it passes. `strip_usage` swallows what tells only usage: the gateway asked for it,
/// the client did not.
pub fn pass(dialect: IngressDialect, strip_usage: bool) -> Box<dyn Pass + Send> {
    match dialect {
        IngressDialect::OpenaiChat => Box::new(PassScanner::new(openai_chat::PassJudge::new(strip_usage))),
        IngressDialect::OpenaiResponses => Box::new(PassScanner::new(openai_responses::PassJudge::new())),
        IngressDialect::AnthropicMessages => Box::new(PassScanner::new(anthropic_messages::PassJudge::new())),
        IngressDialect::Gemini => Box::new(PassScanner::new(gemini::PassJudge::new())),
    }
}

/// Looks at a whole answer that passes: everything that is no answer is a failure.
pub fn inspect_answer(dialect: IngressDialect, raw: RawAnswer<'_>) -> Result<AnswerFacts, Failure> {
    match dialect {
        IngressDialect::OpenaiChat => openai_chat::inspect_answer(raw),
        IngressDialect::OpenaiResponses => openai_responses::inspect_answer(raw),
        IngressDialect::AnthropicMessages => anthropic_messages::inspect_answer(raw),
        IngressDialect::Gemini => gemini::inspect_answer(raw),
    }
}

/// Writes a whole answer.
pub fn encode_answer(dialect: IngressDialect, answer: &ChatAnswer, options: &EncoderOptions) -> Vec<u8> {
    match dialect {
        IngressDialect::OpenaiChat => openai_chat::encode_answer(answer, options),
        IngressDialect::OpenaiResponses => openai_responses::encode_answer(answer, options),
        IngressDialect::AnthropicMessages => anthropic_messages::encode_answer(answer, options),
        IngressDialect::Gemini => gemini::encode_answer(answer, options),
    }
}

/// An encoder for a stream of the dialect.
pub fn stream_encoder(dialect: IngressDialect, options: EncoderOptions) -> Box<dyn Encode + Send> {
    match dialect {
        IngressDialect::OpenaiChat => Box::new(openai_chat::StreamEncoder::new(options)),
        IngressDialect::OpenaiResponses => Box::new(openai_responses::StreamEncoder::new(options)),
        IngressDialect::AnthropicMessages => Box::new(anthropic_messages::StreamEncoder::new(options)),
        IngressDialect::Gemini => Box::new(gemini::StreamEncoder::new(options)),
    }
}

/// The reply to a question for a token count; `None` where the dialect has no such question.
pub fn encode_count(dialect: IngressDialect, tokens: u64) -> Option<Vec<u8>> {
    match dialect {
        IngressDialect::AnthropicMessages => Some(anthropic_messages::count::encode_count(tokens)),
        IngressDialect::Gemini => Some(gemini::count::encode_count(tokens)),
        IngressDialect::OpenaiChat | IngressDialect::OpenaiResponses => None,
    }
}

/// The HTTP status for a call that failed.
pub fn error_status(dialect: IngressDialect, error: &CallError<'_>) -> u16 {
    match dialect {
        IngressDialect::OpenaiChat | IngressDialect::OpenaiResponses | IngressDialect::Gemini => error.status(),
        IngressDialect::AnthropicMessages => anthropic_messages::error_status(error),
    }
}

/// The body for a call that failed.
pub fn error_body(dialect: IngressDialect, error: &CallError<'_>) -> Vec<u8> {
    match dialect {
        IngressDialect::OpenaiChat | IngressDialect::OpenaiResponses => openai_chat::errors::body(error),
        IngressDialect::AnthropicMessages => anthropic_messages::error_body(error),
        IngressDialect::Gemini => gemini::error_body(error),
    }
}

/// The same as an event in a running stream: whole frames. Nothing may follow.
pub fn error_event(dialect: IngressDialect, error: &CallError<'_>) -> Vec<u8> {
    match dialect {
        IngressDialect::OpenaiChat => openai_chat::errors::event(error),
        IngressDialect::OpenaiResponses => openai_responses::error_event(error),
        IngressDialect::AnthropicMessages => anthropic_messages::error_event(error),
        IngressDialect::Gemini => gemini::error_event(error),
    }
}

/// The body of a refusal before any attempt (a bad request, an unknown path, a full house). `status` is its HTTP status.
pub fn refusal(dialect: IngressDialect, status: u16, id: &str, complaint: &BadRequest) -> Vec<u8> {
    match dialect {
        IngressDialect::OpenaiChat | IngressDialect::OpenaiResponses => openai_chat::errors::refusal(status, complaint),
        IngressDialect::AnthropicMessages => anthropic_messages::refusal(status, id, complaint),
        IngressDialect::Gemini => gemini::refusal(status, complaint),
    }
}
