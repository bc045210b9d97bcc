//! Writes an answer as one response, or as a response an event with counts that grow.

use serde_json::{Value, json};

use crate::{
    answer::{Answer, Choice, Finish, ToolCall, Usage},
    dialect::gemini::signature,
    event::{Event, EventKind},
};

pub(crate) fn unary(answer: &Answer) -> Value {
    let candidates: Vec<Value> = answer
        .choices
        .iter()
        .enumerate()
        .map(|(index, choice)| {
            let mut parts = Vec::new();
            if !choice.reasoning.is_empty() {
                parts.push(json!({"text": choice.reasoning.concat(), "thought": true}));
            }
            let text = spoken(choice).concat();
            if !text.is_empty() {
                parts.push(json!({"text": text}));
            }
            parts.extend(choice.tool_calls.iter().map(call_part));
            let mut candidate = candidate(index, parts);
            if !answer.unfinished {
                finish(&choice.finish, &mut candidate);
            }
            if answer.logprobs.is_some() {
                candidate["avgLogprobs"] = json!(-0.25);
                candidate["logprobsResult"] = logprobs(answer, choice);
            }
            candidate
        })
        .collect();
    let mut body = response(answer, candidates, answer.usage);
    if answer.odd {
        body["xFakeUnknown"] = json!({"nested": [1, null, "ü"]});
    }
    body
}

pub(crate) fn events(answer: &Answer) -> Vec<Event> {
    let mut events = Vec::new();
    let prompt_only = answer.usage.map(|usage| Usage {
        completion: 0,
        reasoning: 0,
        ..usage
    });
    let mut counted = prompt_only;
    if answer.odd {
        // No comments: Google's own SDK does not survive them, so its servers cannot be sending any.
        events.push(Event::new(
            EventKind::Structure,
            response(answer, Vec::new(), prompt_only).to_string(),
        ));
    }
    if answer.empty {
        events.push(Event::new(
            EventKind::Structure,
            response(answer, Vec::new(), prompt_only).to_string(),
        ));
        return events;
    }
    let all: Vec<Vec<(Value, bool)>> = answer
        .choices
        .iter()
        .map(|choice| {
            let thoughts = choice
                .reasoning
                .iter()
                .map(|token| (json!({"text": token, "thought": true}), true));
            let texts = spoken(choice).iter().map(|token| (json!({"text": token}), false));
            let calls = choice.tool_calls.iter().map(|call| (call_part(call), false));
            thoughts.chain(texts).chain(calls).collect()
        })
        .collect();
    for at in 0..all.iter().map(Vec::len).max().unwrap_or(0) {
        for (index, parts) in all.iter().enumerate() {
            let Some((part, thought)) = parts.get(at) else { continue };
            // Counts grow with each event and end at the reported ones.
            if let (Some(counted), Some(total)) = (&mut counted, answer.usage) {
                counted.completion = (counted.completion + 1).min(total.completion);
                counted.reasoning = (counted.reasoning + u64::from(*thought)).min(total.reasoning);
            }
            let value = response(answer, vec![candidate(index, vec![part.clone()])], counted);
            events.push(Event::new(EventKind::Content, value.to_string()));
        }
        if answer.odd && at % 7 == 3 {
            let mut value = response(answer, vec![json!({"index": 0})], counted);
            value["xFakeUnknown"] = json!(true);
            events.push(Event::new(EventKind::Structure, value.to_string()));
        }
    }
    let last: Vec<Value> = answer
        .choices
        .iter()
        .enumerate()
        .map(|(index, choice)| {
            let mut candidate = candidate(index, vec![json!({"text": ""})]);
            finish(&choice.finish, &mut candidate);
            candidate
        })
        .collect();
    events.push(Event::new(
        EventKind::Finish,
        response(answer, last, answer.usage).to_string(),
    ));
    events
}

fn spoken(choice: &Choice) -> &[String] {
    if choice.refusal.is_empty() {
        &choice.text
    } else {
        &choice.refusal
    }
}

fn candidate(index: usize, parts: Vec<Value>) -> Value {
    json!({"content": {"role": "model", "parts": parts}, "index": index})
}

fn response(answer: &Answer, candidates: Vec<Value>, usage: Option<Usage>) -> Value {
    let mut value = json!({});
    if !candidates.is_empty() && !answer.empty {
        value["candidates"] = json!(candidates);
    }
    if let Some(usage) = usage {
        value["usageMetadata"] = usage_of(usage);
    }
    value["modelVersion"] = json!(answer.model);
    value["responseId"] = json!(answer.id);
    value
}

fn finish(finish: &Finish, candidate: &mut Value) {
    let reason = match finish {
        Finish::Stop | Finish::StopSequence(_) | Finish::ToolCalls => "STOP",
        Finish::Length => "MAX_TOKENS",
        Finish::ContentFilter | Finish::Refusal => {
            candidate["safetyRatings"] =
                json!([{"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH", "blocked": true}]);
            "SAFETY"
        }
        Finish::Verbatim(word) => word,
    };
    candidate["finishReason"] = json!(reason);
}

/// `candidatesTokenCount` leaves out the thoughts, which have a count of their own.
fn usage_of(usage: Usage) -> Value {
    let mut counted = json!({
        "promptTokenCount": usage.prompt,
        "candidatesTokenCount": usage.completion.saturating_sub(usage.reasoning),
        "totalTokenCount": usage.prompt + usage.completion,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": usage.prompt}],
    });
    if usage.cached > 0 {
        counted["cachedContentTokenCount"] = json!(usage.cached);
    }
    if usage.reasoning > 0 {
        counted["thoughtsTokenCount"] = json!(usage.reasoning);
    }
    counted
}

fn call_part(call: &ToolCall) -> Value {
    json!({"functionCall": {"id": call.id, "name": call.name, "args": call.arguments}, "thoughtSignature": signature(&call.name)})
}

fn logprobs(answer: &Answer, choice: &Choice) -> Value {
    let chosen: Vec<Value> = choice
        .text
        .iter()
        .map(|token| json!({"token": token, "tokenId": 1, "logProbability": -0.25}))
        .collect();
    let top: Vec<Value> = choice
        .text
        .iter()
        .map(|token| {
            let best = answer.logprobs.unwrap_or(0).max(1);
            let candidates: Vec<Value> = (0..best)
                .map(|rank| {
                    let name = if rank == 0 {
                        token.clone()
                    } else {
                        format!(" alt{rank}")
                    };
                    json!({"token": name, "tokenId": rank + 1, "logProbability": -0.25 * (rank as f64 + 1.0)})
                })
                .collect();
            json!({"candidates": candidates})
        })
        .collect();
    json!({"chosenCandidates": chosen, "topCandidates": top})
}
