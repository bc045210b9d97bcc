//! The neutral model of a streamed answer: what every dialect's stream is decoded to and encoded from.

use serde::{Deserialize, Serialize};

use crate::answer::FinishReason;
use crate::chat::Json;
use crate::dialect::DialectName;
use crate::outcome::Failure;
use crate::usage::Usage;

/// One thing a stream says. A well-formed stream is `Start`, deltas of several choices mixed, a `Finish` for each
/// choice, perhaps `Usage`, then `End`; `Ping` and `Error` come anywhere, nothing comes after `End` or `Error`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum StreamEvent {
    /// The answer begins. No content yet: a failure after it is still invisible to the client.
    Start {
        /// The provider's id.
        id: String,
        /// The model that answers.
        model: String,
        /// Unix seconds; 0 when not told.
        created: u64,
    },
    /// Text.
    Text {
        /// Which choice.
        choice: u32,
        /// The piece.
        text: String,
        /// OpenAI's `logprobs` object of this piece, as written.
        logprobs: Option<Json>,
    },
    /// A refusal in words.
    Refusal {
        /// Which choice.
        choice: u32,
        /// The piece.
        text: String,
    },
    /// Reasoning text.
    Reasoning {
        /// Which choice.
        choice: u32,
        /// The piece.
        text: String,
    },
    /// The signature that closes a block of reasoning, or opaque reasoning.
    ReasoningSignature {
        /// Which choice.
        choice: u32,
        /// Signature over the text so far.
        signature: Option<String>,
        /// Opaque content (Anthropic's `redacted_thinking`).
        redacted: Option<String>,
        /// Whose it is.
        origin: DialectName,
    },
    /// A tool call begins.
    ToolCallStart {
        /// Which choice.
        choice: u32,
        /// Which of the choice's calls, from 0.
        index: u32,
        /// Its id.
        id: String,
        /// The tool.
        name: String,
        /// Gemini's `thoughtSignature` on this call.
        signature: Option<String>,
    },
    /// A piece of a tool call's arguments (JSON text).
    ToolCallArguments {
        /// Which choice.
        choice: u32,
        /// Which of the choice's calls.
        index: u32,
        /// The piece; may be empty.
        arguments: String,
    },
    /// A choice ended.
    Finish {
        /// Which choice.
        choice: u32,
        /// Why.
        reason: FinishReason,
    },
    /// Token counts so far; a later one replaces an earlier one.
    Usage(Usage),
    /// A sign of life without meaning.
    Ping,
    /// The provider reported an error inside the stream.
    Error(Failure),
    /// The dialect's terminal event was seen (`[DONE]`, `message_stop`, a finish reason before a clean end at Gemini).
    End,
}

impl StreamEvent {
    /// Whether the client sees something of the model's answer in it: the first such event commits the call.
    /// An empty piece is none (OpenAI opens every stream with `content: ""`).
    pub fn is_content(&self) -> bool {
        match self {
            StreamEvent::Text { text, .. }
            | StreamEvent::Refusal { text, .. }
            | StreamEvent::Reasoning { text, .. } => !text.is_empty(),
            StreamEvent::ToolCallStart { .. } | StreamEvent::ReasoningSignature { .. } => true,
            StreamEvent::ToolCallArguments { arguments, .. } => !arguments.is_empty(),
            StreamEvent::Start { .. }
            | StreamEvent::Finish { .. }
            | StreamEvent::Usage(_)
            | StreamEvent::Ping
            | StreamEvent::Error(_)
            | StreamEvent::End => false,
        }
    }
}
