//! Reads a stream of `streamGenerateContent?alt=sse`.
//!
//! Each frame is a whole GenerateContentResponse with what is new; usage is cumulative. There is no terminal event: the stream
//! is whole when every candidate has given a finish reason and the body ends cleanly. Finish reasons are therefore held until
//! then, also since a candidate may give `STOP` with every chunk. Errors come as a frame, or as bare JSON over several lines,
//! alone or in an array.

use std::collections::VecDeque;

use types::answer::FinishReason;
use types::dialect::DialectName;
use types::event::StreamEvent;
use types::outcome::{Failure, OutcomeClass};
use types::usage::Usage;

use crate::framing::json_stream::JsonStream;
use crate::framing::sse::{Frame, Reader};
use crate::gemini::answer::unix_seconds;
use crate::gemini::chunk::{self, Candidate, Chunk};
use crate::gemini::errors;
use crate::response::Decode;

/// A request asks for 8 candidates at most; a stream that speaks of more than this many ends as a bad response.
const CHOICES_MAX: usize = 64;

/// Reads a stream.
#[derive(Debug, Default)]
pub struct StreamDecoder {
    frames: Reader,
    /// What comes without `data:`.
    bare: JsonStream,
    events: VecDeque<StreamEvent>,
    malformed: u32,
    /// The provider's id, once the stream has begun.
    begun: Option<String>,
    /// Something the client would see has been given.
    content: bool,
    /// `End` or `Error` has been given.
    over: bool,
    choices: Vec<Open>,
    usage: Option<Usage>,
}

/// A candidate so far.
#[derive(Debug)]
struct Open {
    choice: u32,
    /// Its calls so far.
    calls: u32,
    /// The last finish reason, with its message.
    finish: Option<(String, Option<String>)>,
}

impl StreamDecoder {
    /// A decoder at the start of a body.
    pub fn new() -> StreamDecoder {
        StreamDecoder::default()
    }

    fn read_frames(&mut self) {
        while !self.over {
            match self.frames.poll() {
                None => return,
                Some(Ok(frame)) => self.read_frame(&frame),
                Some(Err(error)) => self.fail(Failure::new(OutcomeClass::BadResponse, error.to_string())),
            }
        }
    }

    fn read_frame(&mut self, frame: &Frame) {
        if frame.is_ping() {
            self.give(StreamEvent::Ping);
            return;
        }
        match frame.data.trim_ascii() {
            // Proxies close with OpenAI's terminal frame.
            b"" | b"[DONE]" => {}
            [b'[', ..] => {
                let mut array = JsonStream::new();
                array.push(&frame.data);
                array.finish();
                self.read_objects(&mut array);
                self.malformed += array.garbage();
            }
            data => self.read_object(data),
        }
        if !frame.stray.is_empty() {
            let mut bare = std::mem::take(&mut self.bare);
            bare.push(&frame.stray);
            bare.push(b"\n");
            self.read_objects(&mut bare);
            self.bare = bare;
        }
    }

    fn read_objects(&mut self, objects: &mut JsonStream) {
        while let Some(object) = objects.poll() {
            match object {
                Ok(object) => self.read_object(&object),
                Err(error) => {
                    self.fail(Failure::new(OutcomeClass::BadResponse, error.to_string()));
                    return;
                }
            }
        }
    }

