//! Streams: from server-sent events to the neutral events.
//!
//! `message_start`, then blocks one after another (`content_block_start`, deltas, `content_block_stop`), then
//! `message_delta` with the stop reason and the final usage, then `message_stop`: only that ends a stream well. `ping` may
//! come anywhere; events, blocks and deltas of kinds not yet known are passed over. An `error` event, also as the very first,
//! ends the stream. Blocks are found by their index, so that interleaved ones are understood too.

use std::collections::VecDeque;

use serde::Deserialize;
use serde_json::value::RawValue;
use types::answer::FinishReason;
use types::dialect::DialectName;
use types::event::StreamEvent;
use types::outcome::{Failure, OutcomeClass};

use super::answer::{Block, StopDetails};
use super::errors;
use super::usage::{Reported, finish_reason};
use crate::framing::sse::{Frame, FrameTooLarge, Reader};
use crate::response::Decode;

/// Blocks that may be open at once. The API closes one before it opens the next; of a provider that never closes any,
/// the oldest are forgotten.
const OPEN_BLOCKS_MAX: usize = 256;

/// The only choice there is.
const CHOICE: u32 = 0;

/// Reads a stream of the Messages API.
#[derive(Debug, Default)]
pub struct StreamDecoder {
    reader: Reader,
    events: VecDeque<StreamEvent>,
    open: VecDeque<(u64, Open)>,
    usage: Reported,
    /// Tool calls begun.
    calls: u32,
    started: bool,
    has_content: bool,
    finish: Option<FinishReason>,
    /// `End` or `Error` was given.
    ended: bool,
    malformed: u32,
    /// The first line that was no field of the format: a page of markup or a bare JSON body in place of a stream.
    stray: Option<Vec<u8>>,
}

/// A block between its start and its stop.
#[derive(Debug)]
enum Open {
    /// Text or thinking: its deltas say all.
    Said,
    /// A tool call.
    Call {
        /// Which of the calls.
        index: u32,
        /// `input` as the start had it: all there is when no delta follows.
        input: Option<String>,
        /// A piece of the arguments has come.
        has_arguments: bool,
    },
    /// A block of the provider's own tools, or of an unknown kind.
    Other,
}

/// The fields of all events. What lies in them is read by kind: an event of tomorrow may mean other things by the same names.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(borrow)]
    index: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    content_block: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

