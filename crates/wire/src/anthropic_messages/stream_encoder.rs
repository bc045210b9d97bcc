//! Streams of this dialect, written from events: what a client sees when its answer comes from another dialect, or is the
//! continuation of one that broke.
//!
//! `message_start`, blocks strictly one after another, `message_delta` with the stop reason and all counts, `message_stop`.
//! `message_start` waits for the event behind `Start`, since that may tell the counts of the prompt. Other dialects mix what
//! belongs to several blocks (parallel tool calls by index); what belongs to a later block waits until the one before it is
//! whole: a tool call is when its arguments are a whole JSON object, everything is when the choice ends. `message_delta` waits for
//! the stream's end, since counts may follow the finish reason.

use std::collections::VecDeque;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};
use types::answer::FinishReason;
use types::dialect::DialectName;
use types::event::StreamEvent;
use types::usage::Usage;

use super::answer_encode::{call_id, call_signature_block, ended, message_id};
use super::carried;
use super::usage::{stop_details, stop_reason, usage_json};
use crate::framing::balance::Balance;
use crate::response::{Encode, EncoderOptions};

/// Blocks that may wait; what comes for more is the last one's, or lost when it is a call's that is gone.
const WAITING_MAX: usize = 1_024;
/// A block waits with up to this many bytes; what comes beyond is left out, and a call's arguments are broken JSON then, as
/// they are at an output limit.
const WAITING_BYTES_MAX: usize = 8 << 20;
/// A refusal's words are kept up to this many bytes for `stop_details`.
const REFUSAL_BYTES_MAX: usize = 64 << 10;

/// Writes events as frames.
#[derive(Debug)]
pub struct StreamEncoder {
    options: EncoderOptions,
    id: String,
    started: bool,
    opened: bool,
    /// The open block and those that wait behind it.
    blocks: VecDeque<Block>,
    /// The index of the first of them.
    index: u32,
    calls: u32,
    refusal: String,
    finish: Option<FinishReason>,
    usage: Option<Usage>,
    over: bool,
}

/// A block that is not closed.
#[derive(Debug)]
struct Block {
    kind: BlockKind,
    /// Its start is out.
    open: bool,
    /// What of it waits.
    waiting: String,
}

#[derive(Debug)]
enum BlockKind {
    Text,
    Thinking {
        /// What closes it.
        signature: Option<String>,
    },
    /// A block that its start says all of.
    Whole(Value),
    Call {
        /// The event's index.
        call: u32,
        id: String,
        name: String,
        balance: Balance,
    },
}

impl BlockKind {
    /// Nothing more belongs to it once something else comes.
    fn gives_way(&self) -> bool {
        match self {
            BlockKind::Text | BlockKind::Thinking { .. } | BlockKind::Whole(_) => true,
            BlockKind::Call { balance, .. } => balance.is_whole(),
        }
    }
}

impl StreamEncoder {
    /// An encoder that takes its identity from the first `Start`, and from `options` what that does not tell.
    pub fn new(mut options: EncoderOptions) -> StreamEncoder {
        // Nothing of the question is repeated here; it need not be kept in memory.
        options.request = Bytes::new();
        StreamEncoder {
            id: message_id("", &options.id),
            options,
            started: false,
            opened: false,
            blocks: VecDeque::new(),
            index: 0,
            calls: 0,
            refusal: String::new(),
            finish: None,
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
                    self.id = message_id(id, &self.options.id);
                    if !model.is_empty() {
                        self.options.model.clone_from(model);
                    }
                }
            }
            // This dialect's clients cannot ask for several choices.
            StreamEvent::Text { choice: 1.., .. }
            | StreamEvent::Refusal { choice: 1.., .. }
            | StreamEvent::Reasoning { choice: 1.., .. }
            | StreamEvent::ReasoningSignature { choice: 1.., .. }
            | StreamEvent::ToolCallStart { choice: 1.., .. }
            | StreamEvent::ToolCallArguments { choice: 1.., .. }
            | StreamEvent::Finish { choice: 1.., .. } => {}
            StreamEvent::Text { text, .. } => self.text(text, out),
            StreamEvent::Refusal { text, .. } => self.refuse(text),
            StreamEvent::Reasoning { text, .. } => self.reasoning(text, out),
            StreamEvent::ReasoningSignature {
                signature,
                redacted,
                origin,
                ..
            } => self.signature(signature.as_deref(), redacted.as_deref(), *origin, out),
            StreamEvent::ToolCallStart {
                index,
                id,
                name,
                signature,
                ..
            } => {
                if let Some(signature) = signature {
                    self.add(BlockKind::Whole(call_signature_block(signature)), out);
                }
                let id = call_id(id, &self.options.id, self.calls).into_owned();
                self.calls = self.calls.saturating_add(1);
                let kind = BlockKind::Call {
                    call: *index,
                    id,
                    name: name.clone(),
                    balance: Balance::default(),
                };
                self.add(kind, out);
            }
            StreamEvent::ToolCallArguments { index, arguments, .. } => self.arguments(*index, arguments, out),
            StreamEvent::Finish { reason, .. } => {
                self.close_all(out);
                self.finish = self.finish.or(Some(*reason));
            }
            StreamEvent::Usage(usage) => self.usage = Some(*usage),
            StreamEvent::Ping => {
                self.open_message(out);
                out.extend_from_slice(b"event: ping\ndata: {\"type\":\"ping\"}\n\n");
            }
            StreamEvent::Error(_) => {}
            StreamEvent::End => self.end(out),
        }
    }
}