    fn read_object(&mut self, json: &[u8]) {
        if self.over {
            return;
        }
        match serde_json::from_slice::<Chunk<'_>>(json) {
            Ok(chunk) => self.read_chunk(chunk),
            Err(_) => self.malformed += 1,
        }
    }

    fn read_chunk(&mut self, mut chunk: Chunk<'_>) {
        if let Some(error) = chunk.error {
            self.fail(errors::in_stream(error));
            return;
        }
        if let Some(blocked) = chunk.blocked() {
            self.fail(blocked);
            return;
        }
        if !chunk.is_answer() {
            return;
        }
        if self.begun.is_none() {
            let id = chunk.response_id.take().unwrap_or_default();
            self.begun = Some(id.clone());
            self.give(StreamEvent::Start {
                id,
                model: chunk.model_version.take().unwrap_or_default(),
                created: chunk.create_time.as_deref().map_or(0, unix_seconds),
            });
        }
        let candidates = chunk.candidates.take().unwrap_or_default();
        for (position, candidate) in candidates.into_iter().enumerate() {
            self.read_candidate(candidate, position);
            if self.over {
                return;
            }
        }
        if let Some(usage) = chunk.usage_metadata.map(|usage| usage.usage())
            && self.usage != Some(usage)
        {
            self.usage = Some(usage);
            self.give(StreamEvent::Usage(usage));
        }
    }

    fn read_candidate(&mut self, mut candidate: Candidate<'_>, position: usize) {
        let choice = candidate.choice(position);
        let Some(at) = self.open(choice) else {
            let what = format!("the stream has more than {CHOICES_MAX} candidates");
            self.fail(Failure::new(OutcomeClass::BadResponse, what));
            return;
        };
        let mut logprobs = candidate
            .logprobs_result
            .take()
            .and_then(|logprobs| logprobs.to_openai());
        for mut part in candidate.take_parts() {
            let signature = part.thought_signature.take().filter(|s| !s.is_empty());
            if let Some(call) = part.function_call {
                let index = self.choices[at].calls;
                self.choices[at].calls += 1;
                let response_id = self.begun.as_deref().unwrap_or_default();
                let id = call.id(response_id, choice, index);
                self.give(StreamEvent::ToolCallStart {
                    choice,
                    index,
                    id,
                    name: call.name().to_owned(),
                    signature,
                });
                self.give(StreamEvent::ToolCallArguments {
                    choice,
                    index,
                    arguments: call.arguments(),
                });
                continue;
            }
            let is_thought = part.is_thought();
            if let Some(text) = part.text.filter(|text| !text.is_empty()) {
                self.give(if is_thought {
                    StreamEvent::Reasoning { choice, text }
                } else {
                    StreamEvent::Text {
                        choice,
                        text,
                        logprobs: logprobs.take(),
                    }
                });
            }
            if signature.is_some() {
                self.give(StreamEvent::ReasoningSignature {
                    choice,
                    signature,
                    redacted: None,
                    origin: DialectName::Gemini,
                });
            }
        }
        if logprobs.is_some() {
            self.give(StreamEvent::Text {
                choice,
                text: String::new(),
                logprobs,
            });
        }
        if let Some(reason) = candidate.finish_reason.take()
            && chunk::finish_reason(&reason, false).is_some()
        {
            self.choices[at].finish = Some((reason, candidate.finish_message.take()));
        }
    }

    /// Where a candidate's state is kept; `None` at the limit.
    fn open(&mut self, choice: u32) -> Option<usize> {
        let found = self.choices.iter().position(|open| open.choice == choice);
        if found.is_some() || self.choices.len() == CHOICES_MAX {
            return found;
        }
        self.choices.push(Open {
            choice,
            calls: 0,
            finish: None,
        });
        Some(self.choices.len() - 1)
    }

    /// The body ended cleanly: what has been held is given, or what is missing told.
    fn close(&mut self) {
        if self.begun.is_none() && self.malformed > 0 {
            let what = "the stream holds nothing that could be read";
            self.fail(Failure::new(OutcomeClass::BadResponse, what));
            return;
        }
        let mut finishes = Vec::with_capacity(self.choices.len());
        for open in &self.choices {
            let Some((reason, message)) = &open.finish else {
                continue;
            };
            let Some(meaning) = chunk::finish_reason(reason, open.calls > 0) else {
                continue;
            };
            // Nothing was shown yet, so another attempt can still answer.
            if meaning == FinishReason::Malformed && !self.content && self.choices.len() == 1 {
                let failure = chunk::malformed(reason, message.as_deref());
                self.fail(failure);
                return;
            }
            finishes.push(StreamEvent::Finish {
                choice: open.choice,
                reason: meaning,
            });
        }
        if finishes.is_empty() || finishes.len() < self.choices.len() {
            let failure = if self.begun.is_some() && !self.content && finishes.is_empty() {
                Failure::new(
                    OutcomeClass::BadResponse,
                    "the stream held neither content nor a finish reason",
                )
            } else {
                Failure::new(OutcomeClass::StreamBroken, "the stream ended before its finish reason")
            };
            self.fail(failure);
            return;
        }
        self.events.extend(finishes);
        self.events.push_back(StreamEvent::End);
        self.over = true;
    }

    fn give(&mut self, event: StreamEvent) {
        self.content |= event.is_content();
        self.events.push_back(event);
    }

    fn fail(&mut self, failure: Failure) {
        self.events.push_back(StreamEvent::Error(failure));
        self.over = true;
    }
}

impl Decode for StreamDecoder {
    fn push(&mut self, bytes: &[u8]) {
        if self.over {
            return;
        }
        self.frames.push(bytes);
        self.read_frames();
    }

    fn finish(&mut self) {
        if self.over {
            return;
        }
        self.frames.finish();
        self.read_frames();
        self.bare.finish();
        if !self.over {
            self.malformed += self.bare.garbage();
            self.bare = JsonStream::new();
            self.close();
        }
    }

    fn poll(&mut self) -> Option<StreamEvent> {
        self.events.pop_front()
    }

    fn malformed(&self) -> u32 {
        self.malformed + self.bare.garbage()
    }
}