impl Event<'_> {
    /// Which block it is about; providers that give one only may leave it out.
    fn index(&self) -> Result<u64, Malformed> {
        self.index.map_or(Ok(0), read)
    }
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
                Some(Err(error @ FrameTooLarge)) => self.fail(Failure::new(
                    OutcomeClass::BadResponse,
                    format!("the stream has {error}"),
                )),
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
        if frame.data.is_empty() || self.event(frame).is_err() {
            self.malformed = self.malformed.saturating_add(1);
        }
    }

    fn event(&mut self, frame: &Frame) -> Result<(), Malformed> {
        let event: Event<'_> = serde_json::from_slice(&frame.data).map_err(|_| Malformed)?;
        match event.kind.as_deref().unwrap_or(&frame.event) {
            "message_start" => self.message_start(event.message.ok_or(Malformed)?),
            "content_block_start" => {
                let block = event.content_block.ok_or(Malformed)?;
                let block = Block::read(block).ok_or(Malformed)?;
                self.block_start(event.index()?, block);
                Ok(())
            }
            "content_block_delta" => self.block_delta(event.index()?, event.delta.ok_or(Malformed)?),
            "content_block_stop" => {
                self.close(event.index()?);
                Ok(())
            }
            "message_delta" => self.message_delta(event.delta, event.usage),
            "message_stop" => {
                self.message_stop();
                Ok(())
            }
            "ping" => {
                self.events.push_back(StreamEvent::Ping);
                Ok(())
            }
            "error" => {
                let failure = errors::classify_event(&frame.data).ok_or(Malformed)?;
                self.fail(failure);
                Ok(())
            }
            "" => match errors::classify_event(&frame.data) {
                Some(failure) => {
                    self.fail(failure);
                    Ok(())
                }
                None => Err(Malformed),
            },
            _ => Ok(()),
        }
    }

    fn message_start(&mut self, message: &RawValue) -> Result<(), Malformed> {
        #[derive(Deserialize)]
        struct Message {
            id: Option<String>,
            model: Option<String>,
            usage: Option<Reported>,
        }
        let message: Message = read(message)?;
        if self.started {
            // A second answer on one stream cannot be told apart from the first.
            return Err(Malformed);
        }
        self.started = true;
        self.events.push_back(StreamEvent::Start {
            id: message.id.unwrap_or_default(),
            model: message.model.unwrap_or_default(),
            created: 0,
        });
        if let Some(usage) = message.usage {
            self.report(usage);
        }
        Ok(())
    }

    fn block_start(&mut self, index: u64, block: Block) {
        self.close(index);
        let open = match block {
            Block::Text(text) => {
                self.text(text);
                Open::Said
            }
            Block::Thinking(text, signature) => {
                self.reasoning(text);
                self.signature(signature);
                Open::Said
            }
            Block::Redacted(data) => {
                self.content(StreamEvent::ReasoningSignature {
                    choice: CHOICE,
                    signature: None,
                    redacted: Some(data),
                    origin: DialectName::AnthropicMessages,
                });
                Open::Said
            }
            Block::ToolUse { id, name, input } => {
                let call = self.calls;
                self.calls = self.calls.saturating_add(1);
                self.content(StreamEvent::ToolCallStart {
                    choice: CHOICE,
                    index: call,
                    id,
                    name,
                    signature: None,
                });
                Open::Call {
                    index: call,
                    input,
                    has_arguments: false,
                }
            }
            Block::Other => Open::Other,
        };
        if self.open.len() == OPEN_BLOCKS_MAX {
            self.open.pop_front();
        }
        self.open.push_back((index, open));
    }

    fn block_delta(&mut self, index: u64, delta: &RawValue) -> Result<(), Malformed> {
        #[derive(Deserialize)]
        struct Delta {
            #[serde(rename = "type")]
            kind: String,
            text: Option<String>,
            thinking: Option<String>,
            signature: Option<String>,
            partial_json: Option<String>,
        }
        let at = self.open.iter_mut().rev().find(|(i, _)| *i == index);
        if matches!(at, Some((_, Open::Other))) {
            return Ok(());
        }
        let delta: Delta = read(delta)?;
        match delta.kind.as_str() {
            "text_delta" => self.text(delta.text.ok_or(Malformed)?),
            "thinking_delta" => self.reasoning(delta.thinking.ok_or(Malformed)?),
            "signature_delta" => self.signature(delta.signature.ok_or(Malformed)?),
            "input_json_delta" => {
                let arguments = delta.partial_json.ok_or(Malformed)?;
                let Some((
                    _,
                    Open::Call {
                        index, has_arguments, ..
                    },
                )) = at
                else {
                    return Err(Malformed);
                };
                if !arguments.is_empty() {
                    *has_arguments = true;
                    let index = *index;
                    self.content(StreamEvent::ToolCallArguments {
                        choice: CHOICE,
                        index,
                        arguments,
                    });
                }
            }
            // `citations_delta`, and those of tomorrow.
            _ => {}
        }
        Ok(())
    }

    /// Closes a block. A call without arguments gets those of its start: an empty text is no JSON, and clients parse it.
    fn close(&mut self, index: u64) {
        let Some(at) = self.open.iter().rposition(|(i, _)| *i == index) else {
            return;
        };
        if let Some((
            _,
            Open::Call {
                index,
                input,
                has_arguments: false,
            },
        )) = self.open.remove(at)
        {
            self.content(StreamEvent::ToolCallArguments {
                choice: CHOICE,
                index,
                arguments: input.unwrap_or_else(|| "{}".to_owned()),
            });
        }
    }

    fn message_delta(&mut self, delta: Option<&RawValue>, usage: Option<&RawValue>) -> Result<(), Malformed> {
        #[derive(Default, Deserialize)]
        struct Delta {
            stop_reason: Option<String>,
            stop_details: Option<StopDetails>,
        }
        let delta: Delta = delta.map(read).transpose()?.unwrap_or_default();
        if let (Some(reason), None) = (&delta.stop_reason, self.finish) {
            self.close_all();
            let told = delta.stop_details.and_then(|details| details.explanation);
            if let ("refusal", Some(text)) = (reason.as_str(), told) {
                self.content(StreamEvent::Refusal { choice: CHOICE, text });
            }
            self.end_choice(finish_reason(reason));
        }
        if let Some(usage) = usage {
            self.report(read(usage)?);
        }
        Ok(())
    }

    fn message_stop(&mut self) {
        self.close_all();
        if self.finish.is_none() {
            if !self.has_content {
                let message = "a stream without content and without a stop reason";
                return self.fail(Failure::new(OutcomeClass::BadResponse, message));
            }
            // The terminal event says that the answer is whole, even where the reason was lost.
            self.end_choice(match self.calls {
                0 => FinishReason::Stop,
                _ => FinishReason::ToolCalls,
            });
        }
        self.events.push_back(StreamEvent::End);
        self.ended = true;
    }

    fn close_all(&mut self) {
        while let Some((index, _)) = self.open.front() {
            self.close(*index);
        }
    }

    fn end_choice(&mut self, reason: FinishReason) {
        self.start();
        self.finish = Some(reason);
        self.events.push_back(StreamEvent::Finish { choice: CHOICE, reason });
    }

    fn report(&mut self, usage: Reported) {
        self.usage.update(usage);
        self.events.push_back(StreamEvent::Usage(self.usage.usage()));
    }

    fn text(&mut self, text: String) {
        if !text.is_empty() {
            self.content(StreamEvent::Text {
                choice: CHOICE,
                text,
                logprobs: None,
            });
        }
    }

    fn reasoning(&mut self, text: String) {
        if !text.is_empty() {
            self.content(StreamEvent::Reasoning { choice: CHOICE, text });
        }
    }

    fn signature(&mut self, signature: String) {
        if !signature.is_empty() {
            self.content(StreamEvent::ReasoningSignature {
                choice: CHOICE,
                signature: Some(signature),
                redacted: None,
                origin: DialectName::AnthropicMessages,
            });
        }
    }

    fn content(&mut self, event: StreamEvent) {
        self.start();
        self.has_content = true;
        self.events.push_back(event);
    }

    /// Whatever comes first, `Start` comes before it: a `message_start` may have been malformed.
    fn start(&mut self) {
        if !self.started {
            self.started = true;
            self.events.push_back(StreamEvent::Start {
                id: String::new(),
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
        self.fail(told.unwrap_or_else(|| {
            if !self.started && self.malformed > 0 {
                let message = "the stream holds nothing that could be read";
                Failure::new(OutcomeClass::BadResponse, message)
            } else {
                let message = "the stream ended without `message_stop`";
                Failure::new(OutcomeClass::StreamBroken, message)
            }
        }));
    }

    fn poll(&mut self) -> Option<StreamEvent> {
        self.events.pop_front()
    }

    fn malformed(&self) -> u32 {
        self.malformed
    }
}

fn read<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Result<T, Malformed> {
    serde_json::from_str(raw.get()).map_err(|_| Malformed)
}
