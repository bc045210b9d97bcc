//! The items of an answer's output, as they are written: while they are filled, and done. Which item comes when is the
//! stream encoder's affair; here is only how each looks.

use serde_json::{Value, json};
use types::chat::Json;

/// A part of a message while it is filled.
#[derive(Debug)]
pub(super) struct OpenPart {
    pub(super) refusal: bool,
    pub(super) text: String,
    pub(super) logprobs: Vec<Value>,
}

/// A call while its arguments come.
#[derive(Debug)]
pub(super) struct OpenCall {
    /// Which of the choice's calls.
    pub(super) index: u32,
    pub(super) item_id: String,
    pub(super) call_id: String,
    /// The client's own name for the tool.
    pub(super) name: String,
    /// The namespace the client offered it in.
    pub(super) namespace: Option<String>,
    pub(super) arguments: String,
    /// The client knows the tool as one that takes text.
    pub(super) custom: bool,
}

pub(super) fn message_item(id: &str, status: &str, parts: &[Value]) -> Value {
    json!({"id": id, "type": "message", "status": status, "role": "assistant", "content": parts})
}

pub(super) fn part_item(part: &OpenPart) -> Value {
    if part.refusal {
        json!({"type": "refusal", "refusal": part.text})
    } else {
        json!({"type": "output_text", "text": part.text, "annotations": [], "logprobs": part.logprobs})
    }
}

pub(super) fn reasoning_item(id: &str, status: &str, text: &str, sealed: Option<String>) -> Value {
    let summary = match text {
        "" => json!([]),
        text => json!([{"type": "summary_text", "text": text}]),
    };
    json!({"id": id, "type": "reasoning", "status": status, "summary": summary, "encrypted_content": sealed})
}

pub(super) fn call_item(call: &OpenCall, status: &str, said: &str) -> Value {
    let OpenCall {
        item_id, call_id, name, ..
    } = call;
    let (kind, content) = if call.custom {
        ("custom_tool_call", "input")
    } else {
        ("function_call", "arguments")
    };
    let mut item = json!({"id": item_id, "type": kind, "status": status, "call_id": call_id});
    if let Some(namespace) = &call.namespace {
        item["namespace"] = json!(namespace);
    }
    item["name"] = json!(name);
    item[content] = json!(said);
    item
}

/// The tokens of chat completions' `logprobs` object: the list alone is this dialect's.
pub(super) fn token_logprobs(logprobs: &Json) -> Vec<Value> {
    let mut object: Value = serde_json::from_str(logprobs.as_str()).unwrap_or_default();
    match object.get_mut("content").map(Value::take) {
        Some(Value::Array(tokens)) => tokens,
        Some(_) | None => Vec::new(),
    }
}
