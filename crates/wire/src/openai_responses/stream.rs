//! Streams of this dialect, read into events.
//!
//! Tolerant where servers differ: an item that comes only when it is done is told then, a `[DONE]` behind the terminal event is
//! not missed, raw reasoning text counts where there is no summary. Events of hosted tools are skipped; they are never asked for.

use std::collections::VecDeque;

use types::answer::{AnswerPart, Choice, FinishReason};
use types::chat::Reasoning;
use types::dialect::DialectName;
use types::event::StreamEvent;
use types::outcome::{Failure, OutcomeClass};

use crate::framing::json::{Surrogates, Text};
use crate::framing::raw::Raw;
use crate::framing::sse::{Frame, Reader};
use crate::openai_responses::answer::{chat_logprobs, decode_call, decode_item, decode_reasoning};
use crate::openai_responses::classify::{classify_error, failed_without_reason, no_output};
use crate::openai_responses::facts::{EventFacts, ResponseFacts, incomplete_reason, read_event, read_response};
use crate::response::Decode;

/// Items beyond this are not told apart.
const ITEMS_MAX: usize = 4_096;

/// Reads a stream.
#[derive(Debug, Default)]
pub struct StreamDecoder {
    reader: Reader,
    ready: VecDeque<StreamEvent>,
    over: bool,
    started: bool,
    malformed: u32,
    valid: u32,
    /// By `output_index`.
    items: Vec<Item>,
    calls: u32,
}

