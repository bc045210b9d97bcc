//! What one response object or one event of a stream says about itself, read without a tree: the pass-through's only look at
//! what it forwards.

use types::answer::FinishReason;
use types::usage::Usage;

use crate::framing::json::{Cursor, Fault, Kind, Surrogates, Text};

/// The facts of a response object.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ResponseFacts<'a> {
    pub(super) id: Option<Text<'a>>,
    pub(super) model: Option<Text<'a>>,
    pub(super) created: Option<u64>,
    pub(super) status: Option<Text<'a>>,
    /// Why it is incomplete.
    pub(super) reason: Option<Text<'a>>,
    pub(super) usage: Option<Usage>,
    /// The JSON of an `error` that is not null.
    pub(super) error: Option<&'a str>,
    /// Number of items of `output`; `None` when there is no such array.
    pub(super) items: Option<u32>,
    /// Some item calls a tool of the client's.
    pub(super) calls: bool,
    /// Some message refuses.
    pub(super) refusal: bool,
}

impl ResponseFacts<'_> {
    /// It has no output and does not even say that it ended.
    pub(super) fn is_empty(&self) -> bool {
        self.status.is_none() && self.items.unwrap_or(0) == 0
    }

    /// Why it ended; `None` while it runs, and when it failed.
    pub(super) fn finish(&self) -> Option<FinishReason> {
        match self.status.map(Text::raw) {
            Some("completed") if self.calls => Some(FinishReason::ToolCalls),
            Some("completed") => Some(FinishReason::Stop),
            Some("incomplete") => Some(incomplete_reason(self.reason.map(Text::raw))),
            Some(_) | None => None,
        }
    }
}

/// What `incomplete_details.reason` means.
pub(super) fn incomplete_reason(word: Option<&str>) -> FinishReason {
    match word {
        Some("content_filter") => FinishReason::ContentFilter,
        // Another's instruction cut it; nothing is missing that a longer limit would have given.
        Some("steered") => FinishReason::Stop,
        Some(_) | None => FinishReason::Length,
    }
}

/// The facts of a stream's event.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct EventFacts<'a> {
    pub(super) kind: Option<Text<'a>>,
    pub(super) response: Option<ResponseFacts<'a>>,
    /// It has a delta, and that is empty.
    pub(super) empty_delta: bool,
    /// It carries an `error` that is not null.
    pub(super) error: bool,
}

/// Reads a response object (or an error body: then only `error` is there).
pub(super) fn read_response(text: &str) -> Result<ResponseFacts<'_>, Fault> {
    let mut cursor = Cursor::new(text, Surrogates::Any);
    let facts = response(&mut cursor, text)?;
    cursor.finish()?;
    Ok(facts)
}

/// Reads an event.
pub(super) fn read_event(text: &str) -> Result<EventFacts<'_>, Fault> {
    let mut cursor = Cursor::new(text, Surrogates::Any);
    let mut facts = EventFacts::default();
    let mut more = cursor.open_object()?;
    while more {
        match cursor.key()?.raw() {
            "type" => facts.kind = string(&mut cursor)?,
            "response" if cursor.peek()? == Kind::Object => facts.response = Some(response(&mut cursor, text)?),
            "delta" if cursor.peek()? == Kind::String => facts.empty_delta = cursor.string()?.is_empty(),
            "error" => facts.error = not_null(&mut cursor, text)?.is_some(),
            _ => cursor.skip()?,
        }
        more = cursor.more_members()?;
    }
    cursor.finish()?;
    Ok(facts)
}

