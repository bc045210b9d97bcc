//! Streams of this dialect, read into events.
//!
//! Tolerant where providers differ: calls without an index or with the same index twice, reasoning under two names, usage in
//! the last chunk or in one of its own, an end without `[DONE]` once every choice has its finish reason.

use std::collections::VecDeque;

use types::answer::FinishReason;
use types::dialect::DialectName;
use types::event::StreamEvent;
use types::outcome::{Failure, OutcomeClass};

use crate::framing::json::{Kind, Surrogates};
use crate::framing::raw::Raw;
use crate::framing::sse::{Frame, Reader};
use crate::openai_chat::classify::classify_frame;
use crate::openai_chat::facts::{Facts, finish_reason, read_facts};
use crate::openai_chat::media;
use crate::response::Decode;

/// Choices beyond this are not told apart.
const CHOICES_MAX: usize = 128;

/// Reads a stream.
#[derive(Debug, Default)]
pub struct StreamDecoder {
    reader: Reader,
    ready: VecDeque<StreamEvent>,
    over: bool,
    started: bool,
    said_something: bool,
    malformed: u32,
    valid: u32,
    choices: Vec<ChoiceState>,
}

#[derive(Debug, Default, Clone)]
struct ChoiceState {
    seen: bool,
    finished: bool,
    /// The calls begun, in order: the provider's index and id.
    calls: Vec<(Option<i64>, String)>,
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
        let data = if frame.data.is_empty() {
            &frame.stray
        } else {
            &frame.data
        };
        let data = data.trim_ascii();
        if data.is_empty() {
            return self.ready.push_back(StreamEvent::Ping);
        }
        if data == b"[DONE]" {
            return self.done();
        }
        let facts = std::str::from_utf8(data)
            .ok()
            .and_then(|text| Some((text, read_facts(text).ok()?)));
        match facts {
            Some((text, facts)) if facts.error || frame.event == "error" => self.fail(classify_frame(text)),
            // Bare JSON that is no error is a whole answer where a stream was expected.
            Some((text, facts)) if !frame.data.is_empty() => self.chunk(text, &facts),
            Some(_) | None => self.malformed = self.malformed.saturating_add(1),
        }
    }

    fn chunk(&mut self, text: &str, facts: &Facts<'_>) {
        self.valid = self.valid.saturating_add(1);
        self.said_something |= facts.content || facts.finished != 0;
        let told = |text: Option<crate::framing::json::Text<'_>>| {
            text.map(|text| text.unescaped().into_owned()).unwrap_or_default()
        };
        let (id, model) = (told(facts.id), told(facts.model));
        // Azure opens with a chunk that has neither id nor model nor choices.
        if !self.started && (!id.is_empty() || !model.is_empty() || facts.choices.unwrap_or(0) > 0) {
            self.started = true;
            self.ready.push_back(StreamEvent::Start {
                id,
                model,
                created: facts.created.unwrap_or(0),
            });
        }
        let Ok(chunk) = Raw::parse(text, Surrogates::Any) else {
            return;
        };
        let choices = chunk.get("choices").into_iter().flat_map(Raw::items);
        for (position, choice) in choices.enumerate() {
            self.choice(position, choice);
        }
        if let Some(usage) = facts.usage {
            self.ready.push_back(StreamEvent::Usage(usage));
        }
    }

    fn choice(&mut self, position: usize, raw: Raw<'_>) {
        let index = raw
            .get("index")
            .and_then(Raw::integer)
            .and_then(|index| usize::try_from(index).ok());
        let index = index.unwrap_or(position).min(CHOICES_MAX - 1);
        if self.choices.len() <= index {
            self.choices.resize_with(index + 1, ChoiceState::default);
        }
        self.choices[index].seen = true;
        let choice = index as u32;
        let mut logprobs = raw.get("logprobs").map(Raw::to_json);
        if let Some(delta) = raw.get("delta") {
            let string = |name: &str| delta.get(name).and_then(Raw::string).filter(|text| !text.is_empty());
            if let Some(text) = string("reasoning_content").or_else(|| string("reasoning")) {
                self.ready.push_back(StreamEvent::Reasoning {
                    choice,
                    text: text.into_owned(),
                });
            }
            for detail in delta.get("reasoning_details").into_iter().flat_map(Raw::items) {
                let thought = media::read_reasoning_detail(detail);
                if thought.signature.is_some() || thought.redacted.is_some() {
                    self.ready.push_back(StreamEvent::ReasoningSignature {
                        choice,
                        signature: thought.signature,
                        redacted: thought.redacted,
                        origin: thought.origin.unwrap_or(DialectName::OpenaiChat),
                    });
                }
            }
            if let Some(content) = delta.get("content") {
                self.content(choice, content, &mut logprobs);
            }
            if let Some(text) = string("refusal") {
                self.ready.push_back(StreamEvent::Refusal {
                    choice,
                    text: text.into_owned(),
                });
            }
            for call in delta.get("tool_calls").into_iter().flat_map(Raw::items) {
                self.tool_call(choice, call);
            }
        }
        if let Some(logprobs) = logprobs {
            // Probabilities of tokens that gave no text yet.
            self.ready.push_back(StreamEvent::Text {
                choice,
                text: String::new(),
                logprobs: Some(logprobs),
            });
        }
        let finish = raw.get("finish_reason").and_then(Raw::string);
        if let Some(word) = finish.filter(|word| !word.is_empty() && !self.choices[index].finished) {
            self.choices[index].finished = true;
            let reason = match finish_reason(&word) {
                // Some servers say `stop` after calls.
                FinishReason::Stop if !self.choices[index].calls.is_empty() => FinishReason::ToolCalls,
                reason => reason,
            };
            self.ready.push_back(StreamEvent::Finish { choice, reason });
        }
    }

    /// Content is a string, or (Mistral) parts of text and thinking.
    fn content(&mut self, choice: u32, content: Raw<'_>, logprobs: &mut Option<types::chat::Json>) {
        if let Some(text) = content.string() {
            if !text.is_empty() {
                let logprobs = logprobs.take();
                self.ready.push_back(StreamEvent::Text {
                    choice,
                    text: text.into_owned(),
                    logprobs,
                });
            }
            return;
        }
        for part in content.items() {
            if let Some(text) = part.get("text").and_then(Raw::string) {
                self.ready.push_back(StreamEvent::Text {
                    choice,
                    text: text.into_owned(),
                    logprobs: None,
                });
            } else if let Some(thinking) = part.get("thinking") {
                let text: String = thinking
                    .items()
                    .filter_map(|piece| piece.get("text")?.string())
                    .collect();
                self.ready.push_back(StreamEvent::Reasoning { choice, text });
            }
        }
    }

    fn tool_call(&mut self, choice: u32, call: Raw<'_>) {
        let function = call.get("function");
        let string = |value: Option<Raw<'_>>| {
            value
                .and_then(Raw::string)
                .map(|text| text.into_owned())
                .unwrap_or_default()
        };
        let id = string(call.get("id"));
        let name = string(function.and_then(|function| function.get("name")));
        let wire_index = call.get("index").and_then(Raw::integer);
        let calls = &mut self.choices[choice as usize].calls;
        // The same index with another id is another call (Gemini's compatible endpoint numbers all of them 0), and a piece
        // without an index belongs to the last one.
        let known = match wire_index {
            Some(_) => calls.iter().rposition(|(index, _)| *index == wire_index),
            None => calls.len().checked_sub(1),
        };
        let known = known.filter(|at| id.is_empty() || calls[*at].1.is_empty() || calls[*at].1 == id);
        let index = match known {
            Some(at) => at as u32,
            None => {
                calls.push((wire_index, id.clone()));
                let index = calls.len() as u32 - 1;
                let id = if id.is_empty() {
                    format!("call_{choice}_{index}")
                } else {
                    id
                };
                let signature = media::read_tool_signature(call);
                self.ready.push_back(StreamEvent::ToolCallStart {
                    choice,
                    index,
                    id,
                    name,
                    signature,
                });
                index
            }
        };
        let arguments = function.and_then(|function| function.get("arguments"));
        let arguments = match arguments {
            Some(object) if object.kind() == Kind::Object => object.text().to_owned(),
            other => string(other),
        };
        if !arguments.is_empty() {
            self.ready.push_back(StreamEvent::ToolCallArguments {
                choice,
                index,
                arguments,
            });
        }
    }

    fn done(&mut self) {
        if !self.said_something {
            let message = "the provider's stream held no content and no finish reason";
            return self.fail(Failure::new(OutcomeClass::BadResponse, message));
        }
        self.ready.push_back(StreamEvent::End);
        self.over = true;
    }

    fn fail(&mut self, failure: Failure) {
        self.ready.push_back(StreamEvent::Error(failure));
        self.over = true;
    }
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
        let mut seen = self.choices.iter().filter(|choice| choice.seen).peekable();
        if seen.peek().is_some() && seen.all(|choice| choice.finished) {
            return self.done();
        }
        self.fail(if self.valid == 0 && self.malformed > 0 {
            Failure::new(
                OutcomeClass::BadResponse,
                "what the provider sent is no stream of its API",
            )
        } else {
            Failure::new(
                OutcomeClass::StreamBroken,
                "the provider's stream ended without its terminal event",
            )
        });
    }

    fn poll(&mut self) -> Option<StreamEvent> {
        self.ready.pop_front()
    }

    fn malformed(&self) -> u32 {
        self.malformed
    }
}
