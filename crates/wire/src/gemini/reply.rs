//! Whole answers, written for a client of this dialect, and the shapes that its streams' chunks have too.

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use types::answer::{AnswerPart, ChatAnswer, Choice, FinishReason};
use types::chat::{Json, Reasoning, ToolCall};
use types::usage::Usage;

use crate::framing::json::Surrogates;
use crate::framing::raw::Raw;
use crate::gemini::carried;
use crate::response::EncoderOptions;

/// Writes a whole answer.
pub fn encode_answer(answer: &ChatAnswer, options: &EncoderOptions) -> Vec<u8> {
    let response = ResponseJson {
        candidates: answer.choices.iter().map(|choice| candidate(choice, options)).collect(),
        usage_metadata: answer.usage.as_ref().map(usage_json),
        model_version: first(&answer.model, &options.model),
        response_id: first(&answer.id, &options.id),
    };
    serde_json::to_vec(&response).expect("strings and numbers are always JSON")
}

/// GenerateContentResponse.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ResponseJson<'a> {
    pub(super) candidates: Vec<CandidateJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) usage_metadata: Option<Value>,
    pub(super) model_version: &'a str,
    pub(super) response_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CandidateJson {
    pub(super) content: ContentJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) finish_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) finish_message: Option<String>,
    pub(super) index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) logprobs_result: Option<Value>,
}

#[derive(Serialize)]
pub(super) struct ContentJson {
    pub(super) role: &'static str,
    pub(super) parts: Vec<PartJson>,
}

/// One part: a text or a call.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PartJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) thought: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) function_call: Option<CallJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thought_signature: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct CallJson {
    id: String,
    name: String,
    args: Box<RawValue>,
}

impl PartJson {
    pub(super) fn text(text: String) -> PartJson {
        PartJson {
            text: Some(text),
            ..PartJson::default()
        }
    }

    /// A thought, or only its signature.
    pub(super) fn thought(thought: &Reasoning) -> PartJson {
        PartJson {
            text: Some(thought.text.clone()),
            thought: !thought.text.is_empty() || thought.redacted.is_some(),
            thought_signature: carried::write(thought),
            ..PartJson::default()
        }
    }

    pub(super) fn call(id: String, call: &ToolCall) -> PartJson {
        PartJson {
            function_call: Some(CallJson {
                id,
                name: call.name.clone(),
                args: arguments(&call.arguments),
            }),
            thought_signature: call.signature.clone(),
            ..PartJson::default()
        }
    }
}

fn candidate(choice: &Choice, options: &EncoderOptions) -> CandidateJson {
    let mut parts: Vec<PartJson> = Vec::new();
    let mut refusal = String::new();
    let mut calls = 0;
    for part in &choice.parts {
        match part {
            AnswerPart::Text { text } => parts.push(PartJson::text(text.clone())),
            AnswerPart::Refusal { text } => refusal.push_str(text),
            AnswerPart::Reasoning(thought) if thought.text.is_empty() && thought.redacted.is_none() => {
                // A signature without words belongs to the text before it.
                let open = |part: &&mut PartJson| part.function_call.is_none() && part.thought_signature.is_none();
                match parts.last_mut().filter(open) {
                    Some(part) => part.thought_signature = carried::write(thought),
                    None => parts.push(PartJson::thought(thought)),
                }
            }
            AnswerPart::Reasoning(thought) => parts.push(PartJson::thought(thought)),
            AnswerPart::ToolCall(call) => {
                parts.push(PartJson::call(
                    call_id(&call.id, &options.id, choice.index, calls),
                    call,
                ));
                calls += 1;
            }
        }
    }
    let finish = choice.finish.unwrap_or(FinishReason::Stop);
    let finish_message = tell_refusal(finish, refusal, &mut parts);
    CandidateJson {
        content: ContentJson { role: "model", parts },
        finish_reason: Some(finish_word(finish)),
        finish_message,
        index: choice.index,
        logprobs_result: choice.logprobs.as_ref().and_then(logprobs_json),
    }
}

/// Words of a refusal are the answer's text; where a filter ended it, they say why.
pub(super) fn tell_refusal(finish: FinishReason, refusal: String, parts: &mut Vec<PartJson>) -> Option<String> {
    if refusal.is_empty() {
        return None;
    }
    if finish == FinishReason::ContentFilter {
        return Some(refusal);
    }
    parts.push(PartJson::text(refusal));
    None
}

/// The dialect's word.
pub(super) fn finish_word(finish: FinishReason) -> &'static str {
    match finish {
        FinishReason::Stop | FinishReason::ToolCalls => "STOP",
        FinishReason::Length => "MAX_TOKENS",
        FinishReason::ContentFilter => "SAFETY",
        FinishReason::Malformed => "MALFORMED_RESPONSE",
    }
}

/// `usageMetadata`.
pub(super) fn usage_json(usage: &Usage) -> Value {
    let mut written = json!({
        "promptTokenCount": usage.input,
        "candidatesTokenCount": usage.output.saturating_sub(usage.reasoning),
        "totalTokenCount": usage.total(),
    });
    if usage.reasoning > 0 {
        written["thoughtsTokenCount"] = json!(usage.reasoning);
    }
    if usage.cached_input > 0 {
        written["cachedContentTokenCount"] = json!(usage.cached_input);
    }
    written
}

/// The call's id, or one of the answer's own.
pub(super) fn call_id(id: &str, answer: &str, choice: u32, number: u32) -> String {
    if id.is_empty() {
        format!("call_{answer}_{choice}_{number}")
    } else {
        id.to_owned()
    }
}

pub(super) fn first<'a>(told: &'a str, else_: &'a str) -> &'a str {
    if told.is_empty() { else_ } else { told }
}

/// Arguments as the object they must be, as they were written. What is none is shown as the model wrote it.
fn arguments(written: &str) -> Box<RawValue> {
    let text = match written.trim() {
        "" => "{}",
        text => text,
    };
    let object = text
        .starts_with('{')
        .then(|| RawValue::from_string(text.to_owned()).ok());
    object
        .flatten()
        .unwrap_or_else(|| to_raw_value(&json!({ "arguments": written })).expect("a string can be written as JSON"))
}

/// OpenAI's `logprobs` object as `logprobsResult`; `None` when it holds no tokens.
pub(super) fn logprobs_json(logprobs: &Json) -> Option<Value> {
    let logprobs = Raw::parse(logprobs.as_str(), Surrogates::Any).ok()?;
    let token = |raw: Raw<'_>| {
        json!({
            "token": raw.get("token").and_then(Raw::string).unwrap_or_default(),
            "logProbability": raw.get("logprob").and_then(Raw::number).unwrap_or_default(),
        })
    };
    let tokens: Vec<Raw<'_>> = logprobs.get("content")?.items().collect();
    let tops = tokens.iter().map(|raw| {
        let top = raw.get("top_logprobs").into_iter().flat_map(Raw::items).map(token);
        json!({"candidates": top.collect::<Vec<_>>()})
    });
    let tops: Vec<Value> = tops.collect();
    let chosen: Vec<Value> = tokens.iter().map(|raw| token(*raw)).collect();
    Some(json!({"chosenCandidates": chosen, "topCandidates": tops}))
}
