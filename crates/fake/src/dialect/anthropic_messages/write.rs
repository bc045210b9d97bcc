//! Writes an answer as a message, whole or as blocks from start to stop.

use serde_json::{Value, json};

use crate::{
    answer::{Answer, Choice, Finish, ToolCall, Usage},
    dialect::anthropic_messages::signature,
    event::{Event, EventKind},
};

pub(crate) fn unary(answer: &Answer) -> Value {
    let Some(choice) = answer.choices.first() else {
        return Value::Null;
    };
    let mut content = Vec::new();
    if !answer.empty {
        if !choice.reasoning.is_empty() {
            let thinking = choice.reasoning.concat();
            content.push(json!({"type": "thinking", "signature": signature(&thinking), "thinking": thinking}));
        }
        let text = spoken(choice);
        if !text.is_empty() || choice.tool_calls.is_empty() {
            content.push(json!({"type": "text", "text": text.concat()}));
        }
        for call in &choice.tool_calls {
            content.push(json!({"type": "tool_use", "id": tool_id(call), "name": call.name, "input": call.arguments}));
        }
    }
    let mut message = message(answer, content, usage_of(answer, answer.usage.unwrap_or_default()));
    if !answer.empty && !answer.unfinished {
        stop(&choice.finish, &mut message);
    }
    if answer.usage.is_none() {
        message.as_object_mut().map(|fields| fields.remove("usage"));
    }
    if answer.odd {
        message["x_fake_unknown"] = json!({"nested": [1, null, "ü"]});
    }
    message
}

pub(crate) fn events(answer: &Answer) -> Vec<Event> {
    let Some(choice) = answer.choices.first() else {
        return Vec::new();
    };
    let mut events = Blocks {
        events: Vec::new(),
        index: 0,
        odd: answer.odd,
    };
    if answer.odd {
        events.events.push(Event::new(EventKind::Raw, ": welcome\r\n\r\n"));
    }
    // At the start only the prompt is known; one token stands for what is being written.
    let usage = Usage {
        completion: 1,
        reasoning: 0,
        ..answer.usage.unwrap_or_default()
    };
    let mut start = json!({"type": "message_start", "message": message(answer, Vec::new(), usage_of(answer, usage))});
    if answer.usage.is_none() {
        start["message"].as_object_mut().map(|fields| fields.remove("usage"));
    }
    events.push(EventKind::Structure, "message_start", start);
    if answer.empty {
        events.push(EventKind::Terminal, "message_stop", json!({"type": "message_stop"}));
        return events.events;
    }
    if !choice.reasoning.is_empty() {
        events.start(
            json!({"type": "thinking", "thinking": "", "signature": ""}),
            EventKind::Structure,
        );
        for token in &choice.reasoning {
            events.delta(json!({"type": "thinking_delta", "thinking": token}), EventKind::Content);
        }
        events.delta(
            json!({"type": "signature_delta", "signature": signature(&choice.reasoning.concat())}),
            EventKind::Structure,
        );
        events.stop();
    }
    let text = spoken(choice);
    if !text.is_empty() || choice.tool_calls.is_empty() {
        events.start(json!({"type": "text", "text": ""}), EventKind::Structure);
        for token in text {
            events.delta(json!({"type": "text_delta", "text": token}), EventKind::Content);
        }
        events.stop();
    }
    for call in &choice.tool_calls {
        events.start(
            json!({"type": "tool_use", "id": tool_id(call), "name": call.name, "input": {}}),
            EventKind::Content,
        );
        events.delta(
            json!({"type": "input_json_delta", "partial_json": ""}),
            EventKind::Structure,
        );
        for fragment in call.fragments() {
            events.delta(
                json!({"type": "input_json_delta", "partial_json": fragment}),
                EventKind::Content,
            );
        }
        events.stop();
    }
    let mut delta = json!({"stop_reason": null, "stop_sequence": null});
    stop(&choice.finish, &mut delta);
    let mut last = json!({"type": "message_delta", "delta": delta});
    if let Some(usage) = answer.usage {
        let mut counted = usage_of(answer, usage);
        // The last event repeats the totals without what never changes.
        for constant in ["service_tier", "inference_geo", "cache_creation"] {
            counted.as_object_mut().map(|fields| fields.remove(constant));
        }
        last["usage"] = counted;
    } else {
        last["usage"] = json!({"output_tokens": 0});
    }
    events.push(EventKind::Finish, "message_delta", last);
    events.push(EventKind::Terminal, "message_stop", json!({"type": "message_stop"}));
    events.events
}

