//! Streams: from server-sent events to the neutral events.
//!
//! `message-start`, then content (`content-start`, deltas, `content-end`), a `tool-plan-delta` or tool calls
//! (`tool-call-start`, deltas, `tool-call-end`), then `message-end` with the finish reason and the usage: only that ends a
//! stream well. Citations and events of kinds not yet known are passed over.

use std::collections::VecDeque;

use serde::Deserialize;
use serde_json::value::RawValue;
use types::event::StreamEvent;
use types::outcome::{Failure, OutcomeClass};

use super::answer::{Call, Reported, finish_reason};
use super::errors;
use crate::framing::sse::{Frame, FrameTooLarge, Reader};
use crate::response::Decode;

/// The only choice there is.
const CHOICE: u32 = 0;

/// Reads a stream of Cohere's chat.
#[derive(Debug, Default)]
pub struct StreamDecoder {
    reader: Reader,
    events: VecDeque<StreamEvent>,
    /// Tool calls begun; the last of them takes the deltas.
    calls: u32,
    /// A piece of the last call's arguments has come, or there is no call open.
    is_told: bool,
    started: bool,
    /// `End` or `Error` was given.
    ended: bool,
    malformed: u32,
    /// The first line that was no field of the format: a page of markup or a bare JSON body in place of a stream.
    stray: Option<Vec<u8>>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: Option<String>,
    id: Option<String>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Delta<M> {
    message: M,
}

#[derive(Deserialize)]
struct ContentDelta {
    content: Content,
}

#[derive(Deserialize)]
struct Content {
    text: Option<String>,
    thinking: Option<String>,
}

#[derive(Deserialize)]
struct PlanDelta {
    tool_plan: Option<String>,
}

#[derive(Deserialize)]
struct CallDelta {
    tool_calls: Call,
}

#[derive(Default, Deserialize)]
struct EndDelta {
    error: Option<String>,
    finish_reason: Option<String>,
    usage: Option<Reported>,
}

/// An event that is not of its own shape: dropped and counted.
struct Malformed;

impl StreamDecoder {
    /// A decoder at the start of a body.
    pub fn new() -> StreamDecoder {
        StreamDecoder::default()
    }

    fn drain(&mut self) {
        while !self.ended {
            match self.reader.poll() {
                Some(Ok(frame)) => self.frame(&frame),
                Some(Err(error @ FrameTooLarge)) => {
                    let message = format!("the stream has {error}");
                    self.fail(Failure::new(OutcomeClass::BadResponse, message));
                }
                None => break,
            }
        }
    }

    fn frame(&mut self, frame: &Frame) {
        if frame.is_ping() {
            return self.events.push_back(StreamEvent::Ping);
        }
        if !frame.stray.is_empty() && self.stray.is_none() {
            self.stray = Some(frame.stray.clone());
        }
        if frame.data == b"[DONE]" {
            return;
        }
        if frame.data.is_empty() || self.event(frame).is_err() {
            self.malformed = self.malformed.saturating_add(1);
        }
    }

    fn event(&mut self, frame: &Frame) -> Result<(), Malformed> {
        let event: Event<'_> = serde_json::from_slice(&frame.data).map_err(|_| Malformed)?;
        match event.kind.as_deref().unwrap_or(&frame.event) {
            "message-start" => self.start(event.id),
            "content-start" | "content-delta" => {
                let content = read::<Delta<ContentDelta>>(event.delta)?.message.content;
                self.reasoning(content.thinking);
                if let Some(text) = content.text.filter(|text| !text.is_empty()) {
                    self.content(StreamEvent::Text {
                        choice: CHOICE,
                        text,
                        logprobs: None,
                    });
                }
            }
            "tool-plan-delta" => self.reasoning(read::<Delta<PlanDelta>>(event.delta)?.message.tool_plan),
            "tool-call-start" => self.call(read::<Delta<CallDelta>>(event.delta)?.message.tool_calls),
            "tool-call-delta" => {
                let call = read::<Delta<CallDelta>>(event.delta)?.message.tool_calls;
                if self.calls == 0 {
                    return Err(Malformed);
                }
                self.arguments(call.function.and_then(|function| function.arguments));
            }
            "tool-call-end" => self.close(),
            "message-end" => self.message_end(event.delta.map(|delta| read(Some(delta))).transpose()?),
            "" | "error" => match errors::classify_event(&frame.data) {
                Some(failure) => self.fail(failure),
                None => return Err(Malformed),
            },
            _ => {}
        }
        Ok(())
    }

