//! What reading a provider's answer takes, the same for every dialect.

use bytes::Bytes;
use http::HeaderMap;
use types::answer::FinishReason;
use types::event::StreamEvent;
use types::time::UnixMillis;
use types::usage::Usage;

/// A provider's whole answer as it came.
#[derive(Debug, Clone, Copy)]
pub struct RawAnswer<'a> {
    /// HTTP status.
    pub status: u16,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body.
    pub body: &'a [u8],
    /// When it came: dates in `retry-after` and reset headers are relative to it.
    pub received: UnixMillis,
}

/// A stream's decoder: push bytes, poll events.
///
/// Chunk boundaries do not matter. After the end of the body [`Decode::finish`] is called once; what `poll` gives
/// after that ends with [`StreamEvent::End`] (given before or now) or with a [`StreamEvent::Error`] of class
/// `stream_broken` when the terminal event never came. Nothing follows `End` or `Error`.
pub trait Decode {
    /// Takes in the next bytes of the body.
    fn push(&mut self, bytes: &[u8]);
    /// The body ended cleanly.
    fn finish(&mut self);
    /// The next event.
    fn poll(&mut self) -> Option<StreamEvent>;
    /// How many frames were no valid frame of the dialect; each was dropped.
    fn malformed(&self) -> u32;
}

/// What the pass-through must know of a whole answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AnswerFacts {
    /// Token counts, when told.
    pub usage: Option<Usage>,
    /// The model that answered, as the provider calls it.
    pub model: Option<String>,
    /// Why it ended (of several choices, the last one's).
    pub finish: Option<FinishReason>,
    /// A filter or a refusal is in it. It is an answer all the same.
    pub filtered: bool,
}

/// A stream's encoder: events in, frames of the client's dialect out.
///
/// Fed the events of a stream that broke (its start, reasoning and text, each as one), it stands where that stream's own encoder
/// stood: so a continuation goes on with the same answer. A second `Start` changes nothing.
pub trait Encode {
    /// Appends the frames of one event to `out`; some events have none. An error writes nothing: how a call's failure is told
    /// is not a translation (see [`crate::server::error_event`]).
    fn encode(&mut self, event: &StreamEvent, out: &mut Vec<u8>);
}

/// Under which name reasoning text is written in `openai_chat`; the dialect itself has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReasoningField {
    /// `reasoning_content` (DeepSeek, vLLM).
    #[default]
    ReasoningContent,
    /// `reasoning` (Groq, OpenRouter, Ollama).
    Reasoning,
}

/// Who an answer says it is, and what of the question it repeats.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EncoderOptions {
    /// The id to use when the provider gives none of its own, or none of the client's dialect: the call's id, without a prefix.
    pub id: String,
    /// Used when the provider names no model.
    pub model: String,
    /// Unix seconds; used when the provider does not tell.
    pub created: u64,
    /// The client asked for the usage chunk.
    pub include_usage: bool,
    /// The name of reasoning text.
    pub reasoning_field: ReasoningField,
    /// The client's request as it came: some dialects repeat parts of it in the answer.
    pub request: Bytes,
}