/// What was told of an item so far.
#[derive(Debug, Default, Clone)]
struct Item {
    /// Its text came in pieces.
    told: bool,
    /// The item was done.
    done: bool,
    /// The number of the call it is.
    call: Option<u32>,
    /// Where its reasoning comes from, and which part came last.
    reasoning: Option<(ReasoningKind, i64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReasoningKind {
    Summary,
    Raw,
}

impl StreamDecoder {
    /// A decoder at the start of a stream.
    pub fn new() -> StreamDecoder {
        StreamDecoder::default()
    }

    fn read(&mut self) {
        while !self.over {
            match self.reader.poll() {
                None => return,
                Some(Ok(frame)) => self.frame(&frame),
                Some(Err(too_large)) => self.fail(Failure::new(OutcomeClass::BadResponse, too_large.to_string())),
            }
        }
    }

    fn frame(&mut self, frame: &Frame) {
        let bare = frame.data.is_empty();
        let data = if bare { &frame.stray } else { &frame.data }.trim_ascii();
        if data.is_empty() || data == b"[DONE]" {
            return self.ready.push_back(StreamEvent::Ping);
        }
        let Ok(text) = std::str::from_utf8(data) else {
            return self.malformed();
        };
        if bare {
            // A JSON error where a stream was expected; anything else bare is no stream.
            return match read_response(text) {
                Ok(facts) if facts.error.is_some() => self.fail(classify_error(text)),
                Ok(_) | Err(_) => self.malformed(),
            };
        }
        let Ok(facts) = read_event(text) else {
            return self.malformed();
        };
        let kind = facts.kind.map_or(frame.event.as_str(), Text::raw);
        match (kind, Raw::parse(text, Surrogates::Any)) {
            ("", _) if facts.error => self.fail(classify_error(text)),
            ("", _) | (_, Err(_)) => self.malformed(),
            (kind, Ok(event)) => {
                self.valid = self.valid.saturating_add(1);
                self.event(kind, text, &facts, event);
            }
        }
    }

    fn malformed(&mut self) {
        self.malformed = self.malformed.saturating_add(1);
    }

    fn event(&mut self, kind: &str, text: &str, facts: &EventFacts<'_>, event: Raw<'_>) {
        if let Some(response) = &facts.response {
            self.start(response);
        }
        let delta = || {
            event
                .get("delta")
                .and_then(Raw::string)
                .filter(|delta| !delta.is_empty())
        };
        match kind {
            "error" => self.fail(classify_error(text)),
            "response.failed" | "response.cancelled" => {
                let error = facts.response.and_then(|response| response.error);
                self.fail(error.map_or_else(failed_without_reason, classify_error));
            }
            "response.completed" | "response.incomplete" => self.end(kind, facts.response, event),
            "response.output_item.added" => {
                if let Some(item) = event.get("item") {
                    self.begin_call(index_of(event), item);
                }
            }
            "response.output_item.done" => {
                if let Some(item) = event.get("item") {
                    self.item_done(index_of(event), item);
                }
            }
            "response.output_text.delta" => {
                if let Some(delta) = delta() {
                    self.item(index_of(event)).told = true;
                    let logprobs = event.get("logprobs").and_then(chat_logprobs);
                    self.ready.push_back(StreamEvent::Text {
                        choice: 0,
                        text: delta.into_owned(),
                        logprobs,
                    });
                }
            }
            "response.refusal.delta" => {
                if let Some(delta) = delta() {
                    self.item(index_of(event)).told = true;
                    self.ready.push_back(StreamEvent::Refusal {
                        choice: 0,
                        text: delta.into_owned(),
                    });
                }
            }
            "response.reasoning_summary_text.delta" => {
                if let Some(delta) = delta() {
                    let part = event.get("summary_index").and_then(Raw::integer).unwrap_or(0);
                    self.reasoning(index_of(event), ReasoningKind::Summary, part, &delta);
                }
            }
            "response.reasoning_text.delta" => {
                if let Some(delta) = delta() {
                    let part = event.get("content_index").and_then(Raw::integer).unwrap_or(0);
                    self.reasoning(index_of(event), ReasoningKind::Raw, part, &delta);
                }
            }
            "response.function_call_arguments.delta" => {
                let item = self.item(index_of(event));
                if let (Some(delta), Some(index)) = (delta(), item.call) {
                    item.told = true;
                    let arguments = delta.into_owned();
                    self.ready.push_back(StreamEvent::ToolCallArguments {
                        choice: 0,
                        index,
                        arguments,
                    });
                }
            }
            _ => {}
        }
    }

    fn start(&mut self, response: &ResponseFacts<'_>) {
        if self.started {
            return;
        }
        self.started = true;
        let told = |text: Option<Text<'_>>| text.map(|text| text.unescaped().into_owned()).unwrap_or_default();
        self.ready.push_back(StreamEvent::Start {
            id: told(response.id),
            model: told(response.model),
            created: response.created.unwrap_or(0),
        });
    }

    fn item(&mut self, index: usize) -> &mut Item {
        if self.items.len() <= index {
            self.items.resize_with(index + 1, Item::default);
        }
        &mut self.items[index]
    }

    fn begin_call(&mut self, at: usize, item: Raw<'_>) {
        let kind = item.get("type").and_then(Raw::string);
        if !matches!(kind.as_deref(), Some("function_call" | "custom_tool_call")) || self.item(at).call.is_some() {
            return;
        }
        let index = self.calls;
        self.calls += 1;
        self.item(at).call = Some(index);
        let call = decode_call(item);
        let id = if call.id.is_empty() {
            format!("call_{index}")
        } else {
            call.id
        };
        self.ready.push_back(StreamEvent::ToolCallStart {
            choice: 0,
            index,
            id,
            name: call.name,
            signature: None,
        });
    }

    fn reasoning(&mut self, at: usize, kind: ReasoningKind, part: i64, delta: &str) {
        let item = self.item(at);
        item.told = true;
        let text = match item.reasoning {
            // Where both are told, the first one is it.
            Some((known, _)) if known != kind => return,
            Some((_, last)) if last != part => format!("\n\n{delta}"),
            Some(_) | None => delta.to_owned(),
        };
        item.reasoning = Some((kind, part));
        self.ready.push_back(StreamEvent::Reasoning { choice: 0, text });
    }

    /// An item is whole: what its pieces did not tell is told now.
    fn item_done(&mut self, at: usize, item: Raw<'_>) {
        let state = self.item(at);
        if std::mem::replace(&mut state.done, true) {
            return;
        }
        let told = state.told;
        match item.get("type").and_then(Raw::string).as_deref() {
            Some("reasoning") => {
                if let Some(thought) = decode_reasoning(item) {
                    self.thought(thought, told);
                }
            }
            Some("function_call" | "custom_tool_call") => {
                self.begin_call(at, item);
                let arguments = decode_call(item).arguments;
                if let (false, Some(index)) = (told || arguments.is_empty(), self.item(at).call) {
                    self.ready.push_back(StreamEvent::ToolCallArguments {
                        choice: 0,
                        index,
                        arguments,
                    });
                }
            }
            Some("message") if !told => {
                let mut choice = Choice::default();
                decode_item(item, &mut choice);
                let mut logprobs = choice.logprobs;
                for part in choice.parts {
                    match part {
                        AnswerPart::Text { text } if !text.is_empty() => {
                            let logprobs = logprobs.take();
                            self.ready.push_back(StreamEvent::Text {
                                choice: 0,
                                text,
                                logprobs,
                            });
                        }
                        AnswerPart::Refusal { text } if !text.is_empty() => {
                            self.ready.push_back(StreamEvent::Refusal { choice: 0, text });
                        }
                        AnswerPart::Text { .. }
                        | AnswerPart::Refusal { .. }
                        | AnswerPart::Reasoning(_)
                        | AnswerPart::ToolCall(_) => {}
                    }
                }
            }
            Some(_) | None => {}
        }
    }

    fn thought(&mut self, thought: Reasoning, told: bool) {
        if !told && !thought.text.is_empty() {
            self.ready.push_back(StreamEvent::Reasoning {
                choice: 0,
                text: thought.text,
            });
        }
        if thought.signature.is_some() || thought.redacted.is_some() {
            // Text that was told is what the opaque content stands for, whether or not the whole item repeats it.
            let (signature, redacted) = match (thought.signature, thought.redacted) {
                (None, Some(content)) if told => (Some(content), None),
                both => both,
            };
            let origin = DialectName::OpenaiResponses;
            self.ready.push_back(StreamEvent::ReasoningSignature {
                choice: 0,
                signature,
                redacted,
                origin,
            });
        }
    }

    fn end(&mut self, kind: &str, response: Option<ResponseFacts<'_>>, event: Raw<'_>) {
        let output = event.get("response").and_then(|response| response.get("output"));
        for (at, item) in output.into_iter().flat_map(Raw::items).take(ITEMS_MAX).enumerate() {
            // A server that streams nothing but the end.
            if self.items.get(at).is_none_or(|known| !known.done && !known.told) {
                self.item_done(at, item);
            }
        }
        if response.is_some_and(|facts| facts.is_empty()) && self.items.is_empty() {
            return self.fail(no_output());
        }
        let facts = response.unwrap_or_default();
        let reason = facts.finish().unwrap_or(match kind {
            "response.incomplete" => incomplete_reason(facts.reason.map(Text::raw)),
            _ if self.calls > 0 => FinishReason::ToolCalls,
            _ => FinishReason::Stop,
        });
        self.ready.push_back(StreamEvent::Finish { choice: 0, reason });
        if let Some(usage) = facts.usage {
            self.ready.push_back(StreamEvent::Usage(usage));
        }
        self.ready.push_back(StreamEvent::End);
        self.over = true;
    }

    fn fail(&mut self, failure: Failure) {
        self.ready.push_back(StreamEvent::Error(failure));
        self.over = true;
    }
}

fn index_of(event: Raw<'_>) -> usize {
    let index = event.get("output_index").and_then(Raw::integer);
    index
        .and_then(|index| usize::try_from(index).ok())
        .unwrap_or(0)
        .min(ITEMS_MAX - 1)
}

impl Decode for StreamDecoder {
    fn push(&mut self, bytes: &[u8]) {
        if !self.over {
            self.reader.push(bytes);
            self.read();
        }
    }

    fn finish(&mut self) {
        if self.over {
            return;
        }
        self.reader.finish();
        self.read();
        if self.over {
            return;
        }
        self.fail(if self.valid == 0 && self.malformed > 0 {
            Failure::new(
                OutcomeClass::BadResponse,
                "what the provider sent is no stream of its API",
            )
        } else {
            let message = "the provider's stream ended without its terminal event";
            Failure::new(OutcomeClass::StreamBroken, message)
        });
    }

    fn poll(&mut self) -> Option<StreamEvent> {
        self.ready.pop_front()
    }

    fn malformed(&self) -> u32 {
        self.malformed
    }
}
