//! Blocks of a client's request as parts of the neutral model.
//!
//! A document of text is a file of type `text/plain`; one of blocks is its blocks; a search result is its title, source and
//! text as one text. What a document or search result says beyond (title of the former, `context`, citations) is kept by its
//! place. A `thinking` block may carry what another dialect signed, see `carried`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use types::chat::{CacheMark, Json, Media, Part, Reasoning, Role, ToolCall};
use types::dialect::DialectName;

use super::carried::{self, Carried};
use crate::fields::{boolean, expect, missing, required, text, untranslatable, wrong};
use crate::framing::json::Kind;
use crate::framing::raw::Raw;
use crate::request::BadRequest;

/// Where what the neutral model has no word for is kept.
pub(super) struct Keep<'a>(pub &'a mut Vec<(String, Json)>);

impl Keep<'_> {
    /// Keeps a value that is not `null`.
    pub(super) fn add(&mut self, place: &str, value: Raw<'_>) {
        if !value.is_null() {
            self.0.push((place.to_owned(), value.to_json()));
        }
    }
}

/// A text that is JSON.
pub(super) fn json(text: &str) -> Json {
    Json::parse(text).expect("it was written as JSON")
}

/// `cache_control`.
pub(super) fn cache_mark(value: Raw<'_>) -> Option<CacheMark> {
    if value.is_null() {
        return None;
    }
    match value.get("ttl").and_then(Raw::string).as_deref() {
        Some("1h") => Some(CacheMark::OneHour),
        Some(_) | None => Some(CacheMark::Ephemeral),
    }
}

/// Whether a turn of the role may hold the part.
pub(super) fn fits(role: Role, part: &Part) -> bool {
    match part {
        Part::Text { .. } => true,
        Part::Image { .. } | Part::File { .. } | Part::Audio { .. } | Part::ToolResult { .. } => role == Role::User,
        Part::Reasoning(_) | Part::Refusal { .. } | Part::ToolCall(_) => role == Role::Assistant,
    }
}

/// Content: a string, or an array of blocks.
pub(super) fn content(place: &str, value: Raw<'_>, keep: &mut Keep<'_>) -> Result<Vec<Part>, BadRequest> {
    if let Some(text) = value.string() {
        return Ok(vec![Part::text(text)]);
    }
    if value.kind() != Kind::Array {
        return Err(wrong(place, "must be a string or an array of blocks"));
    }
    let mut parts = Vec::new();
    // The signature of the call that is to come.
    let mut signed = None;
    for (index, block) in value.items().enumerate() {
        let place = format!("{place}[{index}]");
        let block = expect(Kind::Object, &place, block)?;
        let before = parts.len();
        let mut reader = BlockReader {
            place: &place,
            block,
            keep,
            parts: &mut parts,
        };
        match reader.read()? {
            Some(signature) => signed = Some(signature),
            None => {
                for part in &mut parts[before..] {
                    if let Part::ToolCall(call) = part {
                        call.signature = signed.take();
                    }
                }
            }
        }
    }
    Ok(parts)
}

struct BlockReader<'a, 'k, 'p> {
    place: &'a str,
    block: Raw<'a>,
    keep: &'a mut Keep<'k>,
    parts: &'p mut Vec<Part>,
}

