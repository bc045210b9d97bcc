//! Streams of this dialect, written from events: what a client sees when its answer comes from another dialect, or is the
//! continuation of one that broke.
//!
//! The sequence is OpenAI's own: the response is created and in progress, then items one after the other, each added, filled
//! and done, and at the end the whole response again. Reasoning is written as a summary, whoever thought it: that is what the
//! official SDKs, the AI SDK and Codex show (raw reasoning text they leave out or hide). Its signature is sealed into
//! `encrypted_content` ([`carry`]). Calls of custom tools are written as such, in one piece, since the text they hold is
//! only known when the arguments around it are whole.
//!
//! The dialect has one answer: other choices than the first are not written.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};
use types::answer::FinishReason;
use types::chat::{Json, Reasoning};
use types::dialect::DialectName;
use types::event::StreamEvent;
use types::usage::Usage;

use crate::openai_responses::carry;
use crate::openai_responses::errors::frame;
use crate::openai_responses::output_item::{
    OpenCall, OpenPart, call_item, message_item, part_item, reasoning_item, token_logprobs,
};
use crate::openai_responses::response_object::{Echo, Identity, Status, write, write_response};
use crate::openai_responses::tools::unwrap_input;
use crate::response::{Encode, EncoderOptions};

/// Writes events as frames.
#[derive(Debug)]
pub struct StreamEncoder {
    identity: Identity,
    echo: Echo,
    /// The number of the next event.
    sequence: u64,
    started: bool,
    over: bool,
    /// Finished items, in the order of their `output_index`.
    done: Vec<Value>,
    open: Open,
    usage: Option<Usage>,
    finish: Option<FinishReason>,
    pub(super) service_tier: Option<String>,
}

/// The items that are being filled. Their `output_index` follows the finished ones.
#[derive(Debug)]
enum Open {
    Nothing,
    Message(OpenMessage),
    Reasoning {
        id: String,
        text: String,
    },
    /// Calls of several tools may be told mixed, so they are done together.
    Calls(Vec<OpenCall>),
}

/// Where a piece belongs.
struct DeltaAt<'a> {
    item_id: &'a str,
    output_index: usize,
    /// The part of the item, by the name of its index.
    within: Option<(&'a str, usize)>,
}

#[derive(Debug)]
struct OpenMessage {
    id: String,
    /// Finished parts.
    parts: Vec<Value>,
    part: Option<OpenPart>,
}

impl StreamEncoder {
    /// An encoder that takes its identity from the first `Start`, and from `options` what that does not tell.
    pub fn new(options: EncoderOptions) -> StreamEncoder {
        let EncoderOptions {
            id,
            model,
            created,
            request,
            ..
        } = options;
        let echo = Echo::read(&request);
        // What is repeated is written already; the question need not be kept in memory.
        drop::<Bytes>(request);
        let id = format!("resp_{id}");
        StreamEncoder {
            identity: Identity { id, model, created },
            echo,
            sequence: 0,
            started: false,
            over: false,
            done: Vec::new(),
            open: Open::Nothing,
            usage: None,
            finish: None,
            service_tier: None,
        }
    }

    /// The whole answer as one response object. Nothing may be encoded after it.
    pub(super) fn into_response(mut self) -> Vec<u8> {
        self.close(&mut Vec::new());
        let mut out = Vec::new();
        let status = self.status();
        self.write_response(status, &mut out);
        out
    }
}

impl Encode for StreamEncoder {
    fn encode(&mut self, event: &StreamEvent, out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        match event {
            StreamEvent::Start { id, model, created } => self.start(id, model, *created, out),
            StreamEvent::Ping => out.extend_from_slice(b": ping\n\n"),
            StreamEvent::Usage(usage) => self.usage = Some(*usage),
            StreamEvent::Error(_) => {}
            StreamEvent::End => self.end(out),
            StreamEvent::Text {
                choice: 0,
                text,
                logprobs,
            } => self.say(false, text, logprobs.as_ref(), out),
            StreamEvent::Refusal { choice: 0, text } => self.say(true, text, None, out),
            StreamEvent::Reasoning { choice: 0, text } => self.think(text, out),
            StreamEvent::ReasoningSignature {
                choice: 0,
                signature,
                redacted,
                origin,
            } => {
                self.sign(signature.clone(), redacted.clone(), *origin, out);
            }
            StreamEvent::ToolCallStart {
                choice: 0,
                index,
                id,
                name,
                signature,
            } => {
                self.call(*index, id, name, signature.as_deref(), out);
            }
            StreamEvent::ToolCallArguments {
                choice: 0,
                index,
                arguments,
            } => self.arguments(*index, arguments, out),
            StreamEvent::Finish { choice: 0, reason } => {
                self.finish = Some(*reason);
                self.close(out);
            }
            StreamEvent::Text { .. }
            | StreamEvent::Refusal { .. }
            | StreamEvent::Reasoning { .. }
            | StreamEvent::ReasoningSignature { .. }
            | StreamEvent::ToolCallStart { .. }
            | StreamEvent::ToolCallArguments { .. }
            | StreamEvent::Finish { .. } => {}
        }
    }
}

