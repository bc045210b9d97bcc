//! Writes an answer as a chat completion, whole or as chunks.

use serde_json::{Map, Value, json};

use crate::{
    answer::{Answer, Choice, Finish, ToolCall, Usage},
    azure,
    event::{Event, EventKind},
};

pub(crate) fn unary(answer: &Answer) -> Value {
    let choices: Vec<Value> = answer.choices.iter().enumerate().map(|(index, choice)| {
        let mut message = Map::new();
        message.insert("role".into(), json!("assistant"));
        let silent = choice.text.is_empty() && (!choice.tool_calls.is_empty() || !choice.refusal.is_empty());
        message.insert("content".into(), if silent { Value::Null } else { json!(choice.text()) });
        if !choice.reasoning.is_empty() {
            message.insert(reasoning_field(answer).into(), json!(choice.reasoning.concat()));
        }
        if !choice.tool_calls.is_empty() {
            let calls: Vec<Value> = choice.tool_calls.iter().map(call_of).collect();
            message.insert("tool_calls".into(), json!(calls));
        }
        message.insert("refusal".into(), if choice.refusal.is_empty() { Value::Null } else { json!(choice.refusal.concat()) });
        message.insert("annotations".into(), json!([]));
        let finish = if answer.empty || answer.unfinished { Value::Null } else { json!(finish_reason(&choice.finish)) };
        let mut value = json!({"index": index, "message": message, "logprobs": logprobs(answer, &choice.text), "finish_reason": finish});
        if answer.azure {
            value["content_filter_results"] = azure::filter_results(choice.finish == Finish::ContentFilter);
        }
        value
    }).collect();
    let mut body = json!({
        "id": format!("chatcmpl-{}", answer.id),
        "object": "chat.completion",
        "created": answer.created,
        "model": answer.model,
        "choices": choices,
    });
    if let Some(usage) = answer.usage {
        body["usage"] = usage_of(usage);
    }
    body["service_tier"] = json!(answer.service_tier);
    body["system_fingerprint"] = json!(FINGERPRINT);
    if answer.azure {
        body["prompt_filter_results"] = azure::prompt_filter_results();
    }
    if answer.odd {
        body["x_fake_unknown"] = json!({"nested": [1, null, "ü"]});
    }
    body
}

