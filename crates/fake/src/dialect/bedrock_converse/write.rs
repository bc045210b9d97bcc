//! Writes an answer as a Converse response, or as the events of ConverseStream.

use serde_json::{Value, json};

use crate::{
    answer::{Answer, Choice, Finish, ToolCall, Usage},
    dialect::bedrock_converse::signature,
    event::{Event, EventKind},
    random::{Random, seed_of},
};

pub(crate) fn unary(answer: &Answer) -> Value {
    let Some(choice) = answer.choices.first() else {
        return Value::Null;
    };
    let mut content = Vec::new();
    if !answer.empty {
        if !choice.reasoning.is_empty() {
            let text = choice.reasoning.concat();
            content.push(json!({"reasoningContent": {"reasoningText": {"signature": signature(&text), "text": text}}}));
        }
        let text = spoken(choice);
        if !text.is_empty() || choice.tool_calls.is_empty() {
            content.push(json!({"text": text.concat()}));
        }
        for call in &choice.tool_calls {
            content.push(json!({"toolUse": {"toolUseId": tool_id(call), "name": call.name, "input": call.arguments}}));
        }
    }
    let mut response = json!({
        "output": {"message": {"role": "assistant", "content": content}},
        "metrics": {"latencyMs": latency(answer)},
    });
    if !answer.empty && !answer.unfinished {
        response["stopReason"] = json!(reason(&choice.finish));
    }
    if let Some(usage) = answer.usage {
        response["usage"] = usage_of(usage);
    }
    if answer.odd {
        response["xFakeUnknown"] = json!({"nested": [1, null, "ü"]});
    }
    response
}

pub(crate) fn events(answer: &Answer) -> Vec<Event> {
    let Some(choice) = answer.choices.first() else {
        return Vec::new();
    };
    let mut out = Blocks {
        events: Vec::new(),
        index: 0,
        odd: answer.odd,
        padding: Random::new(seed_of(0xbed1, &[&answer.id])),
    };
    out.push(EventKind::Structure, "messageStart", json!({"role": "assistant"}));
    if !answer.empty {
        if !choice.reasoning.is_empty() {
            for token in &choice.reasoning {
                out.delta(EventKind::Content, json!({"reasoningContent": {"text": token}}));
            }
            let signed = signature(&choice.reasoning.concat());
            out.delta(EventKind::Structure, json!({"reasoningContent": {"signature": signed}}));
            out.stop();
        }
        let text = spoken(choice);
        if !text.is_empty() || choice.tool_calls.is_empty() {
            // A block of text has no start of its own.
            for token in text {
                out.delta(EventKind::Content, json!({"text": token}));
            }
            out.stop();
        }
        for call in &choice.tool_calls {
            let start = json!({"toolUse": {"toolUseId": tool_id(call), "name": call.name}});
            let index = out.index;
            out.push(
                EventKind::Content,
                "contentBlockStart",
                json!({"start": start, "contentBlockIndex": index}),
            );
            for fragment in call.fragments() {
                out.delta(EventKind::Content, json!({"toolUse": {"input": fragment}}));
            }
            out.stop();
        }
        out.push(
            EventKind::Finish,
            "messageStop",
            json!({"stopReason": reason(&choice.finish)}),
        );
    }
    let mut metadata = json!({"metrics": {"latencyMs": latency(answer)}});
    if let Some(usage) = answer.usage {
        metadata["usage"] = usage_of(usage);
    }
    out.push(EventKind::Terminal, "metadata", metadata);
    out.events
}

/// Writes blocks one after the other; they are never interleaved.
struct Blocks {
    events: Vec<Event>,
    index: usize,
    odd: bool,
    padding: Random,
}

impl Blocks {
    /// Every event is padded with letters of no meaning, so that its length does not tell the text's.
    fn push(&mut self, kind: EventKind, name: &'static str, mut data: Value) {
        let letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        data["p"] = json!(letters[..1 + self.padding.below(letters.len())]);
        if self.odd {
            data["xFakeUnknown"] = json!({"nested": [1, null, "ü"]});
        }
        self.events.push(Event::named(kind, name, data.to_string()));
    }

    fn delta(&mut self, kind: EventKind, delta: Value) {
        let index = self.index;
        self.push(
            kind,
            "contentBlockDelta",
            json!({"delta": delta, "contentBlockIndex": index}),
        );
        if self.odd && self.events.len() % 7 == 3 {
            self.push(EventKind::Structure, "weatherReport", json!({"wind": "calm"}));
        }
    }

    fn stop(&mut self) {
        let index = self.index;
        self.push(
            EventKind::Structure,
            "contentBlockStop",
            json!({"contentBlockIndex": index}),
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

fn reason(finish: &Finish) -> &str {
    match finish {
        Finish::Stop => "end_turn",
        Finish::StopSequence(_) => "stop_sequence",
        Finish::Length => "max_tokens",
        Finish::ToolCalls => "tool_use",
        Finish::ContentFilter | Finish::Refusal => "content_filtered",
        Finish::Verbatim(word) => word,
    }
}

/// `inputTokens` leaves out what came from the cache; the total counts it.
fn usage_of(usage: Usage) -> Value {
    json!({
        "inputTokens": usage.prompt.saturating_sub(usage.cached),
        "outputTokens": usage.completion,
        "totalTokens": usage.prompt + usage.completion,
        "cacheReadInputTokens": usage.cached,
        "cacheWriteInputTokens": 0,
    })
}

fn latency(answer: &Answer) -> usize {
    80 + Random::new(seed_of(0xbed2, &[&answer.id])).below(400)
}

fn tool_id(call: &ToolCall) -> String {
    format!("tooluse_{}", call.id)
}
