//! Writes an answer as a response object, whole or as numbered events.

use serde_json::{Value, json};

use crate::{
    answer::{Answer, Choice, Finish, ToolCall, Usage},
    dialect::openai_responses::encrypted,
    errors::ErrorAnswer,
    event::{Event, EventKind},
};

/// How a response ended, in its own words.
struct End {
    status: Value,
    event: &'static str,
    incomplete: Value,
    error: Value,
}

pub(crate) fn unary(answer: &Answer) -> Value {
    let mut end = end_of(answer);
    if answer.unfinished {
        end.status = json!("in_progress");
    }
    let mut body = response(answer, &end, items(answer));
    if answer.odd {
        body["x_fake_unknown"] = json!({"nested": [1, null, "ü"]});
    }
    body
}

/// The items of the output, whole.
fn items(answer: &Answer) -> Vec<Value> {
    let Some(choice) = answer.choices.first().filter(|_| !answer.empty) else {
        return Vec::new();
    };
    let mut items = Vec::new();
    if has_reasoning(answer, choice) {
        items.push(reasoning_item(answer, &choice.reasoning.concat()));
    }
    if has_message(choice) {
        items.push(message_item(
            answer,
            choice,
            message_status(answer),
            vec![content_part(answer, choice, true)],
        ));
    }
    items.extend(choice.tool_calls.iter().map(|call| call_item(call, "completed", true)));
    items
}

pub(crate) fn events(answer: &Answer) -> Vec<Event> {
    let mut out = Numbered {
        events: Vec::new(),
        next: 0,
    };
    let begun = End {
        status: json!("in_progress"),
        event: "",
        incomplete: Value::Null,
        error: Value::Null,
    };
    let open = response(
        &Answer {
            usage: None,
            ..answer.clone()
        },
        &begun,
        Vec::new(),
    );
    if answer.odd {
        out.events.push(Event::new(EventKind::Raw, "\u{feff}: keepalive\n\n"));
    }
    out.push(EventKind::Structure, "response.created", json!({"response": open}));
    out.push(EventKind::Structure, "response.in_progress", json!({"response": open}));
    if let Some(choice) = answer.choices.first().filter(|_| !answer.empty) {
        let mut index = 0;
        if has_reasoning(answer, choice) {
            reasoning_events(&mut out, answer, choice, index);
            index += 1;
        }
        if has_message(choice) {
            message_events(&mut out, answer, choice, index);
            index += 1;
        }
        for call in &choice.tool_calls {
            call_events(&mut out, answer, call, index);
            index += 1;
        }
    }
    let end = end_of(answer);
    out.push(
        EventKind::Terminal,
        end.event,
        json!({"response": response(answer, &end, items(answer))}),
    );
    out.events
}

/// Events with their numbers.
struct Numbered {
    events: Vec<Event>,
    next: u64,
}

impl Numbered {
    fn push(&mut self, kind: EventKind, name: &'static str, mut fields: Value) {
        fields["type"] = json!(name);
        fields["sequence_number"] = json!(self.next);
        self.next += 1;
        self.events.push(Event::named(kind, name, fields.to_string()));
    }

    fn content(&mut self, answer: &Answer, name: &'static str, mut fields: Value) {
        if answer.echo.as_ref().is_some_and(|echo| echo.obfuscation) {
            // Pads short deltas to about the same length.
            let length = fields["delta"].as_str().map_or(0, str::len);
            fields["obfuscation"] = json!(&"hT3xQ0vLm9RkZ2aW"[length.min(15)..]);
        }
        self.push(EventKind::Content, name, fields);
        let content = self
            .events
            .iter()
            .filter(|event| event.kind == EventKind::Content)
            .count();
        if answer.odd && content % 7 == 4 {
            self.events.push(Event::new(EventKind::Raw, ": keepalive\r\n\r\n"));
            self.push(
                EventKind::Structure,
                "response.x_fake.unknown",
                json!({"x_unknown": [true]}),
            );
            // One event on two `data:` lines.
            let number = self.next;
            self.next += 1;
            self.events.push(Event::new(
                EventKind::Raw,
                format!("event: response.x_fake.lines\ndata: {{\"type\":\"response.x_fake.lines\",\ndata: \"sequence_number\":{number}}}\n\n"),
            ));
        }
    }
}

fn reasoning_events(out: &mut Numbered, answer: &Answer, choice: &Choice, index: usize) {
    let whole = reasoning_item(answer, &choice.reasoning.concat());
    let id = whole["id"].clone();
    let mut begun = whole.clone();
    begun["summary"] = json!([]);
    out.push(
        EventKind::Structure,
        "response.output_item.added",
        json!({"output_index": index, "item": begun}),
    );
    if !choice.reasoning.is_empty() {
        let at = json!({"item_id": id, "output_index": index, "summary_index": 0});
        let part = |text: &str| json!({"type": "summary_text", "text": text});
        out.push(
            EventKind::Structure,
            "response.reasoning_summary_part.added",
            with(&at, json!({"part": part("")})),
        );
        for token in &choice.reasoning {
            out.content(
                answer,
                "response.reasoning_summary_text.delta",
                with(&at, json!({"delta": token})),
            );
        }
        let text = choice.reasoning.concat();
        out.push(
            EventKind::Structure,
            "response.reasoning_summary_text.done",
            with(&at, json!({"text": text})),
        );
        out.push(
            EventKind::Structure,
            "response.reasoning_summary_part.done",
            with(&at, json!({"part": part(&text)})),
        );
    }
    out.push(
        EventKind::Structure,
        "response.output_item.done",
        json!({"output_index": index, "item": whole}),
    );
}

