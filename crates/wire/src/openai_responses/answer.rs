//! Whole answers of this dialect: a look at one that passes through, and its translation both ways.

use types::answer::{AnswerPart, ChatAnswer, Choice, FinishReason};
use types::chat::{Json, Reasoning, ToolCall};
use types::event::StreamEvent;
use types::outcome::{Failure, OutcomeClass};

use crate::failure::{Told, failure};
use crate::framing::json::{Surrogates, Text};
use crate::framing::raw::Raw;
use crate::openai_responses::classify::{classify, classify_error, failed_without_reason};
use crate::openai_responses::facts::{ResponseFacts, read_response};
use crate::openai_responses::items::own_thought;
use crate::openai_responses::stream_encoder::StreamEncoder;
use crate::openai_responses::tools::wrap_input;
use crate::response::{AnswerFacts, Encode, EncoderOptions, RawAnswer};

/// Looks at a whole answer without a tree. Everything that is no answer is a failure: a status that is not 2xx, a page,
/// broken JSON, an error with status 200, a response that failed or is not finished.
pub fn inspect_answer(raw: RawAnswer<'_>) -> Result<AnswerFacts, Failure> {
    let facts = checked_facts(raw)?;
    let finish = facts.finish();
    Ok(AnswerFacts {
        usage: facts.usage,
        model: facts.model.map(|model| model.unescaped().into_owned()),
        finish,
        filtered: facts.refusal || finish == Some(FinishReason::ContentFilter),
    })
}

