//! Streams: from event-stream messages to the neutral events.
//!
//! `messageStart`, then blocks (`contentBlockStart` only for tool calls and images, deltas, `contentBlockStop`), then
//! `messageStop` with the stop reason and `metadata` with the usage: that ends a stream well. A stream that ends cleanly
//! between the two is whole, too, and only its usage is lost. Exceptions and errors are messages; each ends the stream.
//! Events, blocks and deltas of kinds not yet known are passed over.

use std::collections::VecDeque;

use serde::Deserialize;
use types::answer::FinishReason;
use types::dialect::DialectName;
use types::event::StreamEvent;
use types::outcome::{Failure, OutcomeClass};

use super::answer::{TokenUsage, finish_reason, malformed};
use super::errors;
use crate::framing::eventstream::{Message, NoEventStream, Reader};
use crate::response::Decode;

/// Tool calls that may be open at once; of a provider that never closes any, the oldest are forgotten.
const OPEN_CALLS_MAX: usize = 256;
/// The only choice there is.
const CHOICE: u32 = 0;

/// Reads a stream of ConverseStream.
#[derive(Debug, Default)]
pub struct StreamDecoder {
    reader: Reader,
    events: VecDeque<StreamEvent>,
    open: VecDeque<Call>,
    /// Tool calls begun.
    calls: u32,
    started: bool,
    has_content: bool,
    finish: Option<FinishReason>,
    /// `End` or `Error` was given.
    ended: bool,
    malformed: u32,
    /// A message was read: the body is an event stream.
    is_stream: bool,
    /// The body is none, or no longer one.
    broken: bool,
}

/// A tool call between its start and its stop.
#[derive(Debug)]
struct Call {
    block: u64,
    index: u32,
    has_arguments: bool,
}