/// Writes blocks one after the other; they are never interleaved.
struct Blocks {
    events: Vec<Event>,
    index: usize,
    odd: bool,
}

impl Blocks {
    fn push(&mut self, kind: EventKind, name: &'static str, data: Value) {
        self.events.push(Event::named(kind, name, data.to_string()));
    }

    fn start(&mut self, block: Value, kind: EventKind) {
        let index = self.index;
        self.push(
            kind,
            "content_block_start",
            json!({"type": "content_block_start", "index": index, "content_block": block}),
        );
        if index == 0 {
            self.push(EventKind::Structure, "ping", json!({"type": "ping"}));
        }
    }

    fn delta(&mut self, delta: Value, kind: EventKind) {
        let index = self.index;
        self.push(
            kind,
            "content_block_delta",
            json!({"type": "content_block_delta", "index": index, "delta": delta}),
        );
        if self.odd && self.events.len() % 7 == 3 {
            self.push(EventKind::Structure, "ping", json!({"type": "ping"}));
            self.push(
                EventKind::Structure,
                "weather_report",
                json!({"type": "weather_report", "wind": "calm"}),
            );
            self.events.push(Event::new(EventKind::Raw, ": keepalive\n\n"));
        }
    }

    fn stop(&mut self) {
        let index = self.index;
        self.push(
            EventKind::Structure,
            "content_block_stop",
            json!({"type": "content_block_stop", "index": index}),
        );
        self.index += 1;
    }
}

/// A refusal is said in the text here; only the stop reason tells it apart.
fn spoken(choice: &Choice) -> &[String] {
    if choice.refusal.is_empty() {
        &choice.text
    } else {
        &choice.refusal
    }
}

fn message(answer: &Answer, content: Vec<Value>, usage: Value) -> Value {
    json!({
        "id": format!("msg_{}", answer.id),
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": content,
        "stop_reason": null,
        "stop_sequence": null,
        "usage": usage,
    })
}

fn stop(finish: &Finish, fields: &mut Value) {
    let mut sequence = Value::Null;
    let reason = match finish {
        Finish::Stop => "end_turn",
        Finish::StopSequence(which) => {
            sequence = json!(which);
            "stop_sequence"
        }
        Finish::Length => "max_tokens",
        Finish::ToolCalls => "tool_use",
        Finish::ContentFilter | Finish::Refusal => {
            fields["stop_details"] = json!({"type": "refusal", "category": null, "explanation": "The request was declined by the safety system."});
            "refusal"
        }
        Finish::Verbatim(word) => word,
    };
    fields["stop_reason"] = json!(reason);
    fields["stop_sequence"] = sequence;
}

/// `input_tokens` leaves out what came from the cache.
fn usage_of(answer: &Answer, usage: Usage) -> Value {
    let mut counted = json!({
        "input_tokens": usage.prompt.saturating_sub(usage.cached),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": usage.completion,
        "service_tier": answer.service_tier,
        "inference_geo": "not_available",
    });
    if usage.reasoning > 0 {
        counted["output_tokens_details"] = json!({"thinking_tokens": usage.reasoning});
    }
    counted
}

fn tool_id(call: &ToolCall) -> String {
    format!("toolu_{}", call.id)
}