impl StreamEncoder {
    fn start(&mut self, id: &str, model: &str, created: u64, out: &mut Vec<u8>) {
        if self.started {
            return;
        }
        if id.starts_with("resp_") {
            self.identity.id = id.to_owned();
        }
        if !model.is_empty() {
            self.identity.model = model.to_owned();
        }
        if created > 0 {
            self.identity.created = created;
        }
        self.begin(out);
    }

    /// Opens the stream, once.
    fn begin(&mut self, out: &mut Vec<u8>) {
        if self.started {
            return;
        }
        self.started = true;
        self.lifecycle("response.created", Status::InProgress, out);
        self.lifecycle("response.in_progress", Status::InProgress, out);
    }

    fn say(&mut self, refusal: bool, text: &str, logprobs: Option<&Json>, out: &mut Vec<u8>) {
        let logprobs = logprobs.map(token_logprobs).unwrap_or_default();
        if text.is_empty() && logprobs.is_empty() {
            return;
        }
        if !matches!(self.open, Open::Message(_)) {
            self.close(out);
            let id = self.item_id("msg");
            let item = message_item(&id, "in_progress", &[]);
            self.event(
                "response.output_item.added",
                json!({"output_index": self.done.len(), "item": item}),
                out,
            );
            self.open = Open::Message(OpenMessage {
                id,
                parts: Vec::new(),
                part: None,
            });
        }
        let output_index = self.done.len();
        let Open::Message(mut message) = std::mem::replace(&mut self.open, Open::Nothing) else {
            unreachable!("a message was opened just now");
        };
        if message.part.as_ref().is_some_and(|part| part.refusal != refusal) {
            self.close_part(output_index, &mut message, out);
        }
        let content_index = message.parts.len();
        if message.part.is_none() {
            let part = OpenPart {
                refusal,
                text: String::new(),
                logprobs: Vec::new(),
            };
            let place = json!({"item_id": message.id, "output_index": output_index, "content_index": content_index});
            self.event(
                "response.content_part.added",
                with(place, "part", part_item(&part)),
                out,
            );
            message.part = Some(part);
        }
        let part = message.part.as_mut().expect("it was opened just now");
        part.text.push_str(text);
        part.logprobs.extend(logprobs.iter().cloned());
        let kind = if refusal {
            "response.refusal.delta"
        } else {
            "response.output_text.delta"
        };
        let at = DeltaAt {
            item_id: &message.id,
            output_index,
            within: Some(("content_index", content_index)),
        };
        self.delta(kind, at, text, (!refusal).then_some(&logprobs), out);
        self.open = Open::Message(message);
    }

    fn close_part(&mut self, output_index: usize, message: &mut OpenMessage, out: &mut Vec<u8>) {
        let Some(part) = message.part.take() else { return };
        let content_index = message.parts.len();
        let place = json!({"item_id": message.id, "output_index": output_index, "content_index": content_index});
        let item = part_item(&part);
        if part.refusal {
            self.event(
                "response.refusal.done",
                with(place.clone(), "refusal", json!(part.text)),
                out,
            );
        } else {
            let done = with(place.clone(), "text", json!(part.text));
            self.event(
                "response.output_text.done",
                with(done, "logprobs", Value::Array(part.logprobs)),
                out,
            );
        }
        self.event("response.content_part.done", with(place, "part", item.clone()), out);
        message.parts.push(item);
    }

    fn think(&mut self, text: &str, out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        let output_index = self.done.len();
        if !matches!(self.open, Open::Reasoning { .. }) {
            self.close(out);
            let output_index = self.done.len();
            let id = self.item_id("rs");
            let item = reasoning_item(&id, "in_progress", "", None);
            self.event(
                "response.output_item.added",
                json!({"output_index": output_index, "item": item}),
                out,
            );
            let part = json!({"type": "summary_text", "text": ""});
            let added = json!({"item_id": id, "output_index": output_index, "summary_index": 0, "part": part});
            self.event("response.reasoning_summary_part.added", added, out);
            self.open = Open::Reasoning {
                id,
                text: String::new(),
            };
            return self.think(text, out);
        }
        if let Open::Reasoning { id, text: mut all } = std::mem::replace(&mut self.open, Open::Nothing) {
            all.push_str(text);
            let at = DeltaAt {
                item_id: &id,
                output_index,
                within: Some(("summary_index", 0)),
            };
            self.delta("response.reasoning_summary_text.delta", at, text, None, out);
            self.open = Open::Reasoning { id, text: all };
        }
    }