pub(crate) fn events(answer: &Answer) -> Vec<Event> {
    let mut events = Vec::new();
    let odd = answer.odd;
    if odd {
        events.push(Event::new(EventKind::Raw, "\u{feff}: keepalive\n\n"));
        // Azure's first chunk: no choices, no id, filter results of the prompt.
        events.push(Event::new(EventKind::Structure, json!({"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]}).to_string()));
    }
    if answer.azure {
        // The first chunk has nothing but what the filter found in the prompt.
        let filtered = json!({"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": azure::prompt_filter_results()});
        events.push(Event::new(EventKind::Structure, filtered.to_string()));
    }
    for (index, choice) in answer.choices.iter().enumerate() {
        let calls_only = choice.text.is_empty() && choice.refusal.is_empty() && !choice.tool_calls.is_empty();
        let content = if calls_only { Value::Null } else { json!("") };
        events.push(chunk(
            answer,
            EventKind::Structure,
            index,
            json!({"role": "assistant", "content": content, "refusal": null}),
            Value::Null,
            Value::Null,
        ));
    }
    // The choices of n > 1 come interleaved, token by token.
    let deltas: Vec<Vec<(Value, Value)>> = answer
        .choices
        .iter()
        .map(|choice| content_deltas(answer, choice))
        .collect();
    let longest = deltas.iter().map(Vec::len).max().unwrap_or(0);
    for at in 0..longest {
        for (index, deltas) in deltas.iter().enumerate() {
            if let Some((delta, logprobs)) = deltas.get(at) {
                events.push(chunk(
                    answer,
                    EventKind::Content,
                    index,
                    delta.clone(),
                    logprobs.clone(),
                    Value::Null,
                ));
            }
        }
        if odd && at % 7 == 3 {
            events.push(Event::new(EventKind::Raw, ": keepalive\r\n\r\n"));
            events.push(Event::new(EventKind::Structure, json!({"id": format!("chatcmpl-{}", answer.id), "object": "chat.completion.chunk", "created": answer.created, "model": answer.model, "choices": [], "x_unknown": true}).to_string()));
            events.push(chunk(
                answer,
                EventKind::Structure,
                0,
                json!({}),
                Value::Null,
                Value::Null,
            ));
            // One event on two `data:` lines.
            events.push(Event::new(
                EventKind::Raw,
                "data: {\"object\":\"chat.completion.chunk\",\ndata: \"choices\":[]}\n\n",
            ));
        }
    }
    if !answer.empty {
        for (index, choice) in answer.choices.iter().enumerate() {
            events.push(chunk(
                answer,
                EventKind::Finish,
                index,
                json!({}),
                Value::Null,
                json!(finish_reason(&choice.finish)),
            ));
        }
    }
    if let (true, Some(usage)) = (answer.include_usage, answer.usage) {
        let mut value = envelope(answer);
        value["choices"] = json!([]);
        value["usage"] = usage_of(usage);
        events.push(Event::new(EventKind::Finish, value.to_string()));
    }
    events.push(Event::new(EventKind::Terminal, "[DONE]"));
    events
}

/// The deltas with content of one choice, and the log probabilities that go with them.
fn content_deltas(answer: &Answer, choice: &Choice) -> Vec<(Value, Value)> {
    let mut deltas = Vec::new();
    for token in &choice.reasoning {
        deltas.push((json!({reasoning_field(answer): token}), Value::Null));
    }
    for token in &choice.text {
        deltas.push((json!({"content": token}), logprobs(answer, std::slice::from_ref(token))));
    }
    for token in &choice.refusal {
        deltas.push((json!({"refusal": token}), Value::Null));
    }
    for (index, call) in choice.tool_calls.iter().enumerate() {
        let (kind, input) = kind_of(call);
        deltas.push((json!({"tool_calls": [{"index": index, "id": call_id(call), "type": kind, kind: {"name": call.name, input: ""}}]}), Value::Null));
        for fragment in call.fragments() {
            deltas.push((
                json!({"tool_calls": [{"index": index, kind: {input: fragment}}]}),
                Value::Null,
            ));
        }
    }
    deltas
}

fn envelope(answer: &Answer) -> Value {
    json!({
        "id": format!("chatcmpl-{}", answer.id),
        "object": "chat.completion.chunk",
        "created": answer.created,
        "model": answer.model,
        "service_tier": answer.service_tier,
        "system_fingerprint": FINGERPRINT,
    })
}

fn chunk(answer: &Answer, kind: EventKind, index: usize, delta: Value, logprobs: Value, finish: Value) -> Event {
    let mut value = envelope(answer);
    value["choices"] = json!([{"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}]);
    if answer.azure && kind != EventKind::Structure {
        let filtered = value["choices"][0]["finish_reason"] == "content_filter";
        // Chunks of text carry the results, the last one only when it was the filter that ended the text.
        let results = if kind == EventKind::Content || filtered {
            azure::filter_results(filtered)
        } else {
            json!({})
        };
        value["choices"][0]["content_filter_results"] = results;
    }
    if answer.include_usage {
        value["usage"] = Value::Null;
    }
    if answer.odd {
        // Random padding, as the provider adds it against traffic analysis.
        value["obfuscation"] = json!("aB3xQ");
    }
    Event::new(kind, value.to_string())
}

const FINGERPRINT: &str = "fp_fa4e000000";

/// There is no official reasoning text in this dialect; both names that others use are known, the rarer one in odd streams.
fn reasoning_field(answer: &Answer) -> &'static str {
    if answer.odd { "reasoning" } else { "reasoning_content" }
}

/// The type of a tool, and what its input is called.
fn kind_of(call: &ToolCall) -> (&'static str, &'static str) {
    if call.custom {
        ("custom", "input")
    } else {
        ("function", "arguments")
    }
}

fn call_of(call: &ToolCall) -> Value {
    let (kind, input) = kind_of(call);
    json!({"id": call_id(call), "type": kind, kind: {"name": call.name, input: call.input()}})
}

fn call_id(call: &ToolCall) -> String {
    format!("call_{}", call.id)
}

fn finish_reason(finish: &Finish) -> &str {
    match finish {
        // A refusal ends with `stop` here; its text stands in a field of its own.
        Finish::Stop | Finish::StopSequence(_) | Finish::Refusal => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::ContentFilter => "content_filter",
        Finish::Verbatim(word) => word,
    }
}

fn usage_of(usage: Usage) -> Value {
    json!({
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": {"cached_tokens": usage.cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
    })
}

fn logprobs(answer: &Answer, tokens: &[String]) -> Value {
    let Some(best) = answer.logprobs else {
        return Value::Null;
    };
    let entry = |token: &str, rank: usize| json!({"token": token, "logprob": -0.25 * (rank as f64 + 1.0), "bytes": token.as_bytes()});
    let content: Vec<Value> = tokens
        .iter()
        .map(|token| {
            let mut value = entry(token, 0);
            value["top_logprobs"] = (0..best)
                .map(|rank| {
                    if rank == 0 {
                        entry(token, 0)
                    } else {
                        entry(&format!(" alt{rank}"), rank)
                    }
                })
                .collect();
            value
        })
        .collect();
    json!({"content": content, "refusal": null})
}
