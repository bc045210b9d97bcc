//! Whole answers of this dialect: a look at one that passes through, and its translation both ways.

use serde::Serialize;
use serde_json::{Value, json};
use types::answer::{AnswerPart, ChatAnswer, Choice, FinishReason};
use types::chat::{Json, Reasoning, ToolCall};
use types::outcome::{Failure, OutcomeClass};
use types::usage::Usage;

use crate::failure::{Told, failure};
use crate::framing::json::{Kind, Surrogates};
use crate::framing::raw::Raw;
use crate::openai_chat::classify::{classify, classify_frame};
use crate::openai_chat::facts::{Facts, finish_reason, read_facts};
use crate::openai_chat::media;
use crate::response::{AnswerFacts, EncoderOptions, RawAnswer};

/// Looks at a whole answer without a tree. Everything that is no answer is a failure: a status that is not 2xx, a page,
/// broken JSON, an error with status 200, an answer with neither content nor a finish reason.
pub fn inspect_answer(raw: RawAnswer<'_>) -> Result<AnswerFacts, Failure> {
    let facts = checked_facts(raw)?;
    Ok(AnswerFacts {
        usage: facts.usage,
        model: facts.model.map(|model| model.unescaped().into_owned()),
        finish: facts.finish,
        filtered: facts.filtered || facts.refusal,
    })
}

fn checked_facts(raw: RawAnswer<'_>) -> Result<Facts<'_>, Failure> {
    if !(200..300).contains(&raw.status) {
        return Err(classify(raw));
    }
    let bad = |message: &str| {
        failure(
            OutcomeClass::BadResponse,
            raw,
            Told {
                message,
                ..Told::default()
            },
        )
    };
    let Some((text, facts)) = std::str::from_utf8(raw.body)
        .ok()
        .and_then(|text| Some((text, read_facts(text).ok()?)))
    else {
        // An error in an array, as Gemini's compatible endpoint writes it, is still an error and not a riddle.
        return Err(classify(raw));
    };
    if facts.error {
        let told = classify_frame(text);
        // With status 200 an error without a known word is no server error but a bad answer.
        let class = if told.class == OutcomeClass::ServerError && told.code.is_none() {
            OutcomeClass::BadResponse
        } else {
            told.class
        };
        return Err(Failure {
            class,
            status: Some(raw.status),
            ..told
        });
    }
    if facts.choices.unwrap_or(0) == 0 {
        return Err(bad("the provider's answer holds no choices"));
    }
    if !facts.content && facts.finish.is_none() {
        return Err(bad("the provider's answer holds no content and no finish reason"));
    }
    Ok(facts)
}

/// Reads a whole answer into the neutral model. Fails on everything [`inspect_answer`] fails on.
pub fn decode_answer(raw: RawAnswer<'_>) -> Result<ChatAnswer, Failure> {
    let facts = checked_facts(raw)?;
    let text = std::str::from_utf8(raw.body).unwrap_or_default();
    let Ok(body) = Raw::parse(text, Surrogates::Any) else {
        return Err(classify(raw));
    };
    let string = |name: &str| body.get(name).and_then(Raw::string).map(|text| text.into_owned());
    let choices = body.get("choices").into_iter().flat_map(Raw::items);
    Ok(ChatAnswer {
        id: string("id").unwrap_or_default(),
        model: string("model").unwrap_or_default(),
        created: facts.created.unwrap_or(0),
        choices: choices
            .enumerate()
            .map(|(position, choice)| decode_choice(position, choice))
            .collect(),
        usage: facts.usage,
        fingerprint: string("system_fingerprint"),
        service_tier: string("service_tier"),
    })
}

fn decode_choice(position: usize, choice: Raw<'_>) -> Choice {
    let index = choice
        .get("index")
        .and_then(Raw::integer)
        .and_then(|index| u32::try_from(index).ok());
    let mut parts = Vec::new();
    if let Some(message) = choice.get("message") {
        let string = |name: &str| message.get(name).and_then(Raw::string).filter(|text| !text.is_empty());
        let details = message.get("reasoning_details").into_iter().flat_map(Raw::items);
        parts.extend(details.map(|detail| AnswerPart::Reasoning(media::read_reasoning_detail(detail))));
        if let Some(text) = string("reasoning_content")
            .or_else(|| string("reasoning"))
            .filter(|_| parts.is_empty())
        {
            let text = text.into_owned();
            parts.push(AnswerPart::Reasoning(Reasoning {
                text,
                ..Reasoning::default()
            }));
        }
        if let Some(content) = message.get("content") {
            decode_content(content, &mut parts);
        }
        if let Some(text) = string("refusal") {
            parts.push(AnswerPart::Refusal {
                text: text.into_owned(),
            });
        }
        let calls = message.get("tool_calls").into_iter().flat_map(Raw::items);
        parts.extend(calls.map(|call| AnswerPart::ToolCall(decode_tool_call(call))));
    }
    let finish = choice
        .get("finish_reason")
        .and_then(Raw::string)
        .filter(|word| !word.is_empty());
    Choice {
        index: index.unwrap_or(position as u32),
        parts,
        finish: finish.map(|word| finish_reason(&word)),
        logprobs: choice.get("logprobs").map(Raw::to_json),
    }
}

/// Content is a string, or (Mistral) parts of text and thinking.
fn decode_content(content: Raw<'_>, parts: &mut Vec<AnswerPart>) {
    if let Some(text) = content.string() {
        if !text.is_empty() {
            parts.push(AnswerPart::Text {
                text: text.into_owned(),
            });
        }
        return;
    }
    for part in content.items() {
        if let Some(text) = part.get("text").and_then(Raw::string) {
            parts.push(AnswerPart::Text {
                text: text.into_owned(),
            });
        } else if let Some(thinking) = part.get("thinking") {
            let pieces = thinking.items().filter_map(|piece| piece.get("text")?.string());
            let text = thinking
                .string()
                .map_or_else(|| pieces.collect(), |text| text.into_owned());
            parts.push(AnswerPart::Reasoning(Reasoning {
                text,
                ..Reasoning::default()
            }));
        }
    }
}

fn decode_tool_call(call: Raw<'_>) -> ToolCall {
    let function = call.get("function").or_else(|| call.get("custom"));
    let string = |value: Option<Raw<'_>>| {
        value
            .and_then(Raw::string)
            .map(|text| text.into_owned())
            .unwrap_or_default()
    };
    let arguments = function.and_then(|function| function.get("arguments").or_else(|| function.get("input")));
    ToolCall {
        id: string(call.get("id")),
        name: string(function.and_then(|function| function.get("name"))),
        arguments: match arguments {
            // Some servers write the object itself.
            Some(arguments) if arguments.kind() != Kind::String => arguments.text().to_owned(),
            other => string(other),
        },
        signature: media::read_tool_signature(call),
    }
}