    /// A signature closes the reasoning it signs; what is opaque is an item of its own.
    fn sign(&mut self, signature: Option<String>, redacted: Option<String>, origin: DialectName, out: &mut Vec<u8>) {
        let opaque = redacted.is_some();
        let thought = |text| Reasoning {
            text,
            signature,
            redacted,
            origin: Some(origin),
        };
        match std::mem::replace(&mut self.open, Open::Nothing) {
            Open::Reasoning { id, text } if !opaque => {
                let sealed = carry::seal(&thought(text.clone()));
                self.close_reasoning(id, text, sealed, out);
            }
            open => {
                self.open = open;
                self.close(out);
                if let Some(sealed) = carry::seal(&thought(String::new())) {
                    self.whole_reasoning(sealed, out);
                }
            }
        }
    }

    /// A reasoning item without text.
    fn whole_reasoning(&mut self, sealed: String, out: &mut Vec<u8>) {
        let output_index = self.done.len();
        let id = self.item_id("rs");
        let item = reasoning_item(&id, "in_progress", "", None);
        self.event(
            "response.output_item.added",
            json!({"output_index": output_index, "item": item}),
            out,
        );
        let item = reasoning_item(&id, "completed", "", Some(sealed));
        self.item_done(item, out);
    }

    fn close_reasoning(&mut self, id: String, text: String, sealed: Option<String>, out: &mut Vec<u8>) {
        let place = json!({"item_id": id, "output_index": self.done.len(), "summary_index": 0});
        let done = with(place.clone(), "text", json!(text));
        self.event("response.reasoning_summary_text.done", done, out);
        let part = json!({"type": "summary_text", "text": text});
        self.event("response.reasoning_summary_part.done", with(place, "part", part), out);
        let item = reasoning_item(&id, "completed", &text, sealed);
        self.item_done(item, out);
    }

    fn call(&mut self, index: u32, id: &str, name: &str, signature: Option<&str>, out: &mut Vec<u8>) {
        if let Some(signature) = signature {
            self.close(out);
            self.whole_reasoning(carry::seal_call(id, signature), out);
        }
        if !matches!(self.open, Open::Calls(_)) {
            self.close(out);
            self.open = Open::Calls(Vec::new());
        }
        let Open::Calls(mut calls) = std::mem::replace(&mut self.open, Open::Nothing) else {
            unreachable!("calls were opened just now");
        };
        let output_index = self.done.len() + calls.len();
        let tool = self.echo.tool(name);
        let custom = tool.is_some_and(|tool| tool.custom);
        let prefix = if custom { "ctc" } else { "fc" };
        let call = OpenCall {
            index,
            item_id: format!("{prefix}_{}_{output_index}", self.bare_id()),
            call_id: id.to_owned(),
            name: tool.map_or(name, |tool| &tool.name).to_owned(),
            namespace: tool.and_then(|tool| tool.namespace.clone()),
            arguments: String::new(),
            custom,
        };
        let item = call_item(&call, "in_progress", "");
        calls.push(call);
        self.event(
            "response.output_item.added",
            json!({"output_index": output_index, "item": item}),
            out,
        );
        self.open = Open::Calls(calls);
    }

    fn arguments(&mut self, index: u32, arguments: &str, out: &mut Vec<u8>) {
        let first = self.done.len();
        let mut calls = match std::mem::replace(&mut self.open, Open::Nothing) {
            Open::Calls(calls) => calls,
            other @ (Open::Nothing | Open::Message(_) | Open::Reasoning { .. }) => {
                self.open = other;
                return;
            }
        };
        if let Some(at) = calls.iter().rposition(|call| call.index == index) {
            let call = &mut calls[at];
            call.arguments.push_str(arguments);
            if !call.custom && !arguments.is_empty() {
                let at = DeltaAt {
                    item_id: &call.item_id,
                    output_index: first + at,
                    within: None,
                };
                self.delta("response.function_call_arguments.delta", at, arguments, None, out);
            }
        }
        self.open = Open::Calls(calls);
    }

    /// Finishes what is open.
    pub(super) fn close(&mut self, out: &mut Vec<u8>) {
        // Behind the finish reason nothing is open; until then only the last item can be cut.
        let status = match self.finish {
            Some(FinishReason::Length) => "incomplete",
            Some(
                FinishReason::Stop | FinishReason::ToolCalls | FinishReason::ContentFilter | FinishReason::Malformed,
            )
            | None => "completed",
        };
        match std::mem::replace(&mut self.open, Open::Nothing) {
            Open::Nothing => {}
            Open::Reasoning { id, text } => self.close_reasoning(id, text, Some(carry::seal_unsigned()), out),
            Open::Message(mut message) => {
                let output_index = self.done.len();
                self.close_part(output_index, &mut message, out);
                let item = message_item(&message.id, status, &message.parts);
                self.item_done(item, out);
            }
            Open::Calls(calls) => {
                for call in calls {
                    self.close_call(&call, status, out);
                }
            }
        }
    }