    fn call(&mut self, call: Call) {
        self.close();
        let index = self.calls;
        self.calls = self.calls.saturating_add(1);
        self.is_told = false;
        let (name, arguments) = match call.function {
            Some(function) => (function.name, function.arguments),
            None => (None, None),
        };
        self.content(StreamEvent::ToolCallStart {
            choice: CHOICE,
            index,
            id: call.id.unwrap_or_default(),
            name: name.unwrap_or_default(),
            signature: None,
        });
        self.arguments(arguments);
    }

    fn arguments(&mut self, arguments: Option<String>) {
        let Some(arguments) = arguments.filter(|piece| !piece.is_empty()) else {
            return;
        };
        self.is_told = true;
        self.content(StreamEvent::ToolCallArguments {
            choice: CHOICE,
            index: self.calls.saturating_sub(1),
            arguments,
        });
    }

    /// Closes the open call. One without arguments gets an empty object: an empty text is no JSON, and clients parse it.
    fn close(&mut self) {
        if self.calls > 0 && !self.is_told {
            self.arguments(Some("{}".to_owned()));
        }
    }

    fn message_end(&mut self, delta: Option<EndDelta>) {
        let delta = delta.unwrap_or_default();
        self.close();
        if let Some(error) = delta.error.filter(|error| !error.is_empty()) {
            return self.fail(errors::ended(&error));
        }
        match finish_reason(delta.finish_reason.as_deref().unwrap_or_default()) {
            Ok(reason) => {
                self.start(None);
                self.events.push_back(StreamEvent::Finish { choice: CHOICE, reason });
            }
            Err(failure) => return self.fail(failure),
        }
        let usage = delta.usage.and_then(|usage| usage.usage());
        self.events.extend(usage.map(StreamEvent::Usage));
        self.events.push_back(StreamEvent::End);
        self.ended = true;
    }

    fn reasoning(&mut self, text: Option<String>) {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.content(StreamEvent::Reasoning { choice: CHOICE, text });
        }
    }

    fn content(&mut self, event: StreamEvent) {
        self.start(None);
        self.events.push_back(event);
    }

    /// Whatever comes first, `Start` comes before it.
    fn start(&mut self, id: Option<String>) {
        if !self.started {
            self.started = true;
            self.events.push_back(StreamEvent::Start {
                id: id.unwrap_or_default(),
                model: String::new(),
                created: 0,
            });
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.events.push_back(StreamEvent::Error(failure));
        self.ended = true;
    }
}

impl Decode for StreamDecoder {
    fn push(&mut self, bytes: &[u8]) {
        if !self.ended {
            self.reader.push(bytes);
            self.drain();
        }
    }

    fn finish(&mut self) {
        if self.ended {
            return;
        }
        self.reader.finish();
        self.drain();
        if self.ended {
            return;
        }
        // A body that never was a stream may still say what is wrong.
        let told = self.stray.take().filter(|_| !self.started);
        let told = told.as_deref().and_then(errors::classify_event);
        self.fail(told.unwrap_or_else(|| match !self.started && self.malformed > 0 {
            true => Failure::new(OutcomeClass::BadResponse, "the stream holds nothing that could be read"),
            false => Failure::new(OutcomeClass::StreamBroken, "the stream ended without `message-end`"),
        }));
    }

    fn poll(&mut self) -> Option<StreamEvent> {
        self.events.pop_front()
    }

    fn malformed(&self) -> u32 {
        self.malformed
    }
}

fn read<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Result<T, Malformed> {
    serde_json::from_str(raw.ok_or(Malformed)?.get()).map_err(|_| Malformed)
}
