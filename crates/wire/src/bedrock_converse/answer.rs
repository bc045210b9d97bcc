//! Whole answers: from Converse's answer to the neutral model.
//!
//! Blocks the neutral model has no word for (images, results of the provider's own tools) are passed over; of text with
//! citations the text is taken. The body tells neither an id nor a model: the id is the request's, from its header.

use serde::Deserialize;
use serde_json::value::RawValue;
use types::answer::{AnswerPart, ChatAnswer, Choice, FinishReason};
use types::chat::{Reasoning, ToolCall};
use types::dialect::DialectName;
use types::outcome::{Failure, OutcomeClass};
use types::usage::Usage;

use super::errors;
use crate::failure::{Told, failure, in_stream};
use crate::response::RawAnswer;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    #[serde(borrow)]
    output: Option<Output<'a>>,
    stop_reason: Option<String>,
    usage: Option<TokenUsage>,
    service_tier: Option<ServiceTier>,
}

#[derive(Debug, Deserialize)]
struct Output<'a> {
    #[serde(borrow)]
    message: Option<Message<'a>>,
}

#[derive(Debug, Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Vec<Block<'a>>,
}

/// `serviceTier`.
#[derive(Debug, Deserialize)]
struct ServiceTier {
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// A block: one of its members is there.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Block<'a> {
    text: Option<String>,
    #[serde(borrow)]
    tool_use: Option<ToolUse<'a>>,
    reasoning_content: Option<ReasoningContent>,
    citations_content: Option<CitationsContent>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolUse<'a> {
    tool_use_id: String,
    name: String,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    /// `server_tool_use` is the provider's own.
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReasoningContent {
    reasoning_text: Option<ReasoningText>,
    redacted_content: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ReasoningText {
    #[serde(default)]
    text: String,
    signature: Option<String>,
}

#[derive(Debug, Deserialize)]
struct CitationsContent {
    #[serde(default)]
    content: Vec<CitedText>,
}

#[derive(Debug, Deserialize)]
struct CitedText {
    text: Option<String>,
}

/// `usage`, of an answer or of a stream's `metadata`. `inputTokens` leaves out what was read from and written to the prompt
/// cache (the prompt caching guide adds the three up); ours holds all.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TokenUsage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_write_input_tokens: Option<u64>,
}

impl TokenUsage {
    /// The counts in the house's meaning.
    pub fn usage(&self) -> Usage {
        let read = self.cache_read_input_tokens.unwrap_or(0);
        let written = self.cache_write_input_tokens.unwrap_or(0);
        Usage {
            input: self
                .input_tokens
                .unwrap_or(0)
                .saturating_add(read)
                .saturating_add(written),
            output: self.output_tokens.unwrap_or(0),
            cached_input: read,
            cache_write_input: written,
            ..Usage::default()
        }
    }
}

/// What a `stopReason` means. Reasons of tomorrow are a stop: the answer is whole, that much is sure.
pub(super) fn finish_reason(stop_reason: &str) -> FinishReason {
    match stop_reason {
        "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
        "tool_use" => FinishReason::ToolCalls,
        "guardrail_intervened" | "content_filtered" => FinishReason::ContentFilter,
        "malformed_model_output" | "malformed_tool_use" => FinishReason::Malformed,
        _ => FinishReason::Stop,
    }
}

/// The failure of an answer that the model broke.
pub(super) fn malformed(stop_reason: &str) -> Failure {
    let told = Told {
        message: "the model's output was malformed",
        code: Some(stop_reason),
        param: None,
    };
    in_stream(OutcomeClass::MalformedOutput, told)
}

/// Reads a whole answer.
///
/// # Errors
/// A status that is not 2xx, what is no answer, an answer without content and without a stop reason (`bad_response`), one
/// that the model broke (`malformed_output`). An answer that a guardrail or filter ended is an answer.
pub fn decode_answer(raw: RawAnswer<'_>) -> Result<ChatAnswer, Failure> {
    if !(200..300).contains(&raw.status) {
        return Err(errors::classify(raw));
    }
    let bad = |message| {
        let told = Told {
            message,
            ..Told::default()
        };
        failure(OutcomeClass::BadResponse, raw, told)
    };
    let answer: Answer<'_> = match serde_json::from_slice(raw.body) {
        Ok(answer) => answer,
        Err(_) => return Err(bad(errors::not_an_answer(raw.body))),
    };
    let Some(output) = answer.output else {
        return Err(errors::classify(raw));
    };
    let content = output.message.map(|message| message.content).unwrap_or_default();
    let parts: Vec<AnswerPart> = content.into_iter().filter_map(part).collect();
    let finish = answer.stop_reason.as_deref().map(finish_reason);
    if parts.is_empty() && finish.is_none() {
        return Err(bad("an answer without content and without a stop reason"));
    }
    if finish == Some(FinishReason::Malformed) {
        return Err(malformed(answer.stop_reason.as_deref().unwrap_or_default()).with_status(raw.status));
    }
    let id = raw.headers.get("x-amzn-requestid").and_then(|id| id.to_str().ok());
    Ok(ChatAnswer {
        id: id.unwrap_or_default().to_owned(),
        model: String::new(),
        created: 0,
        choices: vec![Choice {
            index: 0,
            parts,
            finish,
            logprobs: None,
        }],
        usage: answer.usage.map(|usage| usage.usage()),
        fingerprint: None,
        service_tier: answer.service_tier.and_then(|tier| tier.kind),
    })
}

fn part(block: Block<'_>) -> Option<AnswerPart> {
    let cited = block.citations_content.map(|cited| {
        let texts = cited.content.into_iter().filter_map(|piece| piece.text);
        texts.collect::<String>()
    });
    if let Some(text) = block.text.or(cited).filter(|text| !text.is_empty()) {
        return Some(AnswerPart::Text { text });
    }
    if let Some(call) = block.tool_use.filter(|call| call.kind.is_none()) {
        return Some(AnswerPart::ToolCall(ToolCall {
            id: call.tool_use_id,
            name: call.name,
            arguments: call.input.map_or("{}", RawValue::get).to_owned(),
            signature: None,
        }));
    }
    let content = block.reasoning_content?;
    let (text, signature) = match content.reasoning_text {
        Some(told) => (told.text, told.signature.filter(|signature| !signature.is_empty())),
        None => (String::new(), None),
    };
    let is_there = !text.is_empty() || signature.is_some() || content.redacted_content.is_some();
    is_there.then_some(AnswerPart::Reasoning(Reasoning {
        text,
        signature,
        redacted: content.redacted_content,
        origin: Some(DialectName::BedrockConverse),
    }))
}
