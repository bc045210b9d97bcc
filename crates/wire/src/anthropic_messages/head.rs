//! Reads the [`Head`] of a message request: the fields that routing needs, in one pass, and what `anthropic-version` forbids.

use std::ops::Range;

use bytes::Bytes;
use http::HeaderMap;
use types::dialect::Operation;
use types::features::Features;

use crate::framing::json::{Cursor, Fault, Kind, Surrogates, Text};
use crate::head::{
    Head, MEDIA_CHARS, UsageAt, Wrong, count_text, duplicate, missing, read_bool, read_limit, read_model, utf8, wrong,
    wrong_type,
};
use crate::request::BadRequest;

/// The version that refuses sampling parameters, documents of the assistant and citations of the user.
const STRICT: &[u8] = b"2026-10-21";

/// Reads a request's head; `operation` tells whether an output limit must be there. The error is a 400 that names the place.
///
/// As at Anthropic's own address, `anthropic-version` must be there and be one of the two that exist.
pub fn read_head(body: &Bytes, headers: &HeaderMap, operation: Operation) -> Result<Head, BadRequest> {
    let strict = read_version(headers)?;
    let text = utf8(body)?;
    let mut reader = HeadReader::new(text, strict);
    reader.read().map_err(|wrong| wrong.into_bad_request(text))?;
    reader.into_head(operation)
}

/// Whether the version is the strict one.
fn read_version(headers: &HeaderMap) -> Result<bool, BadRequest> {
    let name = "anthropic-version";
    match headers.get(name).map(|version| version.as_bytes()) {
        Some(STRICT) => Ok(true),
        Some(version) if version == super::VERSION.as_bytes() => Ok(false),
        Some(_) => Err(BadRequest {
            code: Some("invalid_value"),
            ..BadRequest::param(name, format!("`{name}` must be `2023-06-01` or `2026-10-21`"))
        }),
        None => Err(BadRequest {
            code: Some("missing_required_parameter"),
            ..BadRequest::param(name, format!("the header `{name}` is required"))
        }),
    }
}

struct HeadReader<'a> {
    cursor: Cursor<'a>,
    text: &'a str,
    strict: bool,
    model: Option<(String, Range<usize>)>,
    stream: Option<bool>,
    features: Features,
    /// Whether the request needs a model that thinks, as `thinking` says it.
    thinking: Option<bool>,
    effort: bool,
    max_tokens: Option<u64>,
    prompt_chars: u64,
    messages: Option<u32>,
    /// The last message is the assistant's.
    prefill: bool,
}

/// What the strict version looks at in a message.
#[derive(Default)]
struct Found {
    document: bool,
    citations: bool,
}