impl StreamEncoder {
    fn text(&mut self, text: &str, out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        if !matches!(self.blocks.back(), Some(block) if matches!(block.kind, BlockKind::Text)) {
            self.add(BlockKind::Text, out);
        }
        self.say(self.blocks.len() - 1, text, out);
    }

    /// Words of a refusal are told in `stop_details` and, when nothing filtered the answer, as its text; which of the two it
    /// will be, the finish reason says.
    fn refuse(&mut self, text: &str) {
        if self.refusal.len() + text.len() <= REFUSAL_BYTES_MAX {
            self.refusal.push_str(text);
        }
    }

    fn reasoning(&mut self, text: &str, out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        let goes_on = |block: &Block| matches!(block.kind, BlockKind::Thinking { signature: None });
        if !self.blocks.back().is_some_and(goes_on) {
            self.add(BlockKind::Thinking { signature: None }, out);
        }
        self.say(self.blocks.len() - 1, text, out);
    }

    fn signature(&mut self, signed: Option<&str>, redacted: Option<&str>, origin: DialectName, out: &mut Vec<u8>) {
        if let Some(data) = redacted {
            let data = carried::write(Some(origin), Some(data));
            return self.add(
                BlockKind::Whole(json!({"type": "redacted_thinking", "data": data})),
                out,
            );
        }
        let Some(signed) = signed else {
            return;
        };
        let goes_on = |block: &Block| matches!(block.kind, BlockKind::Thinking { signature: None });
        if !self.blocks.back().is_some_and(goes_on) {
            self.add(BlockKind::Thinking { signature: None }, out);
        }
        if let Some(Block {
            kind: BlockKind::Thinking { signature },
            ..
        }) = self.blocks.back_mut()
        {
            *signature = Some(carried::write(Some(origin), Some(signed)));
        }
        self.advance(out);
    }

    fn arguments(&mut self, index: u32, piece: &str, out: &mut Vec<u8>) {
        let is_of = |block: &Block| matches!(&block.kind, BlockKind::Call { call, .. } if *call == index);
        // A piece for a call that is whole has no place left.
        let Some(at) = self.blocks.iter().rposition(is_of) else {
            return;
        };
        if let BlockKind::Call { balance, .. } = &mut self.blocks[at].kind {
            balance.take(piece);
        }
        self.say(at, piece, out);
        self.advance(out);
    }

    /// A block behind all others.
    fn add(&mut self, kind: BlockKind, out: &mut Vec<u8>) {
        if self.blocks.len() >= WAITING_MAX {
            self.close_all(out);
        }
        self.blocks.push_back(Block {
            kind,
            open: false,
            waiting: String::new(),
        });
        self.advance(out);
    }

    /// More of a block: out when it is the open one, else kept.
    fn say(&mut self, at: usize, piece: &str, out: &mut Vec<u8>) {
        match self.blocks.get_mut(at) {
            Some(block) if block.open => delta(self.index, &block.kind, piece, out),
            Some(block) if block.waiting.len() + piece.len() <= WAITING_BYTES_MAX => block.waiting.push_str(piece),
            Some(_) | None => {}
        }
    }