impl<'a> BlockReader<'a, '_, '_> {
    /// Reads the block; what it gives is the signature of the tool call that follows.
    fn read(&mut self) -> Result<Option<String>, BadRequest> {
        let kind = required(&self.at("type"), self.block.get("type"))?;
        match kind.as_str() {
            "text" => {
                let text = self.text("text")?;
                let cache = self.cache();
                self.rest(&["text"]);
                self.parts.push(Part::Text { text, cache });
            }
            "image" => {
                let place = self.at("source");
                let source = self.object("source")?;
                let source = match media(&place, source)? {
                    Source::Media(source) => source,
                    Source::Content(_) => return Err(wrong(&place, "must be an image")),
                };
                let cache = self.cache();
                self.rest(&["source"]);
                self.parts.push(Part::Image {
                    source,
                    detail: None,
                    cache,
                });
            }
            "document" => self.document()?,
            "search_result" => self.search_result()?,
            "thinking" => {
                let (text, signature) = (self.text("thinking")?, self.optional("signature")?);
                self.rest(&["thinking", "signature"]);
                let thought = carried::thinking(text, &signature.unwrap_or_default());
                self.parts.push(Part::Reasoning(thought));
            }
            "redacted_thinking" => {
                let data = self.text("data")?;
                self.rest(&["data"]);
                let (origin, redacted) = match carried::read(&data) {
                    Carried::Call(signature) => return Ok(Some(signature)),
                    Carried::Of(origin, data) => (Some(origin), data),
                    Carried::Unsigned => (None, None),
                };
                let redacted = redacted.or_else(|| (origin == Some(DialectName::AnthropicMessages)).then_some(data));
                self.parts.push(Part::Reasoning(Reasoning {
                    redacted,
                    origin,
                    ..Reasoning::default()
                }));
            }
            "tool_use" => self.tool_use()?,
            "tool_result" => self.tool_result()?,
            "tool_reference" => {
                // Other dialects are offered the tool from the start; here it only was found.
                let text = format!("The tool `{}` can be called now.", self.required("tool_name")?);
                let cache = self.cache();
                self.keep.add(
                    &self.at("tool_name"),
                    self.block.get("tool_name").expect("it was just read"),
                );
                self.rest(&["tool_name"]);
                self.parts.push(Part::Text { text, cache });
            }
            other => {
                let what = format!("a block of type `{other}`");
                return Err(untranslatable(&self.at("type"), &what));
            }
        }
        Ok(None)
    }

    fn document(&mut self) -> Result<(), BadRequest> {
        let place = self.at("source");
        let source = self.object("source")?;
        let (cache, title) = (self.cache(), self.optional("title")?);
        match media(&place, source)? {
            Source::Media(source) => {
                self.rest(&["source", "title"]);
                self.parts.push(Part::File {
                    source,
                    filename: title.filter(|title| !title.is_empty()),
                    cache,
                });
            }
            Source::Content(blocks) => {
                self.rest(&["source"]);
                let place = format!("{place}.content");
                let mut parts = content(&place, blocks, self.keep)?;
                if parts
                    .iter()
                    .any(|part| !matches!(part, Part::Text { .. } | Part::Image { .. }))
                {
                    return Err(wrong(&place, "must hold nothing but text and images"));
                }
                if let Some(Part::Text { cache: mark, .. } | Part::Image { cache: mark, .. }) = parts.last_mut() {
                    *mark = cache.or(*mark);
                }
                self.parts.extend(parts);
            }
        }
        Ok(())
    }

    fn search_result(&mut self) -> Result<(), BadRequest> {
        let mut words = format!("{}\n{}\n", self.text("title")?, self.text("source")?);
        let place = self.at("content");
        let blocks = self.block.get("content").ok_or_else(|| missing(&place))?;
        for part in content(&place, blocks, self.keep)? {
            let Part::Text { text, .. } = part else {
                return Err(wrong(&place, "must hold nothing but text"));
            };
            words.push('\n');
            words.push_str(&text);
        }
        let cache = self.cache();
        self.rest(&["title", "source", "content"]);
        self.parts.push(Part::Text { text: words, cache });
        Ok(())
    }

    fn tool_use(&mut self) -> Result<(), BadRequest> {
        if let Some(caller) = self.block.get("caller")
            && caller.get("type").and_then(Raw::string).as_deref() != Some("direct")
        {
            return Err(untranslatable(&self.at("caller"), "a call that another tool made"));
        }
        let (id, name) = (self.required("id")?, self.required("name")?);
        let arguments = match self.block.get("input") {
            Some(input) => expect(Kind::Object, &self.at("input"), input)?.text().to_owned(),
            None => return Err(missing(&self.at("input"))),
        };
        if let Some(mark) = self.block.get("cache_control") {
            self.keep.add(&self.at("cache_control"), mark);
        }
        self.rest(&["id", "name", "input", "caller"]);
        self.parts.push(Part::ToolCall(ToolCall {
            id,
            name,
            arguments,
            signature: None,
        }));
        Ok(())
    }