impl<'a> HeadReader<'a> {
    fn new(text: &'a str, strict: bool) -> HeadReader<'a> {
        HeadReader {
            cursor: Cursor::new(text, Surrogates::Paired),
            text,
            strict,
            model: None,
            stream: None,
            features: Features::NONE,
            thinking: None,
            effort: false,
            max_tokens: None,
            prompt_chars: 0,
            messages: None,
            prefill: false,
        }
    }

    fn into_head(mut self, operation: Operation) -> Result<Head, BadRequest> {
        let (model, model_at) = self.model.ok_or_else(|| missing("model"))?;
        let messages = self.messages.ok_or_else(|| missing("messages"))?;
        match operation {
            Operation::Generate if self.max_tokens.is_none() => return Err(missing("max_tokens")),
            Operation::Generate | Operation::CountTokens | Operation::Embed => {}
        }
        if self.thinking.unwrap_or(self.effort) {
            self.features.insert(Features::REASONING);
        }
        if self.prefill {
            self.features.insert(Features::PREFILL);
        }
        Ok(Head {
            model,
            stream: self.stream.unwrap_or(false),
            include_usage: true,
            features: self.features,
            max_output_tokens: self.max_tokens,
            n: 1,
            prompt_chars: self.prompt_chars,
            messages,
            model_at: Some(model_at),
            usage_at: UsageAt::Always,
            body_len: self.text.len(),
        })
    }

    fn read(&mut self) -> Result<(), Wrong> {
        if self.cursor.peek()? != Kind::Object {
            return Err(Wrong::Request(BadRequest::body("the body must be a JSON object")));
        }
        let mut more = self.cursor.open_object()?;
        while more {
            let key = self.cursor.key()?;
            self.member(&key.unescaped())?;
            more = self.cursor.more_members()?;
        }
        Ok(self.cursor.finish()?)
    }

    fn member(&mut self, key: &str) -> Result<(), Wrong> {
        match key {
            "model" if self.model.is_some() => duplicate("model"),
            "model" => {
                self.model = Some(read_model(&mut self.cursor)?);
                Ok(())
            }
            "stream" if self.stream.is_some() => duplicate("stream"),
            "stream" => {
                self.stream = Some(read_bool(&mut self.cursor, "stream")?);
                Ok(())
            }
            "max_tokens" => {
                self.max_tokens = match read_limit(&mut self.cursor, "max_tokens")? {
                    Some(0) => return wrong("max_tokens", "invalid_value", "`max_tokens` must be at least 1"),
                    limit => limit,
                };
                Ok(())
            }
            "messages" => self.messages(),
            "system" => self.content("system", &mut Found::default()),
            "tools" => self.tools(),
            "thinking" => self.thinking(),
            "output_config" => self.output_config(),
            "output_format" => self.output_format(),
            "temperature" | "top_p" | "top_k" if self.strict && self.cursor.peek()? != Kind::Null => {
                let message =
                    format!("`{key}` is not permitted (anthropic-version 2026-10-21 has no sampling parameters)");
                wrong(key, "invalid_value", message)
            }
            _ => Ok(self.cursor.skip()?),
        }
    }

    fn tools(&mut self) -> Result<(), Wrong> {
        if self.cursor.peek()? != Kind::Array {
            return Ok(self.cursor.skip()?);
        }
        let mut more = self.cursor.open_array()?;
        if more {
            self.features.insert(Features::TOOLS);
        }
        while more {
            self.count_text()?;
            more = self.cursor.more_items()?;
        }
        Ok(())
    }

    fn thinking(&mut self) -> Result<(), Wrong> {
        let kind = self.word_of("type")?;
        self.thinking = match kind.as_deref() {
            Some("enabled") => Some(true),
            // `adaptive` lets the model decide: one that cannot think is asked without.
            Some("adaptive" | "disabled" | "between_tools") => Some(false),
            Some(_) | None => None,
        };
        Ok(())
    }

    fn output_config(&mut self) -> Result<(), Wrong> {
        if self.cursor.peek()? != Kind::Object {
            return Ok(self.cursor.skip()?);
        }
        let mut more = self.cursor.open_object()?;
        while more {
            match &*self.cursor.key()?.unescaped() {
                "effort" => self.effort = self.string_if_any()?.is_some(),
                "format" => self.output_format()?,
                _ => self.cursor.skip()?,
            }
            more = self.cursor.more_members()?;
        }
        Ok(())
    }

    fn output_format(&mut self) -> Result<(), Wrong> {
        if self.word_of("type")?.as_deref() == Some("json_schema") {
            self.features.insert(Features::JSON_SCHEMA);
        }
        Ok(())
    }

    fn messages(&mut self) -> Result<(), Wrong> {
        if self.messages.is_some() {
            return duplicate("messages");
        }
        match self.cursor.peek()? {
            Kind::Array => {}
            Kind::Null => return wrong("messages", "missing_required_parameter", "`messages` is required"),
            Kind::Object | Kind::Number | Kind::String | Kind::Bool => return wrong_type("messages", "an array"),
        }
        let mut count = 0;
        let mut more = self.cursor.open_array()?;
        if !more {
            return wrong("messages", "empty_array", "`messages` must hold at least one message");
        }
        while more {
            self.message(count)?;
            count += 1;
            more = self.cursor.more_items()?;
        }
        self.messages = Some(count);
        Ok(())
    }

    fn message(&mut self, index: u32) -> Result<(), Wrong> {
        let place = format!("messages[{index}]");
        if self.cursor.peek()? != Kind::Object {
            return wrong_type(&place, "an object");
        }
        let mut role: Option<String> = None;
        let mut has_content = false;
        let mut found = Found::default();
        let mut more = self.cursor.open_object()?;
        while more {
            match &*self.cursor.key()?.unescaped() {
                "role" => {
                    if self.cursor.peek()? != Kind::String {
                        return wrong_type(&format!("{place}.role"), "a string");
                    }
                    role = Some(self.cursor.string()?.unescaped().into_owned());
                }
                "content" => {
                    self.content(&format!("{place}.content"), &mut found)?;
                    has_content = true;
                }
                _ => self.cursor.skip()?,
            }
            more = self.cursor.more_members()?;
        }
        let Some(role) = role else {
            let param = format!("{place}.role");
            return wrong(&param, "missing_required_parameter", format!("`{param}` is required"));
        };
        if !matches!(role.as_str(), "user" | "assistant" | "system") {
            let param = format!("{place}.role");
            let message = format!("`{param}` must be `user`, `assistant` or `system`");
            return wrong(&param, "invalid_value", message);
        }
        let param = format!("{place}.content");
        if !has_content {
            return wrong(&param, "missing_required_parameter", format!("`{param}` is required"));
        }
        self.prefill = role == "assistant";
        if self.strict && found.document && role == "assistant" {
            let message = format!("`{param}`: a document is not permitted in a turn of the assistant");
            return wrong(&param, "invalid_value", message);
        }
        if self.strict && found.citations && role == "user" {
            let message = format!("`{param}`: citations are not permitted on text of the user");
            return wrong(&param, "invalid_value", message);
        }
        Ok(())
    }

    /// A string or an array of blocks.
    fn content(&mut self, place: &str, found: &mut Found) -> Result<(), Wrong> {
        match self.cursor.peek()? {
            Kind::String => return self.count_text(),
            Kind::Array => {}
            Kind::Null if place == "system" => return Ok(self.cursor.skip()?),
            Kind::Object | Kind::Number | Kind::Bool | Kind::Null => {
                return wrong_type(place, "a string or an array of blocks");
            }
        }
        let mut index = 0;
        let mut more = self.cursor.open_array()?;
        while more {
            if self.cursor.peek()? != Kind::Object {
                return wrong_type(&format!("{place}[{index}]"), "an object");
            }
            self.block(place, index, found)?;
            index += 1;
            more = self.cursor.more_items()?;
        }
        Ok(())
    }

    fn block(&mut self, place: &str, index: u32, found: &mut Found) -> Result<(), Wrong> {
        let mut has_type = false;
        let mut more = self.cursor.open_object()?;
        while more {
            match &*self.cursor.key()?.unescaped() {
                "type" => {
                    let Some(kind) = self.string_if_any()? else {
                        return wrong_type(&format!("{place}[{index}].type"), "a string");
                    };
                    has_type = true;
                    match kind.raw() {
                        "image" => self.features.insert(Features::VISION),
                        "document" => {
                            self.features.insert(Features::DOCUMENTS);
                            found.document = true;
                        }
                        _ => {}
                    }
                }
                "source" if self.cursor.peek()? == Kind::Object => self.source()?,
                // A tool's result.
                "content" if self.cursor.peek()? == Kind::Array => {
                    self.content(&format!("{place}[{index}].content"), &mut Found::default())?;
                }
                "citations" if self.cursor.peek()? == Kind::Array => {
                    let inside = self.cursor.offset() + 1;
                    self.cursor.skip()?;
                    found.citations |= self.cursor.end() - inside > 1;
                }
                "signature" | "cache_control" | "citations" => self.cursor.skip()?,
                _ => self.count_text()?,
            }
            more = self.cursor.more_members()?;
        }
        if has_type {
            return Ok(());
        }
        let param = format!("{place}[{index}].type");
        wrong(&param, "missing_required_parameter", format!("`{param}` is required"))
    }

    /// Media count as media; a document that is text counts as text, wherever its type stands.
    fn source(&mut self) -> Result<(), Wrong> {
        let mut is_text = false;
        let mut chars = 0;
        let mut more = self.cursor.open_object()?;
        while more {
            if self.cursor.key()?.unescaped() == "type" {
                is_text = self
                    .string_if_any()?
                    .is_some_and(|kind| matches!(kind.raw(), "text" | "content"));
            } else {
                chars += count_text(&mut self.cursor)?;
            }
            more = self.cursor.more_members()?;
        }
        self.prompt_chars += if is_text { chars } else { MEDIA_CHARS };
        Ok(())
    }

    fn count_text(&mut self) -> Result<(), Wrong> {
        self.prompt_chars += count_text(&mut self.cursor)?;
        Ok(())
    }

    /// A member of an object that is a string; the rest is skipped.
    fn word_of(&mut self, name: &str) -> Result<Option<String>, Wrong> {
        if self.cursor.peek()? != Kind::Object {
            self.cursor.skip()?;
            return Ok(None);
        }
        let mut word = None;
        let mut more = self.cursor.open_object()?;
        while more {
            if self.cursor.key()?.unescaped() == name {
                word = self.string_if_any()?.map(|text| text.unescaped().into_owned());
            } else {
                self.cursor.skip()?;
            }
            more = self.cursor.more_members()?;
        }
        Ok(word)
    }

    fn string_if_any(&mut self) -> Result<Option<Text<'a>>, Fault> {
        if self.cursor.peek()? == Kind::String {
            return self.cursor.string().map(Some);
        }
        self.cursor.skip()?;
        Ok(None)
    }
}
