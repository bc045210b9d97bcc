//! The eye on a stream of this dialect that passes through, see [`PassScanner`](crate::framing::pass::PassScanner).

use bytes::Bytes;
use types::answer::FinishReason;
use types::outcome::{Failure, OutcomeClass};

use super::errors;
use super::usage::{Reported, finish_reason};
use crate::framing::json::{Cursor, Fault, Kind, Surrogates};
use crate::framing::pass::{Judge, PassFacts, Verdict};

/// Decides on events.
#[derive(Debug, Default)]
pub struct PassJudge {
    facts: PassFacts,
    usage: Reported,
    content: bool,
}

/// What one event says.
#[derive(Default)]
struct Told<'a> {
    kind: Option<&'a str>,
    id: Option<String>,
    model: Option<String>,
    usage: Option<&'a str>,
    finish: Option<FinishReason>,
    /// Something of the answer is in it.
    content: bool,
}

impl PassJudge {
    /// For one stream.
    pub fn new() -> PassJudge {
        PassJudge::default()
    }

    fn note(&mut self, told: Told<'_>) -> Verdict {
        let facts = &mut self.facts;
        facts.id = facts.id.take().or(told.id);
        facts.model = facts.model.take().or(told.model);
        facts.finish = told.finish.or(facts.finish);
        if let Some(usage) = told.usage.and_then(|text| serde_json::from_str(text).ok()) {
            self.usage.update(usage);
            facts.usage = Some(self.usage.usage());
        }
        let content = told.content || told.finish.is_some();
        self.content |= content;
        Verdict::Forward { content }
    }
}

impl Judge for PassJudge {
    fn frame(&mut self, event: &[u8], data: &str) -> Verdict {
        let Ok(told) = read(data) else {
            return Verdict::Malformed;
        };
        let named = std::str::from_utf8(event).unwrap_or_default();
        match told.kind.unwrap_or(named) {
            "error" | "" => match errors::classify_event(data.as_bytes()) {
                Some(failure) => Verdict::Error(failure),
                None => Verdict::Malformed,
            },
            "message_stop" if self.content => Verdict::Done,
            "message_stop" => {
                let message = "a stream without content and without a stop reason";
                Verdict::Error(Failure::new(OutcomeClass::BadResponse, message))
            }
            "message_start" | "content_block_start" | "content_block_delta" | "message_delta" => self.note(told),
            // `ping`, `content_block_stop`, and those of tomorrow.
            _ => Verdict::Forward { content: false },
        }
    }

    fn stray(&mut self, text: &str) -> Option<Failure> {
        errors::classify_event(text.as_bytes())
    }

    /// Only `message_stop` ends a stream.
    fn ended(&self) -> Option<Bytes> {
        None
    }

    fn facts(&self) -> &PassFacts {
        &self.facts
    }
}

fn read(data: &str) -> Result<Told<'_>, Fault> {
    let mut cursor = Cursor::new(data, Surrogates::Any);
    let mut told = Told::default();
    let mut more = cursor.open_object()?;
    while more {
        match cursor.key()?.raw() {
            "type" if cursor.peek()? == Kind::String => told.kind = Some(cursor.string()?.raw()),
            "message" if cursor.peek()? == Kind::Object => message(&mut cursor, &mut told, data)?,
            "content_block" if cursor.peek()? == Kind::Object => block(&mut cursor, &mut told)?,
            "delta" if cursor.peek()? == Kind::Object => delta(&mut cursor, &mut told)?,
            "usage" => told.usage = Some(slice(&mut cursor, data)?),
            _ => cursor.skip()?,
        }
        more = cursor.more_members()?;
    }
    cursor.finish()?;
    Ok(told)
}

fn message<'a>(cursor: &mut Cursor<'a>, told: &mut Told<'a>, data: &'a str) -> Result<(), Fault> {
    let mut more = cursor.open_object()?;
    while more {
        match cursor.key()?.raw() {
            "id" => told.id = string(cursor)?,
            "model" => told.model = string(cursor)?,
            "usage" => told.usage = Some(slice(cursor, data)?),
            _ => cursor.skip()?,
        }
        more = cursor.more_members()?;
    }
    Ok(())
}

/// The start of a text or of thinking says nothing yet; that of any other block does.
fn block(cursor: &mut Cursor<'_>, told: &mut Told<'_>) -> Result<(), Fault> {
    let mut more = cursor.open_object()?;
    while more {
        match cursor.key()?.raw() {
            "type" if cursor.peek()? == Kind::String => {
                told.content |= !matches!(cursor.string()?.raw(), "text" | "thinking");
            }
            "text" | "thinking" if cursor.peek()? == Kind::String => told.content |= !cursor.string()?.is_empty(),
            _ => cursor.skip()?,
        }
        more = cursor.more_members()?;
    }
    Ok(())
}

/// A delta of a block, or of the message (then it has the stop reason).
fn delta(cursor: &mut Cursor<'_>, told: &mut Told<'_>) -> Result<(), Fault> {
    let mut more = cursor.open_object()?;
    while more {
        match cursor.key()?.raw() {
            "type" | "stop_sequence" => cursor.skip()?,
            "stop_reason" if cursor.peek()? == Kind::String => {
                told.finish = Some(finish_reason(cursor.string()?.raw()));
            }
            // `text`, `thinking`, `signature`, `partial_json`, and those of tomorrow.
            _ => match cursor.peek()? {
                Kind::String => told.content |= !cursor.string()?.is_empty(),
                Kind::Object => {
                    cursor.skip()?;
                    told.content = true;
                }
                Kind::Array | Kind::Number | Kind::Bool | Kind::Null => cursor.skip()?,
            },
        }
        more = cursor.more_members()?;
    }
    Ok(())
}

fn string(cursor: &mut Cursor<'_>) -> Result<Option<String>, Fault> {
    if cursor.peek()? == Kind::String {
        let text = cursor.string()?;
        return Ok((!text.is_empty()).then(|| text.unescaped().into_owned()));
    }
    cursor.skip()?;
    Ok(None)
}

/// A value as it stands.
fn slice<'a>(cursor: &mut Cursor<'a>, data: &'a str) -> Result<&'a str, Fault> {
    let start = cursor.offset();
    cursor.skip()?;
    Ok(&data[start..cursor.end()])
}
