//! What one answer or one chunk of a stream says about itself, read without a tree: the pass-through's only look at what
//! it forwards.

use types::answer::FinishReason;
use types::usage::Usage;

use crate::framing::json::{Cursor, Fault, Kind, Surrogates, Text};

/// The facts of one JSON object that is an answer, a chunk or an error.
#[derive(Debug, Clone, Default)]
pub struct Facts<'a> {
    /// `id`.
    pub id: Option<Text<'a>>,
    /// `model`.
    pub model: Option<Text<'a>>,
    /// `created`.
    pub created: Option<u64>,
    /// `usage`, or Groq's `x_groq.usage`.
    pub usage: Option<Usage>,
    /// It carries an error that is not null (`error`, `x_groq.error`, a finish reason `error`).
    pub error: bool,
    /// Number of items of `choices`; `None` when the object has no such array.
    pub choices: Option<u32>,
    /// Some choice says something: text, refusal, reasoning, a tool call, or what else a provider may invent.
    pub content: bool,
    /// Some choice says a refusal.
    pub refusal: bool,
    /// The choices that are there, one bit each.
    pub seen: u128,
    /// Those of them with a finish reason.
    pub finished: u128,
    /// The last finish reason that is there.
    pub finish: Option<FinishReason>,
    /// Some choice was ended by a filter.
    pub filtered: bool,
}

/// Reads the facts of a JSON text that must be an object.
pub fn read_facts(text: &str) -> Result<Facts<'_>, Fault> {
    let mut cursor = Cursor::new(text, Surrogates::Any);
    let mut facts = Facts::default();
    let mut more = cursor.open_object()?;
    while more {
        match cursor.key()?.raw() {
            "id" => facts.id = string(&mut cursor)?,
            "model" => facts.model = string(&mut cursor)?,
            "created" => facts.created = number(&mut cursor)?,
            "choices" if cursor.peek()? == Kind::Array => choices(&mut cursor, &mut facts)?,
            "usage" => facts.usage = usage(&mut cursor)?.or(facts.usage),
            "error" => facts.error |= is_there(&mut cursor)?,
            "x_groq" if cursor.peek()? == Kind::Object => {
                let mut more = cursor.open_object()?;
                while more {
                    match cursor.key()?.raw() {
                        "usage" => facts.usage = usage(&mut cursor)?.or(facts.usage),
                        "error" => facts.error |= is_there(&mut cursor)?,
                        _ => cursor.skip()?,
                    }
                    more = cursor.more_members()?;
                }
            }
            _ => cursor.skip()?,
        }
        more = cursor.more_members()?;
    }
    cursor.finish()?;
    Ok(facts)
}

/// A finish reason of this dialect, and its accents (Mistral's `model_length`, TGI's `eos_token`). An unknown one is a
/// stop: the answer did end.
pub fn finish_reason(word: &str) -> FinishReason {
    match word {
        "length" | "model_length" | "max_tokens" => FinishReason::Length,
        "tool_calls" | "function_call" => FinishReason::ToolCalls,
        "content_filter" => FinishReason::ContentFilter,
        _ => FinishReason::Stop,
    }
}

fn choices(cursor: &mut Cursor<'_>, facts: &mut Facts<'_>) -> Result<(), Fault> {
    let mut count = 0;
    let mut more = cursor.open_array()?;
    while more {
        if cursor.peek()? == Kind::Object {
            choice(cursor, facts, count)?;
        } else {
            cursor.skip()?;
        }
        count += 1;
        more = cursor.more_items()?;
    }
    facts.choices = Some(count);
    Ok(())
}

fn choice(cursor: &mut Cursor<'_>, facts: &mut Facts<'_>, position: u32) -> Result<(), Fault> {
    let mut index = u64::from(position);
    let mut finished = false;
    let mut more = cursor.open_object()?;
    while more {
        match cursor.key()?.raw() {
            "index" => index = number(cursor)?.unwrap_or(index),
            "finish_reason" => {
                // Some servers write an empty word instead of `null`.
                if let Some(word) = string(cursor)?.filter(|word| !word.is_empty()) {
                    let reason = finish_reason(word.raw());
                    finished = true;
                    facts.finish = Some(reason);
                    facts.filtered |= reason == FinishReason::ContentFilter;
                    // Mistral ends a stream that broke within itself so.
                    facts.error |= word.raw() == "error";
                }
            }
            "delta" | "message" if cursor.peek()? == Kind::Object => said(cursor, facts)?,
            // Legacy completions; some servers answer chat so.
            "text" => facts.content |= is_there(cursor)?,
            _ => cursor.skip()?,
        }
        more = cursor.more_members()?;
    }
    let bit = 1 << index.min(127);
    facts.seen |= bit;
    if finished {
        facts.finished |= bit;
    }
    Ok(())
}

