//! The eye on a stream of this dialect that passes through, see [`PassScanner`](crate::framing::pass::PassScanner).
//!
//! There is no terminal event: the stream is whole when every candidate has given a finish reason and the body ends cleanly.

use bytes::Bytes;
use types::answer::FinishReason;
use types::outcome::Failure;

use crate::framing::json::{Cursor, Fault, Kind, Surrogates};
use crate::framing::pass::{Judge, PassFacts, Verdict};
use crate::gemini::chunk::{self, Chunk, UsageMetadata};
use crate::gemini::errors;

/// Decides on chunks.
#[derive(Debug, Default)]
pub struct PassJudge {
    facts: PassFacts,
    content: bool,
    /// The candidates that were there, one bit each.
    seen: u128,
    /// Those of them with a finish reason.
    finished: u128,
}

/// What one chunk says.
#[derive(Default)]
struct Told<'a> {
    id: Option<String>,
    model: Option<String>,
    usage: Option<&'a str>,
    /// It has an error, or feedback on the prompt: to be looked at in full.
    odd: bool,
    content: bool,
    called: bool,
    seen: u128,
    finished: u128,
    finish: Option<String>,
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
        let usage = told
            .usage
            .and_then(|text| serde_json::from_str::<Option<UsageMetadata>>(text).ok());
        if let Some(usage) = usage.flatten() {
            facts.usage = Some(usage.usage());
        }
        self.seen |= told.seen;
        self.finished |= told.finished;
        if let Some(word) = &told.finish {
            let called = told.called || facts.finish == Some(FinishReason::ToolCalls);
            let finish = chunk::finish_reason(word, called);
            // Nothing was shown yet, so another attempt can still answer.
            if finish == Some(FinishReason::Malformed) && !self.content && !told.content && self.seen == 1 {
                return Verdict::Error(chunk::malformed(word, None));
            }
            facts.finish = finish.or(facts.finish);
        } else if told.called {
            facts.finish = Some(FinishReason::ToolCalls);
        }
        let content = told.content || told.finish.is_some();
        self.content |= content;
        Verdict::Forward { content }
    }
}

impl Judge for PassJudge {
    fn frame(&mut self, _event: &[u8], data: &str) -> Verdict {
        // Proxies close with OpenAI's terminal frame.
        if data.trim() == "[DONE]" {
            return Verdict::Drop;
        }
        match read(data) {
            Ok(told) if told.odd => match failure(data) {
                Some(failure) => Verdict::Error(failure),
                None => self.note(told),
            },
            Ok(told) => self.note(told),
            // An error in an array is an error all the same.
            Err(_) => failure(data).map_or(Verdict::Malformed, Verdict::Error),
        }
    }

    fn stray(&mut self, text: &str) -> Option<Failure> {
        failure(text)
    }

    fn ended(&self) -> Option<Bytes> {
        (self.seen != 0 && self.finished == self.seen).then(Bytes::new)
    }

    fn is_empty(&self) -> bool {
        !self.content && self.finished == 0
    }

    fn facts(&self) -> &PassFacts {
        &self.facts
    }
}

/// The failure a chunk tells: an error, alone or in an array, or a prompt that was blocked.
fn failure(data: &str) -> Option<Failure> {
    if data.trim_start().starts_with('[') {
        let chunks: Vec<Chunk<'_>> = serde_json::from_str(data).ok()?;
        return chunks.iter().find_map(told_failure);
    }
    told_failure(&serde_json::from_str(data).ok()?)
}

fn told_failure(chunk: &Chunk<'_>) -> Option<Failure> {
    match chunk.error {
        Some(error) => Some(errors::in_stream(error)),
        None => chunk.blocked(),
    }
}

fn read(data: &str) -> Result<Told<'_>, Fault> {
    let mut cursor = Cursor::new(data, Surrogates::Any);
    let mut told = Told::default();
    let mut more = cursor.open_object()?;
    while more {
        match cursor.key()?.raw() {
            "candidates" if cursor.peek()? == Kind::Array => {
                let mut position = 0;
                let mut more = cursor.open_array()?;
                while more {
                    candidate(&mut cursor, &mut told, position)?;
                    position += 1;
                    more = cursor.more_items()?;
                }
            }
            "usageMetadata" => {
                let start = cursor.offset();
                cursor.skip()?;
                told.usage = Some(&data[start..cursor.end()]);
            }
            "responseId" => told.id = string(&mut cursor)?,
            "modelVersion" => told.model = string(&mut cursor)?,
            "error" | "promptFeedback" => {
                told.odd |= cursor.peek()? != Kind::Null;
                cursor.skip()?;
            }
            _ => cursor.skip()?,
        }
        more = cursor.more_members()?;
    }
    cursor.finish()?;
    Ok(told)
}

fn candidate(cursor: &mut Cursor<'_>, told: &mut Told<'_>, position: u64) -> Result<(), Fault> {
    if cursor.peek()? != Kind::Object {
        return cursor.skip();
    }
    let (mut index, mut finished) = (position, false);
    let mut more = cursor.open_object()?;
    while more {
        match cursor.key()?.raw() {
            "index" if cursor.peek()? == Kind::Number => index = cursor.number()?.parse().unwrap_or(position),
            "finishReason" => {
                let word = string(cursor)?.filter(|word| chunk::finish_reason(word, false).is_some());
                finished = word.is_some();
                told.finish = word.or(told.finish.take());
            }
            "content" if cursor.peek()? == Kind::Object => content(cursor, told)?,
            _ => cursor.skip()?,
        }
        more = cursor.more_members()?;
    }
    let bit = 1 << index.min(127);
    told.seen |= bit;
    if finished {
        told.finished |= bit;
    }
    Ok(())
}

fn content(cursor: &mut Cursor<'_>, told: &mut Told<'_>) -> Result<(), Fault> {
    let mut more = cursor.open_object()?;
    while more {
        if cursor.key()?.raw() == "parts" && cursor.peek()? == Kind::Array {
            let mut more = cursor.open_array()?;
            while more {
                part(cursor, told)?;
                more = cursor.more_items()?;
            }
        } else {
            cursor.skip()?;
        }
        more = cursor.more_members()?;
    }
    Ok(())
}

/// A part says something when it has a text, a call, or what else may come.
fn part(cursor: &mut Cursor<'_>, told: &mut Told<'_>) -> Result<(), Fault> {
    if cursor.peek()? != Kind::Object {
        return cursor.skip();
    }
    let mut more = cursor.open_object()?;
    while more {
        let key = cursor.key()?.raw();
        match cursor.peek()? {
            Kind::String => told.content |= !cursor.string()?.is_empty(),
            Kind::Object => {
                cursor.skip()?;
                told.content = true;
                told.called |= key == "functionCall";
            }
            Kind::Array | Kind::Number | Kind::Bool | Kind::Null => cursor.skip()?,
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
