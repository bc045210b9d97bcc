//! Streams: from one JSON object a line to the neutral events.
//!
//! Lines of message pieces, then one with `done: true`, its reason and the counts: only that ends a stream well. A line with
//! `error` ends it, too. Tool calls come whole.

use std::collections::VecDeque;

use types::event::StreamEvent;
use types::outcome::{Failure, OutcomeClass};

use super::answer::{Answer, finish_reason};
use super::errors;
use crate::framing::json_stream::JsonStream;
use crate::framing::sse::FrameTooLarge;
use crate::response::Decode;

/// The only choice there is.
const CHOICE: u32 = 0;
/// How much of a body that is no stream is kept to be told.
const STRAY_BYTES_MAX: usize = 2_000;

/// Reads a stream of Ollama's chat.
#[derive(Debug, Default)]
pub struct StreamDecoder {
    objects: JsonStream,
    events: VecDeque<StreamEvent>,
    /// Tool calls so far.
    calls: u32,
    started: bool,
    /// `End` or `Error` was given.
    ended: bool,
    /// Objects that are no line of the format.
    strange: u32,
    /// The first bytes of the body, until something in it could be read.
    head: Vec<u8>,
}

impl StreamDecoder {
    /// A decoder at the start of a body.
    pub fn new() -> StreamDecoder {
        StreamDecoder {
            objects: JsonStream::of_lines(),
            ..StreamDecoder::default()
        }
    }

    fn drain(&mut self) {
        while !self.ended {
            match self.objects.poll() {
                Some(Ok(line)) => self.line(&line),
                Some(Err(error @ FrameTooLarge)) => {
                    let message = format!("the stream has {error}");
                    self.fail(Failure::new(OutcomeClass::BadResponse, message));
                }
                None => break,
            }
        }
    }

    fn line(&mut self, line: &[u8]) {
        let Ok(mut answer) = serde_json::from_slice::<Answer<'_>>(line) else {
            self.strange = self.strange.saturating_add(1);
            return;
        };
        if answer.error.is_some() {
            let failure = errors::classify_line(line);
            let failure = failure.unwrap_or_else(|| Failure::new(OutcomeClass::ServerError, "an error without words"));
            return self.fail(failure);
        }
        if answer.message.is_none() && answer.done.is_none() {
            self.strange = self.strange.saturating_add(1);
            return;
        }
        if !self.started {
            self.started = true;
            self.head = Vec::new();
            self.events.push_back(StreamEvent::Start {
                id: String::new(),
                model: answer.model.take().unwrap_or_default(),
                created: answer.created(),
            });
        }
        let logprobs = answer.logprobs();
        if let Some(message) = answer.message.take() {
            let thinking = message.thinking.filter(|text| !text.is_empty());
            let thinking = thinking.map(|text| StreamEvent::Reasoning { choice: CHOICE, text });
            self.events.extend(thinking);
            let text = message.content.filter(|text| !text.is_empty());
            self.events.extend(text.map(|text| StreamEvent::Text {
                choice: CHOICE,
                text,
                logprobs,
            }));
            for call in message.tool_calls.unwrap_or_default() {
                let index = self.calls;
                self.calls = self.calls.saturating_add(1);
                let call = call.tool_call(answer.created_at.as_deref(), index);
                self.events.push_back(StreamEvent::ToolCallStart {
                    choice: CHOICE,
                    index,
                    id: call.id,
                    name: call.name,
                    signature: None,
                });
                self.events.push_back(StreamEvent::ToolCallArguments {
                    choice: CHOICE,
                    index,
                    arguments: call.arguments,
                });
            }
        }
        if answer.done == Some(true) {
            let reason = finish_reason(answer.done_reason.as_deref(), self.calls > 0);
            self.events.push_back(StreamEvent::Finish { choice: CHOICE, reason });
            self.events.extend(answer.usage().map(StreamEvent::Usage));
            self.events.push_back(StreamEvent::End);
            self.ended = true;
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.events.push_back(StreamEvent::Error(failure));
        self.ended = true;
    }
}

impl Decode for StreamDecoder {
    fn push(&mut self, bytes: &[u8]) {
        if self.ended {
            return;
        }
        if !self.started {
            let room = STRAY_BYTES_MAX.saturating_sub(self.head.len()).min(bytes.len());
            self.head.extend_from_slice(&bytes[..room]);
        }
        // An object ends at a brace: cut there, what follows the last object is never looked at, wherever chunks end.
        for piece in bytes.split_inclusive(|byte| *byte == b'}') {
            self.objects.push(piece);
            self.drain();
            if self.ended {
                break;
            }
        }
    }

    fn finish(&mut self) {
        if self.ended {
            return;
        }
        self.objects.finish();
        if !self.started && self.malformed() > 0 {
            return self.fail(errors::no_stream(&self.head));
        }
        let message = "the stream ended without a line that is done";
        self.fail(Failure::new(OutcomeClass::StreamBroken, message));
    }

    fn poll(&mut self) -> Option<StreamEvent> {
        self.events.pop_front()
    }

    fn malformed(&self) -> u32 {
        self.strange.saturating_add(self.objects.garbage())
    }
}