    fn tool_result(&mut self) -> Result<(), BadRequest> {
        let call_id = self.required("tool_use_id")?;
        let inner = match self.block.get("content") {
            Some(inner) => content(&self.at("content"), inner, self.keep)?,
            None => Vec::new(),
        };
        let told = |part: &Part| matches!(part, Part::Text { .. } | Part::Image { .. } | Part::File { .. });
        if !inner.iter().all(told) {
            return Err(wrong(
                &self.at("content"),
                "must hold nothing but text, images and documents",
            ));
        }
        let is_error = match self.block.get("is_error") {
            Some(flag) => boolean(&self.at("is_error"), flag)?,
            None => false,
        };
        let cache = self.cache();
        self.rest(&["tool_use_id", "content", "is_error"]);
        self.parts.push(Part::ToolResult {
            call_id,
            name: None,
            content: inner,
            is_error,
            cache,
        });
        Ok(())
    }

    /// Keeps what is not known of the block. Citations that are switched off say nothing.
    fn rest(&mut self, known: &[&str]) {
        for (name, value) in self.block.members() {
            let is_off = || match value.kind() {
                Kind::Object => value.get("enabled").and_then(Raw::bool) != Some(true),
                Kind::Array => value.items().next().is_none(),
                Kind::String | Kind::Number | Kind::Bool | Kind::Null => false,
            };
            let is_known = known.contains(&&*name) || matches!(&*name, "type" | "cache_control");
            if !is_known && (name != "citations" || !is_off()) {
                self.keep.add(&self.at(&name), value);
            }
        }
    }

    fn cache(&self) -> Option<CacheMark> {
        self.block.get("cache_control").and_then(cache_mark)
    }

    fn at(&self, name: &str) -> String {
        format!("{}.{name}", self.place)
    }

    fn object(&self, name: &str) -> Result<Raw<'a>, BadRequest> {
        let place = self.at(name);
        expect(
            Kind::Object,
            &place,
            self.block.get(name).ok_or_else(|| missing(&place))?,
        )
    }

    /// A string that must be there and may be empty.
    fn text(&self, name: &str) -> Result<String, BadRequest> {
        let place = self.at(name);
        text(&place, self.block.get(name).ok_or_else(|| missing(&place))?)
    }

    fn required(&self, name: &str) -> Result<String, BadRequest> {
        required(&self.at(name), self.block.get(name))
    }

    fn optional(&self, name: &str) -> Result<Option<String>, BadRequest> {
        let value = self.block.get(name);
        value.map(|value| text(&self.at(name), value)).transpose()
    }
}

/// Where an image or a document is.
enum Source<'a> {
    Media(Media),
    /// In blocks of its own.
    Content(Raw<'a>),
}

fn media<'a>(place: &str, source: Raw<'a>) -> Result<Source<'a>, BadRequest> {
    let member = |name: &str| required(&format!("{place}.{name}"), source.get(name));
    Ok(match member("type")?.as_str() {
        "base64" => Source::Media(Media::Base64 {
            media_type: member("media_type")?,
            data: member("data")?,
        }),
        "url" => Source::Media(Media::Url { url: member("url")? }),
        "file" => Source::Media(Media::FileId { id: member("file_id")? }),
        "text" => Source::Media(Media::Base64 {
            media_type: "text/plain".to_owned(),
            data: STANDARD.encode(member("data")?),
        }),
        "content" => {
            let place = format!("{place}.content");
            Source::Content(source.get("content").ok_or_else(|| missing(&place))?)
        }
        other => {
            let what = format!("a source of type `{other}`");
            return Err(untranslatable(&format!("{place}.type"), &what));
        }
    })
}