fn message_events(out: &mut Numbered, answer: &Answer, choice: &Choice, index: usize) {
    let begun = message_item(answer, choice, "in_progress", Vec::new());
    let at = json!({"item_id": begun["id"], "output_index": index, "content_index": 0});
    out.push(
        EventKind::Structure,
        "response.output_item.added",
        json!({"output_index": index, "item": begun}),
    );
    let part = content_part(answer, choice, false);
    out.push(
        EventKind::Structure,
        "response.content_part.added",
        with(&at, json!({"part": part})),
    );
    if choice.refusal.is_empty() {
        for token in &choice.text {
            let logprobs = logprobs(answer, std::slice::from_ref(token));
            out.content(
                answer,
                "response.output_text.delta",
                with(&at, json!({"delta": token, "logprobs": logprobs})),
            );
        }
        let done = json!({"text": choice.text(), "logprobs": logprobs(answer, &choice.text)});
        out.push(EventKind::Structure, "response.output_text.done", with(&at, done));
    } else {
        for token in &choice.refusal {
            out.content(answer, "response.refusal.delta", with(&at, json!({"delta": token})));
        }
        out.push(
            EventKind::Structure,
            "response.refusal.done",
            with(&at, json!({"refusal": choice.refusal.concat()})),
        );
    }
    let part = content_part(answer, choice, true);
    out.push(
        EventKind::Structure,
        "response.content_part.done",
        with(&at, json!({"part": part})),
    );
    let item = message_item(answer, choice, message_status(answer), vec![part]);
    out.push(
        EventKind::Structure,
        "response.output_item.done",
        json!({"output_index": index, "item": item}),
    );
}

fn call_events(out: &mut Numbered, answer: &Answer, call: &ToolCall, index: usize) {
    let (delta, done, field) = if call.custom {
        (
            "response.custom_tool_call_input.delta",
            "response.custom_tool_call_input.done",
            "input",
        )
    } else {
        (
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "arguments",
        )
    };
    let begun = call_item(call, "in_progress", false);
    let at = json!({"item_id": begun["id"], "output_index": index});
    out.push(
        EventKind::Structure,
        "response.output_item.added",
        json!({"output_index": index, "item": begun}),
    );
    for fragment in call.fragments() {
        out.content(answer, delta, with(&at, json!({"delta": fragment})));
    }
    out.push(EventKind::Structure, done, with(&at, json!({field: call.input()})));
    out.push(
        EventKind::Structure,
        "response.output_item.done",
        json!({"output_index": index, "item": call_item(call, "completed", true)}),
    );
}

fn with(base: &Value, more: Value) -> Value {
    let mut value = base.clone();
    for (name, field) in more.as_object().into_iter().flatten() {
        value[name] = field.clone();
    }
    value
}

fn has_reasoning(answer: &Answer, choice: &Choice) -> bool {
    !choice.reasoning.is_empty() || answer.echo.as_ref().is_some_and(|echo| echo.reasons)
}

fn has_message(choice: &Choice) -> bool {
    !choice.text.is_empty() || !choice.refusal.is_empty() || choice.tool_calls.is_empty()
}

fn reasoning_item(answer: &Answer, text: &str) -> Value {
    let id = format!("rs_{}", answer.id);
    let summary = if text.is_empty() {
        json!([])
    } else {
        json!([{"type": "summary_text", "text": text}])
    };
    let mut item = json!({"id": id, "type": "reasoning", "summary": summary});
    if answer.echo.as_ref().is_some_and(|echo| echo.encrypted) {
        item["encrypted_content"] = json!(encrypted(&id));
    }
    item
}

fn message_item(answer: &Answer, choice: &Choice, status: &str, content: Vec<Value>) -> Value {
    let phase = if choice.tool_calls.is_empty() {
        "final_answer"
    } else {
        "commentary"
    };
    json!({"id": format!("msg_{}", answer.id), "type": "message", "status": status, "role": "assistant", "phase": phase, "content": content})
}

fn message_status(answer: &Answer) -> &'static str {
    if end_of(answer).event == "response.incomplete" {
        "incomplete"
    } else {
        "completed"
    }
}

/// The one part of the message, with its text or still without.
fn content_part(answer: &Answer, choice: &Choice, whole: bool) -> Value {
    let text = |text: String| if whole { text } else { String::new() };
    if choice.refusal.is_empty() {
        let tokens: &[String] = if whole { &choice.text } else { &[] };
        json!({"type": "output_text", "text": text(choice.text()), "annotations": [], "logprobs": logprobs(answer, tokens)})
    } else {
        json!({"type": "refusal", "refusal": text(choice.refusal.concat())})
    }
}