    /// Closes what gives way to what waits behind it, and opens what is first then.
    fn advance(&mut self, out: &mut Vec<u8>) {
        self.open_first(out);
        while self.blocks.len() > 1 && self.blocks[0].kind.gives_way() {
            self.close_first(out);
            self.open_first(out);
        }
    }

    fn close_all(&mut self, out: &mut Vec<u8>) {
        while !self.blocks.is_empty() {
            self.open_first(out);
            self.close_first(out);
        }
    }

    fn open_first(&mut self, out: &mut Vec<u8>) {
        self.open_message(out);
        let Some(block) = self.blocks.front_mut().filter(|block| !block.open) else {
            return;
        };
        block.open = true;
        let start = match &block.kind {
            BlockKind::Text => json!({"type": "text", "text": ""}),
            BlockKind::Thinking { .. } => json!({"type": "thinking", "thinking": "", "signature": ""}),
            BlockKind::Whole(value) => value.clone(),
            BlockKind::Call { id, name, .. } => json!({"type": "tool_use", "id": id, "name": name, "input": {}}),
        };
        let index = self.index;
        frame(
            "content_block_start",
            &json!({"type": "content_block_start", "index": index, "content_block": start}),
            out,
        );
        let waiting = std::mem::take(&mut block.waiting);
        if !waiting.is_empty() {
            delta(index, &block.kind, &waiting, out);
        }
    }

    fn close_first(&mut self, out: &mut Vec<u8>) {
        let Some(block) = self.blocks.pop_front() else {
            return;
        };
        let index = self.index;
        if let BlockKind::Thinking { signature } = block.kind {
            let signature = signature.unwrap_or_else(|| carried::write(None, None));
            let signed = json!({"type": "signature_delta", "signature": signature});
            frame(
                "content_block_delta",
                &json!({"type": "content_block_delta", "index": index, "delta": signed}),
                out,
            );
        }
        frame(
            "content_block_stop",
            &json!({"type": "content_block_stop", "index": index}),
            out,
        );
        self.index += 1;
    }

    fn open_message(&mut self, out: &mut Vec<u8>) {
        if self.opened {
            return;
        }
        self.opened = true;
        let usage = self.usage.map(|usage| Usage {
            output: 0,
            reasoning: 0,
            ..usage
        });
        let message = json!({
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.options.model,
            "content": [],
            "stop_reason": null,
            "stop_sequence": null,
            "stop_details": null,
            "usage": usage_json(&usage.unwrap_or_default()),
        });
        frame(
            "message_start",
            &json!({"type": "message_start", "message": message}),
            out,
        );
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.over = true;
        let refusal = std::mem::take(&mut self.refusal);
        if !refusal.is_empty() && self.finish != Some(FinishReason::ContentFilter) {
            self.text(&refusal, out);
        }
        self.close_all(out);
        self.open_message(out);
        let finish = ended(self.finish, self.calls > 0, !refusal.is_empty());
        let delta = json!({
            "stop_reason": stop_reason(finish),
            "stop_sequence": null,
            "stop_details": stop_details(finish, Some(refusal.as_str()).filter(|words| !words.is_empty())),
        });
        let usage = usage_json(&self.usage.unwrap_or_default());
        frame(
            "message_delta",
            &json!({"type": "message_delta", "delta": delta, "usage": usage}),
            out,
        );
        frame("message_stop", &json!({"type": "message_stop"}), out);
    }
}

/// Writes a piece of a block.
fn delta(index: u32, kind: &BlockKind, piece: &str, out: &mut Vec<u8>) {
    let (kind, name) = match kind {
        BlockKind::Text => ("text_delta", "text"),
        BlockKind::Thinking { .. } => ("thinking_delta", "thinking"),
        BlockKind::Call { .. } => ("input_json_delta", "partial_json"),
        BlockKind::Whole(_) => return,
    };
    // These come by the hundred: they are written without a tree.
    out.extend_from_slice(b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":");
    write(&index, out);
    for word in [",\"delta\":{\"type\":\"", kind, "\",\"", name, "\":"] {
        out.extend_from_slice(word.as_bytes());
    }
    write(piece, out);
    out.extend_from_slice(b"}}\n\n");
}

fn write<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("writing JSON to memory cannot fail");
}

/// Writes a frame. The SDKs drop frames without a name.
pub(super) fn frame<T: Serialize>(event: &str, data: &T, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(event.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    serde_json::to_writer(&mut *out, data).expect("writing JSON to memory cannot fail");
    out.extend_from_slice(b"\n\n");
}
