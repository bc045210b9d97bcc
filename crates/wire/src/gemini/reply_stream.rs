//! Streams of this dialect, written from events: what a client sees when its answer comes from another dialect, or is the
//! continuation of one that broke.
//!
//! Every chunk is a GenerateContentResponse with what is new. Calls go out whole, in the order they began. The last chunk, which
//! has every finish reason and the counts, waits for the stream's end; nothing marks the end but the body's. A sign of life
//! has no frame: the official SDK takes a comment for the beginning of bare JSON.

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use types::answer::FinishReason;
use types::chat::{Reasoning, ToolCall};
use types::event::StreamEvent;
use types::usage::Usage;

use crate::framing::balance::Balance;
use crate::gemini::reply::{
    CandidateJson, ContentJson, PartJson, ResponseJson, call_id, finish_word, first, logprobs_json, tell_refusal,
    usage_json,
};
use crate::response::{Encode, EncoderOptions};

/// A refusal's words are kept up to this many bytes.
const REFUSAL_BYTES_MAX: usize = 64 << 10;
/// A call's arguments are kept up to this many bytes; what comes beyond is left out, which leaves broken JSON as an output limit
/// does.
const ARGUMENTS_BYTES_MAX: usize = 8 << 20;
/// Choices that are told apart; a request can ask for no more.
const CHOICES_MAX: usize = 128;

/// Writes events as frames.
#[derive(Debug)]
pub struct StreamEncoder {
    options: EncoderOptions,
    started: bool,
    choices: Vec<Open>,
    usage: Option<Usage>,
    over: bool,
}

/// A choice so far.
#[derive(Debug, Default)]
struct Open {
    index: u32,
    /// Calls begun.
    calls: u32,
    /// Calls that are not out.
    waiting: Vec<(u32, ToolCall, Balance)>,
    refusal: String,
    finish: Option<FinishReason>,
}

impl StreamEncoder {
    /// An encoder that takes its identity from the first `Start`, and from `options` what that does not tell.
    pub fn new(mut options: EncoderOptions) -> StreamEncoder {
        // Nothing of the question is repeated here; it need not be kept in memory.
        options.request = Bytes::new();
        StreamEncoder {
            options,
            started: false,
            choices: Vec::new(),
            usage: None,
            over: false,
        }
    }
}

impl Encode for StreamEncoder {
    fn encode(&mut self, event: &StreamEvent, out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        match event {
            StreamEvent::Start { id, model, .. } => {
                if !self.started {
                    self.started = true;
                    self.options.id = first(id, &self.options.id).to_owned();
                    self.options.model = first(model, &self.options.model).to_owned();
                }
            }
            StreamEvent::Text { choice, text, logprobs } => {
                let logprobs = logprobs.as_ref().and_then(logprobs_json);
                if !text.is_empty() || logprobs.is_some() {
                    self.part(*choice, PartJson::text(text.clone()), logprobs, out);
                }
            }
            StreamEvent::Refusal { choice, text } => {
                if let Some(open) = self.open(*choice)
                    && open.refusal.len() + text.len() <= REFUSAL_BYTES_MAX
                {
                    open.refusal.push_str(text);
                }
            }
            StreamEvent::Reasoning { choice, text } => {
                if !text.is_empty() {
                    let part = PartJson {
                        thought: true,
                        ..PartJson::text(text.clone())
                    };
                    self.part(*choice, part, None, out);
                }
            }
            StreamEvent::ReasoningSignature {
                choice,
                signature,
                redacted,
                origin,
            } => {
                let part = PartJson::thought(&Reasoning {
                    text: String::new(),
                    signature: signature.clone(),
                    redacted: redacted.clone(),
                    origin: Some(*origin),
                });
                if part.thought_signature.is_some() {
                    self.part(*choice, part, None, out);
                }
            }
            StreamEvent::ToolCallStart {
                choice,
                index,
                id,
                name,
                signature,
            } => {
                let answer = self.options.id.clone();
                if let Some(open) = self.open(*choice) {
                    let call = ToolCall {
                        id: call_id(id, &answer, open.index, open.calls),
                        name: name.clone(),
                        arguments: String::new(),
                        signature: signature.clone(),
                    };
                    open.calls = open.calls.saturating_add(1);
                    open.waiting.push((*index, call, Balance::default()));
                }
            }
            StreamEvent::ToolCallArguments {
                choice,
                index,
                arguments,
            } => {
                if let Some(open) = self.open(*choice)
                    && let Some((_, call, balance)) = open.waiting.iter_mut().rfind(|(of, ..)| of == index)
                    && call.arguments.len() + arguments.len() <= ARGUMENTS_BYTES_MAX
                {
                    call.arguments.push_str(arguments);
                    balance.take(arguments);
                }
                self.calls(*choice, false, out);
            }
            StreamEvent::Finish { choice, reason } => {
                self.calls(*choice, true, out);
                if let Some(open) = self.open(*choice) {
                    open.finish = open.finish.or(Some(*reason));
                }
            }
            StreamEvent::Usage(usage) => self.usage = Some(*usage),
            StreamEvent::Ping | StreamEvent::Error(_) => {}
            StreamEvent::End => self.end(out),
        }
    }
}