fn call_item(call: &ToolCall, status: &str, whole: bool) -> Value {
    let input = if whole { call.input() } else { String::new() };
    let call_id = format!("call_{}", call.id);
    if call.custom {
        json!({"id": format!("ctc_{}", call.id), "type": "custom_tool_call", "status": status, "call_id": call_id, "name": call.name, "input": input})
    } else {
        json!({"id": format!("fc_{}", call.id), "type": "function_call", "status": status, "call_id": call_id, "name": call.name, "arguments": input})
    }
}

fn end_of(answer: &Answer) -> End {
    let completed = |status: Value| End {
        status,
        event: "response.completed",
        incomplete: Value::Null,
        error: Value::Null,
    };
    let incomplete = |reason: &str| End {
        status: json!("incomplete"),
        event: "response.incomplete",
        incomplete: json!({"reason": reason}),
        error: Value::Null,
    };
    match answer.choices.first().map(|choice| &choice.finish) {
        _ if answer.empty => completed(Value::Null),
        // A refusal is a content part of its own; the response is complete.
        None | Some(Finish::Stop | Finish::StopSequence(_) | Finish::ToolCalls | Finish::Refusal) => {
            completed(json!("completed"))
        }
        Some(Finish::Length) => incomplete("max_output_tokens"),
        Some(Finish::ContentFilter) => incomplete("content_filter"),
        Some(Finish::Verbatim(word)) if word == "failed" => End {
            status: json!("failed"),
            event: "response.failed",
            incomplete: Value::Null,
            error: json!({"code": "server_error", "message": "The model failed to generate a response."}),
        },
        Some(Finish::Verbatim(word)) => incomplete(word),
    }
}

fn response(answer: &Answer, end: &End, output: Vec<Value>) -> Value {
    let mut body = json!({
        "id": format!("resp_{}", answer.id),
        "object": "response",
        "created_at": answer.created,
        "status": end.status,
        "error": end.error,
        "incomplete_details": end.incomplete,
        "model": answer.model,
        "output": output,
    });
    if end.event == "response.completed" {
        body["completed_at"] = json!(answer.created);
    }
    if let Some(echo) = &answer.echo {
        for (name, value) in echo.fields.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
    }
    body["service_tier"] = json!(answer.service_tier);
    body["usage"] = answer.usage.map_or(Value::Null, usage_of);
    body
}

fn usage_of(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": 0},
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.prompt + usage.completion,
    })
}

fn logprobs(answer: &Answer, tokens: &[String]) -> Value {
    let Some(best) = answer.logprobs else {
        return json!([]);
    };
    let entry = |token: &str, rank: usize| json!({"token": token, "logprob": -0.25 * (rank as f64 + 1.0), "bytes": token.as_bytes()});
    let all = tokens.iter().map(|token| {
        let alternative = |rank| {
            if rank == 0 {
                entry(token, 0)
            } else {
                entry(&format!(" alt{rank}"), rank)
            }
        };
        with(
            &entry(token, 0),
            json!({"top_logprobs": (0..best).map(alternative).collect::<Vec<_>>()}),
        )
    });
    all.collect()
}

/// The event that ends a stream with an error: `error` before there is a response, else the response, failed.
/// A row that says what its event is has its way.
pub(crate) fn error_event(answer: &Answer, error: &ErrorAnswer, first: bool, sequence_number: u64) -> Event {
    let told: Value = serde_json::from_str(&error.in_stream).unwrap_or_default();
    if first || told["type"] == "error" {
        let said = if told["type"] == "error" { &told } else { &told["error"] };
        let event = json!({"type": "error", "code": said["code"], "message": said["message"], "param": said["param"], "sequence_number": sequence_number});
        return Event::named(EventKind::Structure, "error", event.to_string());
    }
    let code = match told["error"]["code"].as_str() {
        Some(code) => code,
        None if error.status == 429 => "rate_limit_exceeded",
        None => "server_error",
    };
    let end = End {
        status: json!("failed"),
        event: "response.failed",
        incomplete: Value::Null,
        error: json!({"code": code, "message": told["error"]["message"]}),
    };
    let failed = response(
        &Answer {
            usage: None,
            ..answer.clone()
        },
        &end,
        Vec::new(),
    );
    let event = json!({"type": "response.failed", "sequence_number": sequence_number, "response": failed});
    Event::named(EventKind::Structure, "response.failed", event.to_string())
}

/// The number of an error event that breaks a stream after so many content events: that of the first event it replaces.
pub(crate) fn number_at(events: &[Event], after: usize) -> u64 {
    let total = events.iter().filter(|event| event.kind == EventKind::Content).count();
    let mut content = 0;
    for (index, event) in events.iter().enumerate() {
        let boundary = matches!(event.kind, EventKind::Content | EventKind::Finish | EventKind::Terminal);
        if boundary && content == after.min(total) {
            return numbered(&events[..index]);
        }
        content += usize::from(event.kind == EventKind::Content);
    }
    numbered(events)
}

fn numbered(events: &[Event]) -> u64 {
    events
        .iter()
        .filter(|event| event.data.contains("\"sequence_number\":"))
        .count() as u64
}
