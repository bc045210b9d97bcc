//! Writes an answer as one object, or as an object a line.

use serde_json::{Value, json};

use crate::{
    answer::{Answer, Choice, Finish, ToolCall},
    event::{Event, EventKind},
};

/// A fixed moment, since the fake reads no clock.
const CREATED_AT: &str = "2026-11-18T10:40:00.000000Z";

pub(crate) fn unary(answer: &Answer) -> Value {
    let Some(choice) = answer.choices.first() else {
        return Value::Null;
    };
    let mut message = json!({"role": "assistant", "content": spoken(choice).concat()});
    if !choice.reasoning.is_empty() {
        message["thinking"] = json!(choice.reasoning.concat());
    }
    if !choice.tool_calls.is_empty() {
        message["tool_calls"] = choice
            .tool_calls
            .iter()
            .enumerate()
            .map(|(index, call)| tool_call(index, call))
            .collect();
    }
    let mut response = line(answer, message);
    if answer.empty || answer.unfinished {
        response["done"] = json!(false);
    } else {
        finish(answer, choice, &mut response);
    }
    if let Some(logprobs) = answer.logprobs {
        response["logprobs"] = choice.text.iter().map(|token| logprob(token, logprobs)).collect();
    }
    response
}

pub(crate) fn events(answer: &Answer) -> Vec<Event> {
    let Some(choice) = answer.choices.first() else {
        return Vec::new();
    };
    let mut events = Vec::new();
    let mut push = |kind, mut data: Value| {
        if answer.odd {
            data["x_fake_unknown"] = json!({"nested": [1, null, "ü"]});
        }
        // Its own clients parse every line, so the oddest that a server can be is white space around the object.
        let line = if answer.odd {
            format!(" {data} \r")
        } else {
            data.to_string()
        };
        events.push(Event::new(kind, line));
    };
    let said = |field: &str, token: &str| {
        let mut message = json!({"role": "assistant", "content": ""});
        message[field] = json!(token);
        line(answer, message)
    };
    for token in &choice.reasoning {
        push(EventKind::Content, said("thinking", token));
    }
    for token in spoken(choice) {
        let mut data = said("content", token);
        if let Some(logprobs) = answer.logprobs {
            data["logprobs"] = json!([logprob(token, logprobs)]);
        }
        push(EventKind::Content, data);
    }
    // A call comes whole, each on a line of its own.
    for (index, call) in choice.tool_calls.iter().enumerate() {
        let message = json!({"role": "assistant", "content": "", "tool_calls": [tool_call(index, call)]});
        push(EventKind::Content, line(answer, message));
    }
    if !answer.empty {
        let mut last = line(answer, json!({"role": "assistant", "content": ""}));
        finish(answer, choice, &mut last);
        push(EventKind::Finish, last);
    }
    events
}

fn line(answer: &Answer, message: Value) -> Value {
    json!({"model": answer.model, "created_at": CREATED_AT, "message": message, "done": false})
}

/// Durations are nanoseconds.
fn finish(answer: &Answer, choice: &Choice, last: &mut Value) {
    last["done"] = json!(true);
    last["done_reason"] = json!(match &choice.finish {
        Finish::Length => "length",
        Finish::Verbatim(word) => word,
        Finish::Stop | Finish::StopSequence(_) | Finish::ToolCalls | Finish::ContentFilter | Finish::Refusal => "stop",
    });
    let usage = answer.usage.unwrap_or_default();
    last["total_duration"] = json!(150_000_000 + usage.completion * 2_000_000);
    last["load_duration"] = json!(100_000_000);
    if answer.usage.is_some() {
        last["prompt_eval_count"] = json!(usage.prompt);
        last["prompt_eval_duration"] = json!(13_000_000);
        last["eval_count"] = json!(usage.completion);
        last["eval_duration"] = json!(usage.completion * 2_000_000);
    }
}

/// A refusal is said in the text here, and nothing else tells of it.
fn spoken(choice: &Choice) -> &[String] {
    if choice.refusal.is_empty() {
        &choice.text
    } else {
        &choice.refusal
    }
}

fn tool_call(index: usize, call: &ToolCall) -> Value {
    let id: String = call.id.chars().take(8).collect();
    json!({"id": format!("call_{id}"), "function": {"index": index, "name": call.name, "arguments": call.arguments}})
}

fn logprob(token: &str, best: usize) -> Value {
    let one = |token: &str| json!({"token": token, "logprob": -0.1, "bytes": token.as_bytes()});
    let mut whole = one(token);
    whole["top_logprobs"] = (0..best).map(|_| one(token)).collect();
    whole
}
