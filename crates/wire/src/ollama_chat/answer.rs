//! Whole answers, and the pieces a stream is made of: they have one shape.

use serde::Deserialize;
use serde_json::value::RawValue;
use types::answer::{AnswerPart, ChatAnswer, Choice, FinishReason};
use types::chat::{Json, Reasoning, ToolCall};
use types::dialect::DialectName;
use types::outcome::{Failure, OutcomeClass};
use types::usage::Usage;

use super::errors;
use crate::failure::{Told, failure};
use crate::response::RawAnswer;

/// An answer, or a line of a stream.
#[derive(Debug, Deserialize)]
pub(super) struct Answer<'a> {
    pub model: Option<String>,
    pub created_at: Option<String>,
    #[serde(borrow)]
    pub message: Option<Message<'a>>,
    pub done: Option<bool>,
    pub done_reason: Option<String>,
    pub prompt_eval_count: Option<u64>,
    pub eval_count: Option<u64>,
    /// An array of tokens in the shape that OpenAI's `content` has.
    #[serde(borrow)]
    pub logprobs: Option<&'a RawValue>,
    #[serde(borrow)]
    pub error: Option<&'a RawValue>,
}

/// `message`.
#[derive(Debug, Deserialize)]
pub(super) struct Message<'a> {
    pub content: Option<String>,
    pub thinking: Option<String>,
    #[serde(borrow)]
    pub tool_calls: Option<Vec<Call<'a>>>,
}

/// A tool call; always whole.
#[derive(Debug, Deserialize)]
pub(super) struct Call<'a> {
    id: Option<String>,
    #[serde(borrow)]
    function: CalledFunction<'a>,
}

#[derive(Debug, Deserialize)]
struct CalledFunction<'a> {
    name: String,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

impl Call<'_> {
    /// The call as the answer's `number`th. Without an id of its own (older versions give none) it gets one of the time it was
    /// made at, so that calls of different turns differ.
    pub fn tool_call(self, created_at: Option<&str>, number: u32) -> ToolCall {
        let made_at: String = created_at
            .unwrap_or_default()
            .chars()
            .filter(char::is_ascii_digit)
            .collect();
        ToolCall {
            id: self
                .id
                .filter(|id| !id.is_empty())
                .unwrap_or_else(|| format!("call_{made_at}_{number}")),
            name: self.function.name,
            arguments: self.function.arguments.map_or("{}", RawValue::get).to_owned(),
            signature: None,
        }
    }
}

impl Answer<'_> {
    /// Token counts, when told.
    pub fn usage(&self) -> Option<Usage> {
        if self.prompt_eval_count.is_none() && self.eval_count.is_none() {
            return None;
        }
        Some(Usage {
            input: self.prompt_eval_count.unwrap_or(0),
            output: self.eval_count.unwrap_or(0),
            ..Usage::default()
        })
    }

    /// Log probabilities as OpenAI has them.
    pub fn logprobs(&self) -> Option<Json> {
        let tokens = self
            .logprobs
            .map(RawValue::get)
            .filter(|tokens| tokens.starts_with('['))?;
        Json::parse(&format!(r#"{{"content":{tokens}}}"#)).ok()
    }

    /// Unix seconds; 0 when not told.
    pub fn created(&self) -> u64 {
        let time = self
            .created_at
            .as_deref()
            .and_then(|time| time.parse::<jiff::Timestamp>().ok());
        time.and_then(|time| u64::try_from(time.as_second()).ok()).unwrap_or(0)
    }
}

/// What a `done_reason` means. Reasons of tomorrow are a stop: the answer is whole, that much is sure.
pub(super) fn finish_reason(reason: Option<&str>, calls_tools: bool) -> FinishReason {
    match reason {
        Some("length") => FinishReason::Length,
        _ if calls_tools => FinishReason::ToolCalls,
        _ => FinishReason::Stop,
    }
}

/// Reads a whole answer.
///
/// # Errors
/// A status that is not 2xx, an error inside a 200, what is no answer, an answer that has no content and is not done
/// (`bad_response`).
pub fn decode_answer(raw: RawAnswer<'_>) -> Result<ChatAnswer, Failure> {
    if !(200..300).contains(&raw.status) {
        return Err(errors::classify(raw));
    }
    let mut answer: Answer<'_> = serde_json::from_slice(raw.body).map_err(|_| errors::classify(raw))?;
    if answer.error.is_some() {
        return Err(errors::classify(raw));
    }
    let mut parts = Vec::new();
    let mut calls = 0;
    if let Some(message) = answer.message.take() {
        let thinking = message.thinking.filter(|text| !text.is_empty());
        parts.extend(thinking.map(|text| {
            AnswerPart::Reasoning(Reasoning {
                text,
                origin: Some(DialectName::OllamaChat),
                ..Reasoning::default()
            })
        }));
        let text = message.content.filter(|text| !text.is_empty());
        parts.extend(text.map(|text| AnswerPart::Text { text }));
        for call in message.tool_calls.unwrap_or_default() {
            parts.push(AnswerPart::ToolCall(
                call.tool_call(answer.created_at.as_deref(), calls),
            ));
            calls += 1;
        }
    }
    if parts.is_empty() && answer.done != Some(true) {
        let told = Told {
            message: "an answer without content that is not done",
            ..Told::default()
        };
        return Err(failure(OutcomeClass::BadResponse, raw, told));
    }
    let finish = (answer.done == Some(true)).then(|| finish_reason(answer.done_reason.as_deref(), calls > 0));
    Ok(ChatAnswer {
        id: String::new(),
        created: answer.created(),
        choices: vec![Choice {
            index: 0,
            parts,
            finish,
            logprobs: answer.logprobs(),
        }],
        usage: answer.usage(),
        fingerprint: None,
        service_tier: None,
        model: answer.model.unwrap_or_default(),
    })
}
