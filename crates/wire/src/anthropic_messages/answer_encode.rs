//! Whole answers, written for a client of this dialect. A `message` holds one answer: of several choices the first is told,
//! as this dialect's clients cannot ask for more.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use types::answer::{AnswerPart, ChatAnswer, Choice, FinishReason};
use types::chat::Reasoning;

use super::carried;
use super::turns;
use super::usage::{stop_details, stop_reason, usage_json};
use crate::response::EncoderOptions;

/// Writes a whole answer.
pub fn encode_answer(answer: &ChatAnswer, options: &EncoderOptions) -> Vec<u8> {
    let nothing = Choice::default();
    let choice = answer.choices.first().unwrap_or(&nothing);
    let mut content = Vec::new();
    let mut refusal = String::new();
    let mut calls = 0;
    for part in &choice.parts {
        match part {
            AnswerPart::Text { text } if text.is_empty() => {}
            AnswerPart::Text { text } => content.push(text_block(text)),
            AnswerPart::Refusal { text } => refusal.push_str(text),
            AnswerPart::Reasoning(thought) => content.push(BlockJson::Said(thought_block(thought))),
            AnswerPart::ToolCall(call) => {
                let signature = call.signature.as_deref().map(call_signature_block);
                content.extend(signature.map(BlockJson::Said));
                content.push(BlockJson::Call(CallJson {
                    r#type: "tool_use",
                    id: call_id(&call.id, &options.id, calls),
                    name: &call.name,
                    input: turns::input(&call.arguments),
                }));
                calls += 1;
            }
        }
    }
    let finish = ended(choice.finish, calls > 0, !refusal.is_empty());
    if !refusal.is_empty() && choice.finish != Some(FinishReason::ContentFilter) {
        // The model's own words, which a reader of the content must see.
        content.push(text_block(&refusal));
    }
    let model = if answer.model.is_empty() {
        &options.model
    } else {
        &answer.model
    };
    let mut usage = usage_json(&answer.usage.unwrap_or_default());
    // Other providers have tiers of their own; these are the words this dialect has.
    if let Some(tier @ ("standard" | "priority" | "batch")) = answer.service_tier.as_deref() {
        usage["service_tier"] = json!(tier);
    }
    let body = MessageJson {
        id: message_id(&answer.id, &options.id),
        r#type: "message",
        role: "assistant",
        model,
        content,
        stop_reason: stop_reason(finish),
        stop_sequence: None,
        stop_details: stop_details(finish, Some(refusal.as_str()).filter(|words| !words.is_empty())),
        usage,
    };
    serde_json::to_vec(&body).expect("strings and numbers are always JSON")
}

#[derive(Serialize)]
struct MessageJson<'a> {
    id: String,
    r#type: &'static str,
    role: &'static str,
    model: &'a str,
    content: Vec<BlockJson<'a>>,
    stop_reason: &'static str,
    /// No other dialect tells which one it was.
    stop_sequence: Option<&'a str>,
    stop_details: Value,
    usage: Value,
}

#[derive(Serialize)]
#[serde(untagged)]
enum BlockJson<'a> {
    Said(Value),
    Call(CallJson<'a>),
}

#[derive(Serialize)]
struct CallJson<'a> {
    r#type: &'static str,
    id: Cow<'a, str>,
    name: &'a str,
    input: Box<RawValue>,
}

fn text_block(text: &str) -> BlockJson<'_> {
    BlockJson::Said(json!({"type": "text", "text": text, "citations": null}))
}

/// The end as it is told: an answer that calls tools ends by that, one that refuses in words is a refusal.
pub(super) fn ended(finish: Option<FinishReason>, called: bool, refused: bool) -> FinishReason {
    match finish {
        Some(FinishReason::Stop) | None if called => FinishReason::ToolCalls,
        Some(FinishReason::Stop) | None if refused => FinishReason::ContentFilter,
        Some(finish) => finish,
        None => FinishReason::Stop,
    }
}

/// The provider's id when it is of this dialect, else the call's.
pub(super) fn message_id(id: &str, call: &str) -> String {
    if id.starts_with("msg_") {
        id.to_owned()
    } else {
        format!("msg_{call}")
    }
}

/// A tool call's id as this dialect takes it back: letters, digits, `_` and `-`.
pub(super) fn call_id<'a>(id: &'a str, call: &str, number: u32) -> Cow<'a, str> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if id.is_empty() {
        return Cow::Owned(format!("toolu_{call}_{number}"));
    }
    if id.chars().all(is_allowed) {
        return Cow::Borrowed(id);
    }
    Cow::Owned(id.chars().map(|c| if is_allowed(c) { c } else { '_' }).collect())
}

/// Reasoning as a block: opaque, or text with a signature.
pub(super) fn thought_block(thought: &Reasoning) -> Value {
    match &thought.redacted {
        Some(data) => json!({"type": "redacted_thinking", "data": carried::write(thought.origin, Some(data))}),
        None => json!({
            "type": "thinking",
            "thinking": thought.text,
            "signature": carried::write(thought.origin, thought.signature.as_deref()),
        }),
    }
}

/// The block that carries the signature of the tool call behind it.
pub(super) fn call_signature_block(signature: &str) -> Value {
    json!({"type": "redacted_thinking", "data": carried::write_call(signature)})
}
