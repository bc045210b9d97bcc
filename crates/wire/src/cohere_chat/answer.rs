//! Whole answers: from Cohere's answer to the neutral model. A `tool_plan` is reasoning: the model thinks aloud which tools to
//! call. The body names no model.

use serde::Deserialize;
use types::answer::{AnswerPart, ChatAnswer, Choice, FinishReason};
use types::chat::{Reasoning, ToolCall};
use types::dialect::DialectName;
use types::outcome::{Failure, OutcomeClass};
use types::usage::Usage;

use super::errors;
use crate::failure::{Told, failure, in_stream};
use crate::response::RawAnswer;

#[derive(Debug, Deserialize)]
struct Answer {
    id: Option<String>,
    finish_reason: Option<String>,
    message: Option<Message>,
    usage: Option<Reported>,
}

/// `message`; an error's is a string.
#[derive(Debug, Deserialize)]
struct Message {
    tool_plan: Option<String>,
    content: Option<Vec<Content>>,
    tool_calls: Option<Vec<Call>>,
}

#[derive(Debug, Deserialize)]
struct Content {
    text: Option<String>,
    thinking: Option<String>,
}

/// A tool call, or a piece of one.
#[derive(Debug, Deserialize)]
pub(super) struct Call {
    pub id: Option<String>,
    pub function: Option<CalledFunction>,
}

/// What is called.
#[derive(Debug, Deserialize)]
pub(super) struct CalledFunction {
    pub name: Option<String>,
    pub arguments: Option<String>,
}

/// `usage`: what the model took (`tokens`) and what is billed of it. Counts are written as floats.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Reported {
    tokens: Option<Counts>,
    billed_units: Option<Counts>,
    cached_tokens: Option<f64>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Counts {
    input_tokens: Option<f64>,
    output_tokens: Option<f64>,
}

impl Reported {
    /// The counts in the house's meaning; none when there are none.
    pub fn usage(&self) -> Option<Usage> {
        let counts = self.tokens.or(self.billed_units)?;
        let input = count(counts.input_tokens);
        Some(Usage {
            input,
            output: count(counts.output_tokens),
            cached_input: count(self.cached_tokens).min(input),
            ..Usage::default()
        })
    }
}

/// A count that is written as a float. What is no count is none.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast from a float saturates, and what is not a number becomes 0"
)]
fn count(value: Option<f64>) -> u64 {
    value.unwrap_or(0.0) as u64
}

/// What a `finish_reason` means; the failure where it says that the answer failed.
pub(super) fn finish_reason(reason: &str) -> Result<FinishReason, Failure> {
    match reason {
        "MAX_TOKENS" | "ERROR_LIMIT" => Ok(FinishReason::Length),
        "TOOL_CALL" => Ok(FinishReason::ToolCalls),
        "ERROR_TOXIC" => Ok(FinishReason::ContentFilter),
        "ERROR" | "TIMEOUT" => {
            let told = Told {
                message: "the provider gave up on the answer",
                code: Some(reason),
                param: None,
            };
            Err(in_stream(OutcomeClass::ServerError, told))
        }
        // `COMPLETE`, `STOP_SEQUENCE`, and reasons of tomorrow: the answer is whole, that much is sure.
        _ => Ok(FinishReason::Stop),
    }
}

/// Reads a whole answer.
///
/// # Errors
/// A status that is not 2xx, what is no answer, an answer without content and without a finish reason (`bad_response`), one
/// that the provider gave up (`server_error`).
pub fn decode_answer(raw: RawAnswer<'_>) -> Result<ChatAnswer, Failure> {
    if !(200..300).contains(&raw.status) {
        return Err(errors::classify(raw));
    }
    let answer: Answer = serde_json::from_slice(raw.body).map_err(|_| errors::classify(raw))?;
    let Some(message) = answer.message else {
        return Err(errors::classify(raw));
    };
    let finish = answer.finish_reason.as_deref().map(finish_reason).transpose();
    let finish = finish.map_err(|failure| failure.with_status(raw.status))?;
    let mut parts: Vec<AnswerPart> = reasoning(message.tool_plan).into_iter().collect();
    for content in message.content.unwrap_or_default() {
        parts.extend(reasoning(content.thinking));
        let text = content.text.filter(|text| !text.is_empty());
        parts.extend(text.map(|text| AnswerPart::Text { text }));
    }
    for call in message.tool_calls.unwrap_or_default() {
        let (name, arguments) = match call.function {
            Some(function) => (function.name, function.arguments),
            None => (None, None),
        };
        parts.push(AnswerPart::ToolCall(ToolCall {
            id: call.id.unwrap_or_default(),
            name: name.unwrap_or_default(),
            arguments: arguments.filter(|it| !it.is_empty()).unwrap_or_else(|| "{}".to_owned()),
            signature: None,
        }));
    }
    if parts.is_empty() && finish.is_none() {
        let told = Told {
            message: "an answer without content and without a finish reason",
            ..Told::default()
        };
        return Err(failure(OutcomeClass::BadResponse, raw, told));
    }
    Ok(ChatAnswer {
        id: answer.id.unwrap_or_default(),
        model: String::new(),
        created: 0,
        choices: vec![Choice {
            index: 0,
            parts,
            finish,
            logprobs: None,
        }],
        usage: answer.usage.and_then(|usage| usage.usage()),
        fingerprint: None,
        service_tier: None,
    })
}

fn reasoning(text: Option<String>) -> Option<AnswerPart> {
    let text = text.filter(|text| !text.is_empty())?;
    Some(AnswerPart::Reasoning(Reasoning {
        text,
        origin: Some(DialectName::CohereChat),
        ..Reasoning::default()
    }))
}