fn response<'a>(cursor: &mut Cursor<'a>, text: &'a str) -> Result<ResponseFacts<'a>, Fault> {
    let mut facts = ResponseFacts::default();
    let mut more = cursor.open_object()?;
    while more {
        match cursor.key()?.raw() {
            "id" => facts.id = string(cursor)?,
            "model" => facts.model = string(cursor)?,
            "created_at" => facts.created = seconds(cursor)?,
            "status" => facts.status = string(cursor)?,
            "error" => facts.error = not_null(cursor, text)?,
            "usage" => facts.usage = usage(cursor)?,
            "incomplete_details" => members(cursor, |cursor, name| {
                if name == "reason" {
                    facts.reason = string(cursor)?;
                    return Ok(());
                }
                cursor.skip()
            })?,
            "output" if cursor.peek()? == Kind::Array => {
                let mut count = 0;
                let mut more = cursor.open_array()?;
                while more {
                    members(cursor, |cursor, name| item(cursor, name, &mut facts))?;
                    count += 1;
                    more = cursor.more_items()?;
                }
                facts.items = Some(count);
            }
            _ => cursor.skip()?,
        }
        more = cursor.more_members()?;
    }
    Ok(facts)
}

fn item(cursor: &mut Cursor<'_>, name: &str, facts: &mut ResponseFacts<'_>) -> Result<(), Fault> {
    match name {
        "type" => {
            let kind = string(cursor)?.map(Text::raw);
            facts.calls |= matches!(kind, Some("function_call" | "custom_tool_call"));
        }
        "content" if cursor.peek()? == Kind::Array => {
            let mut more = cursor.open_array()?;
            while more {
                members(cursor, |cursor, name| {
                    if name == "type" {
                        facts.refusal |= string(cursor)?.is_some_and(|kind| kind.raw() == "refusal");
                        return Ok(());
                    }
                    cursor.skip()
                })?;
                more = cursor.more_items()?;
            }
        }
        _ => cursor.skip()?,
    }
    Ok(())
}

fn usage(cursor: &mut Cursor<'_>) -> Result<Option<Usage>, Fault> {
    let mut usage = Usage::default();
    let mut told = false;
    members(cursor, |cursor, name| {
        match name {
            "input_tokens" | "output_tokens" => {
                let Some(count) = number(cursor)? else { return Ok(()) };
                told = true;
                if name == "input_tokens" {
                    usage.input = count;
                } else {
                    usage.output = count;
                }
            }
            "input_tokens_details" | "output_tokens_details" => members(cursor, |cursor, name| {
                let slot = match name {
                    "cached_tokens" => &mut usage.cached_input,
                    "cache_write_tokens" => &mut usage.cache_write_input,
                    "reasoning_tokens" => &mut usage.reasoning,
                    _ => return cursor.skip(),
                };
                *slot = number(cursor)?.unwrap_or(*slot);
                Ok(())
            })?,
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    Ok(told.then_some(usage))
}

/// Walks an object's members; anything else is skipped.
fn members<'a>(
    cursor: &mut Cursor<'a>,
    mut member: impl FnMut(&mut Cursor<'a>, &'a str) -> Result<(), Fault>,
) -> Result<(), Fault> {
    if cursor.peek()? != Kind::Object {
        return cursor.skip();
    }
    let mut more = cursor.open_object()?;
    while more {
        let name = cursor.key()?.raw();
        member(cursor, name)?;
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

fn number(cursor: &mut Cursor<'_>) -> Result<Option<u64>, Fault> {
    if cursor.peek()? == Kind::Number {
        return Ok(cursor.number()?.parse().ok());
    }
    cursor.skip()?;
    Ok(None)
}

/// Some servers write the time with a fraction.
fn seconds(cursor: &mut Cursor<'_>) -> Result<Option<u64>, Fault> {
    if cursor.peek()? == Kind::Number {
        let whole = cursor.number()?.split(['.', 'e', 'E']).next();
        return Ok(whole.and_then(|whole| whole.parse().ok()));
    }
    cursor.skip()?;
    Ok(None)
}

fn not_null<'a>(cursor: &mut Cursor<'a>, text: &'a str) -> Result<Option<&'a str>, Fault> {
    let null = cursor.peek()? == Kind::Null;
    let start = cursor.offset();
    cursor.skip()?;
    Ok((!null).then(|| &text[start..cursor.end()]))
}
