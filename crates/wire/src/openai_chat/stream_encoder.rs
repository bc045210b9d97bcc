//! Streams of this dialect, written from events: what a client sees when its answer comes from another dialect, or is the
//! continuation of one that broke.
//!
//! The sequence is OpenAI's own: a role chunk for each choice, deltas, a finish reason for each, the usage chunk if asked
//! for, `[DONE]`. Id, model and creation time are the same in every chunk.

use bytes::Bytes;
use serde::Serialize;
use serde_json::json;
use types::answer::FinishReason;
use types::chat::{Json, Reasoning};
use types::event::StreamEvent;
use types::usage::Usage;

use crate::openai_chat::answer::{finish_word, reasoning_detail, usage_json};
use crate::response::{Encode, EncoderOptions, ReasoningField};

/// Writes events as frames.
#[derive(Debug)]
pub struct StreamEncoder {
    options: EncoderOptions,
    /// Everything of a chunk up to its choices, written once.
    prefix: Vec<u8>,
    /// Choices whose role chunk is out, one bit each.
    opened: u128,
    /// Choices that called tools.
    called: u128,
    usage: Option<Usage>,
    /// Reasoning that has no signature yet, by choice: a signature goes out with the text it signs, so that a client that
    /// keeps only `reasoning_details` hands back a whole block.
    unsigned: Vec<(u32, String)>,
    over: bool,
}

/// Reasoning is kept for its signature up to this many bytes of a choice; of a longer one the signature is left out.
const UNSIGNED_BYTES_MAX: usize = 1 << 20;

#[derive(Serialize)]
struct ChoiceJson<'a, D> {
    index: u32,
    delta: D,
    logprobs: Option<&'a Json>,
    finish_reason: Option<&'static str>,
}

// The deltas that come by the hundred are written without a tree.

#[derive(Serialize)]
struct Said<'a> {
    content: &'a str,
}

#[derive(Serialize)]
struct Thought<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<&'a str>,
}

#[derive(Serialize)]
struct CallsMore<'a> {
    tool_calls: [CallMore<'a>; 1],
}

#[derive(Serialize)]
struct CallMore<'a> {
    index: u32,
    function: FunctionMore<'a>,
}

#[derive(Serialize)]
struct FunctionMore<'a> {
    arguments: &'a str,
}

impl StreamEncoder {
    /// An encoder that takes its identity from the first `Start`, and from `options` what that does not tell.
    pub fn new(mut options: EncoderOptions) -> StreamEncoder {
        options.id.insert_str(0, "chatcmpl-");
        // Nothing of the question is repeated here; it need not be kept in memory.
        options.request = Bytes::new();
        StreamEncoder {
            options,
            prefix: Vec::new(),
            opened: 0,
            called: 0,
            usage: None,
            unsigned: Vec::new(),
            over: false,
        }
    }
}

impl Encode for StreamEncoder {
    /// Appends the frames of one event to `out`; some events have none. An error writes nothing: how a call's failure is told
    /// is not a translation (`errors::event`).
    fn encode(&mut self, event: &StreamEvent, out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        match event {
            StreamEvent::Start { id, model, created } => self.start(id, model, *created, out),
            StreamEvent::Text { choice, text, logprobs } => {
                self.delta(*choice, &Said { content: text }, logprobs.as_ref(), out);
            }
            StreamEvent::Refusal { choice, text } => self.delta(*choice, &json!({ "refusal": text }), None, out),
            StreamEvent::Reasoning { choice, text } => {
                self.keep_unsigned(*choice, text);
                let (reasoning_content, reasoning) = match self.options.reasoning_field {
                    ReasoningField::ReasoningContent => (Some(text.as_str()), None),
                    ReasoningField::Reasoning => (None, Some(text.as_str())),
                };
                let thought = Thought {
                    reasoning_content,
                    reasoning,
                };
                self.delta(*choice, &thought, None, out);
            }
            StreamEvent::ReasoningSignature {
                choice,
                signature,
                redacted,
                origin,
            } => {
                let Some(text) = self.take_unsigned(*choice, redacted.is_some()) else {
                    return;
                };
                let thought = Reasoning {
                    text,
                    signature: signature.clone(),
                    redacted: redacted.clone(),
                    origin: Some(*origin),
                };
                if let Some(detail) = reasoning_detail(&thought) {
                    self.delta(*choice, &json!({ "reasoning_details": [detail] }), None, out);
                }
            }
            StreamEvent::ToolCallStart {
                choice,
                index,
                id,
                name,
                signature,
            } => {
                self.called |= bit(*choice);
                let function = json!({"name": name, "arguments": ""});
                let mut call = json!({"index": index, "id": id, "type": "function", "function": function});
                if let Some(signature) = signature {
                    call["extra_content"] = json!({"google": {"thought_signature": signature}});
                }
                self.delta(*choice, &json!({ "tool_calls": [call] }), None, out);
            }
            StreamEvent::ToolCallArguments {
                choice,
                index,
                arguments,
            } => {
                if !arguments.is_empty() {
                    let function = FunctionMore { arguments };
                    let tool_calls = [CallMore {
                        index: *index,
                        function,
                    }];
                    self.delta(*choice, &CallsMore { tool_calls }, None, out);
                }
            }
            StreamEvent::Finish { choice, reason } => {
                self.open(*choice, out);
                let reason = match reason {
                    FinishReason::Stop if self.called & bit(*choice) != 0 => FinishReason::ToolCalls,
                    reason => *reason,
                };
                self.choice(*choice, &json!({}), None, Some(finish_word(reason)), out);
            }
            StreamEvent::Usage(usage) => self.usage = Some(*usage),
            StreamEvent::Ping => out.extend_from_slice(b": ping\n\n"),
            StreamEvent::Error(_) => {}
            StreamEvent::End => self.end(out),
        }
    }
}