/// What a delta or a message says: every member but the role counts when it is not empty.
fn said(cursor: &mut Cursor<'_>, facts: &mut Facts<'_>) -> Result<(), Fault> {
    let mut more = cursor.open_object()?;
    while more {
        match cursor.key()?.raw() {
            "role" | "name" => cursor.skip()?,
            "refusal" => {
                let refusal = is_there(cursor)?;
                facts.refusal |= refusal;
                facts.content |= refusal;
            }
            _ => facts.content |= is_there(cursor)?,
        }
        more = cursor.more_members()?;
    }
    Ok(())
}

/// Skips a value; whether it is more than `null`, `false`, `""`, `[]` or `{}`.
fn is_there(cursor: &mut Cursor<'_>) -> Result<bool, Fault> {
    match cursor.peek()? {
        Kind::String => Ok(!cursor.string()?.is_empty()),
        Kind::Bool => cursor.bool(),
        Kind::Null => {
            cursor.skip()?;
            Ok(false)
        }
        Kind::Number => {
            cursor.skip()?;
            Ok(true)
        }
        Kind::Object | Kind::Array => {
            let inside = cursor.offset() + 1;
            cursor.skip()?;
            // `[ ]` with a blank inside counts as something; nobody writes it.
            Ok(cursor.end() - inside > 1)
        }
    }
}

fn usage(cursor: &mut Cursor<'_>) -> Result<Option<Usage>, Fault> {
    if cursor.peek()? != Kind::Object {
        cursor.skip()?;
        return Ok(None);
    }
    let mut usage = Usage::default();
    let mut told = false;
    let mut more = cursor.open_object()?;
    while more {
        let (slot, counts): (&mut u64, bool) = match cursor.key()?.raw() {
            "prompt_tokens" => (&mut usage.input, true),
            "completion_tokens" => (&mut usage.output, true),
            // DeepSeek.
            "prompt_cache_hit_tokens" => (&mut usage.cached_input, false),
            side @ ("prompt_tokens_details" | "completion_tokens_details") => {
                details(cursor, &mut usage, side == "prompt_tokens_details")?;
                more = cursor.more_members()?;
                continue;
            }
            _ => {
                cursor.skip()?;
                more = cursor.more_members()?;
                continue;
            }
        };
        if let Some(value) = number(cursor)? {
            *slot = value;
            told |= counts;
        }
        more = cursor.more_members()?;
    }
    Ok(told.then_some(usage))
}

fn details(cursor: &mut Cursor<'_>, usage: &mut Usage, prompt: bool) -> Result<(), Fault> {
    if cursor.peek()? != Kind::Object {
        return cursor.skip();
    }
    let mut more = cursor.open_object()?;
    while more {
        match cursor.key()?.raw() {
            "cached_tokens" => usage.cached_input = number(cursor)?.unwrap_or(usage.cached_input),
            "cache_write_tokens" => usage.cache_write_input = number(cursor)?.unwrap_or(0),
            "reasoning_tokens" => usage.reasoning = number(cursor)?.unwrap_or(0),
            "audio_tokens" if prompt => usage.audio_input = number(cursor)?.unwrap_or(0),
            "audio_tokens" => usage.audio_output = number(cursor)?.unwrap_or(0),
            "image_tokens" if prompt => usage.image_input = number(cursor)?.unwrap_or(0),
            "image_tokens" => usage.image_output = number(cursor)?.unwrap_or(0),
            _ => cursor.skip()?,
        }
        more = cursor.more_members()?;
    }
    Ok(())
}

fn string<'a>(cursor: &mut Cursor<'a>) -> Result<Option<Text<'a>>, Fault> {
    if cursor.peek()? == Kind::String {
        return cursor.string().map(Some);
    }
    cursor.skip()?;
    Ok(None)
}

/// A count; fractions are cut off, negative numbers are none.
fn number(cursor: &mut Cursor<'_>) -> Result<Option<u64>, Fault> {
    if cursor.peek()? != Kind::Number {
        cursor.skip()?;
        return Ok(None);
    }
    let text = cursor.number()?;
    let whole = text.parse().ok();
    Ok(whole.or_else(|| text.parse::<f64>().ok().filter(|n| *n >= 0.0).map(|n| n as u64)))
}