fn checked_facts(raw: RawAnswer<'_>) -> Result<ResponseFacts<'_>, Failure> {
    if !(200..300).contains(&raw.status) {
        return Err(classify(raw));
    }
    let text = std::str::from_utf8(raw.body).ok();
    let Some((text, facts)) = text.and_then(|text| Some((text, read_response(text).ok()?))) else {
        return Err(classify(raw));
    };
    let told = |failure: Failure| Failure {
        status: Some(raw.status),
        ..failure
    };
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
    if facts.error.is_some() {
        // With status 200 an error without a known word is no server error but a bad answer.
        let failure = told(classify_error(text));
        let riddle = failure.class == OutcomeClass::ServerError && failure.code.is_none();
        return Err(if riddle {
            Failure {
                class: OutcomeClass::BadResponse,
                ..failure
            }
        } else {
            failure
        });
    }
    let status = facts.status.map_or("completed", Text::raw);
    match (status, facts.items) {
        _ if facts.is_empty() => Err(bad("the provider's answer holds no output")),
        ("completed" | "incomplete", Some(_)) => Ok(ResponseFacts {
            status: facts.status,
            ..facts
        }),
        ("failed" | "cancelled", _) => Err(told(failed_without_reason())),
        ("queued" | "in_progress", _) => Err(bad("the provider's response is not finished")),
        _ => Err(bad("the provider's answer holds no output")),
    }
}

/// Reads a whole answer into the neutral model. Fails on everything [`inspect_answer`] fails on.
pub fn decode_answer(raw: RawAnswer<'_>) -> Result<ChatAnswer, Failure> {
    let facts = checked_facts(raw)?;
    let text = std::str::from_utf8(raw.body).unwrap_or_default();
    let Ok(body) = Raw::parse(text, Surrogates::Any) else {
        return Err(classify(raw));
    };
    let string = |name: &str| body.get(name).and_then(Raw::string).map(|text| text.into_owned());
    let mut choice = Choice {
        finish: facts.finish(),
        ..Choice::default()
    };
    for item in body.get("output").into_iter().flat_map(Raw::items) {
        decode_item(item, &mut choice);
    }
    Ok(ChatAnswer {
        id: string("id").unwrap_or_default(),
        model: string("model").unwrap_or_default(),
        created: facts.created.unwrap_or(0),
        choices: vec![choice],
        usage: facts.usage,
        fingerprint: None,
        service_tier: string("service_tier"),
    })
}

/// What an item of an answer says. Items of hosted tools say nothing here: they are never asked for.
pub(super) fn decode_item(item: Raw<'_>, choice: &mut Choice) {
    match item.get("type").and_then(Raw::string).as_deref() {
        Some("message") => {
            for part in item.get("content").into_iter().flat_map(Raw::items) {
                if let Some(text) = part.get("text").and_then(Raw::string) {
                    if choice.logprobs.is_none() {
                        choice.logprobs = part.get("logprobs").and_then(chat_logprobs);
                    }
                    choice.parts.push(AnswerPart::Text {
                        text: text.into_owned(),
                    });
                } else if let Some(text) = part.get("refusal").and_then(Raw::string) {
                    choice.parts.push(AnswerPart::Refusal {
                        text: text.into_owned(),
                    });
                }
            }
        }
        Some("reasoning") => choice.parts.extend(decode_reasoning(item).map(AnswerPart::Reasoning)),
        Some("function_call" | "custom_tool_call") => choice.parts.push(AnswerPart::ToolCall(decode_call(item))),
        Some(_) | None => {}
    }
}

/// A reasoning item; `None` when it tells nothing.
pub(super) fn decode_reasoning(item: Raw<'_>) -> Option<Reasoning> {
    let joined = |name: &str| {
        let parts = item.get(name).into_iter().flat_map(Raw::items);
        let texts: Vec<String> = parts
            .filter_map(|part| Some(part.get("text")?.string()?.into_owned()))
            .collect();
        texts.join("\n\n")
    };
    let summary = joined("summary");
    let text = if summary.is_empty() { joined("content") } else { summary };
    match item.get("encrypted_content").and_then(Raw::string) {
        Some(content) => Some(own_thought(text, content.into_owned())),
        None if text.is_empty() => None,
        None => Some(Reasoning {
            text,
            ..Reasoning::default()
        }),
    }
}

/// A call; of a custom tool, its text as arguments.
pub(super) fn decode_call(item: Raw<'_>) -> ToolCall {
    let string = |name: &str| item.get(name).and_then(Raw::string).map(|text| text.into_owned());
    let arguments = match (string("arguments"), string("input")) {
        (Some(arguments), _) => arguments,
        (None, Some(input)) => wrap_input(&input),
        // Some servers write the object itself.
        (None, None) => item
            .get("arguments")
            .map(|object| object.text().to_owned())
            .unwrap_or_default(),
    };
    ToolCall {
        id: string("call_id").or_else(|| string("id")).unwrap_or_default(),
        name: string("name").unwrap_or_default(),
        arguments,
        signature: None,
    }
}

/// A list of token log probabilities as chat completions' object; `None` for an empty one.
pub(super) fn chat_logprobs(tokens: Raw<'_>) -> Option<Json> {
    tokens.items().next()?;
    Json::parse(&format!(r#"{{"content":{},"refusal":null}}"#, tokens.text())).ok()
}

/// Writes a whole answer: what its stream would have ended with.
pub fn encode_answer(answer: &ChatAnswer, options: &EncoderOptions) -> Vec<u8> {
    let mut encoder = StreamEncoder::new(options.clone());
    encoder.service_tier.clone_from(&answer.service_tier);
    let mut sink = Vec::new();
    let mut feed = |event: StreamEvent| {
        sink.clear();
        encoder.encode(&event, &mut sink);
    };
    feed(StreamEvent::Start {
        id: answer.id.clone(),
        model: answer.model.clone(),
        created: answer.created,
    });
    if let Some(usage) = answer.usage {
        feed(StreamEvent::Usage(usage));
    }
    if let Some(first) = answer.choices.first() {
        let mut logprobs = first.logprobs.clone();
        for (position, part) in first.parts.iter().enumerate() {
            if matches!(part, AnswerPart::Reasoning(_)) {
                // Of a whole answer it is known where one thought ends and the next begins.
                encoder.close(&mut sink);
            }
            for event in part_events(position as u32, part, &mut logprobs) {
                encoder.encode(&event, &mut sink);
            }
            sink.clear();
        }
        let reason = first.finish.unwrap_or(FinishReason::Stop);
        encoder.encode(&StreamEvent::Finish { choice: 0, reason }, &mut sink);
    }
    encoder.into_response()
}

/// A part as the events that would have told it. `index` tells calls apart.
fn part_events(index: u32, part: &AnswerPart, logprobs: &mut Option<Json>) -> Vec<StreamEvent> {
    let choice = 0;
    match part {
        AnswerPart::Text { text } => vec![StreamEvent::Text {
            choice,
            text: text.clone(),
            logprobs: logprobs.take(),
        }],
        AnswerPart::Refusal { text } => vec![StreamEvent::Refusal {
            choice,
            text: text.clone(),
        }],
        AnswerPart::Reasoning(thought) => {
            let told = StreamEvent::Reasoning {
                choice,
                text: thought.text.clone(),
            };
            let signed = thought.signature.is_some() || thought.redacted.is_some();
            let signature = thought
                .origin
                .filter(|_| signed)
                .map(|origin| StreamEvent::ReasoningSignature {
                    choice,
                    signature: thought.signature.clone(),
                    redacted: thought.redacted.clone(),
                    origin,
                });
            [told].into_iter().chain(signature).collect()
        }
        AnswerPart::ToolCall(call) => vec![
            StreamEvent::ToolCallStart {
                choice,
                index,
                id: call.id.clone(),
                name: call.name.clone(),
                signature: call.signature.clone(),
            },
            StreamEvent::ToolCallArguments {
                choice,
                index,
                arguments: call.arguments.clone(),
            },
        ],
    }
}