/// An event that is not of its own shape: dropped and counted.
struct Malformed;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockStart {
    start: Start,
    content_block_index: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Start {
    tool_use: Option<ToolUseStart>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolUseStart {
    tool_use_id: String,
    name: String,
    /// `server_tool_use` is the provider's own.
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockDelta {
    delta: Delta,
    content_block_index: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delta {
    text: Option<String>,
    tool_use: Option<ToolUseDelta>,
    reasoning_content: Option<ReasoningDelta>,
}

#[derive(Deserialize)]
struct ToolUseDelta {
    input: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReasoningDelta {
    text: Option<String>,
    signature: Option<String>,
    redacted_content: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockStop {
    content_block_index: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MessageStop {
    stop_reason: String,
}

#[derive(Deserialize)]
struct Metadata {
    usage: Option<TokenUsage>,
}

impl StreamDecoder {
    /// A decoder at the start of a body.
    pub fn new() -> StreamDecoder {
        StreamDecoder::default()
    }

    fn drain(&mut self) {
        while !self.ended && !self.broken {
            match self.reader.poll() {
                Some(Ok(message)) => {
                    self.is_stream = true;
                    if self.message(&message).is_err() {
                        self.malformed = self.malformed.saturating_add(1);
                    }
                }
                Some(Err(error @ NoEventStream)) => {
                    // What never was a stream may still say what is wrong, once it is all there.
                    self.broken = true;
                    if self.is_stream {
                        self.fail(Failure::new(
                            OutcomeClass::StreamBroken,
                            format!("the stream has {error}"),
                        ));
                    }
                }
                None => break,
            }
        }
    }

    fn message(&mut self, message: &Message) -> Result<(), Malformed> {
        let payload = &message.payload;
        if matches!(message.kind.as_str(), "exception" | "error") {
            self.fail(errors::classify_exception(
                &message.name,
                payload,
                &message.error_message,
            ));
            return Ok(());
        }
        match message.name.as_str() {
            "messageStart" => self.start(),
            "contentBlockStart" => self.block_start(read(payload)?),
            "contentBlockDelta" => self.block_delta(read(payload)?),
            "contentBlockStop" => {
                let stop: BlockStop = read(payload)?;
                self.close(stop.content_block_index);
            }
            "messageStop" => self.message_stop(&read::<MessageStop>(payload)?),
            "metadata" => self.metadata(&read::<Metadata>(payload)?),
            // Some proxies send exceptions as events.
            name if name.ends_with("Exception") => self.fail(errors::classify_exception(name, payload, "")),
            "" => return Err(Malformed),
            _ => {}
        }
        Ok(())
    }

    fn block_start(&mut self, block: BlockStart) {
        let Some(call) = block.start.tool_use.filter(|call| call.kind.is_none()) else {
            return;
        };
        self.close(block.content_block_index);
        let index = self.calls;
        self.calls = self.calls.saturating_add(1);
        self.content(StreamEvent::ToolCallStart {
            choice: CHOICE,
            index,
            id: call.tool_use_id,
            name: call.name,
            signature: None,
        });
        if self.open.len() == OPEN_CALLS_MAX {
            self.open.pop_front();
        }
        self.open.push_back(Call {
            block: block.content_block_index,
            index,
            has_arguments: false,
        });
    }

    fn block_delta(&mut self, block: BlockDelta) {
        if let Some(text) = block.delta.text.filter(|text| !text.is_empty()) {
            self.content(StreamEvent::Text {
                choice: CHOICE,
                text,
                logprobs: None,
            });
        }
        if let Some(piece) = block.delta.tool_use {
            let at = block.content_block_index;
            // A delta without its start is of the provider's own tools, or malformed: nobody could place it.
            if let Some(call) = self.open.iter_mut().rev().find(|call| call.block == at)
                && !piece.input.is_empty()
            {
                call.has_arguments = true;
                let index = call.index;
                self.content(StreamEvent::ToolCallArguments {
                    choice: CHOICE,
                    index,
                    arguments: piece.input,
                });
            }
        }
        if let Some(piece) = block.delta.reasoning_content {
            if let Some(text) = piece.text.filter(|text| !text.is_empty()) {
                self.content(StreamEvent::Reasoning { choice: CHOICE, text });
            }
            let signature = piece.signature.filter(|signature| !signature.is_empty());
            if signature.is_some() || piece.redacted_content.is_some() {
                self.content(StreamEvent::ReasoningSignature {
                    choice: CHOICE,
                    signature,
                    redacted: piece.redacted_content,
                    origin: DialectName::BedrockConverse,
                });
            }
        }
    }

    /// Closes a call. One without arguments gets an empty object: an empty text is no JSON, and clients parse it.
    fn close(&mut self, block: u64) {
        if let Some(at) = self.open.iter().rposition(|call| call.block == block)
            && let Some(call) = self.open.remove(at)
            && !call.has_arguments
        {
            self.content(StreamEvent::ToolCallArguments {
                choice: CHOICE,
                index: call.index,
                arguments: "{}".to_owned(),
            });
        }
    }

    fn message_stop(&mut self, stop: &MessageStop) {
        if self.finish.is_some() {
            return;
        }
        while let Some(call) = self.open.front() {
            self.close(call.block);
        }
        let reason = finish_reason(&stop.stop_reason);
        if reason == FinishReason::Malformed && !self.has_content {
            return self.fail(malformed(&stop.stop_reason));
        }
        self.start();
        self.finish = Some(reason);
        self.events.push_back(StreamEvent::Finish { choice: CHOICE, reason });
    }

    fn metadata(&mut self, metadata: &Metadata) {
        self.start();
        if let Some(usage) = &metadata.usage {
            self.events.push_back(StreamEvent::Usage(usage.usage()));
        }
        if self.finish.is_some() {
            self.end();
        }
    }

    fn end(&mut self) {
        self.events.push_back(StreamEvent::End);
        self.ended = true;
    }

    fn content(&mut self, event: StreamEvent) {
        self.start();
        self.has_content = true;
        self.events.push_back(event);
    }

    /// Whatever comes first, `Start` comes before it.
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
        let rest = self.reader.rest();
        if self.finish.is_some() && rest.is_empty() {
            return self.end();
        }
        let told = match self.is_stream {
            true => None,
            false => errors::classify_stray(rest),
        };
        let failure = told.unwrap_or_else(|| match self.broken {
            true if rest.is_empty() => {
                Failure::new(OutcomeClass::BadResponse, format!("the stream has {NoEventStream}"))
            }
            true => errors::no_stream(rest),
            false => Failure::new(OutcomeClass::StreamBroken, "the stream ended without `messageStop`"),
        });
        self.fail(failure);
    }

    fn poll(&mut self) -> Option<StreamEvent> {
        self.events.pop_front()
    }

    fn malformed(&self) -> u32 {
        self.malformed
    }
}

fn read<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, Malformed> {
    serde_json::from_slice(payload).map_err(|_| Malformed)
}