    fn close_call(&mut self, call: &OpenCall, status: &str, out: &mut Vec<u8>) {
        let place = json!({"item_id": call.item_id, "output_index": self.done.len()});
        let said = if call.custom {
            let input = unwrap_input(&call.arguments);
            self.event(
                "response.custom_tool_call_input.delta",
                with(place.clone(), "delta", json!(input)),
                out,
            );
            self.event(
                "response.custom_tool_call_input.done",
                with(place, "input", json!(input)),
                out,
            );
            input
        } else {
            let done = with(place, "name", json!(call.name));
            let done = with(done, "arguments", json!(call.arguments));
            self.event("response.function_call_arguments.done", done, out);
            call.arguments.clone()
        };
        let item = call_item(call, status, &said);
        self.item_done(item, out);
    }

    fn item_done(&mut self, item: Value, out: &mut Vec<u8>) {
        let done = json!({"output_index": self.done.len(), "item": item});
        self.event("response.output_item.done", done, out);
        self.done.push(item);
    }

    fn status(&self) -> Status {
        match self.finish {
            Some(FinishReason::Length) => Status::Incomplete("max_output_tokens"),
            Some(FinishReason::ContentFilter) => Status::Incomplete("content_filter"),
            Some(FinishReason::Stop | FinishReason::ToolCalls | FinishReason::Malformed) | None => Status::Completed,
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.begin(out);
        self.close(out);
        let status = self.status();
        let kind = match status {
            Status::Incomplete(_) => "response.incomplete",
            Status::InProgress | Status::Completed => "response.completed",
        };
        self.lifecycle(kind, status, out);
        self.over = true;
    }

    /// An event that holds the whole response.
    fn lifecycle(&mut self, kind: &str, status: Status, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("event: {kind}\ndata: {{\"type\":\"{kind}\",\"sequence_number\":").as_bytes());
        write(out, &self.sequence);
        self.sequence += 1;
        out.extend_from_slice(b",\"response\":");
        self.write_response(status, out);
        out.extend_from_slice(b"}\n\n");
    }

    fn write_response(&self, status: Status, out: &mut Vec<u8>) {
        let usage = self.usage.as_ref().filter(|_| status != Status::InProgress);
        let tier = self.service_tier.as_deref();
        write_response(out, &self.identity, status, &self.done, usage, tier, &self.echo);
    }

    fn event(&mut self, kind: &str, body: Value, out: &mut Vec<u8>) {
        // A provider's stream may begin without telling who it is.
        self.begin(out);
        #[derive(Serialize)]
        struct Event<'a> {
            r#type: &'a str,
            sequence_number: u64,
            #[serde(flatten)]
            body: Value,
        }
        let event = Event {
            r#type: kind,
            sequence_number: self.sequence,
            body,
        };
        frame(out, kind, &event);
        self.sequence += 1;
    }

    /// A piece of an item. These come by the hundred: they are written without a tree.
    fn delta(&mut self, kind: &str, at: DeltaAt<'_>, piece: &str, logprobs: Option<&Vec<Value>>, out: &mut Vec<u8>) {
        self.begin(out);
        for word in ["event: ", kind, "\ndata: {\"type\":\"", kind, "\",\"sequence_number\":"] {
            out.extend_from_slice(word.as_bytes());
        }
        write(out, &self.sequence);
        out.extend_from_slice(b",\"item_id\":");
        write(out, at.item_id);
        out.extend_from_slice(b",\"output_index\":");
        write(out, &at.output_index);
        if let Some((name, index)) = at.within {
            for word in [",\"", name, "\":"] {
                out.extend_from_slice(word.as_bytes());
            }
            write(out, &index);
        }
        out.extend_from_slice(b",\"delta\":");
        write(out, piece);
        if let Some(logprobs) = logprobs {
            out.extend_from_slice(b",\"logprobs\":");
            write(out, logprobs);
        }
        out.extend_from_slice(b"}\n\n");
        self.sequence += 1;
    }

    fn bare_id(&self) -> &str {
        self.identity.id.strip_prefix("resp_").unwrap_or(&self.identity.id)
    }

    /// The id of the next item.
    fn item_id(&self, prefix: &str) -> String {
        format!("{prefix}_{}_{}", self.bare_id(), self.done.len())
    }
}

fn with(mut object: Value, name: &str, value: Value) -> Value {
    object[name] = value;
    object
}