impl StreamEncoder {
    fn open(&mut self, choice: u32) -> Option<&mut Open> {
        let at = match self.choices.iter().position(|open| open.index == choice) {
            Some(at) => at,
            None if self.choices.len() == CHOICES_MAX => return None,
            None => {
                self.choices.push(Open {
                    index: choice,
                    ..Open::default()
                });
                self.choices.len() - 1
            }
        };
        self.choices.get_mut(at)
    }

    /// Writes the calls that are whole, up to the first that is not; all of them at the end.
    fn calls(&mut self, choice: u32, all: bool, out: &mut Vec<u8>) {
        loop {
            let Some(open) = self.open(choice) else {
                return;
            };
            if !open
                .waiting
                .first()
                .is_some_and(|(_, _, balance)| all || balance.is_whole())
            {
                return;
            }
            let (_, call, _) = open.waiting.remove(0);
            let part = PartJson::call(call.id.clone(), &call);
            self.part(choice, part, None, out);
        }
    }

    fn part(&mut self, choice: u32, part: PartJson, logprobs_result: Option<Value>, out: &mut Vec<u8>) {
        if self.open(choice).is_none() {
            return;
        }
        let candidate = CandidateJson {
            content: ContentJson {
                role: "model",
                parts: vec![part],
            },
            finish_reason: None,
            finish_message: None,
            index: choice,
            logprobs_result,
        };
        self.chunk(vec![candidate], None, out);
    }

    fn chunk(&self, candidates: Vec<CandidateJson>, usage_metadata: Option<Value>, out: &mut Vec<u8>) {
        frame(
            &ResponseJson {
                candidates,
                usage_metadata,
                model_version: &self.options.model,
                response_id: &self.options.id,
            },
            out,
        );
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.over = true;
        if self.choices.is_empty() {
            self.choices.push(Open::default());
        }
        for at in 0..self.choices.len() {
            self.calls(self.choices[at].index, true, out);
        }
        let candidates = std::mem::take(&mut self.choices).into_iter().map(|open| {
            let finish = open.finish.unwrap_or(FinishReason::Stop);
            let mut parts = Vec::new();
            let finish_message = tell_refusal(finish, open.refusal, &mut parts);
            if parts.is_empty() {
                // A content without parts is invalid to the SDK's chats.
                parts.push(PartJson::text(String::new()));
            }
            CandidateJson {
                content: ContentJson { role: "model", parts },
                finish_reason: Some(finish_word(finish)),
                finish_message,
                index: open.index,
                logprobs_result: None,
            }
        });
        let candidates = candidates.collect();
        self.chunk(candidates, self.usage.as_ref().map(usage_json), out);
    }
}

/// Writes a frame.
pub(super) fn frame<T: Serialize>(data: &T, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    serde_json::to_writer(&mut *out, data).expect("writing JSON to memory cannot fail");
    out.extend_from_slice(b"\n\n");
}
