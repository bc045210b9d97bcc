//! Writes an answer as one message, or as named events.

use serde_json::{Value, json};

use crate::{
    answer::{Answer, Choice, Finish, ToolCall, Usage},
    event::{Event, EventKind},
};

pub(crate) fn unary(answer: &Answer) -> Value {
    let Some(choice) = answer.choices.first() else {
        return Value::Null;
    };
    let mut message = json!({"role": "assistant"});
    if !answer.empty {
        let mut content = Vec::new();
        if !choice.reasoning.is_empty() {
            content.push(json!({"type": "thinking", "thinking": choice.reasoning.concat()}));
        }
        if choice.tool_calls.is_empty() {
            content.push(json!({"type": "text", "text": spoken(choice).concat()}));
        } else {
            message["tool_plan"] = json!(plan(choice).concat());
            message["tool_calls"] = choice
                .tool_calls
                .iter()
                .map(|call| whole_call(call, &call.arguments.to_string()))
                .collect();
        }
        if !content.is_empty() {
            message["content"] = json!(content);
        }
    }
    let mut response = json!({"id": id(answer), "message": message});
    if !answer.empty && !answer.unfinished {
        response["finish_reason"] = json!(reason(&choice.finish));
    }
    if let Some(usage) = answer.usage {
        response["usage"] = usage_of(usage);
    }
    if answer.logprobs.is_some() {
        let items = choice.text.iter().enumerate();
        response["logprobs"] = items
            .map(|(index, token)| json!({"text": token, "token_ids": [index], "logprobs": [-0.1]}))
            .collect();
    }
    if answer.odd {
        response["x_fake_unknown"] = json!({"nested": [1, null, "ü"]});
    }
    response
}

pub(crate) fn events(answer: &Answer) -> Vec<Event> {
    let Some(choice) = answer.choices.first() else {
        return Vec::new();
    };
    let mut out = Events {
        events: Vec::new(),
        index: 0,
        odd: answer.odd,
    };
    if answer.odd {
        out.events.push(Event::new(EventKind::Raw, ": welcome\r\n\r\n"));
    }
    let message = json!({"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []});
    out.push(
        EventKind::Structure,
        "message-start",
        json!({"id": id(answer), "type": "message-start", "delta": {"message": message}}),
    );
    if answer.empty {
        out.events.push(Event::new(EventKind::Terminal, "[DONE]"));
        return out.events;
    }
    if !choice.reasoning.is_empty() {
        out.block("thinking", &choice.reasoning);
    }
    if choice.tool_calls.is_empty() {
        out.block("text", spoken(choice));
    } else {
        for token in plan(choice) {
            out.push(
                EventKind::Content,
                "tool-plan-delta",
                json!({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": token}}}),
            );
        }
        for (index, call) in choice.tool_calls.iter().enumerate() {
            out.push(
                EventKind::Content,
                "tool-call-start",
                json!({"type": "tool-call-start", "index": index, "delta": {"message": {"tool_calls": whole_call(call, "")}}}),
            );
            for fragment in call.fragments() {
                out.push(
                    EventKind::Content,
                    "tool-call-delta",
                    json!({"type": "tool-call-delta", "index": index, "delta": {"message": {"tool_calls": {"function": {"arguments": fragment}}}}}),
                );
            }
            out.push(
                EventKind::Structure,
                "tool-call-end",
                json!({"type": "tool-call-end", "index": index}),
            );
        }
    }
    let mut delta = json!({"error": null, "finish_reason": reason(&choice.finish)});
    if let Some(usage) = answer.usage {
        delta["usage"] = usage_of(usage);
    }
    out.push(
        EventKind::Finish,
        "message-end",
        json!({"id": id(answer), "type": "message-end", "delta": delta}),
    );
    out.events.push(Event::new(EventKind::Terminal, "[DONE]"));
    out.events
}

struct Events {
    events: Vec<Event>,
    index: usize,
    odd: bool,
}

impl Events {
    fn push(&mut self, kind: EventKind, name: &'static str, mut data: Value) {
        if self.odd {
            data["x_fake_unknown"] = json!(null);
        }
        self.events.push(Event::named(kind, name, data.to_string()));
        if self.odd && kind == EventKind::Content && self.events.len() % 7 == 3 {
            self.events.push(Event::new(EventKind::Raw, ": keepalive\n\n"));
            let debug = json!({"type": "debug", "prompt": "<|START|>"});
            self.events
                .push(Event::named(EventKind::Structure, "debug", debug.to_string()));
        }
    }

    /// A block of content, whose tokens stand in the field that bears the block's name.
    fn block(&mut self, kind: &str, tokens: &[String]) {
        let index = self.index;
        let start = json!({"type": kind, kind: ""});
        self.push(
            EventKind::Structure,
            "content-start",
            json!({"type": "content-start", "index": index, "delta": {"message": {"content": start}}}),
        );
        for token in tokens {
            self.push(
                EventKind::Content,
                "content-delta",
                json!({"type": "content-delta", "index": index, "delta": {"message": {"content": {kind: token}}}}),
            );
        }
        self.push(
            EventKind::Structure,
            "content-end",
            json!({"type": "content-end", "index": index}),
        );
        self.index += 1;
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

/// What the model says ahead of its calls.
fn plan(choice: &Choice) -> Vec<String> {
    if choice.text.is_empty() {
        ["I", " will", " call", " the", " tool."].map(str::to_owned).to_vec()
    } else {
        choice.text.clone()
    }
}

fn whole_call(call: &ToolCall, arguments: &str) -> Value {
    let id: String = call.id.chars().take(12).collect();
    json!({"id": format!("{}_{id}", call.name), "type": "function", "function": {"name": call.name, "arguments": arguments}})
}

fn reason(finish: &Finish) -> &str {
    match finish {
        Finish::Stop | Finish::Refusal => "COMPLETE",
        Finish::StopSequence(_) => "STOP_SEQUENCE",
        Finish::Length => "MAX_TOKENS",
        Finish::ToolCalls => "TOOL_CALL",
        Finish::ContentFilter => "ERROR",
        Finish::Verbatim(word) => word,
    }
}

/// What is billed leaves out the provider's own part of the prompt; here that is the same 8 tokens each time.
fn usage_of(usage: Usage) -> Value {
    json!({
        "billed_units": {"input_tokens": usage.prompt, "output_tokens": usage.completion},
        "tokens": {"input_tokens": usage.prompt + 8, "output_tokens": usage.completion},
        "cached_tokens": usage.cached,
    })
}

/// A UUID of the answer's digits.
fn id(answer: &Answer) -> String {
    let digits = format!("{:0<32}", answer.id);
    [
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..32],
    ]
    .join("-")
}