/// Writes a whole answer.
pub fn encode_answer(answer: &ChatAnswer, options: &EncoderOptions) -> Vec<u8> {
    let created = if answer.created > 0 {
        answer.created
    } else {
        options.created
    };
    let id = if answer.id.is_empty() {
        format!("chatcmpl-{}", options.id)
    } else {
        answer.id.clone()
    };
    let body = AnswerJson {
        id,
        object: "chat.completion",
        created,
        model: &answer.model,
        choices: answer.choices.iter().map(encode_choice).collect(),
        usage: answer.usage.as_ref().map(usage_json),
        system_fingerprint: answer.fingerprint.as_deref(),
        service_tier: answer.service_tier.as_deref(),
    };
    serde_json::to_vec(&body).expect("strings and numbers are always JSON")
}

#[derive(Serialize)]
struct AnswerJson<'a> {
    id: String,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<ChoiceJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_fingerprint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
}

#[derive(Serialize)]
struct ChoiceJson<'a> {
    index: u32,
    message: Value,
    logprobs: Option<&'a Json>,
    finish_reason: &'static str,
}

fn encode_choice(choice: &Choice) -> ChoiceJson<'_> {
    let (mut content, mut reasoning, mut refusal) = (None::<String>, None::<String>, None::<String>);
    let (mut details, mut calls) = (Vec::new(), Vec::new());
    for part in &choice.parts {
        match part {
            AnswerPart::Text { text } => content.get_or_insert_default().push_str(text),
            AnswerPart::Refusal { text } => refusal.get_or_insert_default().push_str(text),
            AnswerPart::Reasoning(thought) => {
                if !thought.text.is_empty() {
                    reasoning.get_or_insert_default().push_str(&thought.text);
                }
                details.extend(reasoning_detail(thought));
            }
            AnswerPart::ToolCall(call) => calls.push(tool_call_json(call)),
        }
    }
    let finish = match choice.finish {
        Some(FinishReason::Stop) | None if !calls.is_empty() => FinishReason::ToolCalls,
        Some(reason) => reason,
        None => FinishReason::Stop,
    };
    let mut message = json!({"role": "assistant", "content": content, "refusal": refusal});
    if let Some(reasoning) = reasoning {
        message["reasoning_content"] = json!(reasoning);
    }
    if !details.is_empty() {
        message["reasoning_details"] = Value::Array(details);
    }
    if !calls.is_empty() {
        message["tool_calls"] = Value::Array(calls);
    }
    ChoiceJson {
        index: choice.index,
        message,
        logprobs: choice.logprobs.as_ref(),
        finish_reason: finish_word(finish),
    }
}

/// Signed or opaque reasoning, so that a client that hands messages back as they came hands the signature back too.
pub(crate) fn reasoning_detail(thought: &Reasoning) -> Option<Value> {
    let format = media::reasoning_format(thought.origin?);
    match (&thought.redacted, &thought.signature) {
        (Some(data), _) => Some(json!({"type": "reasoning.encrypted", "data": data, "format": format})),
        (None, Some(signature)) => {
            Some(json!({"type": "reasoning.text", "text": thought.text, "signature": signature, "format": format}))
        }
        (None, None) => None,
    }
}