impl StreamEncoder {
    fn start(&mut self, id: &str, model: &str, created: u64, out: &mut Vec<u8>) {
        if self.prefix.is_empty() {
            if !id.is_empty() {
                self.options.id = id.to_owned();
            }
            if !model.is_empty() {
                self.options.model = model.to_owned();
            }
            if created > 0 {
                self.options.created = created;
            }
        }
        self.open(0, out);
    }

    fn keep_unsigned(&mut self, choice: u32, text: &str) {
        match self.unsigned.iter_mut().find(|(of, _)| *of == choice) {
            Some((_, kept)) if kept.len() <= UNSIGNED_BYTES_MAX => kept.push_str(text),
            Some(_) => {}
            None => self.unsigned.push((choice, text.to_owned())),
        }
    }

    /// The text a signature signs; `None` when it was too long to keep. Opaque reasoning stands for itself.
    fn take_unsigned(&mut self, choice: u32, opaque: bool) -> Option<String> {
        if opaque {
            return Some(String::new());
        }
        let at = self.unsigned.iter().position(|(of, _)| *of == choice);
        let text = at.map(|at| self.unsigned.swap_remove(at).1).unwrap_or_default();
        (text.len() <= UNSIGNED_BYTES_MAX).then_some(text)
    }

    /// Writes a choice's role chunk, once.
    fn open(&mut self, choice: u32, out: &mut Vec<u8>) {
        if self.opened & bit(choice) == 0 {
            self.opened |= bit(choice);
            self.choice(choice, &json!({"role": "assistant", "content": ""}), None, None, out);
        }
    }

    fn delta<D: Serialize>(&mut self, choice: u32, delta: &D, logprobs: Option<&Json>, out: &mut Vec<u8>) {
        self.open(choice, out);
        self.choice(choice, delta, logprobs, None, out);
    }

    fn choice<D: Serialize>(
        &mut self,
        index: u32,
        delta: &D,
        logprobs: Option<&Json>,
        finish_reason: Option<&'static str>,
        out: &mut Vec<u8>,
    ) {
        self.begin(out);
        write(
            out,
            &ChoiceJson {
                index,
                delta,
                logprobs,
                finish_reason,
            },
        );
        out.extend_from_slice(if self.options.include_usage {
            b"],\"usage\":null}\n\n"
        } else {
            b"]}\n\n"
        });
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if let Some(usage) = self.usage.filter(|_| self.options.include_usage) {
            self.begin(out);
            out.extend_from_slice(b"],\"usage\":");
            write(out, &usage_json(&usage));
            out.extend_from_slice(b"}\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
        self.over = true;
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if self.prefix.is_empty() {
            let EncoderOptions { id, model, created, .. } = &self.options;
            self.prefix.extend_from_slice(b"data: {\"id\":");
            write(&mut self.prefix, id);
            self.prefix
                .extend_from_slice(b",\"object\":\"chat.completion.chunk\",\"created\":");
            write(&mut self.prefix, created);
            self.prefix.extend_from_slice(b",\"model\":");
            write(&mut self.prefix, model);
            self.prefix.extend_from_slice(b",\"choices\":[");
        }
        out.extend_from_slice(&self.prefix);
    }
}

fn bit(choice: u32) -> u128 {
    1 << choice.min(127)
}

fn write<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value).expect("writing JSON to memory cannot fail");
}
