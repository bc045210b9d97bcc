//! Whole answers: from a `message` object to the neutral model.
//!
//! Blocks of the provider's own tools (`server_tool_use`, `*_tool_result`, `container_upload`) and blocks of kinds not yet
//! known are passed over: what they found out is told in the text blocks beside them.

use serde::Deserialize;
use serde_json::value::RawValue;
use types::answer::{AnswerPart, ChatAnswer, Choice, FinishReason};
use types::chat::{Reasoning, ToolCall};
use types::dialect::DialectName;
use types::outcome::{Failure, OutcomeClass};

use super::errors;
use super::usage::{Reported, finish_reason};
use crate::failure::{Told, failure};
use crate::response::{AnswerFacts, RawAnswer};

#[derive(Debug, Deserialize)]
struct Message<'a> {
    id: Option<String>,
    model: Option<String>,
    #[serde(borrow)]
    content: Option<Vec<&'a RawValue>>,
    stop_reason: Option<String>,
    stop_details: Option<StopDetails>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

/// `stop_details`: more about a refusal.
#[derive(Debug, Deserialize)]
pub(super) struct StopDetails {
    /// For people; its wording is not stable.
    pub explanation: Option<String>,
}

/// A block's kind, read before the rest: blocks of other kinds may use the same field names for other things.
#[derive(Debug, Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: String,
}

/// A block we know.
#[derive(Debug)]
pub(super) enum Block {
    /// `text`.
    Text(String),
    /// `thinking`: text and signature, either of which may be empty.
    Thinking(String, String),
    /// `redacted_thinking`.
    Redacted(String),
    /// `tool_use`.
    ToolUse {
        /// Its id.
        id: String,
        /// The tool.
        name: String,
        /// `input` as it was written; absent when it was.
        input: Option<String>,
    },
    /// Any other.
    Other,
}

impl Block {
    /// Reads a block; `None` when it is none.
    pub fn read(raw: &RawValue) -> Option<Block> {
        #[derive(Deserialize)]
        struct Text {
            text: String,
        }
        #[derive(Deserialize)]
        struct Thinking {
            #[serde(default)]
            thinking: Option<String>,
            #[serde(default)]
            signature: Option<String>,
        }
        #[derive(Deserialize)]
        struct Redacted {
            data: String,
        }
        #[derive(Deserialize)]
        struct ToolUse {
            id: Option<String>,
            name: String,
            input: Option<Box<RawValue>>,
        }
        fn as_a<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
            serde_json::from_str(raw.get()).ok()
        }
        let kind: Kind = as_a(raw)?;
        Some(match kind.kind.as_str() {
            "text" => Block::Text(as_a::<Text>(raw)?.text),
            "thinking" => {
                let block: Thinking = as_a(raw)?;
                let (text, signature) = (block.thinking, block.signature);
                Block::Thinking(text.unwrap_or_default(), signature.unwrap_or_default())
            }
            "redacted_thinking" => Block::Redacted(as_a::<Redacted>(raw)?.data),
            "tool_use" => {
                let block: ToolUse = as_a(raw)?;
                Block::ToolUse {
                    id: block.id.unwrap_or_default(),
                    name: block.name,
                    input: block.input.map(|input| input.get().to_owned()),
                }
            }
            _ => Block::Other,
        })
    }
}

/// Reads a whole answer. A status that is not 2xx, an error inside a 200, what is no message, and a message without content
/// and without a stop reason are failures; a refusal is an answer.
pub fn decode_answer(raw: RawAnswer<'_>) -> Result<ChatAnswer, Failure> {
    let message = read_message(raw)?;
    let content = message.content.unwrap_or_default();
    let mut parts = Vec::with_capacity(content.len());
    for block in content {
        let block = Block::read(block).ok_or_else(|| bad(raw, "a content block that is none"))?;
        parts.extend(part(block));
    }
    let told = message.stop_details.and_then(|details| details.explanation);
    if let (Some("refusal"), Some(text)) = (message.stop_reason.as_deref(), told) {
        parts.push(AnswerPart::Refusal { text });
    }
    #[derive(Deserialize)]
    struct Tier {
        service_tier: Option<String>,
    }
    let usage: Option<Reported> = message.usage.and_then(|usage| serde_json::from_str(usage.get()).ok());
    let tier: Option<Tier> = message.usage.and_then(|usage| serde_json::from_str(usage.get()).ok());
    Ok(ChatAnswer {
        id: message.id.unwrap_or_default(),
        model: message.model.unwrap_or_default(),
        created: 0,
        choices: vec![Choice {
            index: 0,
            parts,
            finish: message.stop_reason.as_deref().map(finish_reason),
            logprobs: None,
        }],
        usage: usage.map(|usage| usage.usage()),
        fingerprint: None,
        service_tier: tier.and_then(|usage| usage.service_tier),
    })
}

/// Looks at a whole answer that passes. Fails on what [`decode_answer`] fails on, but does not open the blocks.
pub fn inspect_answer(raw: RawAnswer<'_>) -> Result<AnswerFacts, Failure> {
    let message = read_message(raw)?;
    let usage: Option<Reported> = message.usage.and_then(|usage| serde_json::from_str(usage.get()).ok());
    let finish = message.stop_reason.as_deref().map(finish_reason);
    Ok(AnswerFacts {
        usage: usage.map(|usage| usage.usage()),
        model: message.model,
        finish,
        filtered: finish == Some(FinishReason::ContentFilter),
    })
}

fn read_message(raw: RawAnswer<'_>) -> Result<Message<'_>, Failure> {
    if !(200..300).contains(&raw.status) || errors::is_error(raw.body) {
        return Err(errors::classify(raw));
    }
    let message: Message<'_> = match serde_json::from_slice(raw.body) {
        Ok(message) => message,
        Err(_) => return Err(bad(raw, errors::not_an_answer(raw.body))),
    };
    if message.content.as_ref().is_none_or(Vec::is_empty) && message.stop_reason.is_none() {
        return Err(bad(raw, "a message without content and without a stop reason"));
    }
    Ok(message)
}

fn bad(raw: RawAnswer<'_>, message: &str) -> Failure {
    let told = Told {
        message,
        ..Told::default()
    };
    failure(OutcomeClass::BadResponse, raw, told)
}

fn part(block: Block) -> Option<AnswerPart> {
    match block {
        Block::Text(text) => (!text.is_empty()).then_some(AnswerPart::Text { text }),
        Block::Thinking(text, signature) => {
            let signature = Some(signature).filter(|signature| !signature.is_empty());
            (!text.is_empty() || signature.is_some()).then_some(AnswerPart::Reasoning(Reasoning {
                text,
                signature,
                redacted: None,
                origin: Some(DialectName::AnthropicMessages),
            }))
        }
        Block::Redacted(data) => Some(AnswerPart::Reasoning(Reasoning {
            text: String::new(),
            signature: None,
            redacted: Some(data),
            origin: Some(DialectName::AnthropicMessages),
        })),
        Block::ToolUse { id, name, input } => Some(AnswerPart::ToolCall(ToolCall {
            id,
            name,
            arguments: input.unwrap_or_else(|| "{}".to_owned()),
            signature: None,
        })),
        Block::Other => None,
    }
}
