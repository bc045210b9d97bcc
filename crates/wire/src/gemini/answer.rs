//! Reads a whole generateContent answer.

use types::answer::{AnswerPart, ChatAnswer, Choice, FinishReason};
use types::chat::{Reasoning, ToolCall};
use types::dialect::DialectName;
use types::outcome::{Failure, OutcomeClass};

use crate::failure::{self, Told};
use crate::gemini::chunk::{self, Candidate, Chunk};
use crate::gemini::errors;
use crate::response::{AnswerFacts, RawAnswer};

/// Reads a whole answer.
///
/// A candidate that a safety filter ended is an answer (its finish says so).
///
/// # Errors
/// A status other than 2xx or an `error` in the body (as [`errors::classify`] has it), a body that is no JSON or has
/// neither content nor a finish reason (`bad_response`), a blocked prompt (`content_filtered`), an answer all of whose candidates
/// are malformed (`malformed_output`).
pub fn decode_answer(raw: RawAnswer<'_>) -> Result<ChatAnswer, Failure> {
    if !(200..300).contains(&raw.status) {
        return Err(errors::classify(raw));
    }
    let Ok(mut chunk) = serde_json::from_slice::<Chunk<'_>>(raw.body) else {
        return Err(errors::classify(raw));
    };
    if chunk.error.is_some() {
        return Err(errors::classify(raw));
    }
    if let Some(blocked) = chunk.blocked() {
        return Err(blocked.with_status(raw.status));
    }
    let id = chunk.response_id.take().unwrap_or_default();
    let mut wrong = Vec::new();
    let candidates = chunk.candidates.take().unwrap_or_default();
    let choices: Vec<Choice> = candidates
        .into_iter()
        .enumerate()
        .map(|(position, candidate)| read_candidate(candidate, position, &id, &mut wrong))
        .collect();
    if let Some(failure) = wrong.pop().filter(|_| wrong.len() + 1 == choices.len()) {
        return Err(failure.with_status(raw.status));
    }
    if choices.iter().all(|c| c.parts.is_empty() && c.finish.is_none()) {
        let told = Told {
            message: "the answer has neither content nor a finish reason",
            ..Told::default()
        };
        return Err(failure::failure(OutcomeClass::BadResponse, raw, told));
    }
    Ok(ChatAnswer {
        id,
        model: chunk.model_version.take().unwrap_or_default(),
        created: chunk.create_time.as_deref().map_or(0, unix_seconds),
        choices,
        usage: chunk.usage_metadata.as_ref().map(|usage| usage.usage()),
        fingerprint: None,
        service_tier: chunk.usage_metadata.and_then(|usage| usage.service_tier),
    })
}

/// Looks at a whole answer that passes. Fails on what [`decode_answer`] fails on.
pub fn inspect_answer(raw: RawAnswer<'_>) -> Result<AnswerFacts, Failure> {
    let answer = decode_answer(raw)?;
    let finish = answer.choices.last().and_then(|choice| choice.finish);
    let filtered = |choice: &Choice| choice.finish == Some(FinishReason::ContentFilter);
    Ok(AnswerFacts {
        usage: answer.usage,
        filtered: answer.choices.iter().any(filtered),
        finish,
        model: Some(answer.model).filter(|model| !model.is_empty()),
    })
}

/// One candidate as a choice; a malformed one also leaves its failure in `wrong`.
fn read_candidate(
    mut candidate: Candidate<'_>,
    position: usize,
    response_id: &str,
    wrong: &mut Vec<Failure>,
) -> Choice {
    let index = candidate.choice(position);
    let mut parts = Vec::new();
    let mut calls = 0;
    for mut part in candidate.take_parts() {
        let signature = part.thought_signature.take().filter(|s| !s.is_empty());
        if let Some(call) = part.function_call {
            parts.push(AnswerPart::ToolCall(ToolCall {
                id: call.id(response_id, index, calls),
                name: call.name().to_owned(),
                arguments: call.arguments(),
                signature,
            }));
            calls += 1;
        } else if part.is_thought() {
            parts.push(AnswerPart::Reasoning(Reasoning {
                text: part.text.unwrap_or_default(),
                signature,
                redacted: None,
                origin: Some(DialectName::Gemini),
            }));
        } else {
            if let Some(text) = part.text.filter(|text| !text.is_empty()) {
                parts.push(AnswerPart::Text { text });
            }
            // A signature on a text follows it as reasoning without words.
            if signature.is_some() {
                parts.push(AnswerPart::Reasoning(Reasoning {
                    signature,
                    origin: Some(DialectName::Gemini),
                    ..Reasoning::default()
                }));
            }
        }
    }
    let reason = candidate.finish_reason.as_deref().unwrap_or_default();
    let finish = chunk::finish_reason(reason, calls > 0);
    if finish == Some(FinishReason::Malformed) {
        wrong.push(chunk::malformed(reason, candidate.finish_message.as_deref()));
    }
    Choice {
        index,
        parts,
        finish,
        logprobs: candidate.logprobs_result.and_then(|l| l.to_openai()),
    }
}

/// Seconds since the Unix epoch of an RFC 3339 time; 0 when it is none.
pub(super) fn unix_seconds(time: &str) -> u64 {
    time.parse::<jiff::Timestamp>()
        .ok()
        .and_then(|time| u64::try_from(time.as_second()).ok())
        .unwrap_or(0)
}