pub(crate) fn tool_call_json(call: &ToolCall) -> Value {
    let mut written =
        json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}});
    if let Some(signature) = &call.signature {
        written["extra_content"] = json!({"google": {"thought_signature": signature}});
    }
    written
}

pub(crate) fn usage_json(usage: &Usage) -> Value {
    let mut written = json!({
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.total(),
        "prompt_tokens_details": {"cached_tokens": usage.cached_input, "cache_write_tokens": usage.cache_write_input},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    });
    for (side, kind, count) in [
        ("prompt_tokens_details", "audio_tokens", usage.audio_input),
        ("prompt_tokens_details", "image_tokens", usage.image_input),
        ("completion_tokens_details", "audio_tokens", usage.audio_output),
        ("completion_tokens_details", "image_tokens", usage.image_output),
    ] {
        if count > 0 {
            written[side][kind] = json!(count);
        }
    }
    written
}

/// The dialect's word. It has none for malformed output, which ends as a stop.
pub(crate) fn finish_word(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop | FinishReason::Malformed => "stop",
        FinishReason::Length => "length",
        FinishReason::ToolCalls => "tool_calls",
        FinishReason::ContentFilter => "content_filter",
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use proptest::prelude::*;
    use types::time::UnixMillis;

    use super::*;

    fn inspect(status: u16, body: &[u8]) -> Result<AnswerFacts, Failure> {
        inspect_answer(RawAnswer {
            status,
            headers: &HeaderMap::new(),
            body,
            received: UnixMillis(0),
        })
    }

    #[test]
    fn an_answer_is_told_from_what_is_none() {
        let answer = br#"{"id":"c","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],
            "usage":{"prompt_tokens":1,"completion_tokens":2,"completion_tokens_details":{"reasoning_tokens":1}}}"#;
        let facts = inspect(200, answer).unwrap();
        assert_eq!(
            facts.usage,
            Some(Usage {
                input: 1,
                output: 2,
                reasoning: 1,
                ..Usage::default()
            })
        );
        assert_eq!(
            (facts.model.as_deref(), facts.finish, facts.filtered),
            (Some("m"), Some(FinishReason::Stop), false)
        );

        let rows: &[(u16, &str, OutcomeClass)] = &[
            (200, "", OutcomeClass::BadResponse),
            (200, "<html><body>Welcome</body></html>", OutcomeClass::BadResponse),
            (200, "{", OutcomeClass::BadResponse),
            (200, "{}", OutcomeClass::BadResponse),
            (200, "null", OutcomeClass::BadResponse),
            (200, r#"{"choices":[]}"#, OutcomeClass::BadResponse),
            (
                200,
                r#"{"choices":[{"index":0,"message":{"role":"assistant","content":""},"finish_reason":null}]}"#,
                OutcomeClass::BadResponse,
            ),
            (200, r#"{"error":"something"}"#, OutcomeClass::BadResponse),
            (
                200,
                r#"{"error":{"message":"m","code":"rate_limit_exceeded"}}"#,
                OutcomeClass::RateLimited,
            ),
            (
                200,
                r#"{"error":{"message":"m","type":"server_error"}}"#,
                OutcomeClass::ServerError,
            ),
            (
                200,
                r#"[{"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}]"#,
                OutcomeClass::Overloaded,
            ),
            (500, std::str::from_utf8(answer).unwrap(), OutcomeClass::ServerError),
        ];
        for (status, body, class) in rows {
            assert_eq!(
                inspect(*status, body.as_bytes()).unwrap_err().class,
                *class,
                "{status} {body}"
            );
        }
    }

    #[test]
    fn a_filter_and_a_refusal_are_answers_and_are_marked() {
        for choice in [
            r#"{"index":0,"message":{"role":"assistant","content":""},"finish_reason":"content_filter"}"#,
            r#"{"index":0,"message":{"role":"assistant","content":null,"refusal":"I cannot"},"finish_reason":"stop"}"#,
        ] {
            assert!(
                inspect(200, format!(r#"{{"choices":[{choice}]}}"#).as_bytes())
                    .unwrap()
                    .filtered
            );
        }
        for choice in [
            r#"{"message":{"content":null,"tool_calls":[{"id":"t"}]},"finish_reason":"tool_calls"}"#,
            r#"{"message":{"content":""},"finish_reason":"length"}"#,
        ] {
            assert!(
                !inspect(200, format!(r#"{{"choices":[{choice}]}}"#).as_bytes())
                    .unwrap()
                    .filtered
            );
        }
    }

    proptest! {
        #[test]
        fn no_body_panics(status in 190u16..210, body in any::<Vec<u8>>()) {
            let _ = inspect(status, &body);
        }
    }
}
